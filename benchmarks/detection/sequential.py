"""Textbook sequential tests, and the oracle: the same test told what nobody can know.

They assume independent errors. Each returns the seconds from the deploy to the end of the
increment in which it fired, infinite for never. The level is that of the whole watch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln

from benchmarks.detection.traces import Array, Traces

LEVEL = 0.01
WARM_UP = 30.0


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


def oracle(traces: Traces, healthy: float, worse: float) -> Array:
    """Stop as Wald's test does that is told both ratios: nothing at this level is sooner.

    Wald, Sequential Tests of Statistical Hypotheses, 1945. One-sided: it never accepts.
    """
    return _wald(traces, healthy, worse, traces.starts >= 0)


def oracle_30(traces: Traces, healthy: float, worse: float) -> Array:
    """Stop as the oracle that is blind to increments which began in the first 30 s."""
    return _wald(traces, healthy, worse, traces.starts >= WARM_UP)


def bound(healthy: float, worse: float, rate: float) -> float:
    """Return Wald's lower bound of the mean time, in seconds."""
    divergence = worse * np.log(worse / healthy) + (1 - worse) * np.log((1 - worse) / (1 - healthy))
    return float(np.log(1 / LEVEL) / divergence / rate)


def _wald(traces: Traces, healthy: float, worse: float, seen: NDArray[np.bool_]) -> Array:
    steps = _log_ratio(traces.requests, traces.errors, np.array(healthy), np.array(worse))
    return _first(traces, np.where(seen, steps, 0).cumsum(1) >= np.log(1 / LEVEL))


def _log_ratio(n: Array, x: Array, healthy: Array, worse: Array) -> Array:
    found: Array = x * np.log(worse / healthy) + (n - x) * (np.log1p(-worse) - np.log1p(-healthy))
    return found


def _first(traces: Traces, fired: NDArray[np.bool_]) -> Array:
    """Return the end of the first increment in which a deploy's rule fired."""
    at = np.take_along_axis(traces.ends, np.argmax(fired, axis=1)[:, None], axis=1)[:, 0]
    return np.where(fired.any(axis=1), at, np.inf)
