"""StatefulSets and DaemonSets as guard reads them, in every state that a real cluster went through.

The rule for complete is held to kubectl's own, written down here from its source once more:
`StatefulSetStatusViewer` and `DaemonSetStatusViewer` of k8s.io/kubectl/pkg/polymorphichelpers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from deploy_guard.cluster.rollouts import live_hash, rollout_of
from deploy_guard.cluster.snapshot import Json, Snapshot, assemble
from deploy_guard.cluster.templates import hash_of, live_revision, same_template, template_of
from deploy_guard.cluster.workload import began_at, pod_of, revision_of
from deploy_guard.model import Target
from deploy_guard.rollback.stuck import stuck_pods
from embedded.recordings import Recording, load

STATEFUL, BROKEN, DAEMON = "12a-statefulset", "12b-statefulset-broken", "12c-daemonset"
RECORDINGS = (STATEFUL, BROKEN, DAEMON)
KINDS = ("StatefulSet", "DaemonSet", "ControllerRevision", "Pod")


def snapshots(recording: Recording) -> Iterator[Snapshot]:
    """Yield the snapshot after each event, in the order in which the server wrote them.

    Revisions that only a list shows (12b) are there from the beginning.
    """
    known: dict[str, Json] = {}
    written = sorted(_events(recording), key=lambda pair: _version(pair[1]))
    seen = {obj["metadata"]["uid"] for _, obj in written if obj["kind"] == "ControllerRevision"}
    for step in recording.steps:
        for obj in step.answer.get("items") or () if isinstance(step.answer, dict) else ():
            if "data" in obj and obj["metadata"]["uid"] not in seen:
                known[obj["metadata"]["uid"]] = {**obj, "kind": "ControllerRevision"}
    for type, obj in written:
        known.pop(obj["metadata"]["uid"], None)
        if type != "DELETED":
            known[obj["metadata"]["uid"]] = obj
        workload = next((o for o in known.values() if "Set" in o["kind"]), None)
        if workload is not None:
            yield _assembled(workload, known.values())


def _assembled(workload: Json, objects: Any) -> Snapshot:
    meta = workload["metadata"]
    target = Target(workload["kind"].lower(), meta["namespace"], meta["name"])
    revisions = [o for o in objects if o["kind"] == "ControllerRevision"]
    pods = [o for o in objects if o["kind"] == "Pod"]
    return assemble(target, workload, revisions, pods, seen_at=0.0)


def _events(recording: Recording) -> Iterator[tuple[str, Json]]:
    for step in recording.steps:
        for event in step.events or ():
            if event["object"].get("kind") in KINDS and event["type"] != "BOOKMARK":
                yield event["type"], event["object"]


def _version(obj: Json) -> int:
    return int(obj["metadata"]["resourceVersion"])


def kubectl_says_complete(workload: Json) -> bool:
    """Decide as `kubectl rollout status` does."""
    status, spec = workload["status"], workload["spec"]
    seen = status.get("observedGeneration", 0)
    if seen == 0 or workload["metadata"]["generation"] > seen:
        return False
    if workload["kind"] == "DaemonSet":
        desired = status["desiredNumberScheduled"]
        updated = status.get("updatedNumberScheduled", 0)
        return bool(updated >= desired and status.get("numberAvailable", 0) >= desired)
    if status.get("readyReplicas", 0) < spec["replicas"]:
        return False
    partition = spec["updateStrategy"]["rollingUpdate"]["partition"]
    return bool(status.get("updatedReplicas", 0) >= spec["replicas"] - partition)


def all_available(workload: Json) -> bool:
    """Tell whether all pods that are wanted are available."""
    status = workload["status"]
    if workload["kind"] == "DaemonSet":
        return bool(status.get("numberAvailable", 0) == status["desiredNumberScheduled"])
    wanted = workload["spec"]["replicas"]
    return bool(status.get("availableReplicas", 0) == status.get("replicas", 0) == wanted)


@pytest.mark.parametrize("name", RECORDINGS)
def test_complete_is_what_kubectl_calls_complete(name: str) -> None:
    """In every recorded state: complete when kubectl says so and all pods are available."""
    answers = set()
    for snapshot in snapshots(load(name)):
        workload = snapshot.workload
        assert workload is not None
        if live_hash(snapshot) is None:
            continue
        rollout = rollout_of(snapshot, live_hash(snapshot) or "")
        wanted = kubectl_says_complete(workload) and all_available(workload)
        assert rollout.complete == wanted, workload["status"]
        answers.add(rollout.complete)
    assert answers == {True, False}


@pytest.mark.parametrize("name", [BROKEN, DAEMON])  # the watch of pods in 12a ends early
def test_complete_means_that_every_pod_runs_the_live_revision(name: str) -> None:
    """When a rollout is complete, the pods say so themselves, by their labels."""
    seen = 0
    for snapshot in snapshots(load(name)):
        live = live_hash(snapshot)
        rollout = rollout_of(snapshot, live or "")
        pods = [pod for pod in snapshot.pods if "deletionTimestamp" not in pod["metadata"]]
        if live and pods and rollout.complete:
            seen += 1
            assert {hash_of(pod) for pod in pods} == {live}
            assert rollout.old == 0
    assert seen


@pytest.mark.parametrize("name", RECORDINGS)
def test_another_revision_than_the_live_one_is_never_complete(name: str) -> None:
    """What was condemned is not called complete because something else is."""
    for snapshot in snapshots(load(name)):
        others = {hash_of(revision) for revision in snapshot.revisions} - {live_hash(snapshot)}
        assert not any(rollout_of(snapshot, other).complete for other in others)


@pytest.mark.parametrize("name", RECORDINGS)
def test_the_live_revision_is_the_one_that_the_controller_updates_to(name: str) -> None:
    """By its template the same revision is found that the controller's status names."""
    compared = 0
    for snapshot in snapshots(load(name)):
        workload = snapshot.workload
        assert workload is not None
        live = live_revision(workload, snapshot.revisions)
        if live is None:
            continue
        assert same_template(template_of(live), template_of(workload))
        status = workload["status"]
        current = status.get("observedGeneration") == workload["metadata"]["generation"]
        if workload["kind"] == "StatefulSet" and current:
            compared += 1
            assert status["updateRevision"] == hash_of(live) == live["metadata"]["name"]
    assert compared or name == DAEMON


@pytest.mark.parametrize("name", RECORDINGS)
def test_pods_are_told_apart_by_the_hash_of_their_revision(name: str) -> None:
    """Every pod's label names one of the revisions, whose images the pod runs."""
    compared = 0
    for snapshot in snapshots(load(name)):
        by_hash = {hash_of(revision): revision_of(revision) for revision in snapshot.revisions}
        for pod in snapshot.pods:
            found = pod_of(pod)
            if found.template in by_hash:  # a watch may show the pod before its revision
                compared += 1
                images = tuple(c["image"] for c in pod["spec"]["containers"])
                assert images == by_hash[found.template].images
    assert compared


@pytest.mark.parametrize(
    ("name", "numbers", "release"),
    [(STATEFUL, [2, 3], "1.0"), (DAEMON, [2, 4, 5], "1.0")],
)
def test_an_undo_renumbers_the_old_revision(name: str, numbers: list[int], release: str) -> None:
    """Going back makes no new revision: the old one, in its old object, has the highest number."""
    *_, last = snapshots(load(name))
    revisions = [revision_of(obj) for obj in last.revisions]
    if name == STATEFUL:  # the watches end before the second undo
        revisions = [revision_of(obj) for obj in load(name).answer(13)["items"]]
    found = sorted(revisions, key=lambda revision: revision.number)
    assert [revision.number for revision in found] == numbers
    assert found[-1].images[0].endswith(f":{release}")
    assert {revision.former_numbers for revision in found} == {()}
    assert {revision.replicas for revision in found} == {None}


@pytest.mark.parametrize("name", [STATEFUL, DAEMON])
def test_the_deploy_began_when_its_revision_or_its_pods_did(name: str) -> None:
    """A new revision dates the deploy; one that is used again does not, its first pod does."""
    for snapshot in snapshots(load(name)):
        live = live_hash(snapshot)
        own = next((r for r in snapshot.revisions if hash_of(r) == live), None)
        if live is None or own is None:
            continue
        began = began_at(snapshot, live)
        created = revision_of(own).created
        later = [r for r in snapshot.revisions if revision_of(r).created > created]
        pods = [pod_of(pod).created for pod in snapshot.pods if hash_of(pod) == live]
        assert began == (min(pods, default=0.0) if later else created)


def test_a_pod_keeps_its_name_and_changes_its_revision() -> None:
    """`db-1` is of one revision, then of another: the name alone tells nothing."""
    revisions: dict[str, set[str]] = {}
    for snapshot in snapshots(load(BROKEN)):
        for pod in snapshot.pods:
            revisions.setdefault(pod["metadata"]["name"], set()).add(hash_of(pod))
    assert len(revisions["db-1"]) == 2


def test_a_broken_pod_of_the_condemned_revision_is_stuck_after_the_undo() -> None:
    """Only the broken pod, once the controller knows that it is condemned."""
    stuck = []
    for snapshot in snapshots(load(BROKEN)):
        workload = snapshot.workload
        assert workload is not None
        found = [pod["metadata"]["name"] for pod in stuck_pods(snapshot)]
        condemned = workload["spec"]["template"]["spec"]["containers"][0]["image"]
        stuck.append((condemned.rpartition(":")[2], tuple(found)))
    releases = {release for release, _ in stuck}
    broken = next(release for release in releases if "nopull" in release or "crash" in release)
    assert {found for release, found in stuck if release == broken} == {()}
    assert {found for release, found in stuck if release != broken} >= {("db-1",)}
    assert {found for _, found in stuck} == {(), ("db-1",)}
