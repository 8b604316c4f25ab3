"""The second prototype: any poll interval, old pods as control; its suspicion is left out.

Decides nothing of its own: a fixed rule with its constants, vectorised over deploys that are polled
at the same moments. What it learns from the baseline is in `prototype_baseline`.

How close this is to the rule as it was published (seconds to detect, median/95 %/missed; there, and
here with 400 deploys), at 2 s: 0.1 → 1 % @100 46/49 and 46/49; 0.1 → 0.5 % @100 71/101 and 71/101;
0.1 → 0.2 % @1000 111/301 and 111/300; 0.1 → 0.5 % @10 361/∞/14 % and 400/∞/15 %; 0.1 → 1 % @1
891/∞/21 % and 911/∞/21 %; 0.1 → 50 % @100 4/4 and 4/4; 1 → 5 % @1000 under AR 5 min 633/∞/25 % and
621/∞/25 %. At 15 s: 0.1 → 1 % @100 58/74 and 58/73. A shared ×3 level is rolled back in 70, 58, 47
and 1.5 % there, in 70, 60, 69 and 0 % here: old pods live 30, 60, 120 s and to the end.

Not as close, for reasons unknown: beside old pods that live to the end, 1 → 5 % @1000 under AR
5 min takes 57 s at 2 s and 72 s at 15 s there, 37 and 53 s here; a shared outage of 50 % with
clusters of 5 and a warm-up is rolled back in 14.5, 3, 1 and 0.5 % there, in none of 200 each here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import betainc

from benchmarks.detection.prototype_baseline import Learned, learn
from benchmarks.detection.reference import capped, negative_binomial, ratios, worth
from benchmarks.detection.setting import Array, Mask, Rows
from benchmarks.detection.traces import Traces

BIN = 10.0  # seconds
TRAILING, CONCURRENT, CONCURRENT_TRAILING = 2e-6, 5e-5, 2.5e-6  # levels of a single look
OUTAGE, ATTRIBUTION = 1e-6, 2e-3


def prototype(traces: Traces) -> Array:
    """Return the seconds to a regression or an outage, whichever is first."""
    known, interval = learn(traces), traces.interval
    found = np.full(traces.count, np.inf)
    for rows in _alike(traces, interval):
        found[rows] = _Watch.of(traces, rows, known.of(rows), interval).times()
    return found


def _alike(traces: Traces, interval: float) -> Iterator[Rows]:
    """Group the deploys that can be judged together: old pods go when they like."""
    rows = np.arange(traces.count)
    if traces.old_requests is not None:
        yield from rows[:, None]
    elif interval >= BIN:
        yield rows
    else:
        _, group = np.unique(traces.ends, axis=0, return_inverse=True)
        for number in range(group.max() + 1):
            yield rows[group.ravel() == number]


@dataclass(slots=True)
class _Watch:
    """Counts of the watch, rows × reads; `y` and `m` are the old pods' errors and requests."""

    ends: Array
    x: Array
    n: Array
    y: Array
    m: Array
    known: Learned
    interval: float
    begin: int = 0  # first read that counts; later than 0 once dead old pods are implicated
    implicated: tuple[float, float] | None = None  # ratio and errors of the dead old pods

    @classmethod
    def of(cls, traces: Traces, rows: Rows, known: Learned, interval: float) -> _Watch:
        x, n = traces.errors[rows], traces.requests[rows]
        y = m = np.zeros_like(x)
        if traces.old_errors is not None and traces.old_requests is not None:
            y, m = np.nan_to_num(traces.old_errors[rows]), np.nan_to_num(traces.old_requests[rows])
        return cls(traces.ends[rows], x, n, y, m, known, interval)

    def times(self) -> Array:
        """Judge at each poll, and once more when the last old pod has gone."""
        found = np.full(len(self.x), np.inf)
        closed, lived = [0], False
        for read in range(1, self.x.shape[1] + 1):
            alive = self._alive(read)
            if lived and not alive:
                self._look_back(read)
                closed = [self.begin, *(edge for edge in closed if edge > self.begin)]
            lived = alive
            fired = self._outage(read, alive) & np.isinf(found)
            bins = self._bins(closed, read)
            if bins is not None:
                fired |= self._windows(bins, alive, np.isinf(found) & ~fired)
            found[fired] = self.ends[fired, read - 1]
            if np.isfinite(found).all():
                break
        return found

    def _alive(self, read: int) -> bool:
        if not self.m.any():
            return False
        recent = self.ends[0, :read] > self.ends[0, read - 1] - max(10.0, 1.5 * self.interval)
        return bool(self.m[0, :read][recent].any())

    def _bins(self, closed: list[int], read: int) -> list[int] | None:
        """Return the edges of the bins up to a read if there is something new to look at."""
        now, before = self.ends[0, read - 1], self.ends[0, read - 2] if read > 1 else 0.0
        if self.interval >= BIN or now // BIN > before // BIN:
            closed.append(read)
            return closed
        opened = self.ends[0, closed[-1] - 1] if closed[-1] else 0.0
        return [*closed, read] if now <= 60 and now - opened >= BIN / 2 else None

    def _windows(self, edges: list[int], alive: bool, open_: Mask) -> Mask:
        """Judge all bins, the last two minutes and the last ten."""
        length = max(BIN, self.interval)
        k0 = int(np.ceil(30 / length)) + (self.interval >= BIN)
        fired = np.zeros(len(self.x), dtype=bool)
        bins = len(edges) - 1
        widths = {max(k0 + 2, int(np.ceil(120 / length))), max(k0 + 4, int(np.ceil(600 / length)))}
        for width in {bins, *widths}:
            if not k0 < width <= bins:
                continue
            window, whole = edges[-width - 1 :], width == bins
            x, n = (self._total(counts, window) for counts in (self.x, self.n))
            p = self.known.p
            at = np.flatnonzero(open_ & ~fired & worth(x, n, p))
            if at.size:
                fired[at] |= self._window(window, at, k0, alive, whole=whole)
        return fired

    def _window(self, edges: list[int], at: Rows, k0: int, alive: bool, *, whole: bool) -> Mask:
        beside = np.ones(len(at))
        if alive:
            counts = tuple(self._binned(c[at], edges) for c in (self.x, self.n, self.y, self.m))
            known = self.known.of(at)
            beside = control(counts, known.p, known.phi, left_out=k0, gate=True)
            if (beside > ATTRIBUTION).all():
                return np.zeros(len(at), dtype=bool)
        level = self.known.level[at] if whole else np.full(len(at), TRAILING)
        before = self._before(edges, at, k0) <= level
        concurrent = beside <= (CONCURRENT if whole else CONCURRENT_TRAILING)
        found: Mask = (before & (beside <= ATTRIBUTION)) | concurrent if alive else before
        return found

    def _before(self, edges: list[int], at: Rows, k0: int) -> Array:
        """Compare with the time before the deploy; the worst bins decide nothing."""
        known = self.known.of(at)
        x, n = self._binned(self.x[at], edges), self._binned(self.n[at], edges)
        total = n.sum(1)
        k = np.minimum(x.shape[1] - 1, np.maximum(k0, np.ceil(0.2 * (x > 0).sum(1))))
        least, cut = capped(x, n, k)
        seen, cut = ratios(x, n), cut[:, None]
        ties, above = seen == cut, (seen > cut).sum(1)
        part = 1 - (k - above) / np.maximum(1, ties.sum(1))
        kept = ((n * (seen < cut)).sum(1) + part * (n * ties).sum(1)) / total
        starts = self.ends[at, edges[0] - 1] if edges[0] else 0.0
        size = 1 / (1 / (known.errors + 1) + known.variance(self.ends[at, edges[-1] - 1] - starts))
        chance = negative_binomial(least * kept, total * known.p * kept, size)
        return np.where(worth(least, total, known.p) & known.exists, chance, 1.0)

    def _outage(self, read: int, alive: bool) -> Mask:
        """Look at the last polls without the worst one: are they surely above the limit?"""
        fired = np.zeros(len(self.x), dtype=bool)
        last_x, last_n, limit = self.x[:, read - 1], self.n[:, read - 1], self.known.limit
        at = np.flatnonzero((last_x > 0) & (last_x >= limit * last_n))
        drop = int(np.ceil(2 / self.interval)) if self.interval < 2 else 1
        for width in (2, 3, 5, 8, 20, 40):
            if not at.size or not drop < width <= read - self.begin:
                continue
            polls = slice(read - width, read)
            worst = np.argsort(-self.x[at, polls], axis=1, kind="stable")[:, drop:]
            x = np.take_along_axis(self.x[at, polls], worst, axis=1).sum(1)
            n = np.take_along_axis(self.n[at, polls], worst, axis=1).sum(1)
            known, spread = self.known.of(at), self.known.spread[at]
            chance = betainc(np.maximum(1e-9, x / spread), (n - x) / spread + 1, known.limit)
            found: Mask = (x > 0) & (chance <= OUTAGE)
            if alive:
                counts = tuple(c[at, polls] for c in (self.x, self.n, self.y, self.m))
                beside = control(counts, known.raw, spread, left_out=1, extra=0.04)
                found &= beside <= ATTRIBUTION
            elif self.implicated is not None:
                ratio, errors = self.implicated
                size = np.full(len(at), 1 / (1 / (errors + 1) + 0.1))
                found &= negative_binomial(x / spread, n * ratio / spread, size) <= ATTRIBUTION
            fired[at] |= found
        return fired

    def _look_back(self, read: int) -> None:
        """Ask the old pods' last minute whether they were bad too; there is one deploy here."""
        last = int(np.flatnonzero(self.m[0, :read])[-1])
        found = []
        for seconds in (10.0, 20.0, 30.0, 60.0):
            least = max(seconds, BIN, self.interval)
            some = self.ends[0, : last + 1] > self.ends[0, last] - least
            y, m = self.y[0, : last + 1][some].sum(), self.m[0, : last + 1][some].sum()
            expected = np.array([m * self.known.raw[0] / self.known.phi[0]])
            seen = np.array([y / self.known.phi[0]])
            chance = negative_binomial(seen, expected, self.known.size_60)[0]
            if m > 0 and y >= 1.5 * self.known.p[0] * m and chance <= 0.05:
                found.append(((y + 1) / m, seen[0]))
        if found:
            ratio, errors = self.implicated = max(found)
            self.begin = read - 1
            p, known = np.maximum(self.known.p, ratio), np.minimum(self.known.errors, errors)
            self.known = replace(self.known, p=p, errors=known)

    @staticmethod
    def _total(counts: Array, edges: list[int]) -> Array:
        total: Array = counts[:, edges[0] : edges[-1]].sum(1)
        return total

    @staticmethod
    def _binned(counts: Array, edges: list[int]) -> Array:
        binned: Array = np.add.reduceat(counts[:, : edges[-1]], edges[:-1], axis=1)
        return binned


def control(
    counts: tuple[Array, ...],
    p: Array,
    phi: Array,
    *,
    left_out: int,
    gate: bool = False,
    extra: float = 0.01,
) -> Array:
    """Return the chance of the new pods' errors, given the old pods' in the same intervals.

    The counts are errors and requests of the new pods, then of the old ones.
    """
    x, n, y, m = counts
    w = np.divide(m, n + m, out=np.zeros_like(m), where=(n > 0) & (m > 0))
    both = (n > 0) & (m > 0)
    order = np.argsort(np.where(both, -(x * w - y * (1 - w)), np.inf), axis=1, kind="stable")
    kept = both.copy()
    np.put_along_axis(kept, order[:, :left_out], False, axis=1)
    new, old, exposure = ((c * kept).sum(1) for c in (x * w, y * (1 - w), n * w))
    calm = (y + m * p[:, None]) * kept
    fx = (x * w**2 * kept).sum(1) / np.maximum(new, 1e-300)
    fy = (calm * (1 - w) ** 2).sum(1) / np.maximum((calm * (1 - w)).sum(1), 1e-300)
    a, b = np.maximum(phi * fy, 1e-300), np.maximum(phi * fx, 1e-300)
    chance = negative_binomial(new / b, (old + a) / b, 1 / (1 / (old / a + 1) + extra))
    if gate:
        better = new >= np.maximum(1.5 * old, old + 0.0005 * exposure)
        chance = np.where(better & worth(new, exposure, p), chance, 1.0)
    return np.where(exposure > 0, chance, 1.0)
