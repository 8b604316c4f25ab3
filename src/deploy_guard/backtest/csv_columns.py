"""The columns of a CSV file of history, and its rows as eight bytes a number.

Decides which signal of the policy a column is for, and what is wrong with a row.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from deploy_guard.backtest.table import Table, amount, moment, number
from deploy_guard.errors import UsageError
from deploy_guard.model import Counts, Gauge, Latencies, Value
from deploy_guard.policy.models import HttpSignal, Policy, Signal
from deploy_guard.policy.problems import quoted, suggestion

OLD, NEW, ALL = "old", "new", ""


@dataclass(slots=True)
class Series:
    """The rows of one signal and one group of pods, column by column."""

    times: array[float] = field(default_factory=lambda: array("d"))
    columns: list[array[float]] = field(default_factory=list)

    def add(self, at: float, values: Sequence[float]) -> None:
        """Append a row."""
        self.times.append(at)
        for column, value in zip(self.columns, values, strict=True):
            column.append(value)

    def between(self, after: float, until: float) -> range:
        """Return the numbers of the rows in (after, until]."""
        return range(bisect_right(self.times, after), bisect_right(self.times, until))


@dataclass(frozen=True, slots=True)
class Measure:
    """The columns that a signal is read from; `bounds` are a histogram's."""

    kind: str  # "ratio", "latency" or "value"
    indices: tuple[int, ...]
    bounds: tuple[float, ...] = ()

    def values(self, row: Sequence[str]) -> list[float] | None:
        """Read the cells, None where all are empty; raises ValueError."""
        cells = [row[index].strip() for index in self.indices]
        if not any(cells):
            return None
        values = [number(c) if self.kind == "value" else amount(c) for c in cells]
        if self.kind == "ratio" and values[1] > values[0]:
            raise ValueError("more errors than requests")
        if self.kind == "latency" and values != sorted(values):
            raise ValueError("the buckets fall: each has to count all that took at most so long")
        return values

    def value(self, series: Iterable[tuple[Series, int]]) -> Value:
        """Return what these rows say together."""
        rows = [[column[index] for column in one.columns] for one, index in series]
        if self.kind == "value":
            return Gauge(rows[-1][0])
        sums = [sum(column) for column in zip(*rows, strict=True)]
        return Counts(*sums) if self.kind == "ratio" else Latencies(self.bounds, tuple(sums))


def measures_of(table: Table, policy: Policy) -> dict[str, Measure]:
    """Return the columns of each signal; raises TableError, and UsageError where it is open."""
    columns = table.columns
    buckets = sorted((_bound(table, c), i) for c, i in columns.items() if c.startswith("le_"))
    known = {"time", "signal", "pods", "requests", "errors", "value"}
    for name in columns:
        if name not in known and not name.startswith("le_"):
            hint = suggestion(name, known)
            table.problem(f"unknown column {name!r}" + (f": {hint}" if hint else ""))
    if ("requests" in columns) != ("errors" in columns):
        table.problem("the columns 'requests' and 'errors' belong together")
    if buckets and not math.isinf(buckets[-1][0]):
        table.problem("the column 'le_inf' is missing: it counts all requests")
    table.check()
    there: dict[str, Measure] = {}
    if "requests" in columns:
        there["ratio"] = Measure("ratio", (columns["requests"], columns["errors"]))
    if buckets:
        bounds = tuple(bound for bound, _ in buckets)
        there["latency"] = Measure("latency", tuple(index for _, index in buckets), bounds)
    if "value" in columns:
        there["value"] = Measure("value", (columns["value"],))
    found = {s.name: there[kind] for s in policy.signals if (kind := _kind(s)) in there}
    if not found:
        raise UsageError(
            f"{table.name} has no column for a signal of the policy",
            help="columns: time, then requests and errors, or value, or le_0.1, …, le_inf",
        )
    if "signal" not in columns:
        _require_one_each(table.name, found)
    return found


def _require_one_each(name: str, found: dict[str, Measure]) -> None:
    """Raise UsageError where nothing says which of several signals a column is for."""
    for kind in {measure.kind for measure in found.values()}:
        alike = [signal for signal, measure in found.items() if measure.kind == kind]
        if len(alike) > 1:
            raise UsageError(
                f"{name} does not say which signal its rows are for: {quoted(alike)}",
                help="add a column 'signal' with the signal's name",
            )


def _bound(table: Table, column: str) -> float:
    try:
        bound = float(column.removeprefix("le_"))
    except ValueError:
        bound = math.nan
    if math.isnan(bound) or bound <= 0:
        table.problem(f"the bucket {column!r} has no bound in seconds, such as le_0.1 or le_inf")
    return bound


def _kind(signal: Signal) -> str:
    if isinstance(signal, HttpSignal):
        return ""
    if signal.ratio is not None:
        return "ratio"
    return "latency" if signal.latency is not None else "value"


def read_rows(
    table: Table, measures: dict[str, Measure], found: dict[tuple[str, str], Series]
) -> None:
    """Read every row into its series; what is wrong with one is noted in the table."""
    time, signal, pods = (table.columns.get(c) for c in ("time", "signal", "pods"))
    for row in table.rows():
        name = row[signal].strip() if signal is not None else ""
        group = row[pods].strip().lower() if pods is not None else ALL
        if group not in (OLD, NEW, ALL):
            table.problem(f"expected old or new in the column 'pods', not {group[:60]!r}")
            continue
        if signal is not None and name not in measures:
            continue  # of another policy
        try:
            at = moment(row[time or 0])
            for each in [name] if signal is not None else measures:
                values = measures[each].values(row)
                if values is not None:
                    _append(found, (each, group), at, values)
        except ValueError as error:
            table.problem(str(error))


def _append(
    found: dict[tuple[str, str], Series], key: tuple[str, str], at: float, values: list[float]
) -> None:
    series = found.get(key)
    if series is None:
        series = found[key] = Series(columns=[array("d") for _ in values])
    if series.times and at <= series.times[-1]:
        back = "the time of the row before" if at == series.times[-1] else "a time before that"
        raise ValueError(f"{back}: rows of a signal have to be in the order of time")
    series.add(at, values)
