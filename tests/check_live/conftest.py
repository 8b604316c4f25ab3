"""The workload that is checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from check_live.shop import Shop
from deploy_guard.cluster.client import Cluster
from deploy_guard.embedded.cluster import EmbeddedCluster


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """Two versions of web were deployed, and the second is live."""
    with EmbeddedCluster(start_up=0.05) as embedded:
        kubeconfig = embedded.kubeconfig_file(tmp_path / "kubeconfig", namespace="shop")
        with Cluster.connect(kubeconfig=str(kubeconfig)) as cluster:
            found = Shop(embedded, cluster, kubeconfig, tmp_path)
            found.release(1)
            found.release(2)
            yield found
