"""The time before the deploy, from range queries: one sample of control per step.

Decides the grid and what a gap in it means: increments over a gap belong to the step that ends
it, whose length says so.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from deploy_guard.model import Sample, Value
from deploy_guard.signals import measures
from deploy_guard.signals.counters import Counters, Series
from deploy_guard.signals.measures import Row

if TYPE_CHECKING:
    from deploy_guard.model import Workload
    from deploy_guard.signals.prometheus_api import Asked, PromSeries
    from deploy_guard.signals.prometheus_scope import Scope

BASELINE_TRIES = 3  # readings that ask for it, should it fail
MOST_STEPS = 400  # finer than the spread of a baseline needs, and bounds the memory it takes
FINEST = 30.0  # seconds: the spread is estimated from groups of a minute, finer tells no more
FEWEST_STEPS = 40  # a short baseline is read more finely

Found = Mapping[str, tuple["PromSeries", ...]]  # by role


def read_baseline(
    signal: str,
    *,
    api: Asked,
    queries: Mapping[str, str],
    scope: Scope,
    workload: Workload,
    counters: Counters,
    start: float,
    end: float,
    step: float,
) -> list[Sample]:
    """Return the samples from `start` to `end` (Unix seconds), oldest first.

    `queries` are rendered. `counters` is left as of `end`. Raises CallFailed and Unreadable.
    """
    span = end - start
    step = max(step, span / MOST_STEPS, min(FINEST, span / FEWEST_STEPS))
    start = end - int(span / step + 1e-6) * step  # so that the last point is the end
    deadline = time.monotonic() + api.timeout
    found: dict[str, tuple[PromSeries, ...]] = {}
    for role, query in queries.items():
        left = deadline - time.monotonic()
        found[role] = api.range(query, start=start, end=end, step=step, seconds=left).series
    scope.learn(one.labels.get("pod", "") for some in found.values() for one in some)
    scope.note_before(_last(found), workload, end)
    if measures.VALUE in found:
        values = _numbers(found, scope, workload)
    else:
        latency = measures.BUCKETS in found
        values = _increments(found, scope, workload, counters, latency=latency)
    samples: list[Sample] = []
    last: float | None = None
    for moment, value in values:
        if value is not None:
            seconds = step if last is None else moment - last
            samples.append(Sample(signal, moment, seconds, control=value))
        last = moment
    return samples


def _places(
    one: PromSeries, scope: Scope, workload: Workload
) -> Iterator[tuple[float, str, float]]:
    """Yield each point with the place of its pod, which may be another's before its creation."""
    name, place = one.labels.get("pod", ""), None
    for number, (moment, value) in enumerate(one.points):
        if number == 0 or scope.reuses_names:
            place = scope.place_of(name, workload, at=moment)
        if place is not None:
            yield moment, place, value


def _last(found: Found) -> dict[str, list[Row]]:
    """Return the last number of each series."""
    return {
        role: [Row(o.labels.get("pod", ""), o.labels, o.points[-1][1]) for o in some if o.points]
        for role, some in found.items()
    }


def _numbers(
    found: Found, scope: Scope, workload: Workload
) -> Iterator[tuple[float, Value | None]]:
    """Yield each moment with the mean over the pods."""
    rows: dict[float, list[Row]] = {}
    for one in found[measures.VALUE]:
        for moment, place, value in _places(one, scope, workload):
            rows.setdefault(moment, []).append(Row(place, one.labels, value))
    for moment in sorted(rows):
        yield moment, measures.mean(rows[moment])


def _increments(
    found: Found, scope: Scope, workload: Workload, counters: Counters, *, latency: bool
) -> Iterator[tuple[float, Value | None]]:
    """Yield each moment with what all pods counted since the one before."""
    totals: dict[float, dict[Series, float]] = {}
    for role, some in found.items():
        for one in some:
            names: dict[str, Series] = {}  # by place: a series has hundreds of points
            for moment, place, value in _places(one, scope, workload):
                name = names.get(place)
                if name is None:
                    names[place] = name = measures.series(role, Row(place, one.labels, 0.0))
                measures.require_number(role, value)
                at = totals.setdefault(moment, {})
                at[name] = at.get(name, 0.0) + value
    before: float | None = None

    def born(place: str) -> bool:
        return before is not None and scope.created_since(place, before)

    for moment in sorted(totals):
        grown = counters.advance(totals[moment], began_at_zero=born)
        yield moment, measures.combine(list(grown.values()), latency=latency)
        before = moment
