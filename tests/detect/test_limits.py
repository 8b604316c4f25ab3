"""Absolute limits, judged with the same care for few requests."""

from __future__ import annotations

import pytest

from detect.building import (
    BEFORE,
    Increments,
    learned,
    steady,
    stepped,
)


@pytest.mark.parametrize(
    ("watch", "bad"),
    [
        (steady(600, 100, 0.06), True),
        (steady(600, 100, 0.04), False),
        (steady(600, 100, 0.05), False),
        ([(15.0, 3.0, 1.0)] * 2, False),
        ([(15.0, 1.0, 1.0)] * 3, False),
        ([(15.0, 10.0, 10.0)] * 1, False),
        ([(15.0, 10.0, 10.0)] * 2, True),
        (steady(15, 100, 0.09, every=5), False),
    ],
    ids=[
        "above",
        "below",
        "at the limit",
        "two of six requests",
        "three of three requests",
        "ten of ten requests in one poll",
        "twenty of twenty requests in two polls",
        "above, in the warm-up",
    ],
)
def test_limit(watch: Increments, bad: bool) -> None:
    """A limit is exceeded when plain chance cannot explain it, also without a baseline."""
    state = learned([], limit=0.05)
    assert stepped(state, watch).judgement.bad is bad


@pytest.mark.parametrize(
    ("before", "now", "shared", "bad"),
    [(0.08, 0.08, True, False), (0.08, 0.10, True, False), (0.08, 0.5, False, True)],
    ids=["as before", "a little worse", "much worse"],
)
def test_limit_exceeded_before(before: float, now: float, shared: bool, bad: bool) -> None:
    """A limit that was exceeded before the deploy accuses only what became clearly worse."""
    state = learned(steady(3600, 100, before), limit=0.05)
    judgement = stepped(state, steady(600, 100, now)).judgement
    assert (judgement.shared, judgement.bad) == (shared, bad)


@pytest.mark.parametrize("compare", [True, False])
@pytest.mark.parametrize(
    ("before", "now", "bad"), [(0.8, 0.8, False), (0.3, 0.95, True), (0.001, 0.8, True)]
)
def test_an_outage_of_before(compare: bool, before: float, now: float, bad: bool) -> None:
    """An outage that was there before the deploy is not the deploy's, whatever it is judged by."""
    state = learned(steady(3600, 100, before), limit=0.05, compare=compare)
    judgement = stepped(state, steady(600, 100, now)).judgement
    assert (judgement.shared, judgement.bad) == (not bad, bad)


def test_one_error_in_a_short_baseline_excuses_nothing() -> None:
    """A single failed request before the deploy is no proof that the limit was exceeded then."""
    state = learned([(15.0, 10.0, 1.0)], limit=0.05)
    assert stepped(state, steady(300, 100, 0.5)).judgement.bad


def test_regression_after_an_exceeded_limit() -> None:
    """A limit exceeded before the deploy does not hide an outage later in the watch."""
    state = learned(steady(3600, 100, 0.08), limit=0.05)
    state = stepped(state, steady(300, 100, 0.08))
    assert state.judgement.shared
    assert stepped(state, steady(60, 100, 0.9)).judgement.bad


def test_comparison_switched_off() -> None:
    """Without comparison neither the time before nor the old pods accuse."""
    state = learned(BEFORE, limit=0.5, compare=False)
    assert not stepped(state, steady(600, 100, 0.2), steady(600, 100, 0.001)).judgement.bad


def test_expected_errors_are_those_of_the_reference() -> None:
    """The expected number of errors is requests times the ratio that is told."""
    for state in (learned(BEFORE), learned(BEFORE, limit=0.01)):
        judgement = stepped(state, steady(300, 100, 0.05)).judgement
        told = judgement.counts.requests * judgement.expected_ratio
        assert judgement.expected == pytest.approx(told)
