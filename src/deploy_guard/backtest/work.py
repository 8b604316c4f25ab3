"""Fold many trials, in several processes where that pays, each with all settings of a sweep.

Decides who folds and how much waits in between; the order of what comes back is not that of the
trials. One trial at a time is in the hands of each process, so memory does not grow with a month.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice

from deploy_guard.backtest.inject import Injection, injected, injections
from deploy_guard.backtest.judging import (
    Judged,
    before,
    conclude,
    judge,
    unjudged,
    with_sensitivity,
)
from deploy_guard.backtest.model import Trial
from deploy_guard.errors import GuardError
from deploy_guard.policy.models import Policy

PAYS = 4.0  # seconds of work that is left, above which processes are started
TRIED = 2  # trials that tell how long one takes
AHEAD = 2  # trials that wait for each process


@dataclass(frozen=True, slots=True)
class At:
    """One trial at one setting: as it was, and the regressions put into it.

    `seconds` has for each injection how soon it was seen, None for never. An injection that shows
    in none of the signals that were read is not there. Nothing is put into past deploys.
    """

    judged: Judged
    seconds: tuple[tuple[Injection, float | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Folded:
    """One trial at the policy's own setting, and at each of a sweep."""

    judged: Judged
    settings: tuple[At, ...] = ()


@dataclass(frozen=True, slots=True)
class Work:
    """What is done with each trial; a value, so that it can be sent to another process."""

    policy: Policy
    settings: tuple[float, ...] = ()
    seed: int = 0

    def fold(self, trial: Trial) -> Folded:
        """Return what the policy says of the trial, at its own and every other setting.

        One with a reading that cannot be one, as in a damaged record, is not judged.
        """
        try:
            return self._fold(trial)
        except (ArithmeticError, LookupError, ValueError) as error:
            judged = unjudged(trial, error)
            return Folded(judged, tuple(At(judged) for _ in self.settings))

    def _fold(self, trial: Trial) -> Folded:
        found = tuple(self._at(setting, trial) for setting in self.settings)
        own = self.policy.watch.sensitivity
        if own in self.settings:
            return Folded(found[self.settings.index(own)].judged, found)
        return Folded(judge(self.policy, trial), found)

    def _at(self, setting: float, trial: Trial) -> At:
        policy = with_sensitivity(self.policy, setting)
        begun = before(policy, trial)
        found = conclude(begun)
        if not trial.deploy.ordinary or found.regressed:
            return At(found)  # what fires by itself tells nothing of what was put into it
        seconds = []
        for each in injections(policy, missing=[name for name, _ in trial.missing]):
            rest = injected(policy, trial, begun.rest, each, seed=self.seed)
            seconds.append((each, conclude(replace(begun, rest=tuple(rest))).seconds))
        return At(found, tuple(seconds))


def spread(
    work: Work, trials: Iterable[Trial], *, total: int, processes: int | None = None
) -> Generator[Folded, None, None]:
    """Yield each trial folded; `total` is about how many there are.

    The first ones are folded here: only when the rest would take seconds are processes started,
    one for each CPU unless `processes` says how many. Raises GuardError when one of them dies.
    """
    processes = _cpus() if processes is None else processes
    source, spent, done = iter(trials), 0.0, 0
    for trial in islice(source, TRIED):
        began = time.monotonic()
        folded = work.fold(trial)
        spent, done = spent + time.monotonic() - began, done + 1
        yield folded
    left = spent / done * (total - done) if done else 0.0
    if processes < 2 or left < PAYS:
        yield from map(work.fold, source)
        return
    yield from _in_processes(work, source, processes)


def _cpus() -> int:
    """Return how many CPUs this process may use, which may be fewer than the machine has."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed is not None else os.cpu_count() or 1


def _in_processes(work: Work, trials: Iterator[Trial], processes: int) -> Iterator[Folded]:
    executor = ProcessPoolExecutor(
        processes,
        mp_context=multiprocessing.get_context("spawn"),  # threads may be running here
        initializer=_end_with_parent,
    )
    waiting: set[Future[Folded]] = set()
    try:
        while True:
            for trial in islice(trials, processes * AHEAD - len(waiting)):
                with _interrupts_stay_here():
                    waiting.add(executor.submit(work.fold, trial))
            if not waiting:
                return
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BrokenProcessPool as error:
        raise GuardError(
            "a process that folds trials was ended from outside",
            help="memory may have run out: try fewer days with --ordinary, or --processes 1",
        ) from error
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _interrupts_stay_here() -> Iterator[None]:
    """Block Ctrl-C while a process may be started: it inherits that, and is ended by us alone."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, however it ended."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
