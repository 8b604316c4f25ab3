"""Fixtures: an API server without controllers, and a plain HTTP client for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy_guard.embedded.server import ApiServer
from deploy_guard.embedded.store import Store
from embedded.http_client import ApiClient


@pytest.fixture
def store() -> Store:
    """Return an empty store."""
    return Store()


@pytest.fixture
def server(store: Store) -> Iterator[ApiServer]:
    """Run an API server on the store."""
    with ApiServer(store, bookmark_seconds=0.05) as running:
        yield running


@pytest.fixture
def api(server: ApiServer) -> ApiClient:
    """Return a client of the server."""
    return ApiClient(server.url)
