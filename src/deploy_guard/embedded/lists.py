"""Lists: selection, pages, and the state at an older resourceVersion.

Decides which objects a list shows and how it goes on. The continue token has the form of
apiserver/pkg/storage/continue.go, so that it can be told from a wrong one.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from deploy_guard.embedded import statuses
from deploy_guard.embedded.decoding import go_json
from deploy_guard.embedded.event_views import to_view
from deploy_guard.embedded.requests import Request
from deploy_guard.embedded.resources import Resource
from deploy_guard.embedded.selectors import Selection
from deploy_guard.embedded.store import ExpiredError, Store

Object = dict[str, Any]

TOO_OLD = "The resourceVersion for the provided list is too old."
CONTINUE_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can "
    "start a new list without the continue parameter, or use the continue token in this response "
    "to retrieve the remainder of the results. Continuing with the provided token results in an "
    "inconsistent list - objects that were created, modified, or deleted between the time the "
    "first chunk was returned and now may show up in the list."
)
LATEST = -1  # the version in a token that carries on at the newest state


@dataclass(frozen=True, slots=True)
class Page:
    """The selected objects of one page and the list's metadata."""

    items: list[Object]
    metadata: Object


@dataclass(frozen=True, slots=True)
class _Token:
    """Where a list goes on: after the object `start`, at the state of `version`."""

    version: int
    start: str


def read_page(
    store: Store, resource: Resource, namespace: str, selection: Selection, request: Request
) -> Page:
    """Return one page of a list. Raises ApiError (400, 410, 504)."""
    limit = request.number("limit") or 0
    token = _token(request)
    asked = _asked_version(store, request)
    exact = request.query.get("resourceVersionMatch") == "Exact"
    if asked == 0 and token is None:
        limit = 0  # served from the cache, which ignores limits
    objects, version = _objects(store, resource, namespace, token, asked if exact else None)
    selected = [obj for obj in objects if selection.matches(obj)]
    if token is not None:
        selected = [obj for obj in selected if _key(obj, namespace) > token.start]
    metadata: Object = {"resourceVersion": str(version)}
    if limit and len(selected) > limit:
        last = _key(selected[limit - 1], namespace)
        metadata["continue"] = _encode(version, f"{last}\0")
        if not selection.tests:
            metadata["remainingItemCount"] = len(selected) - limit
        selected = selected[:limit]
    return Page([to_view(resource, obj) for obj in selected], metadata)


def _objects(
    store: Store, resource: Resource, namespace: str, token: _Token | None, exact: int | None
) -> tuple[list[Object], int]:
    name, where = resource.store_name, namespace or None
    version = token.version if token is not None else exact
    if version is None or version == LATEST:
        return store.list_all(name, where)
    try:
        return store.list_at(name, where, version), version
    except ExpiredError:
        if token is None:
            raise statuses.expired(TOO_OLD) from None
        metadata = {"continue": _encode(LATEST, f"{token.start}\0")}
        raise statuses.expired(CONTINUE_TOO_OLD, metadata=metadata) from None


def _asked_version(store: Store, request: Request) -> int | None:
    text = request.query.get("resourceVersion", "")
    if not text:
        return None
    if not text.isdigit():
        raise statuses.bad_request(
            f'invalid resource version: resourceVersion: Invalid value: "{text}": '
            f'strconv.ParseUint: parsing "{text}": invalid syntax'
        )
    if int(text) > store.version:
        raise statuses.future_version(int(text), store.version)
    return int(text)


def _token(request: Request) -> _Token | None:
    text = request.query.get("continue", "")
    if not text:
        return None
    if request.query.get("resourceVersion"):
        told = "specifying resource version is not allowed when using continue"
        raise statuses.bad_request(told)
    try:
        found = go_json(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return _Token(int(found["rv"]), str(found["start"]).lstrip("/").rstrip("\0"))
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        told = f"invalid continue token: continue key is not valid: {error}"
        raise statuses.bad_request(told) from None


def _encode(version: int, start: str) -> str:
    token = {"v": "meta.k8s.io/v1", "rv": version, "start": f"/{start}"}
    if version == LATEST:
        token["start"] = start
    data = json.dumps(token, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _key(obj: Object, namespace: str) -> str:
    """Return the object's key in the order of the list: its name, or namespace and name."""
    metadata = obj["metadata"]
    where = metadata.get("namespace", "")
    return str(metadata["name"]) if namespace or not where else f"{where}/{metadata['name']}"
