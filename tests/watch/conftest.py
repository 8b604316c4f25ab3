"""The shop that the tests of the watch deploy to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy_guard.cluster.client import Cluster
from deploy_guard.embedded.cluster import EmbeddedCluster
from watch.shop import NAMESPACE, Shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """An embedded cluster with quick pods, and a client."""
    with EmbeddedCluster(start_up=0.2) as embedded:
        kubeconfig = embedded.kubeconfig_file(tmp_path / "kubeconfig", namespace=NAMESPACE)
        with Cluster.connect(kubeconfig=str(kubeconfig)) as cluster:
            yield Shop(embedded, cluster, kubeconfig)


@pytest.fixture
def busy(shop: Shop) -> Shop:
    """The shop with its first version complete and 60 requests a second."""
    shop.release()
    shop.complete()
    shop.embedded.load("shop", "web", rate=60)
    return shop
