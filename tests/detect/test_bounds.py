"""Bounded memory and work, any counts, what is estimated from the baseline."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_guard import detect
from deploy_guard.model import Counts
from detect.building import (
    BAD,
    BEFORE,
    WELL,
    Increments,
    learned,
    poisson,
    steady,
    stepped,
)


def size_of(value: object) -> int:
    """Return how many values hang on this one."""
    if isinstance(value, tuple):
        return 1 + sum(size_of(inner) for inner in value)
    slots = getattr(type(value), "__slots__", ())
    return 1 + sum(size_of(getattr(value, name)) for name in slots)


@pytest.mark.parametrize("every", [0.05, 1.0, 15.0])
def test_bounded_state(every: float) -> None:
    """The state is as small after many thousand polls as after a hundred, however quick."""
    state = learned(BEFORE)
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    def polls(number: int) -> None:
        nonlocal state
        state = stepped(state, [(every, 100 * every, 0.1 * every)] * number)

    polls(20_000)
    early = size_of(state)
    sys.setprofile(count)
    polls(10)
    sys.setprofile(None)
    work = calls
    polls(13_000)
    calls = 0
    sys.setprofile(count)
    polls(10)
    sys.setprofile(None)
    assert size_of(state) <= early + 20
    assert calls <= work * 1.5
    assert state.scene is not None
    assert len(state.scene.windows.marks) <= detect.TRAILING[-1] / detect.BIN + 2


def test_bounded_baseline() -> None:
    """A baseline of ten weeks takes no more room than one of an hour."""
    hour, weeks = (
        learned(steady(3600, 100, 0.01)),
        learned(steady(100_000 * 60, 100, 0.01, every=60)),
    )
    assert size_of(weeks) <= size_of(hour)
    assert weeks.baseline.scales[0].number == 100_000


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_overdispersion(noise: float) -> None:
    """The expected variance is that of the ratio between groups, enlarged, beyond Poisson's."""
    rng = random.Random(3)
    state = detect.State()
    for _ in range(500):
        ratio = 0.01 * (1 + noise * rng.choice([-1, 1]))
        errors = poisson(rng, 6000 * ratio)
        state = detect.learn(state, 60.0, Counts(6000.0, float(errors)))
    expected = 3 * noise**2 + detect.MODEL_VARIANCE
    found = state.baseline.expectation().variance(60.0, 3.0)
    assert found == pytest.approx(expected, rel=0.2, abs=0.01)


def test_variance_shrinks_with_the_length_of_the_window() -> None:
    """What changes every 15 seconds averages out over minutes; what stays for minutes does not."""
    rng = random.Random(5)

    def variances(every: int) -> list[float]:
        state = detect.State()
        for i in range(960):
            if i % every == 0:
                ratio = 0.01 * rng.choice([0.5, 1.5])
            state = detect.learn(state, 15.0, Counts(15000.0, float(poisson(rng, 15000 * ratio))))
        expectation = state.baseline.expectation()
        return [expectation.variance(seconds, 1.0) for seconds in (15.0, 60.0, 300.0)]

    quick, slow = variances(1), variances(20)
    assert quick[0] == pytest.approx(0.25 + detect.MODEL_VARIANCE, rel=0.2)
    assert quick[1] == pytest.approx(0.25 / 4 + detect.MODEL_VARIANCE, rel=0.3)
    assert quick[2] < 0.06
    assert all(v == pytest.approx(0.25 + detect.MODEL_VARIANCE, rel=0.3) for v in slow)


def test_clusters() -> None:
    """Errors that come in groups of about four are known to do so from the baseline."""
    rng = random.Random(9)
    state = detect.State()
    for _ in range(2000):
        groups = poisson(rng, 5)
        errors = sum(1 + poisson(rng, 3) for _ in range(groups))
        state = detect.learn(state, 15.0, Counts(15000.0, float(errors)))
    assert state.baseline.expectation().clustering == pytest.approx(4.75, rel=0.15)
    assert learned(BEFORE).baseline.expectation().clustering == 1.0


INCREMENT = st.tuples(st.floats(0.1, 100), st.integers(0, 5000).map(float), st.floats(0, 1)).map(
    lambda t: (t[0], t[1], t[1] * t[2])
)


@given(st.lists(INCREMENT, max_size=10), st.lists(INCREMENT, max_size=25), st.booleans())
def test_any_counts(before: Increments, watch: Increments, beside: bool) -> None:
    """Whatever the counts, there is a judgement, and it is not bad and shared at once."""
    state = learned(before, limit=0.3 if beside else None)
    for increment in watch:
        state = stepped(state, [increment], [increment] if beside else [])
        judgement = state.judgement
        assert 0 <= judgement.p_value <= 1
        assert not (judgement.bad and judgement.shared)
        assert not beside or not judgement.bad or judgement.reference


@given(st.lists(INCREMENT, max_size=10), st.lists(INCREMENT, max_size=25))
def test_found_by_any_prefix(before: Increments, watch: Increments) -> None:
    """What is declared after some polls does not depend on the polls that follow."""
    state = learned(before)
    found = [stepped(state, watch[:i]).judgement.bad for i in range(len(watch) + 1)]
    times = [sum(s for s, _, _ in watch[: i + 1]) for i in range(len(watch))]
    expected = next((t for t, bad in zip(times, found[1:], strict=True) if bad), None)
    result = detect.replay(before, watch)
    assert result == (None if expected is None else pytest.approx(expected))


def test_restart_forgets_counts_and_keeps_what_was_known() -> None:
    """After a restart the baseline is known, nothing is judged, and there is no warm-up."""
    bad = stepped(learned(BEFORE), [BAD] * 4)
    state = detect.restart(bad)
    assert state.baseline == bad.baseline
    assert state.judgement == detect.Judgement()
    assert state.condemned == pytest.approx(0.5)
    assert not detect.recovered(state)
    assert detect.recovered(stepped(state, [WELL]))
    assert not detect.recovered(stepped(state, [(15.0, 4.0, 0.0)]))


def ordered(values: Sequence[float], test: Callable[[float, float], bool]) -> bool:
    """Whether each value and its successor pass the test."""
    return all(test(a, b) for a, b in pairwise(values))


def test_stricter_level_is_later() -> None:
    """A smaller accepted chance of a false alarm never finds a regression sooner."""
    watch = steady(1200, 20, 0.005)
    times = []
    for level in (0.1, 0.01, 0.001, 0.0001):
        state = learned(BEFORE, level=level)
        polls = 0
        while not state.judgement.bad:
            state = stepped(state, watch[:1])
            polls += 1
        times.append(polls)
    assert ordered(times, lambda a, b: a <= b)
    assert times[0] < times[-1]


def test_little_baseline_has_an_unknown_variance() -> None:
    """The shorter the baseline, the less it says of the level of the time after it."""
    least = [
        learned(steady(seconds, 100, 0.001)).baseline.expectation().least
        for seconds in (30, 60, 360, 900, 3600, 86_400)
    ]
    assert least[:3] == [detect.UNKNOWN_VARIANCE] * 3
    assert least[3] == pytest.approx(4 * detect.MODEL_VARIANCE)
    assert least[4:] == [detect.MODEL_VARIANCE] * 2
