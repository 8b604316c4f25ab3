"""An API that answers a signal's questions from what history said.

Decides what an instant and a range query would have said at a moment of the past. Does not fetch
(`history`) and does not know who is who (`cast`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from deploy_guard.backtest.changes import Changes
from deploy_guard.backtest.tracks import ALMOST, Grid, tick_after, tick_before
from deploy_guard.signals.http_failures import CallFailed
from deploy_guard.signals.prometheus_api import BadQuery, PromSeries, Result
from deploy_guard.signals.prometheus_ingestion import question

Answer = tuple[Grid, ...] | CallFailed  # fine and coarse, or why there is none


class HistoryApi:
    """Answers what it holds, by the text of a query, as Prometheus' API would have.

    Instant queries are answered from the finest grid, range queries, which are for baselines, from
    the coarsest one; their points lie on it, so the step may come out longer, never shorter, and
    the last point is the asked end. The times of the newest samples are told
    by `changes`. What is not held is refused.
    """

    def __init__(self, answers: Mapping[str, Answer], *, deployed_at: float) -> None:
        self._answers = answers
        self._freshness = {question(text) for text in answers}
        held = (grid for grids in answers.values() if isinstance(grids, tuple) for grid in grids)
        self._changes = Changes(held, deployed_at=deployed_at)
        self.timeout = math.inf  # nothing here takes any time
        self.clock: float | None = None

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def instant(self, query: str, *, at: float, seconds: float) -> Result:  # noqa: ARG002
        """Return the value of each series at a moment of the finest grid."""
        if query in self._freshness:
            return self._newest(at)
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
        coarse = grids[-1]
        ticks = _ticks(coarse, start, end, step)
        last = tick_before(end, fine.step)
        extra = [last] if fine.time(last) > coarse.time(ticks[-1]) + ALMOST * fine.step else []
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

    def _newest(self, at: float) -> Result:
        """Return when the series of each pod were last seen to change."""
        if not self._changes.tell:
            raise BadQuery("history does not tell whether numbers are new")
        present: list[str] = []
        for grids in self._answers.values():
            if isinstance(grids, CallFailed):
                raise grids
            fine = min(grids, key=lambda grid: grid.step)
            tick = tick_before(at, fine.step)
            present += [track.pod for track in fine.tracks if track.at(tick) is not None]
        newest = self._changes.newest(at, present)
        return Result(tuple(PromSeries({"pod": pod}, ((at, t),)) for pod, t in newest.items()))

    def _held(self, query: str) -> Sequence[Grid]:
        answer = self._answers.get(query)
        if answer is None:
            raise BadQuery("history has no answer to this query")
        if isinstance(answer, CallFailed):
            raise answer
        return answer


def _ticks(grid: Grid, start: float, end: float, step: float) -> range:
    """Return the ticks of a range query that ends with the grid's last one before `end`."""
    stride = max(1, tick_after(step, grid.step))
    last = tick_before(end, grid.step)
    first = min(last, tick_after(start, grid.step))
    return range(last - (last - first) // stride * stride, last + 1, stride)
