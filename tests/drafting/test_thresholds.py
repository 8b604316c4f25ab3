"""From numbers to limits: pure, case by case."""

from __future__ import annotations

import math

import pytest

from deploy_guard.drafting import measure, thresholds
from deploy_guard.drafting.measure import Bound, Share, Traffic


@pytest.mark.parametrize(
    ("overall", "worst", "limit"),
    [
        (0.0, 0.0, 0.01),
        (0.001, 0.002, 0.01),
        (0.004, 0.009, 0.03),
        (0.02, 0.03, 0.1),
        (0.03, 0.0, 0.1),
        (0.1, 0.16, 0.5),
        (0.1, 0.2, None),
    ],
)
def test_an_error_limit_is_three_times_the_worst_of_ordinary(
    overall: float, worst: float, limit: float | None
) -> None:
    """Rounded up, never below 1 %, and none where it would be beyond half of all requests."""
    found = thresholds.error_limit(Share(overall, worst))
    assert found.limit == limit


def test_bad_times_are_told_where_they_differ() -> None:
    """Two numbers that read alike are told once, and nothing is not multiplied."""
    assert thresholds.error_limit(Share(0.0, 0.0)).why == "none failed; 1 % is the least"
    assert "2 % in bad times" in thresholds.error_limit(Share(0.001, 0.02)).why
    assert "bad times" not in thresholds.error_limit(Share(0.002, 0.002001)).why


def test_a_limit_is_loose_where_little_is_known() -> None:
    """Where nothing was measured, and for callers that know no bad times."""
    assert thresholds.error_limit(None).limit == 0.05
    assert thresholds.error_limit(Share(0.0, 0.0), least=0.05).limit == 0.05


def bounds(*pairs: tuple[float, float]) -> list[Bound]:
    """Return bounds in seconds with the share that is slower, always the same."""
    return [Bound(f"{at:g}", at, Share(slow, slow)) for at, slow in pairs]


@pytest.mark.parametrize(
    ("pairs", "share", "below"),
    [
        ([(0.1, 0.2), (0.25, 0.003), (0.5, 0.0)], 0.99, 0.5),
        ([(0.1, 0.0), (0.15, 0.0), (1.0, 0.0)], 0.99, 0.15),
        ([(0.1, 0.5), (0.25, 0.01), (0.5, 0.008)], 0.95, 0.5),
        ([(0.1, 0.5), (0.25, 0.03), (0.5, 0.03)], 0.9, 0.5),
    ],
)
def test_a_latency_limit_is_a_bound_with_room(
    pairs: list[tuple[float, float]], share: float, below: float
) -> None:
    """Few are slower than the bound, and it is half as much again as the present quantile."""
    found = thresholds.slow_limit(bounds(*pairs))
    assert found.bound is not None
    assert (found.share, found.bound.seconds) == (share, below)


def test_no_limit_where_too_many_are_slower_than_every_bound() -> None:
    """A limit that is passed already would condemn every deploy."""
    found = thresholds.slow_limit(bounds((0.1, 0.5), (1.0, 0.2)))
    assert found.bound is None
    assert "only the comparison" in found.why


@pytest.mark.parametrize(
    ("limit", "needed"), [(0.01, 300), (0.05, 60), (0.5, 30), (0.001, 300), (None, 50)]
)
def test_so_many_requests_show_that_a_limit_is_kept(limit: float | None, needed: int) -> None:
    """The rule of three, within bounds."""
    assert thresholds.enough_requests(limit) == needed


@pytest.mark.parametrize(
    ("quiet", "length"), [(100.0, "10m"), (0.5, "15m"), (0.01, "30m"), (0.0, "10m")]
)
def test_a_watch_is_long_enough_for_quiet_hours(quiet: float, length: str) -> None:
    """Between ten minutes and half an hour, by how fast 300 requests come."""
    assert thresholds.watch_time([(300, Traffic(100.0, quiet))]).value == length


def test_a_watch_that_cannot_be_long_enough_says_so_and_asks_for_less() -> None:
    """A request a minute never gives 300 of them in half an hour."""
    traffic = Traffic(1.0, 1 / 60)
    assert "not enough in half an hour" in thresholds.watch_time([(300, traffic)]).why
    assert thresholds.reachable(300, traffic, seconds=1800) == 20
    assert thresholds.reachable(300, Traffic(), seconds=1800) == 300


@pytest.mark.parametrize(
    ("scraped", "chosen"), [(None, "15s"), (1.0, "5s"), (15.0, "15s"), (300.0, "1m")]
)
def test_the_interval_is_that_of_the_samples(scraped: float | None, chosen: str) -> None:
    """Within bounds; the default where nothing is known."""
    assert thresholds.interval(scraped).value == chosen


@pytest.mark.parametrize(
    ("starts", "chosen"), [([], "30s"), ([3, 4, 5], "30s"), ([40, 50, 70], "1m"), ([500], "2m")]
)
def test_slow_starters_warm_up_for_longer(starts: list[float], chosen: str) -> None:
    """By the median of how long pods took to be ready."""
    assert thresholds.warm_up(starts).value == chosen


def test_a_pod_that_starts_slowly_may_be_unready_for_longer() -> None:
    """Only where the default would be too short, and never beyond the watch."""
    assert thresholds.unready([100.0], watch=600) is None
    found = thresholds.unready([200.0], watch=600)
    assert found is not None
    assert found.value == "7m"
    longest = thresholds.unready([2000.0], watch=600)
    assert longest is not None
    assert longest.value == "10m"


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (1234.0, "1,234 requests a second"),
        (4.115, "4.1 requests a second"),
        (1.0, "1 request a second"),
        (0.2, "12 requests a minute"),
        (0.001, "3.6 requests an hour"),
    ],
)
def test_rates_are_told_as_people_say_them(rate: float, words: str) -> None:
    """Two digits, in the unit that gives at least one."""
    assert thresholds.rate_words(rate) == words


def test_a_share_of_few_requests_is_taken_together() -> None:
    """One failure of three requests is not 33 %: moments are put together up to 100 requests."""
    whole = {float(n): 0.1 for n in range(100)}
    found = measure.share({5.0: 0.1}, whole, seconds=100)
    assert found is not None
    assert found.overall == pytest.approx(0.01)
    assert found.worst == pytest.approx(0.1)
    assert measure.share({}, {}, seconds=100) is None
    assert measure.share({1.0: math.nan}, {1.0: 1.0}, seconds=100) is None


def test_one_bad_moment_of_many_is_not_ordinary() -> None:
    """An incident within the history does not set the limit."""
    whole = {float(n): 10.0 for n in range(100)}
    bad = {50.0: 9.0}
    found = measure.share(bad, whole, seconds=300)
    assert found is not None
    assert found.worst == 0.0


def test_buckets_whose_bound_is_no_number_are_left_out() -> None:
    """Neither texts nor NaN are bounds; without infinity nothing is known."""
    rates = {1.0: 5.0}
    found = measure.bounds(
        {"abc": rates, "NaN": rates, "-1": rates, "100": rates, "+Inf": {1.0: 10.0}},
        per_second=1000,
        seconds=300,
    )
    assert [(bound.label, bound.seconds) for bound in found] == [("100", 0.1)]
    assert found[0].slower.overall == pytest.approx(0.5)
    assert measure.bounds({"100": rates}, per_second=1, seconds=300) == []
