"""Blanks what looks like a secret in a policy before it is written anywhere.

A policy names its secrets by reference; this is for the ones that were written into it all the
same. Decides by where a value stands, never by what it looks like.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from deploy_guard.secret_names import USER_IN_URL, find

BLANK = "***"
_QUERY_VALUE = re.compile(r"([?&](?P<name>[^=&#\s]+)=)(?P<value>[^&#\s]+)")


def redacted(value: Any) -> Any:
    """Return the policy's data with literal headers, bodies, and URLs made safe to keep."""
    if isinstance(value, Mapping):
        return {key: _entry(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(inner) for inner in value]
    return value


def _entry(key: str, value: Any) -> Any:
    if key == "headers" and isinstance(value, Mapping):
        return {name: _header(str(name), inner) for name, inner in value.items()}
    if key == "url" and isinstance(value, str):
        return _url(value)
    if key == "body" and isinstance(value, str):
        return BLANK
    return redacted(value)


def _header(name: str, value: Any) -> Any:
    return BLANK if isinstance(value, str) and find(name) else value


def _url(url: str) -> str:
    def query(match: re.Match[str]) -> str:
        return match[1] + (BLANK if find(match["name"]) else match["value"])

    return _QUERY_VALUE.sub(query, USER_IN_URL.sub(f"{BLANK}@", url))
