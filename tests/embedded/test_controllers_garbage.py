"""The garbage collector: what goes with an owner, and what stays."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.manifests import toy_deployment
from deploy_guard.embedded.store import Object

NAMESPACE = "garbage"


@pytest.fixture
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(start_up=0.02, service=False) as cluster:
        cluster.apply(toy_deployment("shop", NAMESPACE, replicas=1))
        cluster.wait_complete(NAMESPACE, "shop")
        yield cluster


def owned(cluster: EmbeddedCluster, name: str, *owners: Object) -> None:
    """Create a ConfigMap that belongs to those owners."""
    meta = {"name": name, "namespace": NAMESPACE, "ownerReferences": list(owners)}
    cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": "b"}})


def reference(obj: Object) -> Object:
    """Return an owner reference to an object."""
    meta = obj["metadata"]
    kind = {"apiVersion": obj["apiVersion"], "kind": obj["kind"]}
    return {**kind, "name": meta["name"], "uid": meta["uid"]}


def shop(cluster: EmbeddedCluster) -> Object:
    """Return the Deployment."""
    return cluster.store.get("deployments.apps", NAMESPACE, "shop")


def names(cluster: EmbeddedCluster) -> set[str]:
    """Return the names of the ConfigMaps."""
    found = cluster.store.list_all("configmaps", NAMESPACE)[0]
    return {obj["metadata"]["name"] for obj in found}


def test_dependents_of_any_kind_go_with_their_owner(cluster: EmbeddedCluster) -> None:
    """A ConfigMap that a Deployment owns is deleted with it; one without an owner stays."""
    owned(cluster, "mine", reference(shop(cluster)))
    owned(cluster, "free")
    cluster.store.delete("deployments.apps", NAMESPACE, "shop")
    cluster.wait_for(lambda: names(cluster) == {"free"}, timeout=10)
    cluster.wait_for(lambda: not cluster.store.list_all("pods", NAMESPACE)[0], timeout=10)


def test_one_living_owner_is_enough(cluster: EmbeddedCluster) -> None:
    """An object with two owners stays while one of them lives."""
    cluster.apply(toy_deployment("other", NAMESPACE, replicas=0))
    other = cluster.store.get("deployments.apps", NAMESPACE, "other")
    owned(cluster, "shared", reference(shop(cluster)), reference(other))
    owned(cluster, "mine", reference(shop(cluster)))
    cluster.store.delete("deployments.apps", NAMESPACE, "shop")
    cluster.wait_for(lambda: names(cluster) == {"shared"}, timeout=10)


def test_an_object_whose_owner_was_another_of_that_name_is_deleted(
    cluster: EmbeddedCluster,
) -> None:
    """Owners are known by uid: a reference to an earlier object of the same name is dangling."""
    owned(cluster, "late", {**reference(shop(cluster)), "uid": "0"})
    cluster.wait_for(lambda: names(cluster) == set(), timeout=10)


def test_an_owner_of_an_unknown_kind_is_left_alone(cluster: EmbeddedCluster) -> None:
    """The collector cannot tell whether an object of a kind that it does not know exists."""
    unknown = {"apiVersion": "example.com/v1", "kind": "Widget", "name": "w", "uid": "1"}
    owned(cluster, "foreign", unknown)
    owned(cluster, "late", {**reference(shop(cluster)), "uid": "0"})
    cluster.wait_for(lambda: names(cluster) == {"foreign"}, timeout=10)
