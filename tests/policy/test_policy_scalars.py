"""Durations and percentages, read and written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_guard.policy.scalars import (
    format_duration,
    format_percent,
    parse_duration,
    parse_percent,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("1m30s", 90),
        ("500ms", 0.5),
        ("1.5h", 5400),
        ("7d", 604800),
        ("0s", 0),
        ("1h1ms", 3600.001),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    """A duration is numbers with units, added up, in seconds."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "5", "m", "5 m", "-5m", "5m ", "5M", "1m30", "٣m", "1e3s", "inf", ".5m"]
)
def test_what_is_no_duration(text: str) -> None:
    """Numbers without units, signs, blanks and other digits are refused."""
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=366 * 86400 * 1000))
def test_a_duration_survives_being_written(milliseconds: int) -> None:
    """What is written can be read again, to the millisecond."""
    text = format_duration(milliseconds / 1000)
    assert round(parse_duration(text) * 1000) == milliseconds


@pytest.mark.parametrize(
    ("text", "fraction"), [("5%", 0.05), ("0.1 %", 0.001), ("100%", 1), ("0%", 0)]
)
def test_percentages(text: str, fraction: float) -> None:
    """A percentage is a fraction of one."""
    assert parse_percent(text) == pytest.approx(fraction)


@pytest.mark.parametrize("text", ["", "5", "0.05", "%", "-1%", "101%", "5 %%", "٣%", "1e1%"])
def test_what_is_no_percentage(text: str) -> None:
    """A number without the sign is refused, and so is more than everything."""
    with pytest.raises(ValueError, match=r"percentage|100%"):
        parse_percent(text)


@given(st.integers(min_value=0, max_value=100_000))
def test_a_percentage_survives_being_written(thousandths: int) -> None:
    """What is written can be read again."""
    fraction = thousandths / 100_000
    assert parse_percent(format_percent(fraction)) == pytest.approx(fraction)
