"""What a value becomes in the place where it is used: a part of a query, a part of a URL.

Decides that a value never is more than its place: in the quotes of a query it does not end them,
outside of quotes it is a name, a number or a duration; in a URL it does not leave the host, the
path or the query in which it stands, so that a secret goes to no server but the meant one.
"""

from __future__ import annotations

import re
from bisect import bisect
from typing import NamedTuple
from urllib.parse import quote as percent_encoded

from deploy_guard.policy.scalars import format_duration, parse_duration

_WORD = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
_HOST = re.compile(r"[A-Za-z0-9._-]*(\[[0-9A-Fa-f:.]+\])?(:[0-9]+)?")
_SERVER = re.compile(r"https?://[A-Za-z0-9._-]+")
_BEGINNING = re.compile(rf"{_SERVER.pattern}(:[0-9]+)?(/[A-Za-z0-9._~/-]*)?")


class Put(NamedTuple):
    """The text that a value becomes in its place, or why it cannot stand there, and help."""

    text: str
    fault: str = ""
    help: str = ""


def quote_at(offset: int, spans: list[tuple[int, int, str]]) -> str:
    """Return the quote of the string in which an offset is, none outside of strings."""
    at = bisect(spans, offset, key=lambda span: span[0]) - 1
    return spans[at][2] if at >= 0 and spans[at][0] < offset < spans[at][1] else ""


def in_query(type: str, before: str, text: str, quote: str) -> Put:
    """Return what a value is in a query, behind what stands `before`, in a `quote` or outside."""
    if quote == "`" and "`" in text:
        return Put("", "has a ` in it, which would end the text of a query", "use double quotes")
    if quote == "`":
        return Put(text)
    if quote:
        if (len(before) - len(before.rstrip("\\"))) % 2:  # it would escape our own backslash
            return Put("", "stands behind a backslash", "write two for one, as PromQL has it")
        return Put(text.replace("\\", "\\\\").replace(quote, f"\\{quote}"))
    if type in {"number", "integer"}:  # 2 ^ -1 and -1 ^ 2: a sign belongs to its number
        return Put(f"({text})" if text.startswith("-") else text)
    if type == "duration":
        return Put(format_duration(parse_duration(text)))
    if type in {"percentage", "boolean"}:
        help = "declare it as a number, such as 0.05"
        return Put("", f"is a {type}: a query has none outside of quotes", help)
    if _WORD.fullmatch(text):
        return Put(text)
    help = "put the {{ values.… }} in quotes if it is the value of a label"
    return Put("", "stands outside of the quotes of a query: expected a name", help)


def in_url(before: str, text: str, after: str) -> Put:
    """Return what a value is in a URL, between what stands `before` and `after` it."""
    scheme, colon, rest = before.partition("://")
    if not colon:
        return _first_in_url(scheme, text, after)
    if not re.search("[/?#]", rest):
        if _HOST.fullmatch(text):
            return Put(text)
        help = "expected letters, digits, dots and dashes, and a port at most"
        return Put("", "cannot be a part of the host of a URL", help)
    if re.search("[?#]", rest):
        return Put(percent_encoded(text, safe=""))
    if {".", ".."} & set(text.split("/")):
        return Put("", "leads to another path: expected no '.' or '..' in the path of a URL")
    return Put(percent_encoded(text))


def _first_in_url(before: str, text: str, after: str) -> Put:
    """Return what a value is that begins a URL: its scheme, or all until its path."""
    if after.startswith("://"):
        if f"{before}{text}" in {"http", "https"}:
            return Put(text)
        return Put("", "cannot be the scheme of a URL: expected http or https")
    ends = "/?:" if _SERVER.fullmatch(text) else "/?"
    if not before and after[:1] and after[:1] in ends and _BEGINNING.fullmatch(text):
        return Put(text)
    help = "or let one value be the whole URL"
    return Put("", "cannot be the beginning of this URL: expected http://HOST, then a /", help)
