"""Numbers as people read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_guard import text


@pytest.mark.parametrize(
    ("fraction", "words"),
    [
        (None, "–"),
        (math.nan, "–"),
        (0.0, "0 %"),
        (0.000001, "< 0.001 %"),
        (0.00001, "0.001 %"),
        (0.0011, "0.11 %"),
        (0.001, "0.1 %"),
        (0.0316, "3.2 %"),
        (0.0994, "9.9 %"),
        (0.0996, "10 %"),
        (0.5, "50 %"),
        (0.95, "95 %"),
        (0.99, "99 %"),
        (0.995, "99.5 %"),
        (0.999, "99.9 %"),
        (0.9995, "99.95 %"),
        (0.999999999, "> 99.999 %"),
        (1.0, "100 %"),
        (-0.05, "-5 %"),
        (2.0, "200 %"),
    ],
)
def test_percent(fraction: float | None, words: str) -> None:
    """A percentage has two significant digits, and 99.9 % is never rounded to 100 %."""
    assert text.percent(fraction) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "∞"),
        (-math.inf, "-∞"),
        (0.0, "0 ms"),
        (0.00025, "0.25 ms"),
        (0.0123, "12 ms"),
        (0.34, "340 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1 s"),
        (1.24, "1.2 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 m"),
        (125, "2 m 5 s"),
        (3599.7, "1 h"),
        (3600, "1 h"),
        (12600, "3 h 30 m"),
        (86400, "1 d"),
        (187200, "2 d 4 h"),
        (-1.5, "-1.5 s"),
    ],
)
def test_seconds(value: float | None, words: str) -> None:
    """A duration is told in the two largest units that matter."""
    assert text.seconds(value) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (1204, "1,204"),
        (12.34, "12.3"),
        (12.01, "12"),
        (123.4, "123"),
        (99.97, "100"),
        (1e6, "1,000,000"),
        (math.nan, "–"),
        (math.inf, "–"),
    ],
)
def test_count(value: float, words: str) -> None:
    """A count is whole unless it is a small estimate."""
    assert text.count(value) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "∞"),
        (-math.inf, "-∞"),
        (0.0, "0"),
        (3.14159, "3.142"),
        (999.96, "1,000"),
        (12345.6, "12,346"),
        (-2500.0, "-2,500"),
    ],
)
def test_number(value: float | None, words: str) -> None:
    """A plain number has at most four significant digits, and separated thousands."""
    assert text.number(value) == words


@pytest.mark.parametrize(
    ("unit", "words"), [("ratio", "2.5 %"), ("seconds", "25 ms"), ("", "0.025")]
)
def test_quantity(unit: str, words: str) -> None:
    """A signal's value is told in the signal's unit."""
    assert text.quantity(0.025, unit) == words


@pytest.mark.parametrize(
    ("p_value", "words"),
    [
        (1.0, "p = 1"),
        (0.031, "p = 0.031"),
        (0.00099, "p < 10⁻³"),
        (3e-7, "p < 10⁻⁶"),
        (1e-6, "p < 10⁻⁵"),
        (2e-17, "p < 10⁻¹⁶"),
        (0.0, "p < 10⁻³⁰⁰"),
    ],
)
def test_chance(p_value: float, words: str) -> None:
    """A small chance is told as the next power of ten above it."""
    assert text.chance(p_value) == words


@pytest.mark.parametrize(("n", "words"), [(0, "0 pods"), (1, "1 pod"), (1234, "1,234 pods")])
def test_plural(n: int, words: str) -> None:
    """A number agrees with its noun."""
    assert text.plural(n, "pod") == words


@given(st.floats())
def test_every_float_has_words(value: float) -> None:
    """No float, however odd, is without words."""
    for words in (text.percent, text.seconds, text.count, text.number):
        assert words(value)


@given(st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_percent_keeps_the_ends_apart(fraction: float) -> None:
    """Something is never told as nothing, and not all is never told as all."""
    words = text.percent(fraction)
    assert words != "0 %"
    assert words != "100 %" or fraction > 1 - 1e-9
