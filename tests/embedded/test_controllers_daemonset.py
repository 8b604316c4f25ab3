"""The DaemonSet controller on several nodes, where the recordings have one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.controllers.ordinals import REVISION_LABEL
from deploy_guard.embedded.controllers.revisions import new_revision
from deploy_guard.embedded.store import Object
from deploy_guard.embedded.template_generation import TEMPLATE_GENERATION
from embedded.sets import (
    NAMESPACE,
    REVISIONS,
    events,
    pods,
    release_agent,
    replace_pod,
    revisions,
    settle,
    status_of,
    tags,
    uids,
    wait_observed,
)

KIND = "DaemonSet"
HOSTNAME = "kubernetes.io/hostname"
NODES = 4


@pytest.fixture
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(start_up=0.03, service=False, nodes=NODES) as cluster:
        yield cluster


def rolling(**limits: Any) -> Object:
    """Return an updateStrategy as a field of the spec."""
    return {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": limits}}


ON_DELETE: Object = {"updateStrategy": {"type": "OnDelete"}}


def nodes(cluster: EmbeddedCluster) -> list[str]:
    """Return the node of every pod."""
    return sorted(pod["spec"]["nodeName"] for pod in pods(cluster))


def counts_since(cluster: EmbeddedCluster, since: int) -> list[tuple[int, int]]:
    """Return how many pods there were, and how many were ready, after each change since then."""
    living: dict[str, Object] = {p["metadata"]["uid"]: p for p in _pods_at(cluster, since)}
    found = []
    for change in cluster.store.changes("pods", since)[0]:
        uid = change.object["metadata"]["uid"]
        if change.type == "DELETED" or "deletionTimestamp" in change.object["metadata"]:
            living.pop(uid, None)
        else:
            living[uid] = change.object
        found.append((len(living), sum(_is_ready(pod) for pod in living.values())))
    return found


def _pods_at(cluster: EmbeddedCluster, version: int) -> list[Object]:
    return cluster.store.list_at("pods", NAMESPACE, version)


def _is_ready(pod: Object) -> bool:
    conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions") or []}
    return conditions.get("Ready") == "True"


def test_every_node_gets_one_pod(cluster: EmbeddedCluster) -> None:
    """One pod on each node; a deleted one comes back on the same node."""
    release_agent(cluster, "1.0")
    status = settle(cluster, KIND, "agent")["status"]
    assert nodes(cluster) == [f"fake-{number}" for number in range(NODES)]
    assert (status["desiredNumberScheduled"], status["numberAvailable"]) == (NODES, NODES)
    replace_pod(cluster, next(iter(tags(cluster))))
    assert nodes(cluster) == [f"fake-{number}" for number in range(NODES)]


def test_a_node_selector_limits_the_nodes(cluster: EmbeddedCluster) -> None:
    """Only nodes that fit count; pods on others go when the selector comes later."""
    release_agent(cluster, "1.0")
    settle(cluster, KIND, "agent")
    found = cluster.store.get("daemonsets.apps", NAMESPACE, "agent")
    template = {**found["spec"]["template"]}
    template["spec"] = {**template["spec"], "nodeSelector": {HOSTNAME: "fake-2"}}
    release_agent(cluster, "1.0", template=template)
    status = settle(cluster, KIND, "agent")["status"]
    assert status["desiredNumberScheduled"] == 1
    cluster.wait_for(lambda: nodes(cluster) == ["fake-2"])


@pytest.mark.parametrize(("limit", "least"), [(1, NODES - 1), (2, NODES - 2), ("50%", NODES - 2)])
def test_max_unavailable_keeps_the_other_pods_ready(
    cluster: EmbeddedCluster, limit: int | str, least: int
) -> None:
    """Never fewer pods are ready than maxUnavailable allows, and never more exist than nodes."""
    release_agent(cluster, "1.0", **rolling(maxUnavailable=limit))
    settle(cluster, KIND, "agent")
    start = cluster.store.version
    release_agent(cluster, "2.0", **rolling(maxUnavailable=limit))
    settle(cluster, KIND, "agent")
    counts = counts_since(cluster, start)
    assert min(ready for _, ready in counts) == least
    assert max(number for number, _ in counts) == NODES
    assert set(tags(cluster).values()) == {"2.0"}


def test_max_surge_brings_the_new_pod_before_the_old_one_goes(cluster: EmbeddedCluster) -> None:
    """With maxSurge 1 and maxUnavailable 0 all nodes stay served; one at a time has two pods."""
    limits = rolling(maxSurge=1, maxUnavailable=0)
    release_agent(cluster, "1.0", **limits)
    settle(cluster, KIND, "agent")
    start = cluster.store.version
    release_agent(cluster, "2.0", **limits)
    settle(cluster, KIND, "agent")
    counts = counts_since(cluster, start)
    assert min(ready for _, ready in counts) == NODES
    assert max(number for number, _ in counts) == NODES + 1
    cluster.wait_for(lambda: sorted(tags(cluster).values()) == ["2.0"] * NODES)


def test_a_broken_surge_leaves_the_old_pods_alone(cluster: EmbeddedCluster) -> None:
    """A new pod that never gets ready stands beside the old one; the undo takes it away."""
    limits = rolling(maxSurge=1, maxUnavailable=0)
    release_agent(cluster, "1.0", **limits)
    settle(cluster, KIND, "agent")
    before = set(uids(cluster).values())
    release_agent(cluster, "nopull", **limits)
    cluster.wait_for(lambda: "nopull" in tags(cluster).values())
    wait_observed(cluster, KIND, "agent")
    assert before < set(uids(cluster).values())
    release_agent(cluster, "1.0", **limits)
    cluster.wait_for(lambda: set(uids(cluster).values()) == before)
    settle(cluster, KIND, "agent")


def test_a_broken_release_stops_and_an_undo_heals_it(cluster: EmbeddedCluster) -> None:
    """maxUnavailable 1 breaks one node; the undo replaces the broken pod by itself."""
    release_agent(cluster, "1.0")
    settle(cluster, KIND, "agent")
    before = set(uids(cluster).values())
    release_agent(cluster, "nopull")
    cluster.wait_for(lambda: status_of(cluster, KIND, "agent").get("updatedNumberScheduled") == 1)
    assert sorted(tags(cluster).values()) == ["1.0"] * (NODES - 1) + ["nopull"]
    release_agent(cluster, "1.0")
    settle(cluster, KIND, "agent")
    assert set(tags(cluster).values()) == {"1.0"}
    assert len(before & set(uids(cluster).values())) == NODES - 1
    assert revisions(cluster) == [(2, "nopull"), (3, "1.0")]


def test_on_delete_replaces_only_pods_that_somebody_deletes(cluster: EmbeddedCluster) -> None:
    """OnDelete: a release changes no pod; a deleted pod comes back new, the others stay."""
    release_agent(cluster, "1.0", **ON_DELETE)
    settle(cluster, KIND, "agent")
    release_agent(cluster, "2.0", **ON_DELETE)
    wait_observed(cluster, KIND, "agent")
    assert set(tags(cluster).values()) == {"1.0"}
    replace_pod(cluster, next(iter(tags(cluster))))
    cluster.wait_for(lambda: status_of(cluster, KIND, "agent").get("updatedNumberScheduled") == 1)
    settle(cluster, KIND, "agent")
    assert sorted(tags(cluster).values()) == ["1.0"] * (NODES - 1) + ["2.0"]


def test_history_keeps_the_newest_revisions_and_those_of_running_pods(
    cluster: EmbeddedCluster,
) -> None:
    """revisionHistoryLimit 1 keeps one old revision, or instead of it the one that pods run."""
    for tag in ("1.0", "2.0", "3.0"):
        release_agent(cluster, tag, revisionHistoryLimit=1)
        settle(cluster, KIND, "agent")
    cluster.wait_for(lambda: revisions(cluster) == [(2, "2.0"), (3, "3.0")])
    for tag in ("4.0", "5.0"):
        release_agent(cluster, tag, revisionHistoryLimit=1, **ON_DELETE)
        wait_observed(cluster, KIND, "agent")
    cluster.wait_for(lambda: revisions(cluster) == [(3, "3.0"), (5, "5.0")])


def test_only_a_new_template_counts_as_a_generation_of_it(cluster: EmbeddedCluster) -> None:
    """The annotation is the server's: a client cannot change it, other fields do not raise it."""
    release_agent(cluster, "1.0")
    manifest = cluster.store.get("daemonsets.apps", NAMESPACE, "agent")
    meta = {"name": "agent", "namespace": NAMESPACE, "annotations": {TEMPLATE_GENERATION: "77"}}
    after = cluster.apply({**manifest, "metadata": meta})
    assert after["metadata"]["annotations"][TEMPLATE_GENERATION] == "1"
    release_agent(cluster, "1.0", minReadySeconds=1)
    release_agent(cluster, "2.0")
    found = cluster.store.get("daemonsets.apps", NAMESPACE, "agent")
    assert found["metadata"]["annotations"][TEMPLATE_GENERATION] == "2"
    assert found["metadata"]["generation"] == 3


def test_a_pod_that_failed_is_made_again(cluster: EmbeddedCluster) -> None:
    """Phase Failed: the pod is deleted with an event, and its node gets another one."""
    release_agent(cluster, "1.0")
    settle(cluster, KIND, "agent")
    pod = pods(cluster)[0]
    meta = pod["metadata"]

    def fail(draft: Object) -> None:
        draft["status"]["phase"] = "Failed"

    cluster.store.update("pods", NAMESPACE, meta["name"], fail, status=True)
    cluster.wait_for(lambda: meta["uid"] not in uids(cluster).values())
    cluster.wait_for(lambda: len(pods(cluster)) == NODES)
    settle(cluster, KIND, "agent")
    who = f"daemon pod {NAMESPACE}/{meta['name']} on node {pod['spec']['nodeName']}"
    text = f"Found failed {who}, will try to kill it"
    assert ("Warning", "FailedDaemonPod", text) in events(cluster, KIND)
    assert ("Normal", "SuccessfulDelete", f"Deleted pod: {meta['name']}") in events(cluster, KIND)


def test_a_full_quota_is_told_and_tried_again(cluster: EmbeddedCluster) -> None:
    """Refused pods give FailedCreate events; with room in the quota every node gets its pod."""
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    meta = {"name": "few", "namespace": NAMESPACE}
    quota: Object = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta}
    cluster.apply({**quota, "spec": {"hard": {"pods": "1"}}})
    release_agent(cluster, "1.0")
    cluster.wait_for(
        lambda: any(reason == "FailedCreate" for _, reason, _ in events(cluster, KIND))
    )
    assert len(pods(cluster)) == 1
    cluster.apply({**quota, "spec": {"hard": {"pods": str(NODES)}}})
    settle(cluster, KIND, "agent")


def test_a_deleted_set_takes_pods_and_revisions_with_it(cluster: EmbeddedCluster) -> None:
    """The garbage collector removes what the DaemonSet owned."""
    release_agent(cluster, "1.0")
    settle(cluster, KIND, "agent")
    cluster.store.delete("daemonsets.apps", NAMESPACE, "agent")
    cluster.wait_for(lambda: not pods(cluster) and not revisions(cluster))


def test_a_taken_name_is_a_collision(cluster: EmbeddedCluster) -> None:
    """A revision with the same name and other data: collisionCount is 1, the next hash is taken."""
    release_agent(cluster, "1.0")
    owner = settle(cluster, KIND, "agent")
    template = owner["spec"]["template"]
    container = {**template["spec"]["containers"][0], "image": "agent:2.0"}
    template = {**template, "spec": {**template["spec"], "containers": [container]}}
    later = {**owner, "spec": {**owner["spec"], "template": template}}
    taken = new_revision(later, 1, hash_label=REVISION_LABEL, collisions=0)
    meta = {"name": taken["metadata"]["name"], "namespace": NAMESPACE}
    cluster.store.create(REVISIONS, {**taken, "metadata": meta, "data": {"not": "ours"}})
    release_agent(cluster, "2.0")
    assert settle(cluster, KIND, "agent")["status"]["collisionCount"] == 1
    made = [change.object for change in cluster.store.changes(REVISIONS, 1000)[0]][-1]
    assert (made["revision"], made["metadata"]["name"] != meta["name"]) == (2, True)
    hashed = made["metadata"]["labels"][REVISION_LABEL]
    assert {pod["metadata"]["labels"][REVISION_LABEL] for pod in pods(cluster)} == {hashed}


def test_a_cluster_has_at_least_one_node() -> None:
    """No node at all is refused before anything starts."""
    with pytest.raises(ValueError, match="expected at least 1, got 0"):
        EmbeddedCluster(nodes=0)
