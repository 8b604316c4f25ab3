"""What becomes of a pod: the kubelet's states, reasons and messages for each kind of failure."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.manifests import toy_deployment
from deploy_guard.embedded.store import Object

NAMESPACE = "shop-test"


@pytest.fixture
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(start_up=0.05, service=False) as cluster:
        yield cluster


def deploy(cluster: EmbeddedCluster, image: str = "shop:1.0", **container: Any) -> None:
    """Apply a Deployment of one pod; `container` changes its container."""
    manifest = toy_deployment("shop", NAMESPACE, image=image, replicas=1)
    manifest["spec"]["template"]["spec"]["containers"][0].update(container)
    cluster.apply(manifest)


def pod_of(cluster: EmbeddedCluster) -> Object:
    """Return the only pod."""
    pods = cluster.pods(NAMESPACE, "shop")
    return pods[0] if pods else {"status": {}, "metadata": {}, "spec": {}}


def container_of(cluster: EmbeddedCluster) -> Object:
    """Return the status of the only pod's container."""
    statuses = pod_of(cluster)["status"].get("containerStatuses") or [{"state": {}}]
    found: Object = statuses[0]
    return found


def wait_for_reason(cluster: EmbeddedCluster, reason: str) -> Object:
    """Wait until the container waits for that reason; return its status."""

    def waits() -> bool:
        state = container_of(cluster)["state"]
        return bool((state.get("waiting") or {}).get("reason") == reason)

    cluster.wait_for(waits, timeout=10)
    return container_of(cluster)


def conditions(pod: Object) -> dict[str, Object]:
    """Return the pod's conditions by type."""
    return {found["type"]: found for found in pod["status"].get("conditions") or []}


def events(cluster: EmbeddedCluster) -> set[tuple[str, str, str]]:
    """Return the events about pods: reason, message, component."""
    found = cluster.store.list_all("events", NAMESPACE)[0]
    return {
        (e["reason"], e["message"], e["source"]["component"])
        for e in found
        if e["involvedObject"]["kind"] == "Pod"
    }


def test_a_healthy_pod_is_bound_runs_and_is_ready(cluster: EmbeddedCluster) -> None:
    """After start_up the pod is Running and Ready on node fake-0, its container started."""
    deploy(cluster)
    cluster.wait_complete(NAMESPACE, "shop")
    pod = pod_of(cluster)
    assert pod["spec"]["nodeName"] == "fake-0"
    assert pod["status"]["phase"] == "Running"
    assert {t: c["status"] for t, c in conditions(pod).items()} == {
        "PodReadyToStartContainers": "True",
        "Initialized": "True",
        "Ready": "True",
        "ContainersReady": "True",
        "PodScheduled": "True",
    }
    container = container_of(cluster)
    assert (container["ready"], container["started"], container["restartCount"]) == (True, True, 0)
    assert "startedAt" in container["state"]["running"]


def test_an_image_that_cannot_be_pulled_backs_off(cluster: EmbeddedCluster) -> None:
    """The word nopull: ErrImagePull, then ImagePullBackOff with the registry's answer."""
    deploy(cluster, image="registry.example/shop:nopull-2.0")
    status = wait_for_reason(cluster, "ImagePullBackOff")
    message = status["state"]["waiting"]["message"]
    assert message.startswith('Back-off pulling image "registry.example/shop:nopull-2.0": ')
    assert message.endswith("registry.example/shop:nopull-2.0: not found")
    pod = pod_of(cluster)
    assert pod["status"]["phase"] == "Pending"
    assert conditions(pod)["Ready"]["message"] == "containers with unready status: [shop]"


def test_a_crashing_container_restarts_more_and_more_slowly(cluster: EmbeddedCluster) -> None:
    """The word crash: CrashLoopBackOff, restartCount grows, the delay doubles in the message."""
    deploy(cluster, image="shop:crash-2.0")
    first = wait_for_reason(cluster, "CrashLoopBackOff")
    assert "back-off 10s restarting failed container=shop" in first["state"]["waiting"]["message"]
    assert first["lastState"]["terminated"]["exitCode"] == 1
    cluster.wait_for(lambda: container_of(cluster)["restartCount"] >= 3, timeout=10)
    cluster.wait_for(
        lambda: "back-off 40s" in str(wait_for_reason(cluster, "CrashLoopBackOff")["state"]),
        timeout=10,
    )
    assert any(reason == "BackOff" for reason, _, _ in events(cluster))


def test_a_container_out_of_memory_is_killed_and_restarted(cluster: EmbeddedCluster) -> None:
    """The word oom: it runs, is OOMKilled with exit code 137, waits and runs again."""
    deploy(cluster, image="shop:oom-2.0")
    status = wait_for_reason(cluster, "CrashLoopBackOff")
    ended = status["lastState"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)
    cluster.wait_for(lambda: container_of(cluster)["restartCount"] >= 2, timeout=10)
    cluster.wait_for(lambda: "running" in container_of(cluster)["state"], timeout=10)
    assert container_of(cluster)["lastState"]["terminated"]["reason"] == "OOMKilled"


def test_a_pod_that_is_never_ready_runs_all_the_same(cluster: EmbeddedCluster) -> None:
    """The word notready: phase Running, the container started, Ready stays False."""
    deploy(cluster, image="shop:notready-2.0")
    cluster.wait_for(lambda: "running" in container_of(cluster)["state"], timeout=10)
    assert conditions(pod_of(cluster))["Ready"]["status"] == "False"
    assert container_of(cluster)["ready"] is False


@pytest.mark.parametrize("how", ["image", "selector"])
def test_a_pod_that_fits_no_node_stays_pending(cluster: EmbeddedCluster, how: str) -> None:
    """PodScheduled is False with reason Unschedulable, and the scheduler says why."""
    manifest = toy_deployment("shop", NAMESPACE, replicas=1, image="shop:unschedulable")
    if how == "selector":
        manifest = toy_deployment("shop", NAMESPACE, replicas=1)
        manifest["spec"]["template"]["spec"]["nodeSelector"] = {"disk": "fast"}
    cluster.apply(manifest)
    cluster.wait_for(lambda: "PodScheduled" in conditions(pod_of(cluster)), timeout=10)
    scheduled = conditions(pod_of(cluster))["PodScheduled"]
    assert (scheduled["status"], scheduled["reason"]) == ("False", "Unschedulable")
    why = {"image": "Insufficient cpu", "selector": "didn't match Pod's node affinity/selector"}
    assert why[how] in scheduled["message"]
    assert pod_of(cluster)["status"]["phase"] == "Pending"
    cluster.wait_for(lambda: any(r == "FailedScheduling" for r, _, _ in events(cluster)))


MISSING = [
    ({"envFrom": [{"configMapRef": {"name": "gone"}}]}, 'configmap "gone" not found'),
    ({"envFrom": [{"secretRef": {"name": "gone"}}]}, 'secret "gone" not found'),
    (
        {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "gone", "key": "a"}}}]},
        'configmap "gone" not found',
    ),
    (
        {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "some", "key": "b"}}}]},
        "couldn't find key b in ConfigMap shop-test/some",
    ),
    (
        {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "hidden", "key": "b"}}}]},
        "couldn't find key b in Secret shop-test/hidden",
    ),
]


@pytest.mark.parametrize(("container", "message"), MISSING)
def test_missing_configuration_is_a_config_error(
    cluster: EmbeddedCluster, container: dict[str, Any], message: str
) -> None:
    """A ConfigMap, a Secret or a key that is not there: CreateContainerConfigError says which."""
    config_map(cluster, "some", {"a": "1"})
    secret(cluster, "hidden", {"a": "1"})
    deploy(cluster, **container)
    status = wait_for_reason(cluster, "CreateContainerConfigError")
    assert status["state"]["waiting"]["message"] == message
    cluster.wait_for(lambda: ("Failed", f"Error: {message}", "kubelet") in events(cluster))


def test_configuration_that_comes_later_lets_the_pod_start(cluster: EmbeddedCluster) -> None:
    """The kubelet tries again: once the ConfigMap exists, the pod becomes ready."""
    deploy(cluster, envFrom=[{"configMapRef": {"name": "late"}}])
    wait_for_reason(cluster, "CreateContainerConfigError")
    config_map(cluster, "late", {"A": "1"})
    cluster.wait_complete(NAMESPACE, "shop")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"configMap": {"name": "gone"}}, 'configmap "gone" not found'),
        ({"secret": {"secretName": "gone"}}, 'secret "gone" not found'),
        (
            {"configMap": {"name": "some", "items": [{"key": "b", "path": "b"}]}},
            "configmap references non-existent config key: b",
        ),
        (
            {"projected": {"sources": [{"secret": {"name": "gone"}}]}},
            'secret "gone" not found',
        ),
    ],
)
def test_a_missing_volume_holds_the_pod_in_container_creating(
    cluster: EmbeddedCluster, source: dict[str, Any], message: str
) -> None:
    """A volume that cannot be mounted: ContainerCreating for ever, and FailedMount events."""
    config_map(cluster, "some", {"a": "1"})
    manifest = toy_deployment("shop", NAMESPACE, replicas=1)
    manifest["spec"]["template"]["spec"]["volumes"] = [{"name": "config", **source}]
    cluster.apply(manifest)
    wait_for_reason(cluster, "ContainerCreating")
    text = f'MountVolume.SetUp failed for volume "config" : {message}'
    cluster.wait_for(lambda: ("FailedMount", text, "kubelet") in events(cluster))


def test_a_deleted_pod_lives_on_for_its_grace(cluster: EmbeddedCluster) -> None:
    """A deletion marks the pod first; the new one does not wait for the old one to go."""
    with EmbeddedCluster(start_up=0.02, grace=0.2, service=False) as slow:
        deploy(slow)
        slow.wait_complete(NAMESPACE, "shop")
        name = pod_of(slow)["metadata"]["name"]
        request = urllib.request.Request(  # noqa: S310 - http to the embedded cluster
            f"{slow.url}/api/v1/namespaces/{NAMESPACE}/pods/{name}", method="DELETE"
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            assert "deletionTimestamp" in json.load(answer)["metadata"]
        slow.wait_for(lambda: len(slow.pods(NAMESPACE, "shop")) == 2, timeout=10)
        slow.wait_complete(NAMESPACE, "shop")
        slow.wait_for(lambda: slow.store.find("pods", NAMESPACE, name) is None, timeout=10)


def config_map(cluster: EmbeddedCluster, name: str, data: dict[str, str]) -> None:
    """Create a ConfigMap."""
    meta = {"name": name, "namespace": NAMESPACE}
    cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})


def secret(cluster: EmbeddedCluster, name: str, data: dict[str, str]) -> None:
    """Create a Secret."""
    meta = {"name": name, "namespace": NAMESPACE}
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": encoded})
