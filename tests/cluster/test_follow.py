from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from cluster.scripted import Behaviour, Handler, ScriptedServer, answer, connect, reset, stream
from cluster.wire import Wire
from deploy_guard.cluster import errors
from deploy_guard.cluster.follow import Follower
from deploy_guard.cluster.rollouts import live_hash, rollout_of
from deploy_guard.cluster.snapshot import Snapshot
from deploy_guard.cluster.view import Tempo
from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.manifests import toy_deployment
from deploy_guard.model import Target

WEB = Target("deployment", "shop", "web")
TEMPO = Tempo(watch=30, grace=5, first_pause=0.02, longest_pause=0.05, shortest=0.01)


def wait_for(
    follower: Follower, condition: Callable[[Snapshot], bool], timeout: float = 20
) -> Snapshot:
    """Wait until a snapshot meets the condition."""
    end = time.monotonic() + timeout
    snapshot = follower.latest()
    while not condition(snapshot):
        assert time.monotonic() < end, f"not seen within {timeout} s: {snapshot.problems}"
        snapshot = follower.wait(snapshot.serial, 0.1)
    return snapshot


def images(snapshot: Snapshot) -> set[str]:
    return {pod["spec"]["containers"][0]["image"] for pod in snapshot.pods}


def complete(snapshot: Snapshot) -> bool:
    return rollout_of(snapshot, live_hash(snapshot) or "").complete


@pytest.fixture
def embedded() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(start_up=0.02, service=False, bookmark_seconds=0.2) as cluster:
        cluster.apply(toy_deployment("web", "shop", "web:1"))
        cluster.wait_complete("shop", "web")
        yield cluster


def test_a_deploy_is_followed_to_its_end(embedded: EmbeddedCluster, tmp_path: Path) -> None:
    """A new release is seen as it rolls out: its template, its ReplicaSet, its pods."""
    calls: list[int] = []
    with (
        connect(tmp_path, embedded.url) as cluster,
        Follower(cluster, WEB, on_change=lambda: calls.append(1)) as follower,
    ):
        first = follower.latest()
        assert complete(first)
        assert images(first) == {"web:1"}
        embedded.apply(toy_deployment("web", "shop", "web:2"))
        last = wait_for(follower, lambda s: complete(s) and images(s) == {"web:2"})
    assert len(last.revisions) == 2
    assert last.serial > first.serial
    assert calls
    assert last.problems == ()


def test_what_others_own_is_left_out(embedded: EmbeddedCluster, tmp_path: Path) -> None:
    """A selector also returns other Deployments' ReplicaSets and pods; owners decide."""
    other = toy_deployment("other", "shop", "other:1")
    labels = {"app": "web", "tier": "other"}
    other["spec"]["selector"] = {"matchLabels": {"tier": "other"}}
    other["spec"]["template"]["metadata"]["labels"] = labels
    embedded.apply(other)
    embedded.wait_complete("shop", "other")
    with connect(tmp_path, embedded.url) as cluster, Follower(cluster, WEB) as follower:
        snapshot = follower.latest()
    assert images(snapshot) == {"web:1"}
    assert len(snapshot.revisions) == 1


def test_a_missing_deployment_is_told_at_once(embedded: EmbeddedCluster, tmp_path: Path) -> None:
    """Following what does not exist is an error, not an endless wait."""
    nothing = Target("deployment", "shop", "absent")
    with connect(tmp_path, embedded.url) as cluster, pytest.raises(errors.NotFound, match="absent"):
        Follower(cluster, nothing).start()


def test_a_deleted_deployment_is_gone(embedded: EmbeddedCluster, tmp_path: Path) -> None:
    """After a deletion the snapshot has no Deployment and nothing that it owned."""
    with connect(tmp_path, embedded.url) as cluster, Follower(cluster, WEB) as follower:
        embedded.store.delete("deployments.apps", "shop", "web")
        gone = wait_for(follower, lambda s: s.workload is None)
    assert (gone.revisions, gone.pods) == ((), ())


def test_without_pods_only_the_rollout_is_followed(
    embedded: EmbeddedCluster, tmp_path: Path
) -> None:
    """A rollback by hand needs no right to read pods."""
    with connect(tmp_path, embedded.url) as cluster, Follower(cluster, WEB, pods=False) as follower:
        assert follower.latest().pods == ()
        assert complete(follower.latest())


def test_a_cut_connection_is_made_again(embedded: EmbeddedCluster, tmp_path: Path) -> None:
    """After every stream was cut, what happened meanwhile is seen."""
    with (
        Wire(embedded.url) as wire,
        connect(tmp_path, wire.url) as cluster,
        Follower(cluster, WEB, tempo=TEMPO) as follower,
    ):
        wire.cut()
        embedded.apply(toy_deployment("web", "shop", "web:2"))
        wait_for(follower, lambda s: complete(s) and images(s) == {"web:2"})
        wait_for(follower, lambda s: s.problems == ())


def test_blindness_is_a_state_with_a_reason(embedded: EmbeddedCluster, tmp_path: Path) -> None:
    """While the cluster cannot be reached the snapshot says what is not seen, why, since when."""
    with (
        Wire(embedded.url) as wire,
        connect(tmp_path, wire.url) as cluster,
        Follower(cluster, WEB, tempo=TEMPO) as follower,
    ):
        before = time.time()
        wire.unplugged = True
        wire.cut()
        blind = wait_for(follower, lambda s: len(s.problems) == 3)
        assert {p.what for p in blind.problems} == {"deployments", "replicasets", "pods"}
        assert all(p.reason and p.since >= before - 1 for p in blind.problems)
        later = wait_for(follower, lambda s: s.serial > blind.serial + 3)
        assert [p.since for p in later.problems] == [p.since for p in blind.problems]
        assert later.workload is not None
        wire.unplugged = False
        wait_for(follower, lambda s: s.problems == ())


def test_a_silent_stream_is_not_believed(embedded: EmbeddedCluster, tmp_path: Path) -> None:
    """A frozen network is noticed by the silence, and blindness began when the silence did."""
    tempo = Tempo(watch=1, grace=0.2, first_pause=0.02, longest_pause=0.05, shortest=0.01)
    with (
        Wire(embedded.url) as wire,
        connect(tmp_path, wire.url) as cluster,
        Follower(cluster, WEB, tempo=tempo) as follower,
    ):
        wire.frozen = True
        frozen = time.time()
        blind = wait_for(follower, lambda s: len(s.problems) == 3)
        assert all(p.since < time.time() - 1 for p in blind.problems)
        assert all(p.since > frozen - 2 for p in blind.problems)
        wire.frozen = False
        wait_for(follower, lambda s: s.problems == ())


def test_streams_that_the_server_ends_are_normal(embedded: EmbeddedCluster, tmp_path: Path) -> None:
    """Watches end by themselves and are opened again, without any problem being told."""
    tempo = Tempo(watch=1, grace=5, first_pause=0.02, longest_pause=0.05, shortest=0.01)
    with (
        connect(tmp_path, embedded.url) as cluster,
        Follower(cluster, WEB, tempo=tempo) as follower,
    ):
        end = time.monotonic() + 2.2
        while time.monotonic() < end:
            assert follower.wait(-1, 0.1).problems == ()
        embedded.apply(toy_deployment("web", "shop", "web:2"))
        wait_for(follower, lambda s: complete(s) and images(s) == {"web:2"})


def test_stopping_is_quick_and_leaves_no_thread(embedded: EmbeddedCluster, tmp_path: Path) -> None:
    """Stopping while all streams wait for events takes a fraction of a second."""
    import threading

    with connect(tmp_path, embedded.url) as cluster:
        follower = Follower(cluster, WEB)
        follower.start()
        began = time.monotonic()
        follower.stop()
        assert time.monotonic() - began < 0.5
    assert not [t for t in threading.enumerate() if t.name.startswith("follow ")]


DEPLOYMENT: dict[str, Any] = {
    "metadata": {"name": "web", "uid": "u", "resourceVersion": "5", "generation": 1},
    "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {}},
}


def api(*watches: Behaviour, version: str = "5") -> tuple[Behaviour, list[str]]:
    """Answer lists with the Deployment, its watches by the script; other watches stay silent."""
    script = list(watches)
    lists: list[str] = []

    def behave(handler: Handler) -> None:
        url = urlsplit(handler.path)
        of_deployments = url.path.endswith("/deployments")
        if "watch" in parse_qs(url.query):
            quiet = stream(hang=True)
            (script.pop(0) if of_deployments and script else quiet)(handler)
        elif url.path.endswith("/web"):
            answer(200, DEPLOYMENT)(handler)
        else:
            if of_deployments:
                lists.append(handler.path)
            items = [DEPLOYMENT] if of_deployments else []
            answer(200, {"metadata": {"resourceVersion": version}, "items": items})(handler)

    return behave, lists


EXPIRED = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
CHANGED = {**DEPLOYMENT, "metadata": {**DEPLOYMENT["metadata"], "resourceVersion": "9"}}
BOOKMARK = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "7"}}}


@pytest.mark.parametrize(
    "failure",
    [stream({"type": "ERROR", "object": EXPIRED}), answer(410, EXPIRED), stream()],
    ids=["event 410", "answer 410", "not even a bookmark"],
)
def test_a_version_that_cannot_be_watched_is_listed_anew(
    tmp_path: Path, failure: Behaviour
) -> None:
    """After 410, and after a stream that said nothing at all, the objects are listed again."""
    behaviour, lists = api(failure)
    with (
        ScriptedServer(behaviour) as server,
        connect(tmp_path, server.url) as cluster,
        Follower(cluster, WEB, tempo=TEMPO) as follower,
    ):
        wait_for(follower, lambda _: len(lists) >= 2)
        assert follower.latest().problems == ()


def test_a_watch_goes_on_where_it_was(tmp_path: Path) -> None:
    """After a break the watch is opened at the last version seen, bookmarks included."""
    behaviour, lists = api(
        stream(BOOKMARK), reset, stream({"type": "MODIFIED", "object": CHANGED}), reset
    )
    with (
        ScriptedServer(behaviour) as server,
        connect(tmp_path, server.url) as cluster,
        Follower(cluster, WEB, tempo=TEMPO) as follower,
    ):
        wait_for(follower, lambda _: versions(server)[-1] == "9")
    assert versions(server)[:4] == ["5", "7", "7", "9"]
    assert len(lists) == 1


def versions(server: ScriptedServer) -> list[str]:
    """Return the versions at which watches of Deployments were opened."""
    found = [""]
    for _, path, _, _ in list(server.requests):
        url = urlsplit(path)
        query = parse_qs(url.query)
        if url.path.endswith("/deployments") and "watch" in query:
            found += query["resourceVersion"]
            assert query["allowWatchBookmarks"] == ["true"]
            assert query["fieldSelector"] == ["metadata.name=web"]
    return found[1:] or found
