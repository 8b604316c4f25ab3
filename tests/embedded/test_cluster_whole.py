"""The parts together: a deploy changes how the service behaves, an undo changes it back."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.load import Load
from deploy_guard.embedded.manifests import toy_deployment
from deploy_guard.embedded.statuses import ApiError
from deploy_guard.embedded.store import Object

NAMESPACE = "shop-test"


@pytest.fixture
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(start_up=0.05) as cluster:
        yield cluster


def wait_for_count(load: Load, code: str, number: int) -> None:
    """Wait until that many more answers with the code came."""
    wanted = load.counts[code] + number
    end = time.monotonic() + 20
    while load.counts[code] < wanted:
        assert time.monotonic() < end, load.counts
        time.sleep(0.02)


def release(cluster: EmbeddedCluster, image: str, url: str) -> None:
    """Roll out an image with a PAYMENTS_URL."""
    env = {"PAYMENTS_URL": url}
    cluster.apply(toy_deployment("shop", NAMESPACE, image=image, env=env, replicas=2))
    cluster.wait_complete(NAMESPACE, "shop")


def test_a_misconfigured_release_fails_and_the_old_one_serves_again(
    cluster: EmbeddedCluster,
) -> None:
    """A wrong PAYMENTS_URL in the template breaks the service, the right one heals it."""
    release(cluster, "shop:1.0", cluster.payments.url)
    with cluster.load(NAMESPACE, "shop", rate=40) as load:
        wait_for_count(load, "200", 10)
        release(cluster, "shop:2.0", cluster.payments.base_url + "/v1/charge")
        wait_for_count(load, "502", 10)
        release(cluster, "shop:1.0", cluster.payments.url)
        wait_for_count(load, "200", 10)


def test_a_shared_outage_hits_old_and_new_pods_alike(cluster: EmbeddedCluster) -> None:
    """When the payments API itself fails, every revision fails, and recovers with it."""
    release(cluster, "shop:1.0", cluster.payments.url)
    with cluster.load(NAMESPACE, "shop", rate=20) as load:
        wait_for_count(load, "200", 5)
        cluster.payments.fail = True
        wait_for_count(load, "502", 5)
        cluster.payments.fail = False
        wait_for_count(load, "200", 5)


def test_configuration_comes_from_a_config_map(cluster: EmbeddedCluster) -> None:
    """envFrom of a ConfigMap decides the behaviour of pods that start after it changed."""

    def config(url: str) -> Object:
        meta = {"name": "shop-config", "namespace": NAMESPACE}
        data = {"PAYMENTS_URL": url, "LATENCY_MS": "1"}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}

    manifest = toy_deployment("shop", NAMESPACE, replicas=1)
    container = manifest["spec"]["template"]["spec"]["containers"][0]
    container["envFrom"] = [{"configMapRef": {"name": "shop-config"}}]
    cluster.apply(config(cluster.payments.url))
    cluster.apply(manifest)
    cluster.wait_complete(NAMESPACE, "shop")
    with cluster.load(NAMESPACE, "shop", rate=40) as load:
        wait_for_count(load, "200", 5)
        cluster.apply(config(cluster.payments.base_url + "/wrong"))
        wait_for_count(load, "200", 5)
        manifest["spec"]["template"]["metadata"]["annotations"]["restarted"] = "yes"
        cluster.apply(manifest)
        wait_for_count(load, "502", 5)


def test_the_pod_proxy_reaches_the_pod_of_that_name(cluster: EmbeddedCluster) -> None:
    """The API server forwards to the pod's own socket, by port number and by port name."""
    release(cluster, "shop:1.0", cluster.payments.url)
    pod = cluster.pods(NAMESPACE, "shop")[0]["metadata"]["name"]
    for port in ("8080", "http"):
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:{port}/proxy/metrics"
        with urllib.request.urlopen(cluster.url + path, timeout=10) as answer:  # noqa: S310
            assert b"process_start_time_seconds" in answer.read()
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:9999/proxy/metrics"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(cluster.url + path, timeout=10)  # noqa: S310
    refused.value.close()
    assert refused.value.code == 503


def test_apply_replaces_what_the_manifest_says(cluster: EmbeddedCluster) -> None:
    """A variable that is no longer in the manifest is gone; the controller's notes stay."""
    release(cluster, "shop:1.0", cluster.payments.url)
    cluster.apply(toy_deployment("shop", NAMESPACE, replicas=2))
    after = cluster.wait_complete(NAMESPACE, "shop")
    assert "env" not in after["spec"]["template"]["spec"]["containers"][0]
    assert after["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"


def test_apply_refuses_what_the_api_server_refuses(cluster: EmbeddedCluster) -> None:
    """An invalid manifest is the API server's 422."""
    manifest = toy_deployment("shop", NAMESPACE)
    manifest["spec"]["selector"] = {"matchLabels": {"app": "other"}}
    with pytest.raises(ApiError) as refused:
        cluster.apply(manifest)
    assert refused.value.code == 422


def test_two_clusters_do_not_see_each_other(cluster: EmbeddedCluster) -> None:
    """Each cluster has its own port, objects and payments API."""
    with EmbeddedCluster(start_up=0.05) as other:
        release(cluster, "shop:1.0", cluster.payments.url)
        assert other.url != cluster.url
        assert other.payments.url != cluster.payments.url
        assert other.pods(NAMESPACE, "shop") == []


def test_a_cluster_without_services_has_no_payments_and_no_traffic() -> None:
    """service=False: pods get ready without a socket, and asking for traffic is an error."""
    with EmbeddedCluster(start_up=0.01, service=False) as plain:
        plain.apply(toy_deployment("shop", NAMESPACE, replicas=1))
        plain.wait_complete(NAMESPACE, "shop")
        assert plain.addresses(NAMESPACE, "shop") == []
        with pytest.raises(RuntimeError, match="expected service=True"):
            plain.load(NAMESPACE, "shop", 1)
        with pytest.raises(RuntimeError, match="expected service=True"):
            _ = plain.payments
