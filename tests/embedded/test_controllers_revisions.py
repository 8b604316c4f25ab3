"""Revisions and their ReplicaSets end up as in the recordings 03b and 08."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.store import Object
from embedded.recordings import load
from embedded.stories import PREFIX, send

EDGES = load("08-undo-edges")
NAMESPACE = "rec-08"
History = list[tuple[Any, ...]]


@pytest.fixture
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(start_up=0.02, service=False) as cluster:
        yield cluster


def history(replica_sets: list[Object]) -> History:
    """Return what is kept of each release: image, size, and the controller's annotations."""
    found = []
    for rs in replica_sets:
        annotations = rs["metadata"]["annotations"]
        image = rs["spec"]["template"]["spec"]["containers"][0]["image"]
        names = ("revision", "revision-history", "desired-replicas", "max-replicas")
        found.append((image, rs["spec"]["replicas"], *(annotations.get(PREFIX + n) for n in names)))
    return sorted(found, key=str)


def ours(cluster: EmbeddedCluster, namespace: str, name: str) -> History:
    """Return the history of a Deployment in the cluster."""
    sets = cluster.store.list_all("replicasets.apps", namespace)[0]
    return history([rs for rs in sets if rs["metadata"]["name"].startswith(f"{name}-")])


def release(cluster: EmbeddedCluster, name: str, image: str, **spec: Any) -> None:
    """Apply a Deployment as the recording's were made, and wait until it is rolled out."""
    labels = {"app": name}
    container = {"name": "web", "image": image, "ports": [{"containerPort": 8080}]}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    given = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template, **spec}
    meta = {"name": name, "namespace": NAMESPACE, "labels": labels}
    manifest = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": given}
    cluster.apply(manifest)
    if "nopull" not in image and not given.get("paused"):
        cluster.wait_complete(NAMESPACE, name)


def wait_for_history(cluster: EmbeddedCluster, name: str, step: int) -> None:
    """Wait until the Deployment's history is the one that a step of the recording lists."""
    wanted = history(EDGES.answer(step)["items"])
    try:
        cluster.wait_for(lambda: ours(cluster, NAMESPACE, name) == wanted, timeout=10)
    except TimeoutError:
        assert ours(cluster, NAMESPACE, name) == wanted


def test_each_way_to_change_makes_the_recorded_revisions(cluster: EmbeddedCluster) -> None:
    """Merge patch, JSON patch, PUT, set image, restart, apply: the same revisions as recorded."""
    recording = load("03b-ways-to-change")
    before = recording.answer(0)
    meta = {key: before["metadata"][key] for key in ("name", "namespace", "labels")}
    plain = {key: before[key] for key in ("apiVersion", "kind", "spec")}
    cluster.apply({**plain, "metadata": meta})
    namespace, name = meta["namespace"], meta["name"]
    for step in recording.steps:
        if step.method in ("PATCH", "PUT"):
            cluster.wait_complete(namespace, name)
            assert send(cluster.url, step) == step.status
    wanted = history(recording.steps[-1].answer["items"])
    cluster.wait_complete(namespace, name)
    cluster.wait_for(lambda: ours(cluster, namespace, name) == wanted, timeout=10)


def test_history_limit_0_keeps_no_old_revision(cluster: EmbeddedCluster) -> None:
    """With revisionHistoryLimit 0 only the running ReplicaSet is left after each release."""
    release(cluster, "limit0", "registry.example/limit0:1.0", revisionHistoryLimit=0)
    release(cluster, "limit0", "registry.example/limit0:2.0", revisionHistoryLimit=0)
    wait_for_history(cluster, "limit0", 15)
    release(cluster, "limit0", "registry.example/limit0:3.0", revisionHistoryLimit=0)
    wait_for_history(cluster, "limit0", 16)
    release(cluster, "limit0", "registry.example/limit0:nopull-4.0", revisionHistoryLimit=0)
    wait_for_history(cluster, "limit0", 38)
    assert send(cluster.url, EDGES.steps[42]) == 200
    wait_for_history(cluster, "limit0", 43)


def test_history_limit_1_keeps_one_old_revision(cluster: EmbeddedCluster) -> None:
    """With revisionHistoryLimit 1 an undo reuses the one old ReplicaSet and notes its number."""
    for number, step in (("1.0", None), ("2.0", 24), ("3.0", 25)):
        release(cluster, "limit1", f"registry.example/limit1:{number}", revisionHistoryLimit=1)
        if step:
            wait_for_history(cluster, "limit1", step)
    assert send(cluster.url, EDGES.steps[32]) == 200
    wait_for_history(cluster, "limit1", 33)


def test_undo_with_no_replicas_changes_the_revision_at_once(cluster: EmbeddedCluster) -> None:
    """A Deployment scaled to 0 has revisions like any other."""
    release(cluster, "zero", "registry.example/zero:1.0", replicas=0)
    release(cluster, "zero", "registry.example/zero:2.0", replicas=0)
    wait_for_history(cluster, "zero", 46)
    assert send(cluster.url, EDGES.steps[47]) == 200
    wait_for_history(cluster, "zero", 49)


def test_a_deployment_created_paused_makes_nothing(cluster: EmbeddedCluster) -> None:
    """Created paused: no ReplicaSet, no revision annotation, both conditions as recorded."""
    release(cluster, "fresh", "registry.example/fresh:1.0", paused=True)
    wanted = EDGES.answer(51)

    def conditions(obj: Object) -> list[tuple[str, ...]]:
        found = obj["status"].get("conditions") or []
        return [(c["type"], c["status"], c["reason"], c["message"]) for c in found]

    def fresh() -> Object:
        return cluster.store.get("deployments.apps", NAMESPACE, "fresh")

    cluster.wait_for(lambda: conditions(fresh()) == conditions(wanted), timeout=10)
    assert "annotations" not in fresh()["metadata"]
    assert ours(cluster, NAMESPACE, "fresh") == []


def test_a_template_that_comes_back_by_hand_reuses_its_replica_set(
    cluster: EmbeddedCluster,
) -> None:
    """1.0, 2.0, 1.0 again: two ReplicaSets, revisions 2 and 3; a deleted one is not missed."""
    for number in ("1.0", "2.0", "1.0"):
        release(cluster, "only", f"registry.example/only:{number}")
    wait_for_history(cluster, "only", 68)
    old = next(
        rs["metadata"]["name"]
        for rs in cluster.store.list_all("replicasets.apps", NAMESPACE)[0]
        if rs["spec"]["replicas"] == 0
    )
    cluster.store.delete("replicasets.apps", NAMESPACE, old)
    wait_for_history(cluster, "only", 75)


def test_deployments_with_the_same_selector_leave_each_other_alone(
    cluster: EmbeddedCluster,
) -> None:
    """Overlapping selectors: each Deployment moves only the ReplicaSets that it owns."""
    labels = {"tier": "shared"}
    template_labels = {"metadata": {"labels": labels}}
    for name, number in (("left", "1.0"), ("right", "5.0"), ("right", "6.0")):
        container = {"name": "web", "image": f"registry.example/shared:{number}"}
        template = {**template_labels, "spec": {"containers": [container]}}
        release(cluster, name, "", selector={"matchLabels": labels}, template=template)
    wanted = history(EDGES.answer(61)["items"])
    cluster.wait_for(
        lambda: ours(cluster, NAMESPACE, "left") + ours(cluster, NAMESPACE, "right") == wanted
    )


def test_a_full_history_annotation_forgets_the_oldest_numbers() -> None:
    """The list of earlier revisions never grows above 2000 characters."""
    from deploy_guard.embedded.controllers.templates import REVISION_HISTORY, new_annotations

    numbers = ",".join(str(number) for number in range(1000, 1400))
    rs = {"metadata": {"annotations": {PREFIX + "revision": "1400", REVISION_HISTORY: numbers}}}
    deployment: Object = {"metadata": {}, "spec": {}}
    after = new_annotations(deployment, rs, 1401, exists=True)[REVISION_HISTORY]
    assert len(after) <= 2000
    assert after.startswith("1001,")
    assert after.endswith(",1399,1400")
