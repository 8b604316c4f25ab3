"""A request to the API as the rest of the server sees it, and what its path addresses.

Decides which resource, object and subresource a path means. Does not decide what exists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from deploy_guard.embedded.access import ADMIN, User
from deploy_guard.embedded.statuses import bad_request

TRUE = ("1", "true", "True", "TRUE", "t", "T")


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request; header names are in lower case."""

    method: str
    path: str
    raw_query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    user: User = ADMIN

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters; of several equal names the first."""
        found = parse_qs(self.raw_query, keep_blank_values=True)
        return {key: values[0] for key, values in found.items()}

    def flag(self, name: str) -> bool:
        """Tell whether a boolean parameter of the query is set."""
        return self.query.get(name, "") in TRUE

    def number(self, name: str) -> int | None:
        """Return a number of the query, None if absent. Raises ApiError (400)."""
        text = self.query.get(name, "")
        if not text:
            return None
        try:
            return int(text)
        except ValueError:
            raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


@dataclass(slots=True)
class Response:
    """One HTTP answer: a JSON or text body, or a stream of chunks."""

    code: int
    body: Any = None
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    stream: Iterator[bytes] | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """What a path below /api or /apis addresses."""

    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""  # what follows the subresource: the path for a proxied pod


def parse_target(path: str) -> Target | None:
    """Return what a path addresses, None if it is not one of a resource."""
    parts = [unquote(part) for part in path.split("/")[1:]]
    if parts[0] == "api" and len(parts) > 2:
        group, version, parts = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, parts = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 2 and parts[2] not in ("status", "finalize"):
        namespace, parts = parts[1], parts[2:]
    tail = parts[3:]
    is_proxy = len(parts) > 2 and parts[2] == "proxy"
    if tail and not tail[-1] and not is_proxy:
        tail = tail[:-1]  # a trailing slash changes nothing
    parts = parts[:3] if is_proxy or not tail else [*parts[:2], "/".join(parts[2:])]
    plural, name, subresource = [*parts, "", "", ""][:3]
    return Target(group, version, plural, namespace, name, subresource, "/".join(tail))


def split_url(url: str) -> tuple[str, str]:
    """Return the path and the query of a request line's target."""
    found = urlsplit(url)
    return found.path or "/", found.query
