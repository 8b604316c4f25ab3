"""How numbers, times and other people's texts look in every output.

Decides digits, units and what is made harmless. Does not decide where anything stands.
"""

from __future__ import annotations

import math
import re
import unicodedata
from datetime import UTC, datetime

from deploy_guard import text as numbers
from deploy_guard.model import Finding, Revision, Rollout

NONE = "–"
SYMBOLS: dict[Finding, str] = {
    Finding.GOOD: "✓",
    Finding.SUSPECT: "~",
    Finding.BAD: "✗",
    Finding.SHARED: "≈",
    Finding.LITTLE: "…",
    Finding.NO_DATA: "?",
}
STYLES: dict[Finding, str] = {
    Finding.GOOD: "green",
    Finding.SUSPECT: "yellow",
    Finding.BAD: "bold red",
    Finding.SHARED: "magenta",
    Finding.LITTLE: "cyan",
    Finding.NO_DATA: "yellow",
}
WORST_FIRST: tuple[Finding, ...] = (
    Finding.BAD,
    Finding.NO_DATA,
    Finding.SHARED,
    Finding.SUSPECT,
    Finding.LITTLE,
    Finding.GOOD,
)
LONGEST_TEXT = 2000
LATEST = 253402300799.0  # Unix seconds: the last moment that RFC 3339 can say

# --- other people's texts ---------------------------------------------------------------------

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_=>])")
_UNIT = re.compile(r"(?:%|ms|s|m|h)(?!\w)")
_CI_COMMANDS = re.compile(r"##(?=\[|vso\[)")  # GitHub and Azure read these anywhere in a line
_CUT = " … ({:,} more characters)"
_HARMFUL = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}  # controls, bidi overrides, surrogates


def clean(text: str, *, longest: int = LONGEST_TEXT) -> str:
    """Return the text as one line that no terminal and no CI runner obeys.

    White space becomes single blanks, terminal escapes go, other control characters are spelled
    out; what exceeds `longest` characters is cut and the cut is told.
    """
    rest = len(text) - longest
    if rest <= len(_CUT):  # the note would be longer than what it replaces
        rest = 0
    if rest > 0:
        text = text[:longest]
    text = " ".join(_ESCAPES.sub("", text).split())
    text = _CI_COMMANDS.sub("# #", "".join(_visible(c) for c in text))
    return text + _CUT.format(rest) if rest > 0 else text


def _visible(char: str) -> str:
    """Spell out a character that would act instead of being read."""
    if char.isascii() and char.isprintable():
        return char
    if unicodedata.category(char) not in _HARMFUL or char == "\u200d":  # emoji are joined by it
        return char
    return f"\\x{ord(char):02x}" if ord(char) < 256 else f"\\u{ord(char):04x}"


def cells(text: str) -> int:
    """Return how many columns of a terminal the text takes."""
    return sum(_cells_of(char) for char in text)


def _cells_of(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def fit(text: str, width: int) -> str:
    """Cut the text to `width` columns, with an ellipsis where something was cut."""
    if cells(text) <= width:
        return text
    kept, used = "", 0
    for char in text:
        if used + _cells_of(char) > width - 1:
            break
        kept, used = kept + char, used + _cells_of(char)
    return kept + "…" if width > 0 else ""


def pad(text: str, width: int) -> str:
    """Cut or fill the text to exactly `width` columns."""
    text = fit(text, width)
    return text + " " * (width - cells(text))


def wrap(text: str, *, width: int, first: str = "", rest: str = "") -> list[str]:
    """Break the text at blanks into lines of at most `width` columns, with these beginnings.

    A word longer than a line is broken, a number stays with its unit. No line begins with ``::``,
    which GitHub would obey.
    """
    lines: list[str] = []
    line, empty = first, True
    for word in _words(text):
        if not empty and cells(line) + 1 + cells(word) > width:
            lines.append(line)
            line, empty = rest, True
        line, empty = line + ("" if empty else " ") + word, False
        while cells(line) > width > cells(rest):
            head = _head(line, width)
            lines.append(head)
            line = rest + line[len(head) :]
    return [re.sub(r"^(\s*)::", r"\1: :", each) for each in [*lines, line]]


def _words(text: str) -> list[str]:
    words: list[str] = []
    for word in text.split():
        if words and words[-1][-1].isdigit() and _UNIT.match(word):
            words[-1] += f" {word}"
        else:
            words.append(word)
    return words


def _head(text: str, width: int) -> str:
    used = 0
    for index, char in enumerate(text):
        used += _cells_of(char)
        if used > width:
            return text[: max(1, index)]
    return text


_ASCII = str.maketrans("✓✗≈…–━─·▁▂▃▄▅▆▇█", "+x~~-=-.__--==##")


def encodable(text: str, encoding: str | None) -> str:
    """Return the text with characters that the encoding lacks replaced, column by column."""
    try:
        text.encode(encoding or "utf-8")
    except UnicodeEncodeError:
        spelled = text.translate(_ASCII).encode(encoding or "utf-8", "replace")
        return spelled.decode(encoding or "utf-8")
    return text


# --- numbers ----------------------------------------------------------------------------------


def value(number: float | None, unit: str) -> str:
    """Format a signal's number in its unit: ``ratio``, ``seconds`` or empty."""
    if number is None or not math.isfinite(number):
        return NONE
    return numbers.quantity(number, unit)


# --- times ------------------------------------------------------------------------------------


def stamp(at: float) -> str:
    """Format a moment as RFC 3339 in UTC, to the second; at most the year 9999, at least 1970."""
    moment = datetime.fromtimestamp(math.floor(min(max(at, 0.0), LATEST)), UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def clock(at: float) -> str:
    """Format the time of day of a moment in UTC."""
    return stamp(at)[11:]


def offset(seconds: float) -> str:
    """Format the time since the start as +mm:ss; minutes may have more than two digits."""
    minutes, rest = divmod(math.floor(abs(seconds)), 60)
    return f"{'-' if seconds <= -1 else '+'}{minutes:02d}:{rest:02d}"


# --- the workload -----------------------------------------------------------------------------


def revision(known: Revision | None) -> str:
    """Name a revision with its images."""
    if known is None:
        return "unknown"
    images = ", ".join(clean(image, longest=200) for image in known.images)
    return f"revision {known.number}" + (f" ({images})" if images else "")


def rollout(seen: Rollout) -> str:
    """Say how far a rollout is."""
    if not seen.observed:
        text = "not yet seen by the controller"
    elif seen.desired == 0:
        text = "scaled to 0"
    else:
        of = f"/{seen.desired}"
        text = f"{seen.updated}{of} updated, {seen.ready}{of} ready, {seen.available}{of} available"
    old = f", {seen.old} old left" if seen.old else ""
    return text + old + (", paused" if seen.paused else "")


def rollout_problem(seen: Rollout) -> str:
    """Return the condition that says the rollout is stuck, or nothing."""
    for condition in seen.conditions:
        stuck = {"Progressing": "False", "ReplicaFailure": "True"}.get(condition.type)
        if condition.status == stuck:
            return clean(f"{condition.reason}: {condition.message}", longest=500)
    return ""


_BARS = "▁▂▃▄▅▆▇█"


def spark(
    history: tuple[float | None, ...], *, width: int, marks: tuple[float | None, ...] = ()
) -> str:
    """Draw the newest `width` values as a line of bars, ``·`` where there was no data.

    The line begins at 0 and its top is the largest value or mark (the limit, the baseline), so
    that a quiet signal far from its limit looks quiet.
    """
    shown = history[-width:] if width > 0 else ()
    finite = [v for v in (*shown, *marks) if v is not None and math.isfinite(v)]
    low, high = min([0.0, *finite]), max([0.0, *finite])
    steps = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(
        "·" if v is None or not math.isfinite(v) else _BARS[round((v - low) * steps)] for v in shown
    )
