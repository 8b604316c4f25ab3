"""StatefulSets, DaemonSets and their revisions are written as Kubernetes 1.36 wrote them.

Where they differ on purpose:

| difference | reason |
|---|---|
| the hash in a revision's name | Kubernetes hashes the bytes of its own encoding |
| a new pod is never deleted again at once | the real controller read an old state there |
| between two pods of a DaemonSet a status may be skipped | it lasts milliseconds |
| a pod has no openshift-service-ca.crt volume | it came from the recording's machine |
"""

from __future__ import annotations

import pytest

from deploy_guard.embedded.cluster import EmbeddedCluster
from embedded.set_stories import SetStory, SetTeller

DB = ("registry.example/db:1.0", "registry.example/db:2.0")
STORIES = (
    SetStory("12a-statefulset", "StatefulSet", "db"),
    SetStory("12b-statefulset-broken", "StatefulSet", "db", before=DB),
    SetStory("12c-daemonset", "DaemonSet", "agent"),
)


@pytest.mark.parametrize("story", STORIES, ids=lambda s: s.recording)
def test_the_recorded_story_is_told_again(story: SetStory) -> None:
    """The same requests get the same answers and make the same states, revisions and pods."""
    teller = SetTeller(story)
    recorded = teller.recorded()
    with EmbeddedCluster(start_up=0.2, service=False) as cluster:
        ours = teller.ours(cluster)
    for answer, wanted in zip(ours.answers, recorded.answers, strict=True):
        assert answer == wanted
    assert ours.states == recorded.states
    if recorded.revisions:  # 12b watches none: its answers list them
        assert ours.revisions == recorded.revisions
    assert recorded.pods
    assert ours.pods[: len(recorded.pods)] == recorded.pods  # the watch of 12a ends early
