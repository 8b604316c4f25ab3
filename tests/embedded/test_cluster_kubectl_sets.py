"""kubectl drives rollouts of StatefulSets and DaemonSets, and prints what it prints elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy_guard.embedded.cluster import EmbeddedCluster
from embedded.kubectl import NEEDED, Kubectl
from embedded.sets import NAMESPACE, pods, release_agent, release_db, settle, tags

pytestmark = NEEDED
SETS = [("StatefulSet", "db"), ("DaemonSet", "agent")]


class Sets(Kubectl):
    """A cluster with a StatefulSet and a DaemonSet, and kubectl pointed at it."""

    def follow(self, kind: str, name: str) -> str:
        """Wait for the rollout with kubectl; return what it printed last."""
        text = self.kubectl("rollout", "status", f"{kind}/{name}", "--timeout=30s")
        settle(self.cluster, kind, name)
        return text.splitlines()[-1]

    def release(self, kind: str, name: str, tag: str) -> None:
        """Set the image and wait until it is rolled out."""
        self.kubectl("set", "image", f"{kind}/{name}", f"{name}={name}:{tag}")
        self.follow(kind, name)

    def history(self, kind: str, name: str) -> list[int]:
        """Return the revisions that `rollout history` lists."""
        text = self.kubectl("rollout", "history", f"{kind}/{name}")
        return [int(number) for number in re.findall(r"^(\d+) ", text, re.MULTILINE)]


@pytest.fixture
def sets(tmp_path: Path) -> Iterator[Sets]:
    with EmbeddedCluster(start_up=0.05, service=False, nodes=2) as cluster:
        release_db(cluster, "1.0", replicas=2)
        release_agent(cluster, "1.0")
        settle(cluster, "StatefulSet", "db")
        settle(cluster, "DaemonSet", "agent")
        yield Sets(cluster, tmp_path, NAMESPACE)


def running(sets: Sets, name: str) -> set[str]:
    """Return the image tags of the pods of one of the sets."""
    return {tag for pod, tag in tags(sets.cluster).items() if pod.startswith(f"{name}-")}


@pytest.mark.parametrize(("kind", "name"), SETS)
def test_a_release_is_rolled_out_and_undone(sets: Sets, kind: str, name: str) -> None:
    """Set image makes revision 2; undo brings back revision 1, which becomes 3."""
    sets.release(kind, name, "2.0")
    assert running(sets, name) == {"2.0"}
    assert sets.history(kind, name) == [1, 2]
    text = sets.kubectl("rollout", "undo", f"{kind}/{name}")
    assert text == f"{kind.lower()}.apps/{name} rolled back\n"
    sets.follow(kind, name)
    assert running(sets, name) == {"1.0"}
    assert sets.history(kind, name) == [2, 3]
    text = sets.kubectl("rollout", "history", f"{kind}/{name}", "--revision=2")
    assert f"{name}:2.0" in text


@pytest.mark.parametrize(("kind", "name"), SETS)
def test_undo_finds_a_revision_by_its_number(sets: Sets, kind: str, name: str) -> None:
    """--to-revision=1 brings the first release back; an unknown number is refused."""
    for tag in ("2.0", "3.0"):
        sets.release(kind, name, tag)
    text = sets.kubectl("rollout", "undo", f"{kind}/{name}", "--to-revision=9", code=1)
    assert "unable to find specified revision 9 in history" in text
    sets.kubectl("rollout", "undo", f"{kind}/{name}", "--to-revision=1")
    sets.follow(kind, name)
    assert running(sets, name) == {"1.0"}
    assert sets.history(kind, name) == [2, 3, 4]


@pytest.mark.parametrize(("kind", "name"), SETS)
def test_restart_replaces_every_pod(sets: Sets, kind: str, name: str) -> None:
    """Rollout restart makes a new revision with the same image and other pods."""
    before = {pod["metadata"]["uid"] for pod in pods(sets.cluster)}
    sets.kubectl("rollout", "restart", f"{kind}/{name}")
    sets.follow(kind, name)
    mine = {
        pod["metadata"]["uid"]
        for pod in pods(sets.cluster)
        if pod["metadata"]["name"].startswith(f"{name}-")
    }
    assert len(mine) == 2
    assert not mine & before
    assert sets.history(kind, name) == [1, 2]


@pytest.mark.parametrize(
    ("kind", "name", "text"),
    [
        ("StatefulSet", "db", "partitioned roll out complete: 2 new pods have been updated..."),
        ("DaemonSet", "agent", 'daemon set "agent" successfully rolled out'),
    ],
)
def test_rollout_status_ends_with_the_recorded_words(
    sets: Sets, kind: str, name: str, text: str
) -> None:
    """Rollout status of a complete rollout prints what it prints on a real cluster."""
    assert sets.follow(kind, name) == text


@pytest.mark.parametrize(("kind", "name"), SETS)
def test_neither_kind_can_be_paused(sets: Sets, kind: str, name: str) -> None:
    """Rollout pause is refused, as kubectl does for these kinds."""
    text = sets.kubectl("rollout", "pause", f"{kind}/{name}", code=1)
    assert f'{kind.lower()}s.apps "{name}" pausing is not supported' in text


def test_scale_and_delete_of_a_stateful_set(sets: Sets) -> None:
    """Scale goes through /scale; delete in the foreground returns when the pods are gone."""
    sets.kubectl("scale", "statefulset/db", "--replicas=3")
    sets.follow("StatefulSet", "db")
    assert {"db-0", "db-1", "db-2"} <= set(tags(sets.cluster))
    sets.kubectl("delete", "statefulset/db", "--cascade=foreground", "--timeout=30s")
    assert running(sets, "db") == set()
    assert "db-" not in sets.kubectl("get", "controllerrevisions")


def test_an_orphaned_set_can_be_made_again_around_its_pods(sets: Sets) -> None:
    """Delete with --cascade=orphan keeps the pods; a set of that name adopts pods and history."""
    before = {pod["metadata"]["uid"] for pod in pods(sets.cluster)}
    sets.kubectl("delete", "statefulset/db", "--cascade=orphan", "--timeout=30s")
    release_db(sets.cluster, "1.0", replicas=2)
    settle(sets.cluster, "StatefulSet", "db")
    assert {pod["metadata"]["uid"] for pod in pods(sets.cluster)} == before
    assert sets.history("StatefulSet", "db") == [1]


def test_get_and_describe_show_both_kinds(sets: Sets) -> None:
    """The tables and descriptions are those of kubectl."""
    assert re.search(r"db +2/2", sets.kubectl("get", "statefulsets"))
    assert re.search(r"agent +2 +2 +2 +2 +2", sets.kubectl("get", "daemonsets"))
    assert "2 Running / 0 Waiting" in sets.kubectl("describe", "statefulset/db")
    assert "SuccessfulCreate" in sets.kubectl("describe", "daemonset/agent")
    assert "statefulset.apps/db" in sets.kubectl("get", "controllerrevisions")
