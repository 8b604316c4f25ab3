"""The short texts of a test file: amounts, promtool's series, what is expected.

Decides what such a text means and says what was expected instead. What an amount is good for
(requests, a share of them, a number) is asked of it by the field that it stands in.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from deploy_guard.model import NoDataReason
from deploy_guard.policy.problems import suggestion
from deploy_guard.policy.scalars import DURATION_PATTERN, fault, parse_duration

MOST_VALUES = 20_000  # of one series: nobody writes more, and a slip such as x1000000 ends here

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_NUMBER = r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_RATE = re.compile(rf"({_NUMBER}) ?/ ?([smh])")
_ITEM = re.compile(rf"(?P<first>{_NUMBER}%?)(?:(?P<more>[-+][^x]+)?x(?P<times>[0-9]{{1,9}}))?")
_SPECIAL = re.compile(r"(_|stale|NaN)(?:x([0-9]{1,9}))?")
_GAPS = {
    "_": NoDataReason.EMPTY,
    "stale": NoDataReason.STALE,
    "NaN": NoDataReason.NOT_A_NUMBER,
}
Kind = Literal["rate", "share", "number"]

# For editors: short, since they show them, and a little wider than what is parsed below.
_PLAIN = r"[-+.0-9eE]+"
_SERIES = r"ITEM([ \t]+ITEM)*".replace("ITEM", rf"({_PLAIN}UNIT|_|stale|NaN)(x[0-9]{{1,9}})?")
_RATE_OR_SERIES = rf"^(?!{_PLAIN}$)({_PLAIN} ?/ ?[smh]|{_SERIES})$"  # no number without a unit
REQUESTS_PATTERN = _RATE_OR_SERIES.replace("UNIT", "")
PART_PATTERN = _RATE_OR_SERIES.replace("UNIT", "%?")
VALUE_PATTERN = f"^{_SERIES}$".replace("UNIT", "")
ANSWER_PATTERN = f"^(ok|fail|[1-5][0-9]{{2}}|{DURATION_PATTERN.strip('^$')})$"
BOUND_PATTERN = rf"^(\+?Inf|{_PLAIN}|{DURATION_PATTERN.strip('^$')})$"


@dataclass(frozen=True, slots=True)
class Amount:
    """A rate (per second), a share (a fraction) or a plain number; or a series of the last two.

    A series has a value for each interval since the deploy, or why there is none.
    """

    kind: Kind
    values: tuple[float | NoDataReason, ...]
    series: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a called API answers: ``ok``, ``fail``, after so many seconds, or with a status."""

    ok: bool | None = None  # None: the policy's expectation decides
    seconds: float | None = None
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    """What a text such as ``regressed after 30s by 90s (http-errors)`` asks for."""

    verdict: str
    after: float | None = None
    by: float | None = None
    signal: str | None = None


def parse_requests(text: object) -> Amount:
    """Return the requests of all pods: a rate such as ``40/s``, or the series of a counter."""
    found = _amount(text, "a rate such as 40/s, or a counter's series such as 0+600x40")
    if found.kind == "rate" or (found.kind == "number" and found.series):
        return _not_negative(found)
    help = f"write {text}/s" if found.kind == "number" else ""
    raise fault("expected a rate such as 40/s, or a counter's series such as 0+600x40", help)


def parse_part(text: object) -> Amount:
    """Return a part of the requests: a share, a rate, or a series of shares or of a counter."""
    found = _amount(text, "a share such as 0.5%, a rate such as 2/s, or a series")
    if found.kind == "number" and not found.series:
        help = f"write {text}% for a share, or {text}/s for a rate"
        raise fault("expected a share such as 0.5%, or a rate such as 2/s", help)
    if found.kind == "share" and any(isinstance(v, float) and v > 1 for v in found.values):
        raise fault("expected at most 100%", "a share cannot be more than everything")
    return _not_negative(found)


def parse_value(text: object) -> Amount:
    """Return a plain number, or a series of them."""
    found = _amount(text, "a number, or a series such as 10x4 500x40")
    if found.kind != "number":
        raise fault("expected a number without a unit, or a series such as 10x4 500x40")
    return found


def parse_bound(text: str) -> float:
    """Return a bucket's bound in seconds, as in Prometheus' label `le`, or a duration."""
    if text in {"+Inf", "Inf"}:
        return math.inf
    try:
        bound = float(text) if re.fullmatch(_NUMBER, text) else parse_duration(text)
    except ValueError:
        bound = -1.0
    if not 0 < bound < 1e9:
        raise fault("expected a bound in seconds such as 0.5, a duration such as 500ms, or +Inf")
    return bound


def parse_answer(text: object) -> Answer:
    """Return what an API answers: ``ok``, ``fail``, a status such as 503, or a time."""
    words = str(text) if isinstance(text, str | int) else ""
    if words in {"ok", "fail"}:
        return Answer(ok=words == "ok")
    if re.fullmatch(r"[1-5][0-9]{2}", words):
        return Answer(status=int(words))
    try:
        return Answer(seconds=parse_duration(words))
    except ValueError:
        expected = "expected ok, fail, a status such as 503, or how long it takes such as 800ms"
        raise fault(expected, suggestion(words, ["ok", "fail"])) from None


_EXPECTED = re.compile(
    r"(?P<verdict>[a-z_]+(?: data)?)"
    r"(?: after (?P<after>\S+))?(?: by (?P<by>\S+))?(?: \((?P<signal>[^()\s]+)\))?"
)
VERDICTS = ("healthy", "regressed", "inconclusive", "no data")
EXPECTED_HELP = "such as: healthy, regressed by 90s, regressed after 30s by 90s (http-errors)"


def parse_expected(text: str) -> Expected:
    """Return what is expected of a case. Raises ValueError with what can be written."""
    found = _EXPECTED.fullmatch(" ".join(text.split()))
    verdict = "" if found is None else found["verdict"].replace("_", " ")
    if found is None or verdict not in VERDICTS:
        first = text.split(maxsplit=1)[0] if text.split() else ""
        near = suggestion(first, VERDICTS) if first not in VERDICTS else ""
        words = "expected healthy, inconclusive, no data, or regressed with its time"
        raise fault(words, near or EXPECTED_HELP)
    after, by = (None if word is None else _time(word) for word in (found["after"], found["by"]))
    return Expected(verdict, after, by, found["signal"])


def _time(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError:
        raise fault("expected a duration such as 90s after 'after' and 'by'") from None


def _amount(text: object, expected: str) -> Amount:
    """Read a rate, a share, a number, or a series of shares or numbers."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        text = f"{text:g}"
    if not isinstance(text, str) or not text.strip():
        raise fault(f"expected {expected}")
    if rate := _RATE.fullmatch(text.strip()):
        return Amount("rate", (_finite(rate[1]) / _UNITS[rate[2]],))
    values: list[float | NoDataReason] = []
    kinds: set[Kind] = set()
    items = text.split()
    for item in items:
        values += _expanded(item, kinds, expected, room=MOST_VALUES - len(values))
    if len(kinds) > 1:
        raise fault("expected either shares or numbers in one series, not both")
    kind: Kind = kinds.pop() if kinds else "number"
    return Amount(kind, tuple(values), series=len(values) > 1 or not re.search("[0-9]$|%$", text))


def _expanded(
    item: str, kinds: set[Kind], expected: str, *, room: int
) -> list[float | NoDataReason]:
    """Expand one item as promtool does: `a`, `axn`, `a+bxn`, `a-bxn`, `_`, `_xn`, `stale`."""
    if special := _SPECIAL.fullmatch(item):
        count = 1 if special[2] is None else int(special[2])
        # promtool: `_x3` are three missing samples, `1x3` four ones
        count += special[1] == "NaN" and special[2] is not None
        _require_room(count, room)
        return [_GAPS[special[1]]] * count
    found = _ITEM.fullmatch(item)
    more = None if found is None else found["more"]
    if found is None or (more and not re.fullmatch(rf"{_NUMBER}%?", more)):
        help = f"'{item[:40]}' is no part of a series: 1+2x3 is 1 3 5 7, 5x2 is 5 5 5, _ is a gap"
        raise fault(f"expected {expected}", help)
    share = found["first"].endswith("%")
    if more and more.endswith("%") != share:
        raise fault("expected either shares or numbers in one series, not both")
    kinds.add("share" if share else "number")
    times = int(found["times"] or 0)
    _require_room(times + 1, room)
    scale = 100.0 if share else 1.0
    first, step = _finite(found["first"].rstrip("%")), _finite((more or "0").rstrip("%"))
    return [(first + step * k) / scale for k in range(times + 1)]


def _require_room(count: int, room: int) -> None:
    if count > room:
        raise fault(f"expected at most {MOST_VALUES} values in a series")


def _finite(text: str) -> float:
    number = float(text)
    if not abs(number) < 1e15:
        raise fault("expected a number below 1e15")
    return number


def _not_negative(amount: Amount) -> Amount:
    if any(isinstance(value, float) and not 0 <= value < math.inf for value in amount.values):
        raise fault("expected nothing below zero")
    return amount
