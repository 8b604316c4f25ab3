"""Range queries: how they are cut and joined, asked again, and kept."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from deploy_guard.backtest.cache import Cache
from deploy_guard.backtest.history import MOST_POINTS, Fetcher, RangeQuery, merged
from deploy_guard.backtest.tracks import Grid, Track, joined, tracks_of
from deploy_guard.errors import GuardError
from deploy_guard.policy.models import PrometheusConnection
from deploy_guard.signals.http_failures import CallFailed
from deploy_guard.signals.prometheus_api import PromSeries
from signals.web_server import Reply, Request, WebServer

ASKED = RangeQuery("up", 15.0, 1000, 1099)


def connection(url: str, **more: Any) -> PrometheusConnection:
    return PrometheusConnection.model_validate({"url": url, "timeout": "10s", **more})


def fetcher(server: WebServer, **more: Any) -> Fetcher:
    return Fetcher(connection(server.url), environ={}, **more)


def answer(request: Request) -> Reply:
    """Answer a range query with one series whose value is the tick."""
    form = {key: values[0] for key, values in parse_qs(request.body).items()}
    start, end, step = (float(form[key]) for key in ("start", "end", "step"))
    ticks = range(round(start / step), round(end / step) + 1)
    values = [[tick * step, str(tick)] for tick in ticks]
    data = {"resultType": "matrix", "result": [{"metric": {"pod": "a"}, "values": values}]}
    return Reply(body=json.dumps({"status": "success", "data": data}))


def failing(
    *replies: Reply, then: Callable[[Request], Reply] = answer
) -> Callable[[Request], Reply]:
    """Answer with these first."""
    left = list(replies)
    return lambda request: left.pop(0) if left else then(request)


def test_windows_that_overlap_or_touch_are_one_query() -> None:
    """Others stay apart: of another text, another step, or with a tick between them."""
    windows = [
        RangeQuery("a", 15.0, 10, 20),
        RangeQuery("a", 15.0, 21, 30),
        RangeQuery("a", 15.0, 15, 18),
        RangeQuery("a", 15.0, 32, 40),
        RangeQuery("a", 30.0, 10, 20),
        RangeQuery("b", 15.0, 10, 20),
    ]
    assert set(merged(windows)) == {
        RangeQuery("a", 15.0, 10, 30),
        RangeQuery("a", 15.0, 32, 40),
        RangeQuery("a", 30.0, 10, 20),
        RangeQuery("b", 15.0, 10, 20),
    }


def test_a_long_window_is_cut_into_what_prometheus_answers() -> None:
    """No part has too many points; together they have each point once, in the order of time."""
    parts = merged([RangeQuery("a", 1.0, 0, 34_999)])
    assert all(part.points <= MOST_POINTS for part in parts)
    assert [tick for part in parts for tick in range(part.first, part.last + 1)] == [*range(35_000)]


def test_series_lie_on_the_grid_with_their_gaps() -> None:
    """A point is found at its tick; between points there is nothing."""
    (track,) = tracks_of([PromSeries({"pod": "a"}, ((45.0, 1.0), (90.0, 2.0)))], step=15.0)
    assert [track.at(tick) for tick in range(2, 8)] == [None, 1.0, None, None, 2.0, None]
    assert track.cut(4, 6).values == [None, None, 2.0]
    assert track.cut(7, 9).values == []


def test_neighbours_in_time_become_one_series() -> None:
    """Also where a series is only in some of them, and with a gap between two."""
    one = Grid(15.0, 0, 2, (Track({"pod": "a"}, 1, [1.0, 2.0]), Track({"pod": "b"}, 0, [5.0])))
    two = Grid(15.0, 3, 5, (Track({"pod": "a"}, 4, [4.0]),))
    whole = joined([two, one])
    assert (whole.first, whole.last) == (0, 5)
    found = {track.pod: (track.first, list(track.values)) for track in whole.tracks}
    assert found == {"a": (1, [1.0, 2.0, None, 4.0]), "b": (0, [5.0])}


@pytest.mark.parametrize(
    "reply",
    [Reply(429), Reply(503, "over"), Reply(drop=True), Reply(502, "<html>", "text/html")],
    ids=["too-many-requests", "unavailable", "closed", "bad-gateway"],
)
def test_what_passes_is_asked_again(reply: Reply) -> None:
    """The second answer counts."""
    with WebServer(failing(reply)) as server, closing(fetcher(server)) as asked:
        grid = asked.submit(ASKED).result(30)
        assert [grid.tracks[0].at(tick) for tick in (1000, 1099)] == [1000.0, 1099.0]
        assert len(server.requests) == 2


def test_a_refused_query_is_not_asked_again() -> None:
    """The server's words come at once."""
    body = json.dumps({"status": "error", "errorType": "bad_data", "error": "parse error: no"})
    with WebServer(lambda _: Reply(400, body)) as server, closing(fetcher(server)) as asked:
        with pytest.raises(CallFailed, match="parse error"):
            asked.submit(ASKED).result(30)
        with pytest.raises(GuardError, match="parse error"):
            asked.fetch([ASKED], lambda done, total: None)
        assert len(server.requests) == 2


def test_a_query_that_loads_too_many_samples_is_asked_in_parts() -> None:
    """Each half is tried by itself; the answer is that of the whole."""
    words = "query processing would load too many samples into memory in query execution"
    refusal = json.dumps({"status": "error", "errorType": "execution", "error": words})

    def limited(request: Request) -> Reply:
        form = parse_qs(request.body)
        points = (float(form["end"][0]) - float(form["start"][0])) / float(form["step"][0])
        return answer(request) if points < 30 else Reply(422, refusal)

    with WebServer(limited) as server, closing(fetcher(server)) as asked:
        grid = asked.submit(ASKED).result(30)
        assert (grid.first, grid.last) == (1000, 1099)
        assert list(grid.tracks[0].values) == [float(tick) for tick in range(1000, 1100)]
        assert len(server.requests) == 1 + 2 + 4


def test_no_more_than_the_stated_number_is_under_way_at_once() -> None:
    """Three are, since each waits for two others here, and never a fourth."""
    together = threading.Barrier(3, timeout=60)
    busy: list[int] = []
    most = 0
    lock = threading.Lock()

    def slowly(request: Request) -> Reply:
        nonlocal most
        with lock:
            busy.append(1)
            most = max(most, len(busy))
        together.wait()
        with lock:
            busy.pop()
        return answer(request)

    queries = [RangeQuery("up", 15.0, n, n + 9) for n in range(0, 210, 10)]
    with WebServer(slowly) as server, closing(fetcher(server, at_once=3)) as asked:
        assert len(asked.fetch(queries, lambda done, total: None)) == 21
    assert most == 3


def test_the_pace_is_bounded() -> None:
    """Ten queries at fifty a second take nine pauses of 20 ms at least."""
    queries = [RangeQuery("up", 15.0, n, n + 9) for n in range(0, 100, 10)]
    with WebServer(answer) as server, closing(fetcher(server, per_second=50.0)) as asked:
        began = time.monotonic()
        asked.fetch(queries, lambda done, total: None)
        assert time.monotonic() - began >= 0.18


def test_closing_does_not_wait_for_an_answer_that_does_not_come() -> None:
    """An interrupt ends the backtest at once, also where the server hangs."""
    with WebServer(lambda _: Reply(hang=True)) as server:
        asked = fetcher(server)
        asked.submit(ASKED)
        while not server.requests:
            time.sleep(0.01)
        began = time.monotonic()
        asked.close()
        assert time.monotonic() - began < 20
        server.closing.set()


def test_what_the_server_warns_of_is_told_once() -> None:
    """A partial answer of a replicated server is no reason to stop, but to know."""

    def partial(request: Request) -> Reply:
        document = json.loads(answer(request).body)
        return Reply(body=json.dumps({**document, "warnings": ["partial response: store b"]}))

    told: list[str] = []
    queries = [RangeQuery("up", 15.0, n, n + 9) for n in range(0, 50, 10)]
    with WebServer(partial) as server, closing(fetcher(server, warn=told.append)) as asked:
        asked.fetch(queries, lambda done, total: None)
    assert told == ["partial response: store b"]


def kept(tmp_path: Path, url: str = "http://prometheus:9090", **more: Any) -> Cache:
    return Cache(tmp_path, connection(url, **more), environ={"URL": "http://secret:9090"})


GRID = Grid(15.0, 1000, 1099, (Track({"pod": "a"}, 1000, [1.0, None, float("inf")]),))


def test_a_kept_answer_is_found_for_the_same_server_and_query_alone(tmp_path: Path) -> None:
    """Another server, another tenant, another window have their own."""
    cache = kept(tmp_path)
    cache.put(ASKED, GRID, now=1e9)
    assert cache.get(ASKED) == GRID
    assert cache.get(RangeQuery("up", 15.0, 1000, 1098)) is None
    assert kept(tmp_path, "http://other:9090").get(ASKED) is None
    assert kept(tmp_path, headers={"X-Scope-OrgID": "shop"}).get(ASKED) is None


def test_the_newest_past_is_not_kept(tmp_path: Path) -> None:
    """What ended a moment ago may still change: late samples, slow replicas."""
    cache = kept(tmp_path)
    cache.put(ASKED, GRID, now=ASKED.end + 300)
    assert list(tmp_path.iterdir()) == []
    cache.put(ASKED, GRID, now=ASKED.end + 601)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_kept_file_has_no_secret(tmp_path: Path) -> None:
    """Neither addresses nor headers are written, only the query and its answer."""
    headers = {"X-Token": {"env": "TOKEN"}, "X-Scope-OrgID": "tenant"}
    cache = Cache(
        tmp_path,
        connection("http://x", headers=headers).model_copy(
            update={"url": PrometheusConnection.model_validate({"url": {"env": "URL"}}).url}
        ),
        environ={"URL": "http://user:password@hidden:9090", "TOKEN": "t0ps3cret"},
    )
    cache.put(ASKED, GRID, now=1e9)
    (file,) = tmp_path.iterdir()
    text = file.name + gzip.decompress(file.read_bytes()).decode()
    assert not any(word in text for word in ("password", "hidden", "t0ps3cret", "tenant"))


def damaged(series: dict[str, Any]) -> bytes:
    """Return a file of the right form with a series that is none."""
    document = {"version": 1, "query": ASKED.text, "series": [series]}
    return gzip.compress(json.dumps(document).encode())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no gzip",
        gzip.compress(b"[1]"),
        gzip.compress(b"{"),
        gzip.compress(b"[1]")[:10] + b"\xff" * 20,
        damaged({"labels": [1], "first": 1000, "values": [1.0]}),
        damaged({"labels": {"pod": "a"}, "first": 1000, "values": ["1"]}),
        damaged({"labels": {"pod": "a"}, "first": "x", "values": [1.0]}),
        damaged({}),
    ],
    ids=[
        "empty",
        "another format",
        "another form",
        "cut off",
        "other bytes",
        "labels",
        "values",
        "first",
        "no series",
    ],
)
def test_a_damaged_file_counts_as_none(tmp_path: Path, data: bytes) -> None:
    """It is asked for anew, and written anew."""
    cache = kept(tmp_path)
    cache.put(ASKED, GRID, now=1e9)
    (file,) = tmp_path.iterdir()
    file.write_bytes(data)
    assert cache.get(ASKED) is None
    cache.put(ASKED, GRID, now=1e9)
    assert cache.get(ASKED) == GRID


def test_a_cache_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """The message names the directory and the option."""
    place = tmp_path / "file"
    place.write_text("")
    cache = Cache(place, connection("http://x"), environ={})
    with pytest.raises(GuardError, match="cannot be written") as caught:
        cache.put(ASKED, GRID, now=1e9)
    assert "--cache" in caught.value.help
