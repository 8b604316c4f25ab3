"""The tail of the negative binomial distribution, cross-checked with scipy and with mpmath."""

from __future__ import annotations

import mpmath
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import special, stats

from deploy_guard.detect.distributions import incomplete_beta, tail


@given(
    st.floats(-3, 6).map(lambda e: 10**e),
    st.floats(-3, 6).map(lambda e: 10**e),
    st.just(0.0) | st.floats(1e-300, 1),  # below it a double has fewer digits
)
@example(1.0, 1.0, 0.5)
@example(1e6, 1e6, 0.5)
@example(2.0, 2.0, 0.5)
@example(0.001, 1e6, 1e-9)
@example(1e6, 0.001, 1 - 1e-12)
@example(1e6, 40.0, 0.9999)
def test_incomplete_beta(a: float, b: float, x: float) -> None:
    """The incomplete beta function is scipy's, over nine orders of magnitude."""
    expected = special.betainc(a, b, x)
    assert incomplete_beta(a, b, x) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(("x", "expected"), [(0.0, 0.0), (1.0, 1.0), (-1.0, 0.0), (2.0, 1.0)])
def test_incomplete_beta_at_the_ends(x: float, expected: float) -> None:
    """Nothing lies below zero, everything below one."""
    assert incomplete_beta(3.0, 0.5, x) == expected


@given(st.integers(1, 100_000), st.floats(-4, 5), st.floats(-2, 4))
def test_tail(count: int, mean: float, size: float) -> None:
    """The tail is scipy's negative binomial survival function."""
    m, r = 10**mean, 10**size
    expected = stats.nbinom.sf(count - 1, r, r / (m + r))
    found = tail(count, m, r)
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-290)


def test_tail_without_dispersion_is_poisson() -> None:
    """A very large size is Poisson's distribution."""
    assert tail(20, 8.0, 1e9) == pytest.approx(stats.poisson.sf(19, 8.0), rel=1e-5)


@pytest.mark.parametrize(
    ("count", "mean", "expected"), [(0, 0.0, 1.0), (-1, 5.0, 1.0), (0, 5.0, 1.0), (1, 0.0, 0.0)]
)
def test_tail_at_the_ends(count: float, mean: float, expected: float) -> None:
    """Nothing is always reached; something is never reached where nothing is expected."""
    assert tail(count, mean, 3.0) == expected


POSITIVE = st.floats(-6, 9).map(lambda e: 10**e)


@given(POSITIVE, POSITIVE, POSITIVE, POSITIVE)
@settings(max_examples=200)
def test_tail_is_monotone(one: float, other: float, mean: float, size: float) -> None:
    """More errors are never more likely, and a probability stays one."""
    few, many = sorted((one, other))
    less, more = tail(many, mean, size), tail(few, mean, size)
    assert 0.0 <= less <= more + 1e-6
    assert more <= 1.0
    assert tail(few, mean, size) <= tail(few, mean * 2, size) + 1e-6


def test_tail_of_a_tiny_size() -> None:
    """A size that is lost next to the mean is not lost in the tail."""
    expected = stats.nbinom.sf(0, 0.001, 0.001 / 1e15)
    assert tail(1, 1e15, 0.001) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("count", "mean", "size"),
    [
        (1, 0.01, 0.5),
        (9, 0.7, 12.0),
        (12.5, 2.4, 3.3),
        (38, 1.4, 4.0),
        (80, 20.0, 40.0),
        (700, 100.0, 0.6),
        (5000, 1000.0, 35.0),
    ],
)
def test_tail_to_many_digits(count: float, mean: float, size: float) -> None:
    """Tails far out are right to eight digits, by an independent library with fifty."""
    with mpmath.workdps(50):
        x = mpmath.mpf(mean) / (mpmath.mpf(mean) + size)
        expected = float(mpmath.betainc(count, size, 0, x, regularized=True))
    assert expected < 0.05
    assert tail(count, mean, size) == pytest.approx(expected, rel=1e-8)
