from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.lease_room import Room
from deploy_guard.embedded.cluster import EmbeddedCluster


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    """Give a cluster whose Deployment nobody has locked."""
    with EmbeddedCluster(start_up=0.02, service=False) as embedded:
        room = Room(embedded, tmp_path)
        with room.cluster:
            yield room
