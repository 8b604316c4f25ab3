"""Traces of many deploys at once: what is known of the traffic becomes counts per poll.

Decides how requests and errors are drawn and read; how the error ratio behaves is decided in
`families` and `regressions`.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deploy_guard.detect import Increment

Array = NDArray[np.float64]
MAX_RATIO = 0.95


@dataclass(frozen=True, slots=True)
class Setting:
    """One cell of the benchmark: times in whole seconds, `rate` in requests per second.

    `ratio` is the healthy share of errors. The baseline is read every 15 s, or as rarely as the
    watch polls.
    """

    rate: float
    ratio: float
    poll: int = 15
    count: int = 100
    baseline: int = 3600
    watch: int = 1800
    seed: int = 1

    @property
    def step(self) -> int:
        """Seconds between two reads of the baseline."""
        return max(15, self.poll)

    @property
    def times(self) -> Array:
        """The beginning of each second, counted from the deploy."""
        return np.arange(-self.baseline, self.watch, dtype=np.float64)

    @property
    def shape(self) -> tuple[int, int]:
        """Deploys × seconds."""
        return self.count, self.baseline + self.watch

    def random(self, name: str) -> np.random.Generator:
        """Return the random numbers of this cell; no other cell has the same."""
        key = f"{name} {self.rate:g} {self.ratio:g} {self.poll} {self.baseline} {self.watch}"
        return np.random.default_rng([self.seed, zlib.crc32(key.encode())])


@dataclass(frozen=True, slots=True)
class Weather:
    """How load and errors behave, per second; all broadcast to deploys × seconds.

    The requests of a second have the mean rate · `load`, and each of them is an error with the
    probability ratio · `factor` + `added`. Errors come in groups of `cluster` on average: one
    request and its retries, which are requests too.
    """

    load: Array | float = 1.0
    factor: Array | float = 1.0
    added: Array | float = 0.0
    cluster: float = 1.0


@dataclass(frozen=True, slots=True)
class Control:
    """The old pods: they live for `life` seconds, and the new pods' share of the traffic grows.

    It grows evenly from a third to all at the end of their life; where they live to the end of
    the watch, both groups have one half.
    """

    life: int

    def share(self, setting: Setting) -> Array:
        """Return the new pods' share of the traffic, per second since the deploy."""
        seconds = np.arange(setting.watch, dtype=np.float64)
        if self.life >= setting.watch:
            return np.full(setting.watch, 0.5)
        return np.minimum(1.0, 1 / 3 + 2 / 3 * seconds / self.life)


@dataclass(frozen=True, slots=True)
class Traces:
    """Counts of many deploys: arrays of deploys × reads, oldest first.

    `phase` has the seconds from each deploy to its first poll, as nobody deploys just when a
    scrape is due. `old_requests` and `old_errors` are those of the old pods, NaN where none
    lives, or None where there is no control at all.
    """

    step: float
    poll: float
    phase: Array
    base_requests: Array
    base_errors: Array
    requests: Array
    errors: Array
    old_requests: Array | None = None
    old_errors: Array | None = None

    @property
    def ends(self) -> Array:
        """Seconds from the deploy to the end of each increment of the watch."""
        return self.phase[:, None] + self.poll * np.arange(self.requests.shape[1])

    @property
    def starts(self) -> Array:
        """Seconds from the deploy to the beginning of each increment of the watch."""
        return np.maximum(0.0, self.ends - self.poll)

    def base_ratio(self) -> Array:
        """Return each baseline's ratio, with one error added so that none is without errors."""
        estimated: Array = (self.base_errors.sum(1) + 1) / self.base_requests.sum(1)
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
        index = self._reads(until)
        rows = np.arange(len(index))
        seen = index > 0
        at = np.maximum(index - 1, 0)
        return np.where(seen, self.requests[rows, at], 0), np.where(seen, self.errors[rows, at], 0)

    def _reads(self, until: float) -> NDArray[np.int64]:
        index = np.floor((until - self.phase) / self.poll + 1e-9).astype(np.int64) + 1
        return np.clip(index, 0, self.requests.shape[1])

    def _total(self, until: float) -> tuple[Array, Array]:
        """Return all that was counted from the baseline's beginning up to a moment."""
        width = self.base_requests.shape[1]
        before = width if until >= 0 else max(0, width + int(np.floor(until / self.step)))
        n, x = self.base_requests[:, :before].sum(1), self.base_errors[:, :before].sum(1)
        if until <= 0:
            return n, x
        read = np.arange(self.requests.shape[1]) < self._reads(until)[:, None]
        return n + (self.requests * read).sum(1), x + (self.errors * read).sum(1)

    def of_one(
        self, row: int
    ) -> tuple[list[Increment], list[Increment], list[Increment | None] | None]:
        """Return baseline, watch and control of one deploy, as `detect.replay` takes them."""
        lengths = [float(self.phase[row])] + [self.poll] * (self.requests.shape[1] - 1)
        baseline = _increments(
            [self.step] * self.base_requests.shape[1],
            self.base_requests[row],
            self.base_errors[row],
        )
        watch = _increments(lengths, self.requests[row], self.errors[row])
        if self.old_requests is None or self.old_errors is None:
            return baseline, watch, None
        old = _increments(lengths, self.old_requests[row], self.old_errors[row])
        return baseline, watch, [None if np.isnan(found[1]) else found for found in old]


def _increments(lengths: list[float], requests: Array, errors: Array) -> list[Increment]:
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
    wrong = load * np.minimum(MAX_RATIO, setting.ratio * weather.factor + weather.added)
    phase = random.integers(1, setting.poll + 1, setting.count)
    first = setting.baseline
    edges = np.arange(0, first + 1, setting.step)
    base = _counts(random, load[:, :first], wrong[:, :first], edges[None, :], weather.cluster)
    polls = phase[:, None] + setting.poll * np.arange(setting.watch // setting.poll)
    polls = np.concatenate([np.zeros_like(polls[:, :1]), polls], axis=1)
    load, wrong = load[:, first:], wrong[:, first:]
    if control is None:
        new = _counts(random, load, wrong, polls, weather.cluster)
        return Traces(setting.step, setting.poll, phase.astype(float), *base, *new)
    share = control.share(setting)
    new = _counts(random, load * share, wrong * share, polls, weather.cluster)
    rest = 1 - share
    old = _counts(random, load * rest, wrong * rest, polls, weather.cluster)
    gone = polls[:, :-1] >= control.life
    old = np.where(gone, np.nan, old[0]), np.where(gone, np.nan, old[1])
    return Traces(setting.step, setting.poll, phase.astype(float), *base, *new, *old)


def _counts(
    random: np.random.Generator,
    load: Array,
    wrong: Array,
    edges: NDArray[np.int64],
    cluster: float,
) -> tuple[Array, Array]:
    """Draw the requests and errors between edges, given what to expect in each second."""
    expected = _between(load, edges)
    share = np.divide(_between(wrong, edges), expected, where=expected > 0, out=expected * 0.0)
    requests = random.poisson(expected)
    share = np.clip(share, 0, 1)
    # Retries are requests too: with groups at the share g, g·c of 1 + g·(c - 1) requests fail.
    groups = random.binomial(requests, share / (cluster - share * (cluster - 1)))
    retries = np.zeros_like(groups)
    if cluster > 1:
        some = groups > 0
        retries[some] = random.negative_binomial(groups[some], 1 / cluster)
    return (requests + retries).astype(float), (groups + retries).astype(float)


def _between(values: Array, edges: NDArray[np.int64]) -> Array:
    sums = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
    at = np.take_along_axis(sums, np.broadcast_to(edges, (len(values), edges.shape[1])), axis=1)
    found: Array = np.maximum(0.0, np.diff(at, axis=1))
    return found
