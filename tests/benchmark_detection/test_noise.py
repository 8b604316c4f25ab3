"""The noise of the benchmark is what it says, and depends on the seed only."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.detection.families import HARD, REPORTING, TUNING, Family, healthy, wander
from benchmarks.detection.setting import Setting

FAMILIES = [*TUNING, *REPORTING, *HARD]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_family_has_the_mean_that_it_claims(family: Family) -> None:
    """All errors by all requests before the deploy are the claimed multiple of the ratio."""
    setting = Setting(500, 0.01, poll=60, count=80)
    traces = healthy(family, setting)
    n, x = traces.base_requests.sum(1), traces.base_errors.sum(1)
    excess = x - family.mean * setting.ratio * n
    error = excess.std() / np.sqrt(setting.count)
    assert abs(excess.mean()) <= 3.5 * error
    assert error < 0.15 * x.mean()  # so that the line above can fail


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_family_depends_on_the_seed_only(family: Family) -> None:
    """The same seed gives the same counts, another one others."""
    first, same, other = (
        healthy(family, Setting(50, 0.01, count=2, baseline=600, watch=300, seed=seed))
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first.errors, same.errors)
    assert np.array_equal(first.base_requests, same.base_requests)
    assert not np.array_equal(first.base_requests, other.base_requests)


def test_families_for_reporting_are_no_families_for_tuning() -> None:
    """Each name and each formula occurs once."""
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    assert len({family.formula for family in FAMILIES}) == len(FAMILIES)


def test_noise_forgets_after_its_memory() -> None:
    """Autocorrelated noise has its deviation, and the correlation 1/e after tau seconds."""
    setting = Setting(1, 0.01, count=200, baseline=600, watch=300)
    z = wander(setting.random("z"), setting, sd=0.5, tau=60)
    assert z.std() == pytest.approx(0.5, rel=0.05)
    assert (z[:, :-60] * z[:, 60:]).mean() / z.var() == pytest.approx(np.exp(-1), abs=0.07)


def test_errors_in_groups_are_overdispersed() -> None:
    """Geometric groups of 3 on average have 2·3 − 1 times the variance of single errors."""
    clusters = next(family for family in TUNING if family.name == "clusters")
    x = healthy(clusters, Setting(100, 0.001, count=100)).base_errors
    assert x.var() / x.mean() == pytest.approx(5, rel=0.1)


def test_nobody_deploys_just_when_a_poll_is_due() -> None:
    """The first interval has any length up to the poll's, the others have all of it."""
    traces = healthy(TUNING[0], Setting(10, 0.01, poll=15, count=200))
    assert set(traces.ends[:, 0]) == set(range(1, 16))
    assert (traces.ends[:, -1] <= 1800).all()
    baseline, watch, control = traces.of_one(0)
    assert [seconds for seconds, _, _ in watch] == [traces.ends[0, 0], *[15.0] * 119]
    assert sum(seconds for seconds, _, _ in baseline) == 3600
    assert control is None
