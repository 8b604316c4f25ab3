"""How the counters of several pods become one value."""

from __future__ import annotations

import math

import pytest

from deploy_guard.model import Counts, Latencies, NoDataReason
from deploy_guard.signals import measures
from deploy_guard.signals.counters import Growth
from deploy_guard.signals.measures import Row, Unreadable

INF = repr(math.inf)


def grown(**parts: float) -> dict[str, Growth]:
    return {part: Growth(grown=value) for part, value in parts.items()}


def test_no_pods_have_no_value() -> None:
    """Nobody to count is not the same as nothing counted."""
    assert measures.combine([], latency=False) is None
    assert measures.combine([{}], latency=False) == Counts(0, 0)


def test_pods_add_up() -> None:
    """Requests and errors of a group are sums; a pod without an error counter has none."""
    pods = [grown(requests=10, errors=1), grown(requests=5)]
    assert measures.combine(pods, latency=False) == Counts(15, 1)


def test_an_error_counter_with_a_past_is_not_taken_for_new() -> None:
    """More new errors than requests means that the counter was only out of sight."""
    pod = {"requests": Growth(grown=10), "errors": Growth(born=500)}
    assert measures.combine([pod], latency=False) == Counts(10, 0)


def test_errors_of_a_pod_without_requests_do_not_count() -> None:
    """Errors need requests to be a share of."""
    assert measures.combine([grown(errors=3)], latency=False) == Counts(0, 0)


def test_histograms_with_other_bounds_are_added_over_the_common_ones() -> None:
    """Cumulative counts at a bound that both have can be added; others cannot."""
    one, other = {"0.1": 1, "0.5": 4, INF: 5}, {"0.2": 2, "0.5": 3, INF: 3}
    pods = [{k: Growth(grown=v) for k, v in pod.items()} for pod in (one, other)]
    assert measures.combine(pods, latency=True) == Latencies((0.5, math.inf), (7, 8))


def test_cumulative_counts_never_fall() -> None:
    """Buckets that were read in the middle of an update are put right."""
    pod = {"0.1": Growth(grown=3), "0.5": Growth(grown=2), INF: Growth(grown=4)}
    assert measures.combine([pod], latency=True) == Latencies((0.1, 0.5, math.inf), (3, 3, 4))


def test_a_histogram_without_its_open_bucket_says_nothing() -> None:
    """Without +Inf nobody knows how many observations there were."""
    assert measures.combine([{"0.1": Growth(grown=3)}], latency=True) is None


def test_bounds_are_numbers_however_they_are_written() -> None:
    """`1` and `1.0` are the same bucket."""
    rows = {measures.BUCKETS: [Row("p", {"le": le}, 1.0) for le in ("1", "1.0")]}
    assert list(measures.totals(rows).values()) == [2.0]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_counter_is_a_number(value: float) -> None:
    """NaN or Inf in a counter is no data, not zero."""
    with pytest.raises(Unreadable) as raised:
        measures.totals({measures.REQUESTS: [Row("p", {}, value)]})
    assert raised.value.reason is NoDataReason.NOT_A_NUMBER
