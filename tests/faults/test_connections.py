"""What single connections do under faults: stale answers, silence, proxies, absurd waits."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.scripted import QUICK, connect
from deploy_guard.cluster import errors
from deploy_guard.cluster.follow import Follower
from deploy_guard.cluster.snapshot import Snapshot
from deploy_guard.cluster.view import Tempo
from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.manifests import toy_deployment
from deploy_guard.model import Target
from faults import proxy as faults
from faults.proxy import FaultProxy

WEB = Target("deployment", "shop", "web")
LIST = "/apis/apps/v1/namespaces/shop/deployments"
LABEL = [{"op": "add", "path": "/metadata/labels/a", "value": "b"}]
QUICKLY = Tempo(watch=30, grace=5, first_pause=0.02, longest_pause=0.05, shortest=0.01)


@pytest.fixture
def embedded() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(start_up=0.02, service=False) as cluster:
        cluster.apply(toy_deployment("web", "shop", "web:1"))
        cluster.wait_complete("shop", "web")
        yield cluster


@pytest.fixture
def proxy(embedded: EmbeddedCluster) -> Iterator[FaultProxy]:
    with FaultProxy(embedded.url) as found:
        yield found


def wait_for(follower: Follower, condition: Callable[[Snapshot], bool]) -> Snapshot:
    """Wait until a snapshot meets the condition."""
    end = time.monotonic() + 20
    snapshot = follower.latest()
    while not condition(snapshot):
        assert time.monotonic() < end, snapshot.problems
        snapshot = follower.wait(snapshot.serial, 0.1)
    return snapshot


def images(snapshot: Snapshot) -> set[str]:
    """Return the images of all pods."""
    return {pod["spec"]["containers"][0]["image"] for pod in snapshot.pods}


# --- stale answers ----------------------------------------------------------------------------


def test_an_object_that_was_seen_newer(proxy: FaultProxy, tmp_path: Path) -> None:
    """An old answer is asked for again; when only old ones come, it is an error and not a fact."""
    with connect(tmp_path, proxy.url) as cluster:
        cluster.get(f"{LIST}/web")
        patched = cluster.patch(f"{LIST}/web", LABEL)
        proxy.fail(faults.stale, first=1)
        assert cluster.get(f"{LIST}/web")["metadata"]["labels"] == patched["metadata"]["labels"]
        proxy.fail(faults.stale)
        with pytest.raises(errors.Stale, match="older than what was seen"):
            cluster.get(f"{LIST}/web")


def test_a_list_without_ones_own_write(proxy: FaultProxy, tmp_path: Path) -> None:
    """A list from before a write of ours is not believed; a dry run is no write."""
    with connect(tmp_path, proxy.url) as cluster:
        cluster.get(LIST)
        proxy.fail(faults.stale)
        cluster.dry_run().patch(f"{LIST}/web", LABEL)
        cluster.get(LIST)
        cluster.patch(f"{LIST}/web", LABEL)
        with pytest.raises(errors.Stale):
            cluster.get(LIST)


def test_a_view_does_not_go_back(
    embedded: EmbeddedCluster, proxy: FaultProxy, tmp_path: Path
) -> None:
    """A list that is older than the events before it is blindness, until a newer one comes."""
    with (
        connect(tmp_path, proxy.url) as cluster,
        Follower(cluster, WEB, tempo=QUICKLY) as follower,
    ):
        embedded.apply(toy_deployment("web", "shop", "web:2"))
        wait_for(follower, lambda s: images(s) == {"web:2"} and len(s.revisions) == 2)
        old = proxy.fail(faults.stale, "read")
        ended = proxy.fail(faults.ended, "watch", cut=True)
        blind = wait_for(
            follower,
            lambda s: [p for p in s.problems if "older than what was seen" in p.reason] != [],
        )
        assert images(blind) == {"web:2"}
        old.end()
        ended.end()
        assert images(wait_for(follower, lambda s: not s.problems)) == {"web:2"}


# --- silence ----------------------------------------------------------------------------------


def test_watches_that_stay_silent(
    embedded: EmbeddedCluster, proxy: FaultProxy, tmp_path: Path
) -> None:
    """Where watches bring nothing, lists do: no change is missed for longer than one watch."""
    tempo = Tempo(watch=1, grace=0.2, first_pause=0.02, longest_pause=0.05, shortest=0.01)
    with connect(tmp_path, proxy.url) as cluster, Follower(cluster, WEB, tempo=tempo) as follower:
        proxy.fail(faults.silent, "watch")
        began = time.monotonic()
        embedded.apply(toy_deployment("web", "shop", "web:2"))
        wait_for(follower, lambda s: images(s) == {"web:2"})
        assert time.monotonic() - began < 10


def test_silence_is_noticed_after_25_seconds() -> None:
    """So long a network may swallow everything before guard says that it sees nothing."""
    assert Tempo().watch + Tempo().grace == 25


def test_the_kernel_looks_after_idle_connections(embedded: EmbeddedCluster, tmp_path: Path) -> None:
    """A peer that is gone without a word is noticed below the protocol, too."""
    with connect(tmp_path, embedded.url) as cluster, cluster.watch(LIST, {}) as stream:
        sock = stream._response.connection.sock  # type: ignore[union-attr]
        assert sock is not None
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 15_000


@pytest.mark.parametrize("seconds", ["1e12", "inf", "nan", "-1", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_an_absurd_retry_after(seconds: str, proxy: FaultProxy, tmp_path: Path) -> None:
    """No value of Retry-After ends the thread that follows, which would be silent blindness."""
    with (
        connect(tmp_path, proxy.url) as cluster,
        Follower(cluster, WEB, tempo=QUICKLY) as follower,
    ):
        rule = proxy.fail(faults.status(503, retry_after=seconds), cut=True)
        wait_for(follower, lambda s: len(s.problems) == 3)
        rule.end()
        following = [t for t in threading.enumerate() if t.name.startswith("follow ")]
        assert len(following) == 3
        if seconds != "1e12":  # it is waited for, but no longer than a minute
            wait_for(follower, lambda s: not s.problems)


# --- proxies ----------------------------------------------------------------------------------


def test_the_proxy_of_the_environment(
    embedded: EmbeddedCluster, proxy: FaultProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTP_PROXY is used, NO_PROXY is obeyed, and a proxy that is away is named as the cause."""
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.delenv("REQUEST_METHOD", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("http_proxy", proxy.url)
    with connect(tmp_path, embedded.url) as cluster:
        cluster.get(LIST)
        assert [served.request.path for served in proxy.served] == [LIST]
        proxy.go_away()
        with pytest.raises(errors.Unreachable, match="the proxy on the way") as caught:
            cluster.get(LIST)
        assert "NO_PROXY" in caught.value.help
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        with connect(tmp_path, embedded.url, retries=QUICK) as straight:
            straight.get(LIST)
        proxy.come_back()
    assert len(proxy.served) == 1
