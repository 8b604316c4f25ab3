"""The reference detector: a floor for ours to stand on, defined for increments of 15 s.

Decides nothing of its own: a fixed rule with its constants, vectorised over deploys. At other polls
its constants mean nothing, so it is measured at 15 s only. It looks at no old pods.

How close this is to the rule as it was published (seconds to detect, median/95 %/missed, at 15 s;
there, and here with 400 deploys): 0.1 → 1 % @100 57/72 and 57/72; 0.1 → 0.5 % @100 85/115 and
85/114; 0.1 → 0.2 % @1000 128/253 and 122/227; 0.1 → 0.5 % @10 384/∞/8 % and 369/∞/8 %; 0.1 → 1 % @1
1204/∞/28 % and 1081/∞/28 %; 0.1 → 50 % @100 23/29 and 23/29.
"""

from __future__ import annotations

import numpy as np
from scipy.special import betainc

from benchmarks.detection.setting import Array, Mask
from benchmarks.detection.traces import Traces

SINCE, TRAILING, OUTAGE = 5e-5, 2.5e-6, 1e-6  # levels of a single look


def reference(traces: Traces) -> Array:
    """Return the seconds to a regression or an outage, whichever is first."""
    found = np.full(traces.count, np.inf)
    errors, requests = traces.base_errors.sum(1), np.maximum(1, traces.base_requests.sum(1))
    rank = np.ceil(0.2 * (traces.base_errors > 0).sum(1))
    p = (capped(traces.base_errors, traces.base_requests, rank)[0] + 1) / requests
    extra = _extra_variance(traces, (errors + 1) / requests)
    limit = _limit(traces, (errors + 1) / requests)
    for end in range(2, traces.requests.shape[1] + 1):
        fired = _outage(traces.requests[:, :end], traces.errors[:, :end], limit)
        for width in {end, 8, 40}:
            if not 3 < width <= end:
                continue
            n, x = traces.requests[:, end - width : end], traces.errors[:, end - width : end]
            at = np.flatnonzero(worth(x.sum(1), n.sum(1), p) & np.isinf(found) & ~fired)
            variance = extra[4 if width < 20 else 20][at]
            chance = _chance(x[at], n[at], p[at], 1 / (1 / (errors[at] + 1) + variance))
            fired[at] |= chance <= (SINCE if width == end else TRAILING)
        found[fired & np.isinf(found)] = traces.ends[fired & np.isinf(found), end - 1]
    return found


def _chance(x: Array, n: Array, p: Array, size: Array) -> Array:
    """Return the chance of so many errors, a few bad scrapes left out."""
    k = np.maximum(3, np.ceil(0.2 * (x > 0).sum(1)).astype(int))
    least, _ = capped(x, n, k)
    kept = (x.shape[1] - k) / x.shape[1]
    chance = negative_binomial(least * kept, n.sum(1) * p * kept, size)
    return np.where(worth(least, n.sum(1), p), chance, 1.0)


def _extra_variance(traces: Traces, usual: Array) -> dict[int, Array]:
    """Return the overdispersion of the baseline at three scales, in scrapes, made safe."""
    found = {scale: overdispersion(traces, usual, scale) for scale in (1, 4, 20)}
    found[4] = np.maximum(found[4], found[20])
    return {scale: np.minimum(2, 2 * found[scale] + 0.025) for scale in (4, 20)}


def overdispersion(traces: Traces, usual: Array, scale: int) -> Array:
    """Return the relative variance beyond Poisson's between groups of scrapes, shrunk.

    The newest scrapes are in a group; fewer than 3 groups are none.
    """
    m = traces.base_requests.shape[1] // scale
    if m < 3:
        return np.zeros(traces.count)
    shape = traces.count, m, scale
    x = traces.base_errors[:, -m * scale :].reshape(shape).sum(2)
    mu = traces.base_requests[:, -m * scale :].reshape(shape).sum(2) * usual[:, None]
    squares = np.maximum(1e-300, (mu**2).sum(1))
    v = np.maximum(0, (((x - mu) ** 2).sum(1) * m / (m - 1) - mu.sum(1)) / squares)
    mean = np.maximum(1e-9, mu.mean(1))
    unsure = (2 * mean**2 + mean) / (m * mean**4)
    found: Array = v**3 / (v**2 + unsure)
    return found


def _limit(traces: Traces, usual: Array) -> Array:
    """Return the share of errors from which on it may be an outage."""
    x, n = traces.base_errors, traces.base_requests
    surely = ratios(x - 2 * np.sqrt(x), n).max(1, initial=0.0)
    found: Array = np.minimum(0.9, np.maximum(0.05, np.maximum(3 * usual, 2 * surely)))
    return found


def _outage(n: Array, x: Array, limit: Array) -> Mask:
    """Say where the last scrapes without the worst one are surely above the limit."""
    fired = np.zeros(len(n), dtype=bool)
    at = np.flatnonzero((x[:, -1] >= limit * n[:, -1]) & (x[:, -1] > 0))
    for width in (2, 3, 5, 8, 20, 40):
        if at.size and width <= n.shape[1]:
            worst = np.argmax(x[at, -width:], axis=1)
            some = np.arange(width) != worst[:, None]
            failed, total = (x[at, -width:] * some).sum(1), (n[at, -width:] * some).sum(1)
            chance = betainc(np.maximum(failed, 1e-9), total - failed + 1, limit[at])
            fired[at] |= (failed > 0) & (chance <= OUTAGE)
    return fired


def capped(x: Array, n: Array, rank: Array) -> tuple[Array, Array]:
    """Return the errors when no ratio is above the (rank + 1)-th largest one, and that ratio."""
    ordered = -np.sort(-ratios(x, n), axis=1)
    if not ordered.size:
        return np.zeros(len(x)), np.zeros(len(x))
    last = np.minimum(rank, ordered.shape[1] - 1)[:, None].astype(int)
    cut = np.take_along_axis(ordered, last, axis=1)
    return np.minimum(x, n * cut).sum(1), cut[:, 0]


def ratios(x: Array, n: Array) -> Array:
    """Return errors per request, 0 without requests."""
    return np.divide(x, n, out=np.zeros_like(x), where=n > 0)


def worth(x: Array, n: Array, p: Array) -> Mask:
    """Say where so many errors are so much above the healthy ratio that acting is worth it."""
    found: Mask = (n > 0) & (x >= n * np.maximum(1.5 * p, p + 0.0005))
    return found


def negative_binomial(x: Array, mu: Array, size: Array) -> Array:
    """Return the chance of at least x, which need not be whole, where mu are expected."""
    some = (x > 0) & (mu > 0)
    least, mean = np.where(some, x, 1.0), np.where(some, mu, 1.0)
    return np.where(some, betainc(least, size, mean / (mean + size)), 1.0)
