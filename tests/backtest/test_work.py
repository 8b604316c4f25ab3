"""Many trials: in this process or in others, the same comes out, and an interrupt leaves it."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from decide.building import (
    EVERY,
    START,
    baseline,
    fine,
    latency,
    policy,
    ratio,
    sample,
    watched,
)
from deploy_guard.backtest import work as working
from deploy_guard.backtest.command import Options, Source, backtest
from deploy_guard.backtest.model import Deploy, Trial
from deploy_guard.backtest.work import Folded, Work, spread
from deploy_guard.errors import ExitCode
from deploy_guard.model import Counts, Latencies, Reading

RULES = policy(ratio())


def failing(at: float) -> list[Reading]:
    """Return a poll in which 2 % fail."""
    return [sample(at, Counts(100 * EVERY, 2 * EVERY))]


def trials(count: int) -> Iterator[Trial]:
    """Yield ordinary days, each third of which is none."""
    for number in range(count):
        entries = watched(fine if number % 3 else failing, before=baseline())
        yield Trial(Deploy(START, f"{number:03}", ordinary=True), START, tuple(entries))


def by_label(found: Iterator[Folded]) -> list[Folded]:
    """Return them in the order of the trials."""
    return sorted(found, key=lambda each: each.judged.deploy.label)


def test_processes_find_what_one_finds() -> None:
    """Spread over two processes, verdicts, draws and times are the same."""
    work = Work(RULES, (0.001, 0.2), seed=7)
    alone = by_label(spread(work, trials(12), total=12, processes=1))
    # so many are promised that it pays to start processes
    together = by_label(spread(work, trials(12), total=100_000, processes=2))
    assert together == alone
    assert len(alone) == 12
    assert alone[0].judged.regressed
    assert not alone[1].judged.regressed


def test_trials_are_taken_as_they_are_needed() -> None:
    """A month of trials is never held at once: few are read ahead."""
    taken = 0

    def source() -> Iterator[Trial]:
        nonlocal taken
        for trial in trials(60):
            taken += 1
            yield trial

    found = spread(Work(RULES), source(), total=10_000_000, processes=2)
    for _ in range(working.TRIED + 1):
        next(found)
    assert taken <= working.TRIED + 2 * working.AHEAD + 1
    found.close()


def test_an_interrupt_leaves_what_was_judged() -> None:
    """Ctrl-C ends a backtest; the result says so and has what there is."""

    def source() -> Iterator[Trial]:
        for number, trial in enumerate(trials(10)):
            if number == 4:
                raise KeyboardInterrupt
            yield trial

    found = backtest(Source("days", RULES, (), source(), 10), Options(processes=1))
    assert found.interrupted
    assert found.exit_code is ExitCode.INTERRUPTED
    assert (len(found.ordinary), found.asked) == (4, 10)


def test_an_interrupt_while_processes_work_ends_them() -> None:
    """The processes are gone when the result is there."""

    def source() -> Iterator[Trial]:
        yield from trials(20)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)

    before = {thread.name for thread in threading.enumerate()}
    started = Source("days", RULES, (), source(), 10_000_000)
    found = backtest(started, Options(processes=2))
    assert found.interrupted
    assert 0 < len(found.ordinary) <= 20
    assert {thread.name for thread in threading.enumerate()} <= before


def test_readings_that_cannot_be_folded_are_told() -> None:
    """Such as a histogram with a bucket too few: one trial is lost, not all."""
    odd = Latencies((0.1, math.inf), (100.0,))
    entries = watched(
        lambda at: [sample(at, odd, signal="latency")],
        before=[sample(START, None, odd, signal="latency")],
    )
    trial = Trial(Deploy(START, "odd", ordinary=True), START, tuple(entries))
    found = Work(policy(latency()), (0.01, 0.1)).fold(trial)
    assert found.judged.verdict is None
    assert "a reading that cannot be one: zip()" in found.judged.reason
    assert [at.judged for at in found.settings] == [found.judged] * 2


@pytest.mark.parametrize("count", [0, 1])
def test_few_trials_need_nothing(count: int) -> None:
    """None and one are folded as they are."""
    assert len(list(spread(Work(RULES), trials(count), total=count))) == count
