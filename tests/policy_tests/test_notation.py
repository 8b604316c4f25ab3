"""Amounts, promtool's series, expectations: what short texts mean."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_guard.model import NoDataReason
from deploy_guard.policy_tests.notation import (
    MOST_VALUES,
    Expected,
    parse_answer,
    parse_bound,
    parse_expected,
    parse_part,
    parse_requests,
    parse_value,
)

GAP, STALE, NAN = NoDataReason.EMPTY, NoDataReason.STALE, NoDataReason.NOT_A_NUMBER
# The examples of promtool's documentation, and each form by itself.
SERIES: dict[
    str, list[float | NoDataReason]
] = {  # the examples of promtool's documentation, and each form by itself
    "-2+4x3": [-2, 2, 6, 10],
    "1-2x4": [1, -1, -3, -5, -7],
    "1x4": [1, 1, 1, 1, 1],
    "1 _x3 stale": [1, GAP, GAP, GAP, STALE],
    "0+600x3": [0, 600, 1200, 1800],
    "1 2 _ 3": [1, 2, GAP, 3],
    "0+150x2 1200+600x2": [0, 150, 300, 1200, 1800, 2400],
    "1.5+.5x2": [1.5, 2.0, 2.5],
    "1e2 2e-1x1": [100, 0.2, 0.2],
    "7 NaN 8": [7, NAN, 8],
}


@pytest.mark.parametrize("text", SERIES)
def test_series_are_promtools(text: str) -> None:
    """A series has the values that promtool's notation gives it."""
    found = parse_value(text)
    assert found.series
    assert [v if isinstance(v, NoDataReason) else pytest.approx(v) for v in found.values] == (
        SERIES[text]
    )


@pytest.mark.prometheus
@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not on the PATH")
def test_promtool_agrees(tmp_path: Path) -> None:
    """Promtool itself has the same values at the same intervals."""
    checks = []
    for number, values in enumerate(SERIES.values()):
        for k, value in enumerate(values):
            if value in (NAN, GAP):
                continue  # NaN equals nothing; a missing sample is looked up for five minutes
            name = f'm{{s="{number}"}}'
            gone = isinstance(value, NoDataReason)
            sample = "[]" if gone else f"[{{labels: '{name}', value: {value}}}]"
            at = f"eval_time: {k * 15}s"
            checks.append(f"      - {{expr: '{name}', {at}, exp_samples: {sample}}}")
    lines = ["evaluation_interval: 15s", "tests:", "  - interval: 15s", "    input_series:"]
    lines += [
        f"      - {{series: 'm{{s=\"{number}\"}}', values: '{text}'}}"
        for number, text in enumerate(SERIES)
    ]
    file = tmp_path / "series.yaml"
    file.write_text("\n".join([*lines, "    promql_expr_test:", *checks, ""]))
    done = subprocess.run(
        ["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(0, 40))
def test_an_item_begins_and_goes_on(first: int, step: int, times: int) -> None:
    """`a+bxn` is a and n values after it, each b more than the one before."""
    found = parse_value(f"{first}{step:+d}x{times} {first}")
    assert list(found.values) == [first + step * k for k in range(times + 1)] + [first]


def test_a_rate_is_per_second() -> None:
    """40/s, 2400/m and 144000/h are the same."""
    assert parse_requests("40/s") == parse_requests("2400/m") == parse_requests("144000/h")
    assert parse_requests("40/s").values == (40.0,)


def test_shares_may_change_by_interval() -> None:
    """A series of shares is written as one of numbers, with the sign at each."""
    found = parse_part("0.5%x1 20%+10%x2")
    assert found.kind == "share" and found.series
    assert list(found.values) == pytest.approx([0.005, 0.005, 0.2, 0.3, 0.4])


@pytest.mark.parametrize("text", ["", "40", "5%", "x", "40/d", "-1/s", "1e99/s", "0-5x3"])
def test_requests_are_rates_or_counters(text: str) -> None:
    """A number alone, a share, or less than nothing is no rate of requests."""
    with pytest.raises(ValueError, match="expected"):
        parse_requests(text)


@pytest.mark.parametrize("text", ["", "0.5", "101%", "1%x", "1% 2", "1%+2x3", "-1%", "1x-2"])
def test_parts_are_shares_rates_or_series(text: str) -> None:
    """A part of the requests has a unit, is no more than all of them, and of one kind."""
    with pytest.raises(ValueError, match="expected"):
        parse_part(text)


@pytest.mark.parametrize("text", ["", "5%", "3/s", "x", "1 two", "[1]"])
def test_a_value_is_a_plain_number(text: str) -> None:
    """A value has no unit."""
    with pytest.raises(ValueError, match="expected"):
        parse_value(text)


def test_a_series_has_bounds() -> None:
    """A slip such as a million values is a problem, not a long wait."""
    with pytest.raises(ValueError, match=str(MOST_VALUES)):
        parse_value("1x999999999")
    with pytest.raises(ValueError, match=str(MOST_VALUES)):
        parse_value(f"_x{MOST_VALUES} 1")


def test_answers_are_words_statuses_or_times() -> None:
    """An answer is ok, fail, a status, or how long it took."""
    assert parse_answer("ok").ok is True and parse_answer("fail").ok is False
    assert parse_answer("503").status == 503
    assert parse_answer("800ms").seconds == pytest.approx(0.8)
    for text in ("okay", "", "600", "8"):
        with pytest.raises(ValueError, match="expected ok"):
            parse_answer(text)


def test_bounds_are_seconds_or_durations() -> None:
    """A bucket's bound is written as Prometheus has it, or as a duration."""
    assert parse_bound("0.5") == parse_bound("500ms") == 0.5
    assert parse_bound("+Inf") == float("inf")
    for text in ("0", "-1", "half", "1e10", ""):
        with pytest.raises(ValueError, match="bound in seconds"):
            parse_bound(text)


EXPECTED = {
    "healthy": Expected("healthy"),
    "inconclusive": Expected("inconclusive"),
    "no data": Expected("no data"),
    "no_data": Expected("no data"),
    "regressed": Expected("regressed"),
    "regressed by 90s": Expected("regressed", by=90),
    "regressed after 30s": Expected("regressed", after=30),
    "regressed  after 30s by 1m30s (http-errors)": Expected("regressed", 30, 90, "http-errors"),
    "regressed (queue)": Expected("regressed", signal="queue"),
}


@pytest.mark.parametrize("text", EXPECTED)
def test_expectations_are_sentences(text: str) -> None:
    """A verdict, and for a regression its earliest and latest time and its signal."""
    assert parse_expected(text) == EXPECTED[text]


@pytest.mark.parametrize(
    "text", ["", "bad", "regressed by soon", "regressed in 30s", "regressed by 30", "healthy!"]
)
def test_other_sentences_are_refused(text: str) -> None:
    """Anything else is a problem that says what can be written."""
    with pytest.raises(ValueError, match="expected"):
        parse_expected(text)
