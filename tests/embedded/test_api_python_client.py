"""The official Python client works against the embedded API server."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import pytest

from deploy_guard.embedded.server import ApiServer
from embedded.http_client import deployment

client: Any = importlib.import_module("kubernetes.client")  # typed as if no field were ever set
config: Any = importlib.import_module("kubernetes.config")
watch: Any = importlib.import_module("kubernetes.watch")


@pytest.fixture
def connection(server: ApiServer) -> Iterator[Any]:
    """Return a connection made from the server's kubeconfig."""
    with config.new_client_from_config_dict(server.kubeconfig()) as made:
        yield made
        made.rest_client.pool_manager.clear()


def test_deployment_life(connection: Any) -> None:
    """Create, read, patch, scale, list and delete through the typed API."""
    apps = client.AppsV1Api(connection)
    made = apps.create_namespaced_deployment("default", deployment())
    assert made.spec.revision_history_limit == 10
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "x:2"}]}}}}
    patched = apps.patch_namespaced_deployment("web", "default", patch)
    assert patched.spec.template.spec.containers[0].ports[0].container_port == 8080
    apps.patch_namespaced_deployment_scale("web", "default", {"spec": {"replicas": 3}})
    assert apps.read_namespaced_deployment_scale("web", "default").spec.replicas == 3
    listed = apps.list_namespaced_deployment("default", label_selector="app=web")
    assert [item.metadata.name for item in listed.items] == ["web"]
    apps.delete_namespaced_deployment("web", "default")
    with pytest.raises(client.ApiException) as caught:
        apps.read_namespaced_deployment("web", "default")
    assert caught.value.status == 404


def test_watch_follows_changes(connection: Any) -> None:
    """The client's Watch sees what happens after the list it began with."""
    core = client.CoreV1Api(connection)
    version = core.list_namespaced_config_map("default").metadata.resource_version
    body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="a"), data={"k": "v"})
    core.create_namespaced_config_map("default", body)
    core.delete_namespaced_config_map("a", "default")
    stream = watch.Watch()
    types = []
    for event in stream.stream(
        core.list_namespaced_config_map, "default", resource_version=version, timeout_seconds=10
    ):
        types.append(event["type"])
        if len(types) == 2:
            stream.stop()
    assert types == ["ADDED", "DELETED"]


def test_access_review(connection: Any) -> None:
    """An access review is answered."""
    review = {"spec": {"resourceAttributes": {"verb": "patch", "resource": "deployments"}}}
    answer = client.AuthorizationV1Api(connection).create_self_subject_access_review(review)
    assert answer.status.allowed is True


def test_conflict_is_told(connection: Any) -> None:
    """A stale resourceVersion is the client's 409."""
    apps = client.AppsV1Api(connection)
    apps.create_namespaced_deployment("default", deployment())
    with pytest.raises(client.ApiException) as caught:
        apps.patch_namespaced_deployment(
            "web", "default", {"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 7}}
        )
    assert caught.value.status == 409
