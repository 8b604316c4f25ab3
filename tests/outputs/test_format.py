"""Numbers, times and other people's texts."""

from __future__ import annotations

import math
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_guard.model import Condition, Revision, Rollout
from deploy_guard.outputs import format as fmt

HARMLESS_JOINER = "\u200d"


@given(st.text())
def test_a_cleaned_text_is_one_harmless_line(text: str) -> None:
    """Whatever comes in, what goes out has no control, no line break and no direction mark."""
    for char in fmt.clean(text).replace(HARMLESS_JOINER, ""):
        assert unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


@pytest.mark.parametrize(
    ("hostile", "harmless"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bc", "\\x1bc"),
        ("\x1b[", "\\x1b["),
        ("a\r\nb\tc\u2028d", "a b c d"),
        ("bell\x07", "bell\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("broken\ud800", "broken\\ud800"),
        ("##[error]no", "# #[error]no"),
        ("##vso[task.complete]", "# #vso[task.complete]"),
        ("plain text: ä 支払い 👩‍💻", "plain text: ä 支払い 👩‍💻"),
    ],
)
def test_hostile_texts_are_made_harmless(hostile: str, harmless: str) -> None:
    """Escapes go, other controls are spelled out, readable text stays as it is."""
    assert fmt.clean(hostile) == harmless


def test_a_cut_is_told() -> None:
    """A text that is too long says how much is missing."""
    assert fmt.clean("x" * 10_000, longest=5) == "xxxxx … (9,995 more characters)"


@given(st.text(), st.integers(0, 60))
def test_a_padded_text_has_exactly_the_width(text: str, width: int) -> None:
    """Narrow, wide and combining characters alike."""
    assert fmt.cells(fmt.pad(text, width)) == width


@given(st.text(), st.integers(20, 80), st.integers(0, 10))
def test_wrapped_lines_fit_and_lose_nothing(text: str, width: int, indent: int) -> None:
    """Every line fits, and all words are there in order."""
    lines = fmt.wrap(text, width=width, first=" " * indent, rest=" " * indent)
    assert all(fmt.cells(line) <= width for line in lines)
    told = "".join("".join(lines).split()).replace(": :", "::")
    assert told == "".join(text.split())


@pytest.mark.parametrize("number", ["20 %", "1.4 s", "12 ms", "3 h"])
def test_a_number_stays_with_its_unit(number: str) -> None:
    """No line begins with the unit of the number that ended the line before."""
    width = len(f"a limit of {number}") - 1
    assert fmt.wrap(f"a limit of {number}", width=width) == ["a limit of", number]


def test_a_text_is_not_cut_when_the_note_would_be_as_long() -> None:
    """Nine characters too many are shown; they take less room than to say so."""
    assert fmt.clean("x" * 109, longest=100) == "x" * 109
    assert fmt.clean("x" * 140, longest=100) == "x" * 100 + " … (40 more characters)"


def test_no_wrapped_line_is_a_command_of_a_runner() -> None:
    """A line that begins with `::` would be obeyed by GitHub's runner."""
    lines = fmt.wrap("aaaaa ::error::gotcha", width=18, first="  ", rest="  ")
    assert not any(line.strip().startswith("::") for line in lines)


def test_a_character_that_an_encoding_lacks_is_replaced_column_by_column() -> None:
    """ASCII streams get a plain sign for each of ours, and a question mark for the rest."""
    assert fmt.encodable("✓ ▁█ ä", "ascii") == "+ _# ?"
    assert fmt.encodable("✓ ä", "utf-8") == "✓ ä"


@pytest.mark.parametrize(
    ("number", "unit", "text"),
    [
        (0.0, "ratio", "0 %"),
        (0.0011, "ratio", "0.11 %"),
        (0.032, "ratio", "3.2 %"),
        (0.5, "ratio", "50 %"),
        (0.34, "seconds", "340 ms"),
        (1.2, "seconds", "1.2 s"),
        (1234567.0, "", "1,234,567"),
        (None, "ratio", "–"),
        (math.nan, "seconds", "–"),
        (math.inf, "seconds", "–"),
        (-math.inf, "", "–"),
    ],
)
def test_a_value_reads_well(number: float | None, unit: str, text: str) -> None:
    """A value has its unit and the digits that matter; none is a dash."""
    assert fmt.value(number, unit) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "+00:00"),
        (34.9, "+00:34"),
        (60, "+01:00"),
        (7265, "+121:05"),
        (-5, "-00:05"),
        (-0.4, "+00:00"),
    ],
)
def test_the_time_since_the_start_is_minutes_and_seconds(seconds: float, text: str) -> None:
    """Minutes count on beyond an hour, so that the column keeps its form."""
    assert fmt.offset(seconds) == text


def test_a_moment_is_utc() -> None:
    """Times are RFC 3339 in UTC, cut to the second."""
    assert fmt.stamp(1795455612.9) == "2026-11-23T17:40:12Z"
    assert fmt.clock(1795455612.9) == "17:40:12Z"


@pytest.mark.parametrize(
    ("history", "marks", "text"),
    [
        ((), (), ""),
        ((0.0, 0.0), (), "▁▁"),
        ((0.0, None, 1.0), (), "▁·█"),
        ((0.01, 0.01), (0.1,), "▂▂"),
        ((0.001,), (1.0, None), "▁"),
        ((-1.0, 1.0), (), "▁█"),
        ((math.nan, 1.0), (), "·█"),
        ((1.0, 2.0, 3.0, 4.0), (), "▆█"),
    ],
)
def test_a_spark_line_is_scaled_from_zero_to_its_marks(
    history: tuple[float | None, ...], marks: tuple[float | None, ...], text: str
) -> None:
    """A quiet signal far below its limit looks quiet, a gap is a dot, the newest values count."""
    assert fmt.spark(history, width=2 if len(history) == 4 else 9, marks=marks) == text


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        (Rollout(), "not yet seen by the controller"),
        (Rollout(observed=True), "scaled to 0"),
        (
            Rollout(3, 2, 3, 3, 1, observed=True, paused=True),
            "2/3 updated, 3/3 ready, 3/3 available, 1 old left, paused",
        ),
    ],
)
def test_a_rollout_reads_well(seen: Rollout, text: str) -> None:
    """Counts, what is left of the old, and a pause."""
    assert fmt.rollout(seen) == text


@pytest.mark.parametrize(
    ("kind", "status", "stuck"),
    [
        ("Progressing", "False", True),
        ("Progressing", "True", False),
        ("ReplicaFailure", "True", True),
        ("Available", "False", False),
    ],
)
def test_a_stuck_rollout_says_why(kind: str, status: str, stuck: bool) -> None:
    """Only conditions that say the rollout is stuck are a problem; not yet available is none."""
    seen = Rollout(conditions=(Condition(kind, status, "Reason", "words\nmore", 0.0),))
    assert fmt.rollout_problem(seen) == ("Reason: words more" if stuck else "")


def test_a_revision_is_named_with_its_images() -> None:
    """Without a revision the text says so."""
    assert fmt.revision(Revision(3, "a", "b", "c", ("x:1", "y:2"), 0.0)) == "revision 3 (x:1, y:2)"
    assert fmt.revision(None) == "unknown"
