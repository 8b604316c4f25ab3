"""Textbook sequential tests, and the oracle: the same test told what nobody can know.

They assume independent errors. Each returns the seconds from the deploy to the end of the
increment in which it fired, infinite for never. The level is that of the whole watch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import betaln, xlogy
from scipy.stats import norm

from benchmarks.detection.setting import Array, Mask
from benchmarks.detection.traces import Traces

LEVEL = 0.01
WARM_UP = 30.0


@dataclass(frozen=True, slots=True)
class Truth:
    """What nobody can know: both ratios, and when the worse one begins, in seconds."""

    healthy: float
    worse: float = math.nan
    since: float = 0.0


def mixture_sprt(traces: Traces) -> Array:
    """Stop when a mixture over all ratios explains the errors 1/level times better.

    Robbins, Statistical Methods Related to the Law of the Iterated Logarithm, 1970; used for A/B
    tests by Johari, Koomen, Pekelis, Walsh, 2017. The mixture is a beta distribution with mean
    2p and a = 1; p is the baseline's ratio, taken for exact; only ratios above p count.
    """
    p = traces.base_ratio()[:, None]
    n, x = traces.requests.cumsum(1), traces.errors.cumsum(1)
    return _first(traces, (log_mixture(n, x, p) >= np.log(1 / LEVEL)) & (x > p * n))


def log_mixture(n: Array, x: Array, p: Array) -> Array:
    """Return the logarithm of the mixture's likelihood ratio."""
    a, b = 1.0, np.maximum(1.0, 1 / (2 * p) - 1)
    found: Array = betaln(a + x, b + n - x) - betaln(a, b) - x * np.log(p) - (n - x) * np.log1p(-p)
    return found


def cusum(traces: Traces) -> Array:
    """Stop when the errors since some moment explain a doubled ratio well.

    Page, Continuous Inspection Schemes, 1954, with the likelihood ratio of 2p to p; p is the
    baseline's ratio. The threshold ln(polls / level) holds the level: each beginning is a
    test of Wald's.
    """
    p = traces.base_ratio()[:, None]
    steps = _log_ratio(traces.requests, traces.errors, p, np.minimum(0.9, 2 * p))
    sums = np.concatenate([np.zeros((len(steps), 1)), steps.cumsum(1)], axis=1)
    above = sums[:, 1:] - np.minimum.accumulate(sums, axis=1)[:, :-1]
    return _first(traces, above >= np.log(steps.shape[1] / LEVEL))


def glr(traces: Traces) -> Array:
    """Stop when one ratio for before and after explains the errors far worse than two do.

    The generalised likelihood ratio of two binomial samples, all counts since the deploy against
    the baseline, both ratios estimated (Wilks, 1938: its signed root is nearly normal). The level
    is divided over the polls.
    """
    n0, x0 = traces.base_requests.sum(1)[:, None], traces.base_errors.sum(1)[:, None]
    n1, x1 = traces.requests.cumsum(1), traces.errors.cumsum(1)
    n, x = n0 + n1, x0 + x1
    twice = 2 * (_fit(x0, n0) + _fit(x1, n1) - _fit(x, n))
    enough = norm.isf(LEVEL / n1.shape[1])
    return _first(traces, (np.maximum(0, twice) >= enough**2) & (x1 * n0 > x0 * n1))


def _fit(x: Array, n: Array) -> Array:
    """Return the greatest log likelihood of x errors in n requests."""
    found: Array = xlogy(x, x) + xlogy(n - x, n - x) - xlogy(n, n)
    return found


def oracle(traces: Traces, truth: Truth) -> Array:
    """Stop as Wald's test does that is told the truth: nothing at this level is sooner.

    Wald, Sequential Tests of Statistical Hypotheses, 1945. One-sided: it never accepts. It knows
    when the regression begins, but nothing of noise.
    """
    return _wald(traces, truth, traces.starts >= 0)


def oracle_30(traces: Traces, truth: Truth) -> Array:
    """Stop as the oracle that is blind to increments which began in the first 30 s."""
    return _wald(traces, truth, traces.starts >= WARM_UP)


def bound(healthy: float, worse: float, rate: float) -> float:
    """Return Wald's lower bound of the mean time, in seconds."""
    divergence = worse * np.log(worse / healthy) + (1 - worse) * np.log((1 - worse) / (1 - healthy))
    return float(np.log(1 / LEVEL) / divergence / rate)


def _wald(traces: Traces, truth: Truth, seen: Mask) -> Array:
    length = np.maximum(1e-9, traces.ends - traces.starts)
    part = np.clip((traces.ends - truth.since) / length, 0, 1)  # an increment may be both
    worse = truth.healthy + part * (truth.worse - truth.healthy)
    steps = _log_ratio(traces.requests, traces.errors, np.array(truth.healthy), worse)
    return _first(traces, np.where(seen, steps, 0).cumsum(1) >= np.log(1 / LEVEL))


def _log_ratio(n: Array, x: Array, healthy: Array, worse: Array) -> Array:
    found: Array = x * np.log(worse / healthy) + (n - x) * (np.log1p(-worse) - np.log1p(-healthy))
    return found


def _first(traces: Traces, fired: Mask) -> Array:
    """Return the end of the first increment in which a deploy's rule fired."""
    at = np.take_along_axis(traces.ends, np.argmax(fired, axis=1)[:, None], axis=1)[:, 0]
    return np.where(fired.any(axis=1), at, np.inf)
