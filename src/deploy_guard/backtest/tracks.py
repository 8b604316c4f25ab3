"""Series on a fixed grid of moments, and an API that answers a signal's questions from them.

Decides what an instant and a range query would have said at a moment of the past. Does not fetch
(`history`) and does not know who is who (`cast`).

A tick is a moment's number on the grid: tick n of a grid with a step of 15 s is the Unix time
15·n. All grids begin at zero, so that windows of different deploys share their moments.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from deploy_guard.signals.http_failures import CallFailed
from deploy_guard.signals.prometheus_api import BadQuery, PromSeries, Result

_ALMOST = 1e-6  # of a step: times are floats


@dataclass(frozen=True, slots=True)
class Track:
    """One series: `values[i]` is its value at the tick `first + i`, None where it has none."""

    labels: Mapping[str, str]
    first: int
    values: Sequence[float | None]

    @property
    def pod(self) -> str:
        """The label `pod`, empty without one."""
        return self.labels.get("pod", "")

    def at(self, tick: int) -> float | None:
        """Return the value at a tick, None without one."""
        index = tick - self.first
        return self.values[index] if 0 <= index < len(self.values) else None

    def cut(self, first: int, last: int) -> Track:
        """Return the part between two ticks, both included."""
        begin = min(max(0, first - self.first), len(self.values))
        values = self.values[begin : max(begin, last - self.first + 1)]
        return Track(self.labels, self.first + begin, values)


@dataclass(frozen=True, slots=True)
class Grid:
    """The series of one query between the ticks `first` and `last`, `step` seconds apart."""

    step: float
    first: int
    last: int
    tracks: tuple[Track, ...]

    def time(self, tick: int) -> float:
        """Return the Unix seconds of a tick."""
        return tick * self.step


def tick_before(moment: float, step: float) -> int:
    """Return the last tick that is not after a moment."""
    return math.floor(moment / step + _ALMOST)


def tick_after(moment: float, step: float) -> int:
    """Return the first tick that is not before a moment."""
    return math.ceil(moment / step - _ALMOST)


def tracks_of(series: Sequence[PromSeries], *, step: float) -> tuple[Track, ...]:
    """Return the series of a range query's result on their grid."""
    found = []
    for one in series:
        if not one.points:
            continue
        first = round(one.points[0][0] / step)
        last = round(one.points[-1][0] / step)
        if last - first + 1 == len(one.points):
            values: list[float | None] = [value for _, value in one.points]
        else:
            values = [None] * (last - first + 1)
            for moment, value in one.points:
                values[round(moment / step) - first] = value
        found.append(Track(one.labels, first, values))
    return tuple(found)


def joined(grids: Sequence[Grid]) -> Grid:
    """Return neighbours in time as one grid; a gap between them has no values."""
    grids = sorted(grids, key=lambda grid: grid.first)
    if len(grids) == 1:
        return grids[0]
    parts: dict[tuple[tuple[str, str], ...], list[Track]] = {}
    for grid in grids:
        for track in grid.tracks:
            parts.setdefault(tuple(sorted(track.labels.items())), []).append(track)
    last = max(grid.last for grid in grids)
    return Grid(grids[0].step, grids[0].first, last, tuple(map(_joined, parts.values())))


def _joined(parts: Sequence[Track]) -> Track:
    values: list[float | None] = []
    first = parts[0].first
    for part in parts:
        begin = part.first - first
        if begin > len(values):
            values.extend([None] * (begin - len(values)))
        values[begin:] = part.values
    return Track(parts[0].labels, first, values)


Answer = Sequence[Grid] | CallFailed  # fine and coarse, or why there is none


class HistoryApi:
    """Answers what it holds, by the text of a query, as Prometheus' API would have.

    Instant queries are answered from the finest grid, range queries from the coarsest one whose
    step is not longer than the asked one; their points lie on it, so the step may come out longer,
    never shorter, and the last point is the asked end. What is not held is refused: history has
    no times of samples, for one, so whether numbers were new is not known.
    """

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self._answers = answers
        self.timeout = math.inf  # nothing here takes any time
        self.clock: float | None = None

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def instant(self, query: str, *, at: float, seconds: float) -> Result:  # noqa: ARG002
        """Return the value of each series at a moment of the finest grid."""
        grid = min(self._held(query), key=lambda grid: grid.step)
        tick = tick_before(at, grid.step)
        moment = grid.time(tick)
        found = ((track.labels, track.at(tick)) for track in grid.tracks)
        return Result(
            tuple(PromSeries(lab, ((moment, value),)) for lab, value in found if value is not None)
        )

    def range(self, query: str, *, start: float, end: float, step: float, seconds: float) -> Result:  # noqa: ARG002
        """Return the values of each series on a grid that ends at `end`."""
        grids = sorted(self._held(query), key=lambda grid: grid.step)
        fine = grids[0]
        coarse = next((g for g in reversed(grids) if g.step <= step * (1 + _ALMOST)), fine)
        ticks = _ticks(coarse, start, end, step)
        last = tick_before(end, fine.step)
        extra = [] if coarse is fine else [last]
        points: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
        labels: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {}
        for grid, some in ((coarse, ticks), (fine, extra)):
            for track in grid.tracks:
                values = [(grid.time(tick), track.at(tick)) for tick in some]
                key = tuple(sorted(track.labels.items()))
                labels[key] = track.labels
                points.setdefault(key, []).extend((m, v) for m, v in values if v is not None)
        return Result(
            tuple(PromSeries(labels[key], tuple(some)) for key, some in points.items() if some)
        )

    def _held(self, query: str) -> Sequence[Grid]:
        answer = self._answers.get(query)
        if answer is None:
            raise BadQuery("history has no answer to this query")
        if isinstance(answer, CallFailed):
            raise answer
        return answer


def _ticks(grid: Grid, start: float, end: float, step: float) -> Sequence[int]:
    """Return the ticks of a range query; on a grid without the end, those before it."""
    stride = max(1, tick_after(step, grid.step))
    last = tick_before(end, grid.step)
    if end - grid.time(last) > _ALMOST * grid.step:
        stride = 1
    elif grid.step * stride < step * (1 - _ALMOST):
        stride += 1
    first = tick_after(start, grid.step)
    return range(last - (last - first) // stride * stride, last + 1, stride)


def mapped(grid: Grid, change: Callable[[Track], Sequence[Track]]) -> Grid:
    """Return the grid with each series replaced by others."""
    return Grid(
        grid.step, grid.first, grid.last, tuple(t for one in grid.tracks for t in change(one))
    )
