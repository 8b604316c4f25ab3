"""Trials from a CSV file: one row is what was counted in the interval that ended then.

Decides how rows become what a watch would have read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from statistics import median

from deploy_guard.backtest.csv_columns import ALL, NEW, OLD, Series, measures_of, read_rows
from deploy_guard.backtest.model import Deploy, Trial
from deploy_guard.backtest.ordinary import Survey
from deploy_guard.backtest.table import Table
from deploy_guard.decide import Observation
from deploy_guard.errors import UsageError
from deploy_guard.model import (
    KUBERNETES,
    Health,
    NoData,
    NoDataReason,
    Rollout,
    Sample,
    Target,
    Tick,
    Value,
    Workload,
)
from deploy_guard.policy.models import Policy, Signal

_SURVEY = 300.0  # seconds: a hole that is shorter counts as none
_SOME = 1000  # gaps between rows that tell the usual one


class CsvHistory:
    """A CSV file, read for the signals of a policy.

    `missing` are the signals that it has no column or no row for. `policy` is the one that was
    asked for, with intervals that are not shorter than the file's. Raises TableError for lines,
    UsageError for a file that has nothing for the policy.
    """

    def __init__(self, lines: Iterable[str], name: str, policy: Policy) -> None:
        table = Table(lines, name)
        self._measures = measures_of(table, policy)
        self._series: dict[tuple[str, str], Series] = {}
        read_rows(table, self._measures, self._series)
        table.check()
        times = [series.times for series in self._series.values()]
        if not times:
            raise UsageError(f"{name} has no row for a signal of the policy")
        self.first = min(series[0] for series in times)
        self.last = max(series[-1] for series in times)
        self._spacing = {signal: self._usual_gap(signal) for signal in self._measures}
        self.missing = tuple(
            (s.name, "the CSV has no column for it")
            if s.name not in self._measures
            else (s.name, "the CSV has no row of it")
            for s in policy.signals
            if (s.name, NEW) not in self._series
            and (s.name, OLD) not in self._series
            and (s.name, ALL) not in self._series
        )
        self.policy = self._slowed(policy)

    def trials(self, deploys: Iterable[Deploy]) -> Iterator[Trial]:
        """Yield what a watch would have read after each deploy.

        A file says nothing of pods: the rollout is taken as complete and the pods as ready.
        """
        for deploy in deploys:
            yield self._trial(deploy)

    def survey(self) -> Survey:
        """Return when there are rows of every signal that the file has."""
        step = max(_SURVEY, *(2 * spacing for spacing in self._spacing.values()))
        filled: set[int] | None = None
        for signal in self._measures:
            there = {
                math.ceil(at / step)
                for group in (ALL, OLD, NEW)
                if (series := self._series.get((signal, group))) is not None
                for at in series.times
            }
            if there:
                filled = there if filled is None else filled & there
        return Survey(self.first, self.last, step, frozenset(filled or ()), ())

    def _usual_gap(self, signal: str) -> float:
        """Return the usual seconds between two rows of a signal, 0 where there is one row."""
        gaps: list[float] = []
        for group in (ALL, OLD, NEW):
            if (series := self._series.get((signal, group))) is not None:
                times = series.times[:_SOME]
                gaps += [b - a for a, b in pairwise(times)]
        return median(gaps) if gaps else 0.0

    def _slowed(self, policy: Policy) -> Policy:
        """Return the policy with each interval at least as long as the file's rows."""
        signals = [
            s.model_copy(update={"interval": self._interval(s, policy)}) for s in policy.signals
        ]
        return policy.model_copy(update={"signals": signals})

    def _interval(self, signal: Signal, policy: Policy) -> float:
        own = signal.interval or policy.watch.interval
        return max(own, self._spacing.get(signal.name, 0.0))

    def _trial(self, deploy: Deploy) -> Trial:
        watch = self.policy.watch
        ends = deploy.at + watch.duration
        entries: list[Observation] = []
        for signal in self.policy.signals:
            if signal.name in self._measures:
                entries += self._baseline(signal, deploy.at, deploy.at - watch.baseline)
        entries.sort(key=_when)
        rollout = Rollout(1, 1, 1, 1, observed=True, complete=True)
        target = Target("deployment", "", "csv")
        entries.append(Workload(target, "new", deploy.at, deploy.at, rollout=rollout))
        entries.append(_well(deploy.at))
        whole = self.last >= ends - max(s.interval or 0.0 for s in self.policy.signals)
        watched: list[Observation] = [_well(ends)] if whole else []
        for signal in self.policy.signals:
            if signal.name in self._measures:
                watched += self._watched(signal, deploy, ends)
        entries += sorted(watched, key=_when)
        return Trial(
            deploy,
            deploy.at,
            (*entries, *((Tick(ends),) if whole else ())),
            ends_at=ends,
            missing=self.missing,
        )

    def _baseline(self, signal: Signal, at: float, since: float) -> list[Observation]:
        step = signal.interval or 1.0
        count = int((at - since) / step + 1e-9)
        edges = [at - (count - i) * step for i in range(count + 1)]
        found: list[Observation] = []
        for start, end in pairwise(edges):
            value, seconds = self._between(signal.name, (ALL, OLD, NEW), start, end)
            if value is not None:
                found.append(Sample(signal.name, end, seconds, control=value))
        return found

    def _watched(self, signal: Signal, deploy: Deploy, ends: float) -> list[Observation]:
        step = signal.interval or 1.0
        new = self._series.get((signal.name, NEW))
        told_apart = not deploy.ordinary and new is not None and new.between(deploy.at, ends)
        groups = (NEW,) if told_apart else (ALL, OLD, NEW)
        found: list[Observation] = []
        until = min(ends, self.last + step)
        for i in range(int((until - deploy.at) / step + 1e-9)):
            start, end = deploy.at + i * step, deploy.at + (i + 1) * step
            value, seconds = self._between(signal.name, groups, start, end, since=deploy.at)
            if value is None:
                gap = NoData(signal.name, end, NoDataReason.EMPTY, "no row in this interval")
                found.append(gap)
                continue
            old = None
            if told_apart:
                old, _ = self._between(signal.name, (OLD,), start, end, since=deploy.at)
            found.append(Sample(signal.name, end, seconds, value, old))
        return found

    def _between(
        self,
        signal: str,
        groups: Sequence[str],
        start: float,
        end: float,
        *,
        since: float = -math.inf,
    ) -> tuple[Value | None, float]:
        """Return what the rows in (start, end] say, and the seconds that they are about.

        A row whose interval began before `since` is left out: a part of it is from before.
        """
        usual, rows, seconds = self._spacing[signal], [], 0.0
        for group in groups:
            series = self._series.get((signal, group))
            if series is None:
                continue
            spent = 0.0
            for index in series.between(start, end):
                at = series.times[index]
                gap = at - series.times[index - 1] if index else usual
                length = min(gap, usual) if usual else end - start
                if at - length >= since - 0.01 * length:
                    rows.append((series, index))
                    spent += length
            seconds = max(seconds, spent)
        return (self._measures[signal].value(rows), seconds) if rows else (None, 0.0)


def _when(entry: Observation) -> float:
    return entry.seen_at if isinstance(entry, Workload) else entry.at


def _well(at: float) -> Sample:
    return Sample(KUBERNETES, at, 1.0, candidate=Health(1, 1, 0))
