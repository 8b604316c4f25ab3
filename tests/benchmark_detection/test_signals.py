"""Several signals and latency histograms are drawn as they are said to be."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.detection import signals
from benchmarks.detection.regressions import NOISES
from benchmarks.detection.setting import Setting
from benchmarks.detection.signals import BUCKETS, LATENCIES, MEDIAN, SIGMA
from scipy import stats

SETTING = Setting(100, 0.01, 60, 20)


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mean correlation of the rows."""
    rows = zip(first, second, strict=True)
    return float(np.mean([np.corrcoef(one, other)[0, 1] for one, other in rows]))


def test_signals_share_their_noise_or_do_not() -> None:
    """The same noise goes up and down in all signals, independent noise does not."""
    noise = NOISES["AR 20 min"]
    alike, apart = signals.alike(noise, SETTING), signals.independent(noise, SETTING)
    assert len(alike) == len(apart) == 5
    assert correlation(alike[0].base_errors, alike[4].base_errors) > 0.7
    assert abs(correlation(apart[0].base_errors, apart[4].base_errors)) < 0.3
    assert not np.array_equal(alike[0].errors, alike[1].errors)


def test_slow_requests_are_those_of_the_lognormal_distribution() -> None:
    """At the bounds nearest to 30 %, 5 % and 1 % the shares are the distribution's."""
    steady = LATENCIES[0].traces(SETTING)
    shares = [traces.base_errors.sum() / traces.base_requests.sum() for traces in steady]
    bounds = [0.1, 0.5, 1.0]
    expected = [stats.lognorm.sf(bound, SIGMA, scale=MEDIAN) for bound in bounds]
    assert set(bounds) < set(BUCKETS)
    assert shares == pytest.approx(expected, rel=0.03)


def test_slow_requests_at_a_bound_are_slow_at_smaller_ones() -> None:
    """The counts of one histogram are nested."""
    near, middle, far = LATENCIES[1].traces(SETTING)
    assert np.array_equal(near.requests, far.requests)
    assert (near.errors <= near.requests).all()
    assert (middle.errors <= near.errors).all() and (far.errors <= middle.errors).all()


def test_a_slower_deploy_has_more_slow_requests() -> None:
    """Half as much again on the median shows at each bound after the deploy."""
    for traces in LATENCIES[2].traces(SETTING):
        before = traces.base_errors.sum() / traces.base_requests.sum()
        assert traces.errors.sum() / traces.requests.sum() > 1.3 * before
