"""What the tests of StatefulSets and DaemonSets share: releases, and a look at the pods."""

from __future__ import annotations

from typing import Any

from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.controllers.pod_state import is_ready
from deploy_guard.embedded.controllers.pods import mark_deleted
from deploy_guard.embedded.manifests import toy_daemon_set, toy_stateful_set
from deploy_guard.embedded.store import Object

NAMESPACE = "shop-test"
REVISIONS = "controllerrevisions.apps"
STORED = {"StatefulSet": "statefulsets.apps", "DaemonSet": "daemonsets.apps"}


def release_db(cluster: EmbeddedCluster, tag: str, **spec: Any) -> None:
    """Apply the StatefulSet `db` with an image of that tag."""
    cluster.apply(toy_stateful_set("db", NAMESPACE, image=f"db:{tag}", **spec))


def release_agent(cluster: EmbeddedCluster, tag: str, **spec: Any) -> None:
    """Apply the DaemonSet `agent` with an image of that tag."""
    cluster.apply(toy_daemon_set("agent", NAMESPACE, image=f"agent:{tag}", **spec))


def settle(cluster: EmbeddedCluster, kind: str, name: str) -> Object:
    """Wait until the rollout is complete; return the workload."""
    return cluster.wait_complete(NAMESPACE, name, kind=kind)


def status_of(cluster: EmbeddedCluster, kind: str, name: str) -> Object:
    """Return the workload's status."""
    found: Object = cluster.store.get(STORED[kind], NAMESPACE, name)["status"]
    return found


def wait_observed(cluster: EmbeddedCluster, kind: str, name: str) -> Object:
    """Wait until the controller has seen the newest spec; return the status."""

    def observed() -> bool:
        found = cluster.store.get(STORED[kind], NAMESPACE, name)
        generation: int = found["metadata"]["generation"]
        return bool(found["status"].get("observedGeneration", 0) == generation)

    cluster.wait_for(observed)
    return status_of(cluster, kind, name)


def pods(cluster: EmbeddedCluster) -> list[Object]:
    """Return all pods in the order of their names."""
    return cluster.store.list_all("pods", NAMESPACE)[0]


def tags(cluster: EmbeddedCluster) -> dict[str, str]:
    """Return the image's tag of every pod by the pod's name."""
    return {
        pod["metadata"]["name"]: pod["spec"]["containers"][0]["image"].partition(":")[2]
        for pod in pods(cluster)
    }


def uids(cluster: EmbeddedCluster) -> dict[str, str]:
    """Return the uid of every pod by the pod's name."""
    return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in pods(cluster)}


def revisions(cluster: EmbeddedCluster) -> list[tuple[int, str]]:
    """Return number and image tag of every ControllerRevision, by number."""
    found = []
    for revision in cluster.store.list_all(REVISIONS, NAMESPACE)[0]:
        template = revision["data"]["spec"]["template"]
        image: str = template["spec"]["containers"][0]["image"]
        found.append((revision["revision"], image.partition(":")[2]))
    return sorted(found)


def steps(cluster: EmbeddedCluster, since: int) -> list[tuple[str, str]]:
    """Return which pods were made and which began to go since that version, in order."""
    found = []
    for change in cluster.store.changes("pods", since)[0]:
        meta, before = change.object["metadata"], (change.before or {}).get("metadata") or {}
        if change.type == "ADDED":
            found.append(("made", meta["name"]))
        elif "deletionTimestamp" in meta and "deletionTimestamp" not in before:
            found.append(("deleted", meta["name"]))
    return found


def events(cluster: EmbeddedCluster, kind: str) -> set[tuple[str, str, str]]:
    """Return the events about the workloads of that kind: type, reason, message."""
    return {
        (event["type"], event["reason"], event["message"])
        for event in cluster.store.list_all("events", NAMESPACE)[0]
        if event["involvedObject"]["kind"] == kind
    }


def replace_pod(cluster: EmbeddedCluster, name: str) -> None:
    """Delete a pod as a user would; wait until it is gone and as many as before are ready."""
    before = uids(cluster)
    mark_deleted(cluster.store, NAMESPACE, name)
    cluster.wait_for(
        lambda: before[name] not in uids(cluster).values() and _ready(cluster) == len(before)
    )


def _ready(cluster: EmbeddedCluster) -> int:
    return sum(is_ready(pod) for pod in pods(cluster))
