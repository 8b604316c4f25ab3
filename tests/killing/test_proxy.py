"""The proxy itself: what it passes on, what it counts, and on which side of a write it kills."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.scripted import connect
from deploy_guard.cluster.client import MERGE_PATCH, Cluster
from deploy_guard.cluster.errors import Unreachable
from deploy_guard.cluster.retry import NO_RETRIES
from deploy_guard.embedded.server import ApiServer
from deploy_guard.embedded.store import Store
from killing.proxy import SIDES, KillingProxy, Side

MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
def proxy() -> Iterator[KillingProxy]:
    """Give a proxy in front of an API server."""
    with ApiServer(Store(), bookmark_seconds=0.1) as server, KillingProxy(server.url) as proxy:
        yield proxy


@pytest.fixture
def cluster(proxy: KillingProxy, tmp_path: Path) -> Iterator[Cluster]:
    """Give a client behind the proxy."""
    with connect(tmp_path, proxy.url, retries=NO_RETRIES) as cluster:
        yield cluster


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    """Give a process that lives until it is killed."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def config_map(name: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}


def test_only_what_changes_something_counts(proxy: KillingProxy, cluster: Cluster) -> None:
    """Reads, dry runs and access reviews are not counted; writes are kept with their content."""
    cluster.create(MAPS, config_map("a"))
    cluster.dry_run().create(MAPS, config_map("b"))
    cluster.get(MAPS)
    cluster.review(
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        {
            **{"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"},
            "spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}},
        },
    )
    body = {"data": {"key": "value"}}
    cluster.patch(f"{MAPS}/a", body, content_type=MERGE_PATCH)
    assert [write.short for write in proxy.writes] == ["POST configmaps", "PATCH configmaps/a"]
    assert proxy.writes[1].content == body


def test_a_watch_streams_through(cluster: Cluster) -> None:
    """Each event of a watch is passed on when it comes, not when the watch ends."""
    version = cluster.get(MAPS)["metadata"]["resourceVersion"]
    with cluster.watch(MAPS, {"resourceVersion": version}) as events:
        cluster.create(MAPS, config_map("a"))
        began = time.monotonic()
        event = next(iter(events))
        assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "a")
        assert time.monotonic() - began < 10


@pytest.mark.parametrize("side", SIDES)
def test_it_kills_on_the_side_that_was_asked_for(
    proxy: KillingProxy, cluster: Cluster, victim: subprocess.Popen[bytes], side: Side
) -> None:
    """Killed before a write the server never saw it; killed after it, only the answer is lost."""
    proxy.kill_at(2, side, victim)
    cluster.create(MAPS, config_map("a"))
    assert victim.poll() is None
    with pytest.raises(Unreachable):
        cluster.create(MAPS, config_map("b"))
    assert proxy.killed.is_set()
    assert victim.poll() == -9
    assert cluster.exists(f"{MAPS}/b") is (side == "after")
    cluster.create(MAPS, config_map("c"))
