"""Shares and their intervals, against scipy's."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from deploy_guard.backtest.statistics import median, needed, per_month, rate


@pytest.mark.parametrize(
    ("count", "of"),
    [(0, 1), (1, 1), (0, 100), (1, 100), (3, 7), (50, 100), (99, 100), (100, 100), (12, 10_000)],
)
def test_the_interval_is_that_of_clopper_and_pearson(count: int, of: int) -> None:
    """Both ends are those that scipy's exact binomial test gives."""
    found = rate(count, of)
    exact = stats.binomtest(count, of).proportion_ci(0.95, method="exact")
    assert found.low == pytest.approx(exact.low, abs=1e-9)
    assert found.high == pytest.approx(exact.high, abs=1e-9)
    assert found.share == pytest.approx(count / of)


def test_the_interval_covers_as_often_as_it_says() -> None:
    """Of all that 40 trials at 3 % can give, the interval leaves out less than 5 %."""
    inside = 0.0
    for count in range(41):
        found = rate(count, 40)
        if found.low <= 0.03 <= found.high:
            inside += stats.binom.pmf(count, 40, 0.03)
    assert inside >= 0.95


def test_without_a_trial_everything_is_possible() -> None:
    """No trials: the share is not a number, the interval is from 0 to 1, and there is no month."""
    found = rate(0, 0)
    assert math.isnan(found.share)
    assert (found.low, found.high) == (0, 1)
    assert per_month(found, 20) is None


def test_more_hits_than_trials_are_a_mistake() -> None:
    """A count above the number of trials is refused."""
    with pytest.raises(ValueError, match="0 to 3"):
        rate(4, 3)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.05, 0.5])
def test_so_many_trials_are_needed(share: float) -> None:
    """Without a hit the upper end reaches the share at that number, and not one earlier."""
    number = needed(share)
    assert rate(0, number).high <= share < rate(0, number - 1).high


def test_a_month_has_so_many_times_the_share() -> None:
    """Estimate and both ends are multiplied by the deploys of a month."""
    month = per_month(rate(5, 100), 20)
    assert month is not None
    assert month.estimate == pytest.approx(1)
    assert (month.low, month.high) == pytest.approx((0.3286, 2.2567), abs=1e-3)


@pytest.mark.parametrize(
    ("times", "middle"),
    [
        ([], None),
        ([3], 3),
        ([3, 1, 2], 2),
        ([1, 2, 3, 4], 3),
        ([1, None, None], None),
        ([1, 2, None], 2),
        ([1, None], None),
    ],
)
def test_the_median_counts_what_never_came(times: list[float | None], middle: float | None) -> None:
    """None is later than every time; where half never came there is no median."""
    assert median(times) == middle
