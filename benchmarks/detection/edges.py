"""Counts as they are when not all goes well: gaps, lost increments, uneven polls, no traffic.

Decides how a healthy or worse deploy's traces are damaged; the noise is the families'.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.detection.setting import Array, Mask, Setting
from benchmarks.detection.traces import Traces

IDLE = 900  # seconds of the watch without traffic
MISSED = 0.2  # share of the polls
RESET = 0.02  # share of the increments


def untouched(_random: np.random.Generator, traces: Traces) -> Traces:
    """Return the traces as they are."""
    return traces


def gaps(random: np.random.Generator, traces: Traces) -> Traces:
    """Miss a fifth of the polls; the next one that succeeds has their counts."""
    before = _some(random, traces.base_requests)
    during = _some(random, traces.requests)
    return replace(
        traces,
        base_requests=_held_back(traces.base_requests, before),
        base_errors=_held_back(traces.base_errors, before),
        requests=_held_back(traces.requests, during),
        errors=_held_back(traces.errors, during),
        missed=during,
        base_missed=before,
    )


def _some(random: np.random.Generator, counts: Array) -> Mask:
    missed: Mask = random.random(counts.shape) < MISSED
    missed[:, -1] = False  # so that no counts are left over
    return missed


def _held_back(counts: Array, missed: Mask) -> Array:
    """Move the counts of missed polls to the next ones."""
    moved = counts.copy()
    for read in range(counts.shape[1] - 1):
        late = np.where(missed[:, read], moved[:, read], 0.0)
        moved[:, read] -= late
        moved[:, read + 1] += late
    return moved


def resets(random: np.random.Generator, traces: Traces) -> Traces:
    """Lose the counts of some increments, as a counter that began anew just before a poll."""
    before = random.random(traces.base_requests.shape) >= RESET
    during = random.random(traces.requests.shape) >= RESET
    return replace(
        traces,
        base_requests=traces.base_requests * before,
        base_errors=traces.base_errors * before,
        requests=traces.requests * during,
        errors=traces.errors * during,
    )


def idle(_random: np.random.Generator, traces: Traces) -> Traces:
    """Leave the first half of the watch without any request."""
    busy = traces.starts >= IDLE
    return replace(traces, requests=traces.requests * busy, errors=traces.errors * busy)


@dataclass(frozen=True, slots=True)
class Edge:
    """Something about the counts that is not as usual; `since` it there is something to see."""

    name: str
    change: Callable[[np.random.Generator, Traces], Traces] = untouched
    baseline: int = 3600
    uneven: bool = False
    since: int = 0

    def setting(self, usual: Setting) -> Setting:
        """Return the setting with this edge's polls and baseline."""
        return replace(usual, baseline=self.baseline, uneven=self.uneven)

    def traces(self, setting: Setting, make: Callable[[Setting], Traces]) -> Traces:
        """Draw what `make` draws, and damage it."""
        return self.change(setting.random(f"edge {self.name}"), make(setting))


EDGES = (
    Edge("nothing unusual"),
    Edge("a fifth of the polls missed", gaps),
    Edge("counters reset", resets),
    Edge("uneven polls", uneven=True),
    Edge("no traffic for 15 min", idle, since=IDLE),
    Edge("no baseline", baseline=0),
    Edge("5 min of baseline", baseline=300),
    Edge("15 min of baseline", baseline=900),
    Edge("6 h of baseline", baseline=6 * 3600),
    Edge("24 h of baseline", baseline=24 * 3600),
)
