"""The arithmetic of the values that the parts hand to each other."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_guard.model import Counts, Latencies, Pod, Target, Workload

INF = math.inf
BOUNDS = (0.1, 0.2, 0.5, 1.0, INF)


def test_counts_add_up() -> None:
    """Requests and errors of two intervals add up."""
    assert Counts(10, 1) + Counts(5, 2) == Counts(15, 3)


def test_no_requests_no_ratio() -> None:
    """Without requests there is no ratio, rather than a good one."""
    assert math.isnan(Counts(0, 0).ratio)
    assert Counts(8, 2).ratio == 0.25


def test_histograms_with_other_bounds_do_not_add_up() -> None:
    """Histograms of different bounds are never mixed."""
    with pytest.raises(ValueError, match="bounds differ"):
        Latencies((0.1, INF), (1, 2)) + Latencies((0.2, INF), (1, 2))


def test_histograms_add_up() -> None:
    """Histograms of the same bounds add up bucket by bucket."""
    total = Latencies((0.1, INF), (1, 2)) + Latencies((0.1, INF), (3, 5))
    assert total == Latencies((0.1, INF), (4, 7))
    assert total.count == 7


@pytest.mark.parametrize(
    ("seconds", "slow"),
    [(0.2, 4), (0.3, 4), (0.5, 2), (0.05, 10), (INF, 0)],
    ids=["a bound", "between bounds", "another bound", "below all bounds", "no time is too long"],
)
def test_slower_than(seconds: float, slow: float) -> None:
    """Requests above the largest bound that is not above the asked time are slow."""
    histogram = Latencies(BOUNDS, (2, 6, 8, 9, 10))
    assert histogram.slower_than(seconds) == Counts(10, slow)


@pytest.mark.parametrize(
    ("at_most", "q", "expected"),
    [
        ((0, 10, 10, 10, 10), 0.5, 0.15),
        ((10, 10, 10, 10, 10), 0.5, 0.05),
        ((2, 6, 8, 9, 10), 0.5, 0.175),
        ((2, 6, 8, 9, 10), 0.75, 0.425),
        ((2, 6, 8, 9, 10), 0.8, 0.5),
        ((2, 6, 8, 9, 10), 0.99, 1.0),
        ((0, 0, 0, 0, 10), 0.5, 1.0),
    ],
    ids=[
        "inside one bucket",
        "first bucket begins at zero",
        "linear in the second",
        "linear in the third",
        "on a bound",
        "open bucket: last finite bound",
        "all in the open bucket",
    ],
)
def test_quantile_as_prometheus(at_most: tuple[float, ...], q: float, expected: float) -> None:
    """A quantile is what histogram_quantile gives for the same buckets."""
    assert Latencies(BOUNDS, at_most).quantile(q) == pytest.approx(expected)


@pytest.mark.parametrize(
    "histogram",
    [Latencies(BOUNDS, (0, 0, 0, 0, 0)), Latencies((), ()), Latencies((INF,), (5,))],
    ids=["no observations", "no buckets", "only the open bucket"],
)
def test_unknown_quantile(histogram: Latencies) -> None:
    """A histogram that cannot tell a quantile gives none, never zero."""
    assert math.isnan(histogram.quantile(0.9))


@given(
    st.lists(st.integers(0, 1000), min_size=5, max_size=5),
    st.floats(0.01, 0.99),
    st.floats(0.01, 0.99),
)
def test_quantiles_rise(buckets: list[int], q1: float, q2: float) -> None:
    """A higher quantile is never quicker."""
    at_most = tuple(float(sum(buckets[: i + 1])) for i in range(5))
    histogram = Latencies(BOUNDS, at_most)
    low, high = histogram.quantile(min(q1, q2)), histogram.quantile(max(q1, q2))
    assert low <= high + 1e-12 or math.isnan(low)


def test_pods_are_told_apart_by_template() -> None:
    """Pods of the judged revision are the candidate's, all others are control."""
    new, old = Pod("a", "new", 0.0), Pod("b", "old", 0.0)
    workload = Workload(Target("deployment", "shop", "checkout"), "new", 0, 0, (new, old))
    assert workload.candidates() == (new,)
    assert workload.controls() == (old,)
    assert str(workload.target) == "deployment/checkout"
