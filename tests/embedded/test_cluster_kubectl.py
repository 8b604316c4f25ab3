"""kubectl drives rollouts on the embedded cluster and prints what it prints on a real one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.manifests import toy_deployment
from embedded.kubectl import NEEDED, Kubectl

pytestmark = NEEDED
NAMESPACE = "shop-test"


class Shop(Kubectl):
    """A cluster with the Deployment `shop`, and kubectl pointed at it."""

    def settle(self) -> None:
        """Wait until the rollout is complete, with kubectl's own wait."""
        text = self.kubectl("rollout", "status", "deployment/shop", "--timeout=30s")
        assert 'deployment "shop" successfully rolled out' in text
        self.cluster.wait_complete(NAMESPACE, "shop")

    def images(self) -> set[str]:
        """Return the images of the running pods."""
        text = self.kubectl("get", "pods", "-o", "jsonpath={.items[*].spec.containers[*].image}")
        return set(text.split())

    def revisions(self) -> list[int]:
        """Return the revisions that `rollout history` lists."""
        text = self.kubectl("rollout", "history", "deployment/shop")
        return [int(number) for number in re.findall(r"^(\d+) ", text, re.MULTILINE)]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with EmbeddedCluster(start_up=0.1, service=False) as cluster:
        cluster.apply(toy_deployment("shop", NAMESPACE, replicas=2, progressDeadlineSeconds=2))
        cluster.wait_complete(NAMESPACE, "shop")
        yield Shop(cluster, tmp_path, NAMESPACE)


def test_a_new_image_is_rolled_out_and_undone(shop: Shop) -> None:
    """Set image makes revision 2; undo brings the first template back as revision 3."""
    assert shop.images() == {"registry.example/shop:1.0"}
    shop.kubectl("set", "image", "deployment/shop", "shop=registry.example/shop:2.0")
    shop.settle()
    assert shop.images() == {"registry.example/shop:2.0"}
    assert shop.revisions() == [1, 2]
    assert "rolled back" in shop.kubectl("rollout", "undo", "deployment/shop")
    shop.settle()
    assert shop.images() == {"registry.example/shop:1.0"}
    assert shop.revisions() == [2, 3]
    text = shop.kubectl("rollout", "history", "deployment/shop", "--revision=2")
    assert "registry.example/shop:2.0" in text


def test_undo_to_a_revision_finds_it_by_number(shop: Shop) -> None:
    """--to-revision=1 after three releases brings back the first one."""
    for number in ("2.0", "3.0"):
        shop.kubectl("set", "image", "deployment/shop", f"shop=registry.example/shop:{number}")
        shop.settle()
    shop.kubectl("rollout", "undo", "deployment/shop", "--to-revision=1")
    shop.settle()
    assert shop.images() == {"registry.example/shop:1.0"}
    assert shop.revisions() == [2, 3, 4]


def test_a_paused_deployment_moves_only_when_it_is_resumed(shop: Shop) -> None:
    """While paused a new image changes no pod and undo is refused; resume rolls it out."""
    shop.kubectl("set", "image", "deployment/shop", "shop=registry.example/shop:2.0")
    shop.settle()
    shop.kubectl("rollout", "pause", "deployment/shop")
    shop.kubectl("set", "image", "deployment/shop", "shop=registry.example/shop:3.0")
    text = shop.kubectl("rollout", "undo", "deployment/shop", code=1)
    assert "you cannot rollback a paused deployment" in text
    assert shop.images() == {"registry.example/shop:2.0"}
    shop.kubectl("rollout", "resume", "deployment/shop")
    shop.settle()
    assert shop.images() == {"registry.example/shop:3.0"}


def test_restart_replaces_every_pod(shop: Shop) -> None:
    """Rollout restart makes a new revision with the same image and other pods."""
    before = shop.kubectl("get", "pods", "-o", "name").split()
    shop.kubectl("rollout", "restart", "deployment/shop")
    shop.settle()
    after = shop.kubectl("get", "pods", "-o", "name").split()
    assert not set(before) & set(after)
    assert shop.revisions() == [1, 2]


def test_scale_changes_the_number_of_pods_and_no_revision(shop: Shop) -> None:
    """Scale goes through the /scale subresource; the revision stays."""
    shop.kubectl("scale", "deployment/shop", "--replicas=4")
    shop.settle()
    assert len(shop.kubectl("get", "pods", "-o", "name").split()) == 4
    assert shop.revisions() == [1]


def test_a_release_that_cannot_start_exceeds_its_deadline(shop: Shop) -> None:
    """Rollout status exits 1 at the deadline, get pods shows why, undo recovers."""
    shop.kubectl("set", "image", "deployment/shop", "shop=registry.example/shop:nopull")
    text = shop.kubectl("rollout", "status", "deployment/shop", "--timeout=30s", code=1)
    assert 'deployment "shop" exceeded its progress deadline' in text
    assert "ImagePullBackOff" in shop.kubectl("get", "pods")
    shop.kubectl("rollout", "undo", "deployment/shop")
    shop.cluster.wait_complete(NAMESPACE, "shop")
    shop.settle()


def test_a_deleted_deployment_takes_its_pods_with_it(shop: Shop) -> None:
    """Delete in the foreground returns when ReplicaSets and pods are gone."""
    shop.kubectl("delete", "deployment/shop", "--cascade=foreground", "--timeout=30s")
    assert "No resources found" in shop.kubectl("get", "deployments,replicasets,pods")


def test_an_orphaned_replica_set_keeps_its_pods(shop: Shop) -> None:
    """Delete with --cascade=orphan leaves the ReplicaSet, and it still replaces pods."""
    shop.kubectl("delete", "deployment/shop", "--cascade=orphan", "--timeout=30s")
    pods = shop.kubectl("get", "pods", "-o", "name").split()
    assert len(pods) == 2
    shop.kubectl("delete", pods[0], "--wait=false")
    shop.cluster.wait_for(
        lambda: (
            len(shop.cluster.store.list_all("pods", NAMESPACE)[0]) == 2
            and shop.cluster.store.find("pods", NAMESPACE, pods[0].removeprefix("pod/")) is None
        )
    )
    owner = shop.cluster.store.list_all("replicasets.apps", NAMESPACE)[0][0]
    assert "ownerReferences" not in owner["metadata"]
