"""What can be said of a PromQL query or a metric selector without a server.

Decides brackets, quotes, selectors, and whether a query is a counter that keeps its labels. It is
no parser: what it cannot see, the server tells when a signal is read.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

from deploy_guard.policy.template import Flaw, blank, flaws

LONGEST = 10_000
_PAIRS = {")": "(", "]": "[", "}": "{"}
_AGGREGATORS = "sum|min|max|avg|group|stddev|stdvar|count|count_values|bottomk|topk|quantile|limitk"
_AGGREGATION = re.compile(rf"\b(?:{_AGGREGATORS})\s*(?=\(|by\b|without\b)", re.IGNORECASE)
_GROUPING = re.compile(r"\b(by|without)\s*\(([^)]*)\)", re.IGNORECASE)
_SPEED = re.compile(
    r"\b(rate|irate|increase|delta|idelta|deriv|histogram_quantile|\w+_over_time)\s*\(",
    re.IGNORECASE,
)
_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_STRING = r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\''
_MATCHER = re.compile(rf"\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*({_STRING})\s*")


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on one label: operator is one of ``=``, ``!=``, ``=~``, ``!~``."""

    label: str
    operator: str
    value: str

    def matches(self, value: str) -> bool:
        """Whether a label's value fulfils it; an absent label is the empty text, as in PromQL."""
        if self.operator in {"=", "!="}:
            return (value == self.value) == (self.operator == "=")
        return (re.fullmatch(self.value, value) is not None) == (self.operator == "=~")


@dataclass(frozen=True, slots=True)
class Selector:
    """A metric's name and the conditions on its labels."""

    metric: str
    matchers: tuple[Matcher, ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether all conditions hold."""
        return all(m.matches(labels.get(m.label, "")) for m in self.matchers)


def parse_selector(text: str) -> Selector:
    """Return the selector of a text such as ``http_requests_total{code=~"5..",path!="/"}``.

    Raises ValueError.
    """
    text = text.strip()
    match = re.match(_NAME, text)
    if match is None:
        raise ValueError("expected a metric's name")
    rest, matchers = text[match.end() :].strip(), []
    if rest:
        if not (rest.startswith("{") and rest.endswith("}")):
            raise ValueError('expected a metric and its labels, such as name{code=~"5.."}')
        inner = rest[1:-1].strip()
        while inner:
            part = _MATCHER.match(inner)
            if part is None:
                raise ValueError('expected label conditions such as code=~"5.."')
            matchers.append(Matcher(part[1], part[2], _unquote(part[3], part[2])))
            inner = inner[part.end() :]
            if inner and not inner.startswith(","):
                raise ValueError("expected a comma between label conditions")
            inner = inner[1:].strip()
    return Selector(match[0], tuple(matchers))


def _unquote(text: str, operator: str) -> str:
    """Return the text within quotes; for regular expressions, check that it is one."""
    escapes = {"n": "\n", "t": "\t"}
    value = re.sub(r"\\(.)", lambda m: escapes.get(m[1], m[1]), text[1:-1])
    if operator in {"=~", "!~"}:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # of sets that later Pythons read differently
                re.compile(value)
        except (re.error, OverflowError, RecursionError, Warning) as error:
            raise ValueError(f"the regular expression {text} is not valid: {error}") from error
    return value


def query_flaws(text: str) -> list[Flaw]:
    """Return what is wrong with a query's template variables, brackets and quotes."""
    if not text.strip():
        return [Flaw("the query is empty", 0, 1)]
    if len(text) > LONGEST:
        return [Flaw(f"the query is longer than {LONGEST} characters", 0, 1)]
    return flaws(text) or _unbalanced(blank(text))


def _unbalanced(text: str) -> list[Flaw]:
    """Return the first bracket or quote that has no partner."""
    opened: list[int] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char == "#":
            at = (text.find("\n", at) + 1 or len(text) + 1) - 1
        elif char in "\"'`":
            end = _string_end(text, at)
            if end is None:
                return [Flaw(f"the quote {char} is not closed", at, 1)]
            at = end
        elif char in "“”„‟«»‘’":
            help = "write \" or '; some editors change them"
            return [Flaw(f"{char} is no quote", at, 1, help)]
        elif char in "([{":
            opened.append(at)
        elif char in _PAIRS:
            if not opened:
                return [Flaw(f"'{char}' closes nothing", at, 1)]
            if text[opened[-1]] != _PAIRS[char]:
                return [Flaw(f"'{char}' does not close '{text[opened[-1]]}'", at, 1)]
            opened.pop()
        at += 1
    return [Flaw(f"'{text[opened[-1]]}' is not closed", opened[-1], 1)] if opened else []


def _string_end(text: str, start: int) -> int | None:
    """Return the index of the quote that ends a string, or None."""
    quote, at = text[start], start + 1
    while at < len(text) and text[at] != quote:
        if quote != "`" and text[at] == "\n":
            return None
        at += 2 if text[at] == "\\" and quote != "`" else 1
    return at if at < len(text) else None


def without_strings(text: str) -> str:
    """Blank what stands in quotes, keeping every offset."""
    pattern = re.compile(rf"{_STRING}|`[^`]*`")
    return pattern.sub(lambda m: '"' + " " * (len(m[0]) - 2) + '"', blank(text))


def speed(text: str) -> Flaw | None:
    """Return the function that turns a counter into something else, such as rate(), if any."""
    match = _SPEED.search(without_strings(text))
    if match is None:
        return None
    return Flaw(f"{match[1]}() makes a counter into something else", match.start(), len(match[1]))


def keeps_label(text: str, label: str) -> bool:
    """Whether a query's result can still have a label: every aggregation groups by it.

    Says yes where it cannot tell.
    """
    bare = without_strings(text)
    if len(_AGGREGATION.findall(bare)) == 0:
        return True
    groupings = _GROUPING.findall(bare)
    for kind, names in groupings:
        named = label in re.split(r"[\s,]+", names.strip())
        if named != (kind.lower() == "by"):
            return False
    return len(groupings) >= len(_AGGREGATION.findall(bare))


def string_spans(text: str) -> list[tuple[int, int, str]]:
    """Return where the strings of a query begin and end, quotes included, and their quotes.

    A string that does not end goes to the end of the text.
    """
    spans, at, bare = [], 0, blank(text)
    while at < len(bare):
        if bare[at] == "#":
            at = (bare.find("\n", at) + 1 or len(bare) + 1) - 1
        elif bare[at] in "\"'`":
            end = _string_end(bare, at)
            spans.append((at, len(bare) if end is None else end + 1, bare[at]))
            at = spans[-1][1] - 1
        at += 1
    return spans
