"""Controllers are told by the API server which of their pods may not be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.manifests import toy_deployment

Object = dict[str, Any]


@pytest.fixture
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(start_up=0.02, service=False) as running:
        yield running


def refused(cluster: EmbeddedCluster, **spec: Any) -> str:
    """Deploy `web` with these fields in its pods' spec; return why a pod cannot be created."""
    manifest = toy_deployment("web", "default", "web:1")
    manifest["spec"]["template"]["spec"] |= spec
    cluster.apply(manifest)

    def message() -> str:
        found = cluster.store.get("deployments.apps", "default", "web")
        conditions = (found.get("status") or {}).get("conditions") or ()
        return next((c["message"] for c in conditions if c["type"] == "ReplicaFailure"), "")

    cluster.wait_for(lambda: bool(message()))
    return message()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            {"serviceAccountName": "robot"},
            'error looking up service account default/robot: serviceaccount "robot" not found',
        ),
        ({"priorityClassName": "high"}, "no PriorityClass with name high was found"),
    ],
)
def test_what_does_not_exist(cluster: EmbeddedCluster, spec: Object, words: str) -> None:
    """A pod template that names something that is gone makes no pods: ReplicaFailure says why."""
    message = refused(cluster, **spec)
    assert message.startswith('pods "web-')
    assert message.endswith(f"is forbidden: {words}")


def test_sums(cluster: EmbeddedCluster) -> None:
    """A quota of a sum stops the pods of a controller, and lets them in once it is raised."""
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "sums", "namespace": "default"},
        "spec": {"hard": {"requests.cpu": "100m"}},
    }
    cluster.apply(quota)
    container = {"name": "web", "image": "web:1", "resources": {"requests": {"cpu": "80m"}}}
    message = refused(cluster, containers=[container])
    assert "requested: requests.cpu=80m, used: requests.cpu=80m" in message
    cluster.apply({**quota, "spec": {"hard": {"requests.cpu": "10"}}})
    cluster.wait_complete("default", "web")
