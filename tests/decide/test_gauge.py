"""A plain number that must not stay beyond its limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from deploy_guard.model import Evidence, Finding, Gauge, Verdict

from .building import Entry, gap, gauge, judge, policy, sample, seen, watched

Value = Callable[[float], float | None]


def series(
    candidate: Value, control: Value | None = None, *, before: float | None = None
) -> list[Entry]:
    """Return a watch in which the gauge has these values; None is a poll without data."""

    def readings(at: float) -> list[Entry]:
        value, old = candidate(at), control(at) if control is not None else None
        if value is None:
            return [gap(at, signal="queue")]
        beside = Gauge(old) if old is not None else None
        return [sample(at, Gauge(value), beside, signal="queue")]

    first = [] if before is None else [sample(-1, None, Gauge(before), signal="queue")]
    return watched(readings, before=first)  # type: ignore[arg-type]


def verdict(entries: list[Entry], **spec: Any) -> Verdict | None:
    """Return the verdict of a policy with this gauge."""
    return judge(policy(gauge(**spec)), entries).verdict


def evidence(entries: list[Entry], **spec: Any) -> Evidence:
    """Return the gauge's evidence at the end."""
    return seen(policy(gauge(**spec)), entries, "queue")


def test_beyond_its_limit_for_long_enough() -> None:
    """A number that stays beyond its limit for the asked time is a regression, and not before."""
    decision = judge(policy(gauge()), series(lambda at: 150))
    assert decision.verdict is Verdict.REGRESSED
    assert decision.at == series(lambda at: 150)[0].seen_at + 75  # type: ignore[union-attr]
    assert decision.reason == "queue: now 150, beyond at most 100 for 1 m"


@pytest.mark.parametrize(
    "values",
    [
        lambda at: 100,
        lambda at: 150 if at % 60 else 50,
        lambda at: 150 if at <= 60 else 50,
        lambda at: 150 if at in (15, 585) else None,
    ],
    ids=["at the limit", "a break each minute", "too short", "a gap in between"],
)
def test_not_long_enough(values: Value) -> None:
    """A breach that has a break, a gap, or is too short is no regression."""
    assert verdict(series(values)) is not Verdict.REGRESSED


def test_a_missed_poll_is_no_break() -> None:
    """A single poll without data does not start the time anew."""
    assert verdict(series(lambda at: None if at == 45 else 150)) is Verdict.REGRESSED


def test_clock_at_zero() -> None:
    """A breach that began at the epoch began then: zero is a time like any other."""
    from deploy_guard.decide.gauge import GaugeJudge
    from deploy_guard.model import Sample

    judge = GaugeJudge("queue", 100, None, 60.0)
    for at in (0.0, 30.0, 60.0):
        judge = judge.take(Sample("queue", at, 30.0, Gauge(150)))
    assert judge.evidence(60.0).finding is Finding.BAD


def test_long_intervals() -> None:
    """A gauge that is read every few minutes is judged by consecutive readings."""
    entries = series(lambda at: 150 if at % 120 == 0 else None)
    entries = [e for e in entries if not hasattr(e, "reason")]
    assert verdict(entries, interval=120.0) is Verdict.REGRESSED


@pytest.mark.parametrize(("value", "bad"), [(5, True), (10, False), (15, False)])
def test_below(value: float, bad: bool) -> None:
    """A number below its lower limit is bad."""
    found = verdict(series(lambda at: value), above=None, below=10)
    assert (found is Verdict.REGRESSED) is bad


@pytest.mark.parametrize(
    ("control", "before"),
    [(lambda at: 150, None), (None, 150), (lambda at: 150 if at < 60 else None, None)],
    ids=["on the old pods", "before the deploy", "on old pods that are gone"],
)
def test_not_the_deploy(control: Value | None, before: float | None) -> None:
    """A number that is as bad on the old pods, or was before, is not the deploy's fault."""
    entries = series(lambda at: 150, control, before=before)
    assert verdict(entries) is Verdict.INCONCLUSIVE
    assert evidence(entries).finding is Finding.SHARED


def test_bad_before_well_after_and_bad_again() -> None:
    """What was bad before the deploy and became well on the new pods excuses nothing later."""
    entries = series(lambda at: 50 if at < 120 else 150, before=150)
    assert verdict(entries) is Verdict.REGRESSED


def test_well() -> None:
    """A number within its limits is good, and told against the value before."""
    found = evidence(series(lambda at: 42, before=40))
    assert found.finding is Finding.GOOD
    assert found.text == "now 42 against 40 before or on the old pods, within at most 100"
    assert (found.current, found.baseline, found.limit) == (42, 40, 100)


def test_breach_at_the_end() -> None:
    """A breach that has not lasted long enough at the deadline is inconclusive, not healthy."""
    entries = series(lambda at: 150 if at > 570 else 50)
    assert verdict(entries) is Verdict.INCONCLUSIVE
