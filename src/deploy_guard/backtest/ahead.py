"""The answers to the queries of many deploys, in the order in which they are needed.

Decides what is under way before it is needed, when an answer is forgotten, and when failures mean
that nothing can be read.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait

from deploy_guard.backtest.history import (
    HOPELESS,
    Fetcher,
    Progress,
    RangeQuery,
    is_final,
    merged,
    tell_nobody,
    unreadable,
)
from deploy_guard.backtest.tasks import Task
from deploy_guard.backtest.tracks import Grid, joined
from deploy_guard.signals.http_failures import CallFailed

Raw = Mapping[tuple[str, float], Grid | CallFailed]  # by text and step


class Ahead:
    """Hands out the answers that a deploy needs, with those of the next ones under way."""

    def __init__(
        self, fetcher: Fetcher, tasks: Sequence[Task], *, ahead: int, progress: Progress | None
    ) -> None:
        self._fetcher = fetcher
        self._ahead = ahead
        self._progress = progress or tell_nobody
        queries = merged(window for task in tasks for window in task.windows)
        self._by_text: dict[tuple[str, float], list[RangeQuery]] = {}
        for query in queries:  # of one text they do not overlap, and come in the order of time
            self._by_text.setdefault((query.text, query.step), []).append(query)
        self._todo = [*reversed(queries)]
        self._total = len(self._todo)
        self._done = 0
        self._failed = 0  # in a row
        self._pending: dict[Future[Grid], RangeQuery] = {}
        self._answers: dict[RangeQuery, Grid | CallFailed] = {}
        self._needed_from = _needed_from(tasks)

    def take(self, task: Task) -> Raw:
        """Return the answers to a deploy's queries; forget what only earlier ones needed."""
        begins = self._needed_from[task.deployed_at]
        self._answers = {
            query: answer
            for query, answer in self._answers.items()
            if query.end >= begins.get((query.text, query.step), math.inf)
        }
        needed = {query for window in task.windows for query in self._parts(window)}
        while not needed <= self._answers.keys():
            self._send()
            self._receive()
        return {(w.text, w.step): self._cut(w) for w in task.windows}

    def _parts(self, window: RangeQuery) -> list[RangeQuery]:
        """Return the queries that have the window's points between them."""
        queries = self._by_text[window.text, window.step]
        first = bisect_left(queries, window.first, key=lambda query: query.last)
        last = bisect_right(queries, window.last, key=lambda query: query.first)
        return queries[first:last]

    def _send(self) -> None:
        while self._todo and len(self._pending) < self._ahead:
            query = self._todo.pop()
            self._pending[self._fetcher.submit(query)] = query

    def _receive(self) -> None:
        """Wait for the next answers."""
        done, _ = wait(self._pending, return_when=FIRST_COMPLETED)
        for future in done:
            query = self._pending.pop(future)
            try:
                self._answers[query] = future.result()
                self._failed = 0
            except CallFailed as error:
                self._failed += 1
                if is_final(error) or self._failed >= HOPELESS:
                    raise unreadable(error) from error
                self._answers[query] = error
            self._done += 1
            self._progress(self._done, self._total)

    def _cut(self, window: RangeQuery) -> Grid | CallFailed:
        parts: list[Grid] = []
        for query in self._parts(window):
            answer = self._answers[query]
            if isinstance(answer, CallFailed):
                return answer
            parts.append(answer)
        whole = joined(parts)
        tracks = (track.cut(window.first, window.last) for track in whole.tracks)
        some = tuple(track for track in tracks if any(v is not None for v in track.values))
        return Grid(window.step, window.first, window.last, some)


def _needed_from(tasks: Sequence[Task]) -> dict[float, dict[tuple[str, float], float]]:
    """Return, for each deploy, from when on each query's answers are needed by it or later ones."""
    found: dict[float, dict[tuple[str, float], float]] = {}
    begins: dict[tuple[str, float], float] = {}
    for task in reversed(tasks):
        for window in task.windows:
            key = (window.text, window.step)
            begins[key] = min(begins.get(key, window.start), window.start)
        found[task.deployed_at] = dict(begins)
    return found
