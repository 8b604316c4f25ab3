"""The controllers write what Kubernetes 1.36 wrote when the same requests were sent to it.

Races in the recordings are not compared: which of several pods that get ready at the same time
is seen first decides the counts and, where a step moves several pods, the steps' sizes. Those
stories compare the sizes at each request and at the end.
A state that lasts milliseconds may be skipped by either side, since a Deployment and its
ReplicaSets are synced independently: `short` names such states.

Where the controllers differ on purpose:

| difference | reason |
|---|---|
| the hash in a ReplicaSet's name | Kubernetes hashes a Go value; no JSON gives the same number |
| a waiting container is ContainerCreating | the recordings' stand-in wrote an empty state there |
| "back-off 2m40s" instead of "160s" | this is the kubelet's own form; the stand-in's was not |
| a pod has no openshift-service-ca.crt volume | it came from the recording's machine |
| events about pods exist (Failed, BackOff, …) | kubelets write them; the stand-in did not |
"""

from __future__ import annotations

import re

import pytest

from deploy_guard.embedded.cluster import EmbeddedCluster
from embedded.stories import State, Story, Teller, Told

SHOP = "registry.example/web"
ORPH = ("registry.example/orph:1.0", "registry.example/orph:2.0")
HELD = ("registry.example/held:1.0", "registry.example/held:2.0")
# Before the ReplicaSet's failure is seen, and after it was cleared but before the pod is seen.
QUOTA = "Created|Available.*ReplicaFailure|4, 4, .*NewReplicaSetAvailable"
STORIES = (
    Story("02-deployment-create", before=()),
    Story("03-image-change"),
    Story("04-undo", before=(f"{SHOP}:1.0", f"{SHOP}:2.0", f"{SHOP}:3.0")),
    Story("05-bad-image", spec={"progressDeadlineSeconds": 1}, short="2, 2, .*ReplicaSetUpdated"),
    Story("05b-crashloop", spec={"progressDeadlineSeconds": 1}, exact_sizes=False),
    Story("05c-quota", spec={"progressDeadlineSeconds": 1}, short=QUOTA),
    Story("07-paused", before=(f"{SHOP}:1.0", f"{SHOP}:2.0")),
    Story("07b-paused-mid-rollout", start_up=0.6),
    Story("16-scale-and-hpa", until=3, exact_sizes=False, start_up=0.6),
    Story("20a-recreate"),
    Story("20b-rolling-default", exact_sizes=False),
    Story("20c-rolling-no-surge", exact_sizes=False),
    Story("20d-rolling-all-at-once", spec={"minReadySeconds": 1}),
    Story("20e-undo-mid-rollout", exact_sizes=False, start_up=0.6),
    Story(
        "21-delete",
        before=("registry.example/back:1.0",),
        deployment="back",
        alone=False,
        start_up=0.6,
    ),
    Story("21-delete", before=("registry.example/fore:1.0",), deployment="fore", alone=False),
    Story("21-delete", before=ORPH, deployment="orph", alone=False),
    Story("21-delete", before=("registry.example/again:1.0",), deployment="again", alone=False),
    Story("21-delete", before=HELD, deployment="held", alone=False),
)


@pytest.mark.parametrize("story", STORIES, ids=lambda s: f"{s.recording}-{s.deployment}")
def test_the_recorded_story_is_told_again(story: Story) -> None:
    """The same requests get the same answers and make the same states, sizes and events."""
    teller = Teller(story)
    recorded = teller.recorded()
    with EmbeddedCluster(start_up=story.start_up, grace=0.1, service=False) as cluster:
        ours = teller.ours(cluster)
    assert ours.statuses == recorded.statuses
    assert _without_short(story, ours) == _without_short(story, recorded)
    assert ours.points == recorded.points
    assert not recorded.sizes or _ends(ours) == _ends(recorded)
    if story.exact_sizes:
        assert ours.sizes == recorded.sizes
        assert ours.annotations == recorded.annotations
        assert not recorded.events or ours.events == recorded.events


def _without_short(story: Story, told: Told) -> list[State]:
    if not story.short:
        return told.states
    return [state for state in told.states if not re.search(story.short, str(state))]


def _ends(told: Told) -> dict[str, int]:
    return {name: sizes[-1] for name, sizes in told.sizes.items()}
