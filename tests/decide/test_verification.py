"""The second look after a rollback: recovered, still bad, or unknown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from deploy_guard import decide
from deploy_guard.model import Counts, Finding, Gauge, Probe, Reading, Recovery, Symptom

from .building import (
    EVERY,
    START,
    baseline,
    gap,
    gauge,
    latency,
    look,
    pods,
    policy,
    probe,
    ratio,
    sample,
)
from .test_latency import NORMAL, histogram

VERIFY = 120.0
WELL, BAD, NONE = Counts(1500, 1.5), Counts(1500, 750), Counts(0, 0)


def verification(
    signal: dict[str, Any],
    condemning: Iterable[Reading],
    readings: Callable[[float], Iterable[Reading]],
    *,
    every: float = EVERY,
) -> list[tuple[float, Recovery | None]]:
    """Return what is said after each poll of the second look at the signal."""
    state = decide.begin(policy(signal), started_at=START)
    for reading in condemning:
        state = decide.observe(state, reading)
    evidence = decide.evidence_of(state, START + 60)
    assert "bad" in [e.finding for e in evidence]
    second = decide.verifying(
        state,
        at=START + 60,
        duration=VERIFY,
        accused=[e.signal for e in evidence if e.finding == "bad"],
    )
    said: list[tuple[float, Recovery | None]] = []
    at = every
    while at <= VERIFY:
        for reading in readings(at):
            second = second.observe(reading)
        second = second.observe(look(60 + at))
        said.append((at, second.recovery(START + 60 + at)))
        at += every
    return said


def after(
    readings: Callable[[float], Counts | None], *, condemned: Counts = BAD, every: float = EVERY
) -> list[tuple[float, Recovery | None]]:
    """Return what is said of failed requests; None is a poll without data."""

    def polled(at: float) -> list[Reading]:
        value = readings(at)
        return [gap(60 + at) if value is None else sample(60 + at, value, seconds=every)]

    polls = [sample(15.0 * i, condemned) for i in range(1, 5)]
    return verification(ratio(), [*baseline(), *polls], polled, every=every)


def first(said: list[tuple[float, Recovery | None]]) -> tuple[float, Recovery | None]:
    """Return when the first answer came, and which."""
    return next((s for s in said if s[1] is not None), said[-1])


def test_recovered() -> None:
    """After three good polls the accused signal has recovered."""
    assert first(after(lambda at: WELL)) == (45.0, Recovery.RECOVERED)


def test_bad_at_first() -> None:
    """Requests that fail in the first seconds after the rollback do not hide the recovery."""
    assert first(after(lambda at: BAD if at <= 30 else WELL)) == (45.0, Recovery.RECOVERED)


def test_still_bad() -> None:
    """A signal that stays bad to the end says that the deploy was not the only cause."""
    assert first(after(lambda at: BAD)) == (VERIFY, Recovery.STILL_BAD)


def test_bad_again() -> None:
    """A signal that looks well at first and becomes bad within three polls has not recovered."""
    assert first(after(lambda at: WELL if at <= 30 else BAD)) == (VERIFY, Recovery.STILL_BAD)


@pytest.mark.parametrize(
    "readings",
    [
        lambda at: NONE,
        lambda at: None,
        lambda at: Counts(3, 0),
        lambda at: None if at > 15 else WELL,
    ],
    ids=["no traffic", "no data", "little traffic", "data once"],
)
def test_unknown(readings: Callable[[float], Counts | None]) -> None:
    """Too little evidence after the rollback is neither recovered nor still bad."""
    assert first(after(readings)) == (VERIFY, Recovery.UNKNOWN)


def test_few_requests_do_not_prove_a_small_recovery() -> None:
    """A ratio of 1 % is over when the counts contradict it, not at the first fifty requests."""
    few = after(lambda at: Counts(25, 0), condemned=Counts(1500, 15))
    many = after(lambda at: Counts(1500, 1), condemned=Counts(1500, 15))
    assert first(few) == (VERIFY, Recovery.UNKNOWN)
    assert first(many) == (45.0, Recovery.RECOVERED)


def test_condemned_pods_are_no_baseline() -> None:
    """While only the condemned pods are left to read, nothing is learned from them."""
    polls = [sample(15.0 * i, BAD) for i in range(1, 5)]

    def readings(at: float) -> list[Reading]:
        only_condemned = at <= 60
        return [sample(60 + at, None if only_condemned else BAD, BAD)]

    said = verification(ratio(), [*baseline(), *polls], readings)
    assert first(said) == (VERIFY, Recovery.STILL_BAD)


def test_condemned_pods_beside() -> None:
    """Condemned pods that still fail next to good ones do not hide the recovery."""
    polls = [sample(15.0 * i, BAD) for i in range(1, 5)]
    said = verification(ratio(), [*baseline(), *polls], lambda at: [sample(60 + at, WELL, BAD)])
    assert first(said) == (45.0, Recovery.RECOVERED)


def test_latency() -> None:
    """A histogram recovers like a ratio."""
    slow = histogram(0.12)
    before = baseline(NORMAL, signal="latency")
    polls = [sample(15.0 * i, slow, signal="latency") for i in range(1, 5)]
    well = verification(
        latency(), [*before, *polls], lambda at: [sample(60 + at, NORMAL, signal="latency")]
    )
    bad = verification(
        latency(), [*before, *polls], lambda at: [sample(60 + at, slow, signal="latency")]
    )
    assert first(well) == (45.0, Recovery.RECOVERED)
    assert first(bad) == (VERIFY, Recovery.STILL_BAD)


@pytest.mark.parametrize(
    ("ok", "expected"),
    [
        (lambda at: True, (45.0, Recovery.RECOVERED)),
        (lambda at: False, (VERIFY, Recovery.STILL_BAD)),
        (lambda at: at > 20, (45.0, Recovery.RECOVERED)),
    ],
    ids=["answers", "never answers", "answers after a while"],
)
@pytest.mark.parametrize("every", [5.0, 15.0])
def test_probe(ok: Callable[[float], bool], expected: tuple[float, Recovery], every: float) -> None:
    """An API integration recovers when it answers again."""
    failed = Probe(False, 0.1, "expected status 200, got 502")
    good = Probe(True, 0.1, "")
    before = sample(0, None, good, signal="payments")
    polls = [before, *(sample(15.0 * i, failed, signal="payments") for i in range(1, 4))]
    said = verification(
        probe(),
        polls,
        lambda at: [sample(60 + at, good if ok(at) else failed, signal="payments")],
        every=every,
    )
    at, recovery = first(said)
    assert recovery is expected[1]
    assert at <= expected[0]


@pytest.mark.parametrize(
    ("value", "recovery"), [(1, Recovery.RECOVERED), (500, Recovery.STILL_BAD)]
)
def test_gauge(value: float, recovery: Recovery) -> None:
    """A number recovers when it is within its limit again."""
    polls = [sample(15.0 * i, Gauge(150), signal="queue") for i in range(5)]
    said = verification(gauge(), polls, lambda at: [sample(60 + at, Gauge(value), signal="queue")])
    assert first(said)[1] is recovery


@pytest.mark.parametrize("crashing", [True, False])
def test_pods(crashing: bool) -> None:
    """The cluster's own signs recover when the target revision's pods have none."""
    crash = Symptom("CrashLoopBackOff", "")
    symptoms = (crash,) if crashing else ()
    said = verification(ratio(), [pods(1, crash)], lambda at: [pods(60 + at, *symptoms)])
    expected = Recovery.STILL_BAD if crashing else Recovery.RECOVERED
    assert first(said)[1] is expected


def test_nothing_accused() -> None:
    """Without an accused signal there is nothing that could recover."""
    state = decide.begin(policy(ratio()), started_at=START)
    second = decide.verifying(state, at=START, duration=VERIFY, accused=[])
    assert second.recovery(START + 1) is None
    assert second.recovery(START + VERIFY) is Recovery.UNKNOWN


def test_what_is_told_of_a_signal_that_is_still_bad() -> None:
    """The evidence of a signal that was bad after the rollback is that of its last bad poll."""
    state = decide.begin(policy(ratio(), ratio("payments")), started_at=START)
    for name in ("errors", "payments"):
        for reading in baseline(signal=name):
            state = decide.observe(state, reading)
    second = decide.verifying(state, at=START, duration=VERIFY, accused=["errors"])
    for i in range(1, 5):
        second = second.observe(sample(EVERY * i, BAD))
        second = second.observe(sample(EVERY * i, WELL, signal="payments"))
    second = second.observe(sample(EVERY * 5, Counts(2, 1)))
    told = {e.signal: e for e in second.evidence(START + VERIFY)}
    assert told["errors"].finding is Finding.BAD
    assert "errors 750 of 1,500 (50 %) after the rollback" in told["errors"].text
    assert told["payments"].finding is Finding.GOOD
