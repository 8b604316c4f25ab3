from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy_guard.embedded.cluster import EmbeddedCluster
from rollback.shop import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A cluster with one Deployment, ``web``, that can be released and looked at."""
    with EmbeddedCluster(start_up=0.02, service=False) as embedded:
        embedded.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
        with Shop(embedded, tmp_path) as shop:
            yield shop
