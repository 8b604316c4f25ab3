"""The toy service runs in the pods of StatefulSets and DaemonSets as in those of Deployments."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.load import Load
from deploy_guard.embedded.manifests import toy_daemon_set, toy_deployment, toy_stateful_set
from deploy_guard.embedded.store import Object

NAMESPACE = "shop-test"
KINDS: dict[str, Callable[..., Object]] = {
    "StatefulSet": toy_stateful_set,
    "DaemonSet": toy_daemon_set,
}


@pytest.fixture
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(start_up=0.05, nodes=2) as cluster:
        yield cluster


def wait_for_count(load: Load, code: str, number: int) -> None:
    """Wait until that many more answers with the code came."""
    wanted = load.counts[code] + number
    end = time.monotonic() + 20
    while load.counts[code] < wanted:
        assert time.monotonic() < end, load.counts
        time.sleep(0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_a_misconfigured_release_fails_and_the_old_one_serves_again(
    cluster: EmbeddedCluster, kind: str
) -> None:
    """A wrong PAYMENTS_URL breaks the service, the right one heals it, whatever the kind."""

    def release(url: str) -> None:
        cluster.apply(KINDS[kind]("shop", NAMESPACE, env={"PAYMENTS_URL": url}))
        cluster.wait_complete(NAMESPACE, "shop", kind=kind)

    release(cluster.payments.url)
    with cluster.load(NAMESPACE, "shop", rate=40, kind=kind) as load:
        wait_for_count(load, "200", 10)
        release(cluster.payments.base_url + "/v1/charge")
        wait_for_count(load, "502", 10)
        release(cluster.payments.url)
        wait_for_count(load, "200", 10)


def test_pods_are_spread_over_the_nodes(cluster: EmbeddedCluster) -> None:
    """A pod that may run anywhere goes to the node with the fewest pods."""
    cluster.apply(toy_deployment("shop", NAMESPACE, replicas=4))
    cluster.wait_complete(NAMESPACE, "shop")
    nodes = sorted(pod["spec"]["nodeName"] for pod in cluster.pods(NAMESPACE, "shop"))
    assert nodes == ["fake-0", "fake-0", "fake-1", "fake-1"]


def test_workloads_of_the_same_name_are_told_apart_by_their_kind(
    cluster: EmbeddedCluster,
) -> None:
    """`kind` says which one is meant; what is not there has no pods and no addresses."""
    cluster.apply(toy_stateful_set("shop", NAMESPACE, replicas=1))
    done = cluster.wait_complete(NAMESPACE, "shop", kind="StatefulSet")
    assert done["kind"] == "StatefulSet"
    assert len(cluster.addresses(NAMESPACE, "shop", kind="StatefulSet")) == 1
    assert cluster.addresses(NAMESPACE, "shop") == []


def test_another_kind_is_refused(cluster: EmbeddedCluster) -> None:
    """A kind that has no rollouts is an error that names those that have."""
    with pytest.raises(ValueError, match="expected one of Deployment, StatefulSet, DaemonSet"):
        cluster.wait_complete(NAMESPACE, "shop", kind="Job")
