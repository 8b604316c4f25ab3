"""The StatefulSet controller in the cases that the recordings do not show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.controllers.pods import mark_deleted
from deploy_guard.embedded.controllers.revisions import new_revision
from deploy_guard.embedded.controllers.statefulset_history import HASH_LABEL
from deploy_guard.embedded.manifests import toy_stateful_set
from deploy_guard.embedded.store import Object
from embedded.sets import (
    NAMESPACE,
    REVISIONS,
    events,
    pods,
    release_db,
    replace_pod,
    revisions,
    settle,
    status_of,
    steps,
    tags,
    uids,
    wait_observed,
)

KIND = "StatefulSet"
PARALLEL = {"podManagementPolicy": "Parallel"}


@pytest.fixture
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(start_up=0.03, service=False) as cluster:
        yield cluster


def strategy(kind: str = "RollingUpdate", **rolling: Any) -> Object:
    """Return an updateStrategy as a field of the spec."""
    found: Object = {"type": kind, **({"rollingUpdate": rolling} if rolling else {})}
    return {"updateStrategy": found}


def ready(cluster: EmbeddedCluster) -> int:
    """Return the number of ready replicas."""
    return int(status_of(cluster, KIND, "db").get("readyReplicas", 0))


def test_pods_are_made_in_order_each_after_the_one_before_is_ready(
    cluster: EmbeddedCluster,
) -> None:
    """OrderedReady: db-0, db-1, db-2; a pod that is never ready stops the ones after it."""
    start = cluster.store.version
    release_db(cluster, "1.0")
    settle(cluster, KIND, "db")
    assert steps(cluster, start) == [("made", f"db-{number}") for number in range(3)]
    cluster.store.delete("statefulsets.apps", NAMESPACE, "db")
    cluster.wait_for(lambda: not pods(cluster))
    release_db(cluster, "notready")
    cluster.wait_for(lambda: [p["status"]["phase"] for p in pods(cluster)] == ["Running"])
    assert list(tags(cluster)) == ["db-0"]


def test_parallel_makes_all_pods_at_once(cluster: EmbeddedCluster) -> None:
    """With Parallel nobody waits: pods that are never ready are made all the same."""
    release_db(cluster, "notready", **PARALLEL)
    cluster.wait_for(lambda: [p["status"]["phase"] for p in pods(cluster)] == ["Running"] * 3)
    assert ready(cluster) == 0


@pytest.mark.parametrize("policy", ["OrderedReady", "Parallel"])
def test_an_update_goes_from_the_highest_number_down(cluster: EmbeddedCluster, policy: str) -> None:
    """One pod at a time, the next one when the new one is ready, with both policies."""
    release_db(cluster, "1.0", podManagementPolicy=policy)
    settle(cluster, KIND, "db")
    start = cluster.store.version
    release_db(cluster, "2.0", podManagementPolicy=policy)
    settle(cluster, KIND, "db")
    names = ["db-2", "db-1", "db-0"]
    assert steps(cluster, start) == [(what, n) for n in names for what in ("deleted", "made")]


def test_a_partition_keeps_the_pods_below_it(cluster: EmbeddedCluster) -> None:
    """Pods below the partition stay old, also when one is deleted; currentRevision stays."""
    release_db(cluster, "1.0")
    before = settle(cluster, KIND, "db")["status"]
    release_db(cluster, "2.0", **strategy(partition=2))
    status = settle(cluster, KIND, "db")["status"]
    assert tags(cluster) == {"db-0": "1.0", "db-1": "1.0", "db-2": "2.0"}
    assert status["currentRevision"] == before["currentRevision"] != status["updateRevision"]
    assert (status["currentReplicas"], status["updatedReplicas"]) == (2, 1)
    replace_pod(cluster, "db-0")
    assert tags(cluster)["db-0"] == "1.0"
    release_db(cluster, "2.0", **strategy(partition=0))
    status = settle(cluster, KIND, "db")["status"]
    assert set(tags(cluster).values()) == {"2.0"}
    assert status["currentRevision"] == status["updateRevision"]


def test_on_delete_replaces_only_pods_that_somebody_deletes(cluster: EmbeddedCluster) -> None:
    """OnDelete: a release changes no pod; a deleted pod comes back new, the others stay."""
    release_db(cluster, "1.0", **strategy("OnDelete"))
    settle(cluster, KIND, "db")
    release_db(cluster, "2.0", **strategy("OnDelete"))
    status = wait_observed(cluster, KIND, "db")
    assert status["updateRevision"] != status["currentRevision"]
    assert set(tags(cluster).values()) == {"1.0"}
    replace_pod(cluster, "db-1")
    assert tags(cluster) == {"db-0": "1.0", "db-1": "2.0", "db-2": "1.0"}
    cluster.wait_for(lambda: status_of(cluster, KIND, "db").get("updatedReplicas") == 1)


def test_undo_does_not_replace_a_broken_pod_until_it_is_deleted(cluster: EmbeddedCluster) -> None:
    """OrderedReady waits for the broken pod for ever; deleted by hand, it comes back old."""
    release_db(cluster, "1.0")
    settle(cluster, KIND, "db")
    release_db(cluster, "nopull")
    cluster.wait_for(lambda: tags(cluster).get("db-2") == "nopull")
    broken = uids(cluster)["db-2"]
    for note in ("first", "second"):  # neither the undo nor another change moves it
        release_db(cluster, "1.0", minReadySeconds=0, revisionHistoryLimit=len(note))
        wait_observed(cluster, KIND, "db")
    assert uids(cluster)["db-2"] == broken
    mark_deleted(cluster.store, NAMESPACE, "db-2")
    cluster.wait_for(lambda: uids(cluster).get("db-2", broken) != broken)
    settle(cluster, KIND, "db")
    assert set(tags(cluster).values()) == {"1.0"}


def test_undo_of_a_parallel_set_replaces_the_broken_pod(cluster: EmbeddedCluster) -> None:
    """Parallel does not wait for the broken pod: the undo ends by itself."""
    release_db(cluster, "1.0", **PARALLEL)
    settle(cluster, KIND, "db")
    release_db(cluster, "nopull", **PARALLEL)
    cluster.wait_for(lambda: tags(cluster).get("db-2") == "nopull")
    release_db(cluster, "1.0", **PARALLEL)
    settle(cluster, KIND, "db")
    assert set(tags(cluster).values()) == {"1.0"}


def test_scaling_down_deletes_the_highest_numbers_one_after_the_other(
    cluster: EmbeddedCluster,
) -> None:
    """From four to one: db-3, db-2, db-1, each gone before the next; then none at all."""
    release_db(cluster, "1.0", replicas=4)
    settle(cluster, KIND, "db")
    start = cluster.store.version
    release_db(cluster, "1.0", replicas=1)
    settle(cluster, KIND, "db")
    assert steps(cluster, start) == [("deleted", f"db-{number}") for number in (3, 2, 1)]
    release_db(cluster, "1.0", replicas=0)
    settle(cluster, KIND, "db")
    assert pods(cluster) == []


def test_numbers_begin_where_ordinals_say(cluster: EmbeddedCluster) -> None:
    """spec.ordinals.start shifts the names of the pods."""
    release_db(cluster, "1.0", replicas=2, ordinals={"start": 5})
    settle(cluster, KIND, "db")
    assert list(tags(cluster)) == ["db-5", "db-6"]


def test_min_ready_seconds_delay_the_next_pod(cluster: EmbeddedCluster) -> None:
    """A ready pod is not available before minReadySeconds, and the next one waits for that."""
    release_db(cluster, "1.0", replicas=2, minReadySeconds=1)
    cluster.wait_for(lambda: ready(cluster) == 1)
    status = status_of(cluster, KIND, "db")
    assert (status["availableReplicas"], list(tags(cluster))) == (0, ["db-0"])
    assert settle(cluster, KIND, "db")["status"]["availableReplicas"] == 2


def test_history_keeps_the_newest_revisions_and_those_of_running_pods(
    cluster: EmbeddedCluster,
) -> None:
    """revisionHistoryLimit 1 keeps one revision that nobody runs, and every one in use."""
    for tag in ("1.0", "2.0", "3.0"):
        release_db(cluster, tag, replicas=1, revisionHistoryLimit=1)
        settle(cluster, KIND, "db")
    cluster.wait_for(lambda: revisions(cluster) == [(2, "2.0"), (3, "3.0")])
    for tag in ("4.0", "5.0", "6.0"):
        release_db(cluster, tag, replicas=1, revisionHistoryLimit=1, **strategy("OnDelete"))
        wait_observed(cluster, KIND, "db")
    cluster.wait_for(lambda: revisions(cluster) == [(3, "3.0"), (5, "5.0"), (6, "6.0")])


def test_going_back_gives_the_old_revision_the_next_number(cluster: EmbeddedCluster) -> None:
    """1.0, 2.0, 1.0 again: two revisions, 2 and 3; the annotations are those of the first time."""
    for tag, cause in (("1.0", "first"), ("2.0", "second"), ("1.0", "third")):
        manifest = toy_stateful_set("db", NAMESPACE, image=f"db:{tag}", replicas=1)
        manifest["metadata"]["annotations"] = {"kubernetes.io/change-cause": cause}
        cluster.apply(manifest)
        settle(cluster, KIND, "db")
    assert revisions(cluster) == [(2, "2.0"), (3, "1.0")]
    found = cluster.store.list_all(REVISIONS, NAMESPACE)[0]
    causes = {r["revision"]: r["metadata"]["annotations"] for r in found}
    assert causes == {
        2: {"kubernetes.io/change-cause": "second"},
        3: {"kubernetes.io/change-cause": "first"},
    }


def test_a_taken_name_is_a_collision(cluster: EmbeddedCluster) -> None:
    """A revision with the same name and other data: collisionCount is 1, the next hash is taken."""
    release_db(cluster, "1.0", replicas=1)
    owner = settle(cluster, KIND, "db")
    owner = {**owner, "spec": {**owner["spec"], "template": with_tag(owner, "2.0")}}
    taken = new_revision(owner, 1, hash_label=HASH_LABEL, collisions=0)
    meta = {"name": taken["metadata"]["name"], "namespace": NAMESPACE}
    cluster.store.create(REVISIONS, {**taken, "metadata": meta, "data": {"not": "ours"}})
    release_db(cluster, "2.0", replicas=1)
    status = settle(cluster, KIND, "db")["status"]
    assert status["collisionCount"] == 1
    assert status["updateRevision"] != meta["name"]


def with_tag(owner: Object, tag: str) -> Object:
    """Return the owner's template with another image."""
    template = owner["spec"]["template"]
    container = {**template["spec"]["containers"][0], "image": f"db:{tag}"}
    return {**template, "spec": {**template["spec"], "containers": [container]}}


def test_a_pod_that_failed_is_made_again(cluster: EmbeddedCluster) -> None:
    """Phase Failed, as after an eviction: the pod is deleted and comes back under its name."""
    release_db(cluster, "1.0", replicas=1)
    settle(cluster, KIND, "db")
    before = uids(cluster)["db-0"]

    def fail(pod: Object) -> None:
        pod["status"]["phase"] = "Failed"

    cluster.store.update("pods", NAMESPACE, "db-0", fail, status=True)
    cluster.wait_for(lambda: uids(cluster).get("db-0", before) != before)
    settle(cluster, KIND, "db")
    text = f"StatefulSet {NAMESPACE}/db is recreating failed Pod db-0"
    assert ("Warning", "RecreatingFailedPod", text) in events(cluster, KIND)


def test_a_full_quota_is_told_and_tried_again(cluster: EmbeddedCluster) -> None:
    """A refused pod gives a FailedCreate event; with room in the quota the set completes."""
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    meta = {"name": "few", "namespace": NAMESPACE}
    quota: Object = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta}
    cluster.apply({**quota, "spec": {"hard": {"pods": "1"}}})
    release_db(cluster, "1.0", replicas=2)
    prefix = 'create Pod db-1 in StatefulSet db failed error: pods "db-1" is forbidden: exceeded'
    cluster.wait_for(
        lambda: any(message.startswith(prefix) for _, _, message in events(cluster, KIND))
    )
    cluster.apply({**quota, "spec": {"hard": {"pods": "2"}}})
    settle(cluster, KIND, "db")
    done = "create Pod db-1 in StatefulSet db successful"
    assert ("Normal", "SuccessfulCreate", done) in events(cluster, KIND)


def test_a_deleted_set_takes_pods_and_revisions_with_it(cluster: EmbeddedCluster) -> None:
    """The garbage collector removes what the StatefulSet owned."""
    release_db(cluster, "1.0", **PARALLEL)
    settle(cluster, KIND, "db")
    cluster.store.delete("statefulsets.apps", NAMESPACE, "db")
    cluster.wait_for(lambda: not pods(cluster) and not revisions(cluster))


def test_a_set_adopts_only_pods_with_its_names(cluster: EmbeddedCluster) -> None:
    """An orphan with the labels is adopted when its name fits, else left alone."""
    release_db(cluster, "1.0", replicas=2)
    settle(cluster, KIND, "db")

    def orphan(obj: Object) -> None:
        obj["metadata"].pop("ownerReferences", None)

    before = uids(cluster)
    stray = cluster.store.get("pods", NAMESPACE, "db-1")
    meta = {"name": "other", "namespace": NAMESPACE, "labels": stray["metadata"]["labels"]}
    cluster.store.create("pods", {**stray, "metadata": meta})
    cluster.store.update("pods", NAMESPACE, "db-1", orphan)
    cluster.wait_for(
        lambda: "ownerReferences" in cluster.store.get("pods", NAMESPACE, "db-1")["metadata"]
    )
    assert "ownerReferences" not in cluster.store.get("pods", NAMESPACE, "other")["metadata"]
    assert uids(cluster)["db-1"] == before["db-1"]
    assert settle(cluster, KIND, "db")["status"]["replicas"] == 2


def test_claims_are_made_before_the_pod_and_outlive_it(cluster: EmbeddedCluster) -> None:
    """volumeClaimTemplates: one claim per pod, mounted by name; scaled down, the claims stay."""
    claim = {
        "metadata": {"name": "data", "labels": {"disk": "fast"}},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    release_db(cluster, "1.0", replicas=2, volumeClaimTemplates=[claim])
    settle(cluster, KIND, "db")
    found = cluster.store.list_all("persistentvolumeclaims", NAMESPACE)[0]
    assert [c["metadata"]["name"] for c in found] == ["data-db-0", "data-db-1"]
    assert found[0]["metadata"]["labels"] == {"disk": "fast", "app": "db"}
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "data-db-1"}}
    assert pods(cluster)[1]["spec"]["volumes"][0] == volume
    text = "create Claim data-db-1 Pod db-1 in StatefulSet db success"
    assert ("Normal", "SuccessfulCreate", text) in events(cluster, KIND)
    release_db(cluster, "1.0", replicas=0, volumeClaimTemplates=[claim])
    settle(cluster, KIND, "db")
    assert cluster.store.list_all("persistentvolumeclaims", NAMESPACE)[0] == found


def test_a_name_that_a_stranger_has_is_told(cluster: EmbeddedCluster) -> None:
    """A pod db-0 that is not the set's own: a FailedCreate event, and on once it is gone."""
    release_db(cluster, "1.0", replicas=1)
    stray = settle(cluster, KIND, "db") and pods(cluster)[0]
    release_db(cluster, "1.0", replicas=0)
    settle(cluster, KIND, "db")
    meta = {"name": "db-0", "namespace": NAMESPACE, "labels": {"app": "other"}}
    cluster.store.create("pods", {**stray, "metadata": meta})
    release_db(cluster, "1.0", replicas=1)
    text = 'create Pod db-0 in StatefulSet db failed error: pods "db-0" already exists'
    cluster.wait_for(lambda: ("Warning", "FailedCreate", text) in events(cluster, KIND))
    mark_deleted(cluster.store, NAMESPACE, "db-0")
    settle(cluster, KIND, "db")
