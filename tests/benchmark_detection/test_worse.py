"""Deploys that are worse, faults that are shared, and counts that are damaged are what they say."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from benchmarks.detection.edges import EDGES, IDLE, Edge
from benchmarks.detection.families import healthy
from benchmarks.detection.faults import AFTERWARDS, SHARED
from benchmarks.detection.regressions import CASES, HARDER, IID, WHOLE, Case
from benchmarks.detection.setting import Control, Setting
from benchmarks.detection.traces import Traces


def edge(name: str) -> Edge:
    """Return the edge whose name has this in it."""
    return next(edge for edge in EDGES if name in edge.name)


def damaged(name: str, *, poll: int = 15, count: int = 10) -> Traces:
    """Return healthy traces at 100 requests per second with this edge."""
    found = edge(name)
    setting = found.setting(Setting(100, 0.01, poll, count))
    return found.traces(setting, partial(healthy, IID))


def test_a_regression_begins_with_the_deploy() -> None:
    """The ratio is the healthy one before and the worse one after; old pods stay healthy."""
    case = Case(0.01, 0.05, 1000)
    traces = case.traces(case.setting(poll=15, count=20, seed=1), control=Control(WHOLE))
    assert traces.old_requests is not None and traces.old_errors is not None
    assert traces.base_errors.sum() / traces.base_requests.sum() == pytest.approx(0.01, rel=0.03)
    assert traces.errors.sum() / traces.requests.sum() == pytest.approx(0.05, rel=0.03)
    assert traces.old_errors.sum() / traces.old_requests.sum() == pytest.approx(0.01, rel=0.03)
    assert traces.old_requests.sum() == pytest.approx(traces.requests.sum(), rel=0.03)


@pytest.mark.parametrize("case", [*CASES, *HARDER], ids=lambda case: case.name)
def test_noise_leaves_the_mean_of_a_regression(case: Case) -> None:
    """From its beginning on the ratio is the worse one by the noise's mean, before it is not."""
    traces = case.traces(case.setting(poll=15, count=60, seed=2))
    after = traces.starts >= case.since
    n, x = (traces.requests * after).sum(1), (traces.errors * after).sum(1)
    error = (x - case.worse * case.noise.mean * n).std() / np.sqrt(len(x))
    excess = (x - case.worse * case.noise.mean * n).mean()
    assert abs(excess) <= 4 * max(error, 1.0)
    if case.since:
        before = traces.ends <= case.since
        early = (traces.errors * before).sum() / (traces.requests * before).sum()
        assert early < 2 * case.ratio


def test_old_pods_share_the_weather_and_not_the_regression() -> None:
    """Where noise is strong, errors of old and new pods go up and down together."""
    case = HARDER[0]
    traces = case.traces(case.setting(poll=60, count=20, seed=1), control=Control(WHOLE))
    assert traces.old_errors is not None and traces.old_requests is not None
    assert traces.errors.sum() > 3 * traces.old_errors.sum()
    together = [
        np.corrcoef(new[1:], old[1:])[0, 1]
        for new, old in zip(
            traces.errors / traces.requests, traces.old_errors / traces.old_requests, strict=True
        )
    ]
    assert np.mean(together) > 0.7


def test_old_pods_share_the_fault_and_die() -> None:
    """Old and new pods fail alike while the old ones live; then there is no control."""
    outage = next(shared for shared in SHARED if shared.name == "outage 50 %")
    traces = outage.traces(Setting(100, 0.001, poll=2, count=5), Control(60))
    for row in range(5):
        _, watch, control = traces.of_one(row)
        assert control is not None
        alive = [seconds for (seconds, _, _), old in zip(watch, control, strict=True) if old]
        assert 60 <= sum(alive) < 62
        last = control[len(alive) - 2]
        assert last is not None and last[2] >= 0.2 * last[1]
        assert watch[-1][2] / watch[-1][1] == pytest.approx(0.5, abs=0.2)


def test_a_later_fault_begins_when_the_old_pods_have_gone() -> None:
    """Three minutes after their end there is the fault, and none before."""
    outage = AFTERWARDS[0]
    traces = outage.traces(Setting(100, 0.001, poll=15, count=5), Control(60))
    before, after = traces.ends <= 240, traces.starts >= 240
    assert (traces.errors * before).sum() < 0.01 * (traces.requests * before).sum()
    assert (traces.errors * after).sum() > 0.45 * (traces.requests * after).sum()


def test_gaps_lose_nothing() -> None:
    """A fifth of the polls is missed; seconds and counts are in the next increment."""
    whole, holed = damaged("nothing unusual"), damaged("polls missed")
    for row in range(10):
        for some, all_ in zip(holed.of_one(row)[:2], whole.of_one(row)[:2], strict=True):
            assert 0.6 * len(all_) < len(some) < 0.95 * len(all_)
            assert np.sum(some, axis=0) == pytest.approx(np.sum(all_, axis=0))


def test_lost_increments_are_lost() -> None:
    """After a reset some increments have no counts, and the others all of theirs."""
    whole, reset = damaged("nothing unusual"), damaged("counters reset")
    lost = (reset.requests == 0) & (whole.requests > 0)
    assert 0.005 < lost.mean() < 0.05
    assert np.array_equal(reset.requests[~lost], whole.requests[~lost])


def test_uneven_polls_are_between_half_and_one_and_a_half() -> None:
    """Intervals differ, end with the watch, and have the counts of their seconds."""
    traces = damaged("uneven", count=20)
    for row in range(20):
        _, watch, _ = traces.of_one(row)
        seconds = np.array([increment[0] for increment in watch])
        assert set(seconds[:-1]) <= set(range(7, 23)) and len(set(seconds)) > 5
        assert seconds.sum() == 1800
        requests = np.array([increment[1] for increment in watch])
        assert requests == pytest.approx(100 * seconds, abs=6 * np.sqrt(2200))


def test_an_idle_watch_begins_without_requests() -> None:
    """Half of the watch has no request, the other half all of them."""
    traces = damaged("no traffic")
    assert traces.requests[traces.ends <= IDLE].sum() == 0
    assert traces.requests[traces.starts >= IDLE].min() > 0


def test_without_a_baseline_there_is_none() -> None:
    """No increment comes before the deploy, and the watch is a usual one."""
    baseline, watch, _ = damaged("no baseline").of_one(0)
    assert baseline == []
    assert len(watch) == 120
