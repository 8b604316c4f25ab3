"""An API that answers from what history said."""

from __future__ import annotations

import pytest

from deploy_guard.backtest.answering import Answer, HistoryApi
from deploy_guard.backtest.tracks import Grid, Track
from deploy_guard.model import NoDataReason
from deploy_guard.signals.http_failures import CallFailed
from deploy_guard.signals.prometheus_api import BadQuery
from deploy_guard.signals.prometheus_ingestion import question

DEPLOYED = 1500.0


def grid(step: float, first: float, last: float, *, every: float = 15.0) -> Grid:
    """Return a grid with one counter that grows by one every so many seconds."""
    ticks = range(round(first / step), round(last / step) + 1)
    values = [float(tick * step // every) for tick in ticks]
    return Grid(step, ticks[0], ticks[-1], (Track({"pod": "a"}, ticks[0], values),))


def api(answer: Answer) -> HistoryApi:
    return HistoryApi({"up": answer}, deployed_at=DEPLOYED)


def points(found: HistoryApi, *, start: float, end: float, step: float) -> list[float]:
    """Return the times of the points of a range query."""
    (series,) = found.range("up", start=start, end=end, step=step, seconds=1.0).series
    return [moment for moment, _ in series.points]


def test_an_instant_query_has_the_value_of_its_moment() -> None:
    """Between two ticks that of the one before, as a scrape would have had it."""
    found = api((grid(15.0, 0, 3000),))
    for at, value in ((1500.0, 100.0), (1514.9, 100.0), (1515.0, 101.0)):
        (series,) = found.instant("up", at=at, seconds=1.0).series
        assert series.points[0][1] == value
    assert found.instant("up", at=3015.0, seconds=1.0).series == ()


def test_a_range_query_ends_with_the_end_and_is_never_finer_than_asked() -> None:
    """On a grid of 20 s a step of 30 s becomes one of 40 s."""
    found = api((grid(20.0, 0, 3000),))
    assert points(found, start=1340.0, end=1500.0, step=30.0) == [1340, 1380, 1420, 1460, 1500]


@pytest.mark.parametrize("coarse", [50.0, 105.0], ids=["the end is on it", "the end is not"])
def test_a_coarse_grid_is_joined_with_the_end_once(coarse: float) -> None:
    """The fine grid has the deploy's moment; where the coarse one has it too, it counts once."""
    found = api((grid(15.0, DEPLOYED, 2100), grid(coarse, 0, DEPLOYED)))
    moments = points(found, start=1000.0, end=DEPLOYED, step=45.0)
    assert moments[-1] == DEPLOYED
    assert moments == sorted(set(moments))
    assert len(moments) == {50.0: 11, 105.0: 6}[coarse]


def test_what_is_not_held_is_refused() -> None:
    """Nothing is made up for another query, and a failure stays the failure that it was."""
    lost = CallFailed(NoDataReason.PROVIDER_ERROR, "answers 500")
    found = api(lost)
    with pytest.raises(BadQuery):
        found.instant("down", at=DEPLOYED, seconds=1.0)
    with pytest.raises(CallFailed, match="500"):
        found.range("up", start=0.0, end=DEPLOYED, step=15.0, seconds=1.0)


def test_numbers_that_change_are_new() -> None:
    """The time of a pod's newest sample is that of its last change."""
    asked = question("up")
    assert asked is not None
    found = api((grid(15.0, 0, 3000, every=60.0),))
    (series,) = found.instant(asked, at=1570.0, seconds=1.0).series
    assert (series.labels["pod"], series.points[0][1]) == ("a", 1560.0)


def test_numbers_that_seldom_change_tell_nothing() -> None:
    """A service without requests is no Prometheus that takes in no more."""
    asked = question("up")
    assert asked is not None
    found = api((grid(15.0, 0, 3000, every=600.0),))
    with pytest.raises(BadQuery):
        found.instant(asked, at=1570.0, seconds=1.0)
