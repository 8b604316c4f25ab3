"""Traces of many deploys at once: what is known of the traffic becomes counts per poll.

Decides how requests and errors are drawn and read; how the error ratio behaves is decided in
`families` and `regressions`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.setting import Array, Control, Mask, Setting, Weather
from deploy_guard.detect import Increment

MAX_RATIO = 0.95


@dataclass(frozen=True, slots=True)
class Traces:
    """Counts of many deploys: arrays of deploys × reads, oldest first.

    The baseline is read every `step` seconds, the watch at `ends`, in seconds from the deploy.
    `old_requests` and `old_errors` are those of the old pods, NaN where none lives, or None where
    there is no control at all. Reads that were `missed` have no counts, the next one has theirs.
    """

    step: float
    ends: Array
    base_requests: Array
    base_errors: Array
    requests: Array
    errors: Array
    old_requests: Array | None = None
    old_errors: Array | None = None
    missed: Mask | None = None
    base_missed: Mask | None = None

    @property
    def count(self) -> int:
        """The number of deploys."""
        return len(self.ends)

    @property
    def starts(self) -> Array:
        """Seconds from the deploy to the beginning of each increment of the watch."""
        return np.concatenate([np.zeros((self.count, 1)), self.ends[:, :-1]], axis=1)

    @property
    def interval(self) -> float:
        """The usual seconds between two polls of the watch."""
        return float(np.median(np.diff(self.ends, axis=1)))

    def without_control(self) -> Traces:
        """Return the same counts of the new pods, next to no old ones."""
        return replace(self, old_requests=None, old_errors=None)

    def base_ratio(self) -> Array:
        """Return each baseline's ratio, with one error added so that none is without errors."""
        estimated: Array = (self.base_errors.sum(1) + 1) / np.maximum(1, self.base_requests.sum(1))
        return estimated

    def counted(self, since: float, until: float) -> tuple[Array, Array]:
        """Return requests and errors read in (since, until], seconds from the deploy.

        Both ends mean the last read at or before them, as a query of a counter has it.
        """
        n1, x1 = self._total(until)
        n0, x0 = self._total(since)
        return n1 - n0, x1 - x0

    def last(self, until: float) -> tuple[Array, Array]:
        """Return the last increment read at or before a moment, as `irate` sees it."""
        index = self._read(until).sum(1)
        rows = np.arange(len(index))
        seen = index > 0
        at = np.maximum(index - 1, 0)
        return np.where(seen, self.requests[rows, at], 0), np.where(seen, self.errors[rows, at], 0)

    def _read(self, until: float) -> Mask:
        found: Mask = self.ends <= until + 1e-9
        return found

    def _total(self, until: float) -> tuple[Array, Array]:
        """Return all that was counted from the baseline's beginning up to a moment."""
        width = self.base_requests.shape[1]
        before = width if until >= 0 else max(0, width + int(np.floor(until / self.step)))
        n, x = self.base_requests[:, :before].sum(1), self.base_errors[:, :before].sum(1)
        if until <= 0:
            return n, x
        read = self._read(until)
        return n + (self.requests * read).sum(1), x + (self.errors * read).sum(1)

    def of_one(
        self, row: int
    ) -> tuple[list[Increment], list[Increment], list[Increment | None] | None]:
        """Return baseline, watch and control of one deploy, as `detect.replay` takes them."""
        there = None if self.missed is None else ~self.missed[row]
        before = None if self.base_missed is None else ~self.base_missed[row]
        reads = self.step * np.arange(1, self.base_requests.shape[1] + 1)
        baseline = _increments(reads, self.base_requests[row], self.base_errors[row], before)
        watch = _increments(self.ends[row], self.requests[row], self.errors[row], there)
        if self.old_requests is None or self.old_errors is None:
            return baseline, watch, None
        old = _increments(self.ends[row], self.old_requests[row], self.old_errors[row], there)
        return baseline, watch, [None if np.isnan(found[1]) else found for found in old]


def _increments(ends: Array, requests: Array, errors: Array, there: Mask | None) -> list[Increment]:
    if there is not None:
        ends, requests, errors = ends[there], requests[there], errors[there]
    lengths = np.diff(ends, prepend=0.0).tolist()
    return list(zip(lengths, requests.tolist(), errors.tolist(), strict=True))


def draw(
    random: np.random.Generator,
    setting: Setting,
    weather: Weather,
    *,
    control: Control | None = None,
) -> Traces:
    """Draw the counts: Poisson requests, binomial groups of errors, geometric sizes of groups."""
    load = setting.rate * np.broadcast_to(weather.load, setting.shape)
    share = setting.ratio * weather.factor + weather.added
    wrong = load * np.minimum(MAX_RATIO, share)
    broken = load * np.minimum(MAX_RATIO, share + weather.deploy)
    first = setting.baseline
    reads = np.arange(0, first + 1, setting.step)
    base = _counts(random, load[:, :first], wrong[:, :first], reads[None, :], weather.cluster)
    edges = setting.polls(random)
    ends = edges[:, 1:].astype(float)
    missed = np.diff(edges, axis=1) == 0 if setting.uneven else None
    load, wrong, broken = load[:, first:], wrong[:, first:], broken[:, first:]
    if control is None:
        new = _counts(random, load, broken, edges, weather.cluster)
        return Traces(setting.step, ends, *base, *new, missed=missed)
    mine = control.share(setting)
    new = _counts(random, load * mine, broken * mine, edges, weather.cluster)
    rest = 1 - mine
    old = _counts(random, load * rest, wrong * rest, edges, weather.cluster)
    gone = edges[:, :-1] >= control.life
    old = np.where(gone, np.nan, old[0]), np.where(gone, np.nan, old[1])
    return Traces(setting.step, ends, *base, *new, *old, missed=missed)


def _counts(
    random: np.random.Generator,
    load: Array,
    wrong: Array,
    edges: NDArray[np.int64],
    cluster: float,
) -> tuple[Array, Array]:
    """Draw the requests and errors between edges, given what to expect in each second."""
    expected = between(load, edges)
    share = np.divide(between(wrong, edges), expected, where=expected > 0, out=expected * 0.0)
    requests = random.poisson(expected)
    share = np.clip(share, 0, 1)
    # Retries are requests too: with groups at the share g, g·c of 1 + g·(c - 1) requests fail.
    groups = random.binomial(requests, share / (cluster - share * (cluster - 1)))
    retries = np.zeros_like(groups)
    if cluster > 1:
        some = groups > 0
        retries[some] = random.negative_binomial(groups[some], 1 / cluster)
    return (requests + retries).astype(float), (groups + retries).astype(float)


def between(values: Array, edges: NDArray[np.int64]) -> Array:
    """Add up values per second between edges, which are seconds from the first value on."""
    sums = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
    at = np.take_along_axis(sums, np.broadcast_to(edges, (len(values), edges.shape[1])), axis=1)
    found: Array = np.maximum(0.0, np.diff(at, axis=1))
    return found
