"""Series on a fixed grid of moments.

Decides how windows are cut and joined. Does not fetch them (`history`) and does not know who is
who (`cast`).

A tick is a moment's number on the grid: tick n of a grid with a step of 15 s is the Unix time
15·n. All grids begin at zero, so that windows of different deploys share their moments.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from deploy_guard.signals.prometheus_api import PromSeries

ALMOST = 1e-6  # of a step: times are floats


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
    return math.floor(moment / step + ALMOST)


def tick_after(moment: float, step: float) -> int:
    """Return the first tick that is not before a moment."""
    return math.ceil(moment / step - ALMOST)


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


def mapped(grid: Grid, change: Callable[[Track], Sequence[Track]]) -> Grid:
    """Return the grid with each series replaced by others."""
    return Grid(
        grid.step, grid.first, grid.last, tuple(t for one in grid.tracks for t in change(one))
    )
