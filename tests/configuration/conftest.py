from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from configuration.shop import PASSWORD, Shop, config_map, secret
from deploy_guard.embedded.cluster import EmbeddedCluster


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A Deployment, ``web``, that reads the ConfigMap ``app`` and the Secret ``db``."""
    with EmbeddedCluster(start_up=0.02, service=False) as embedded:
        embedded.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
        with Shop(embedded, tmp_path) as shop:
            shop.apply(config_map("app", TIMEOUT="30", LEVEL="info"))
            shop.apply(secret("db", password=PASSWORD, user="web"))
            shop.release("1", maps=("app",), secrets=("db",))
            yield shop
