"""The negative binomial distribution's tail, without scipy: start-up and installation stay light.

Decides nothing; `deploy_guard.detect` says what the probabilities mean.
"""

from __future__ import annotations

import math

_TINY = 1e-300
_STEPS = 100_000  # the continued fraction needs about the square root of its larger argument


def tail(count: float, mean: float, size: float) -> float:
    """Return P(K ≥ count) for a negative binomial K with the given mean and size.

    P = I_{mean/(mean+size)}(count, size), the regularised incomplete beta function
    (NIST DLMF 8.17; the variance of K is mean + mean²/size). `count` may be fractional.
    """
    if count <= 0:
        return 1.0
    if mean <= 0:
        return 0.0
    return _beta(count, size, mean / (mean + size), size / (mean + size))


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b), for a, b > 0 and 0 ≤ x ≤ 1."""
    return _beta(a, b, x, 1.0 - x)


def _beta(a: float, b: float, x: float, y: float) -> float:
    """Return I_x(a, b) for y = 1 - x, which the caller may know better than the subtraction."""
    if x <= 0:
        return 0.0
    if y <= 0:
        return 1.0
    if x <= (a + 1) / (a + b + 2):
        return min(1.0, _fraction(a, b, x, y))
    return max(0.0, 1.0 - _fraction(b, a, y, x))


def _fraction(a: float, b: float, x: float, y: float) -> float:
    """Evaluate the continued fraction of NIST DLMF 8.17.22 by Lentz's method."""
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(y)
    )
    c, d = 1.0, 1.0 / _away(1.0 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1.0 / _away(1.0 + even * d)
        c = _away(1.0 + even / c)
        value *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1.0 / _away(1.0 + odd * d)
        c = _away(1.0 + odd / c)
        value *= d * c
        if abs(d * c - 1.0) < 1e-13:
            break
    return front * value / a


def _away(value: float) -> float:
    """Keep a denominator away from zero."""
    return value if abs(value) > _TINY else _TINY
