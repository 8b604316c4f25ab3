"""The exact text of a ControllerRevision's data, which Kubernetes keeps and compares byte for byte.

Decides the 422 of a write that leaves the data alone: data that was sent with blanks, or is not in
the form in which the server writes JSON, can never be changed again, not even a label beside it
(recorded in ``13-snapshots``). Data of objects that did not come as JSON is not watched over.
"""

from __future__ import annotations

import json
import re
import threading
from typing import Any

from deploy_guard.embedded.patching import STRATEGIC_PATCH
from deploy_guard.embedded.requests import Request
from deploy_guard.embedded.resources import Resource
from deploy_guard.embedded.statuses import Cause, invalid_object

Object = dict[str, Any]

KIND = "ControllerRevision"
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\s+|[^"\s]+')
ESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}  # as Go's encoder writes them


class RawData:
    """Remembers the text of the data by the object's uid."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._lock = threading.Lock()

    def remember(self, obj: Object, request: Request) -> None:
        """Keep the text that a created object's data had in the request."""
        text = _member(request.body, "data") if obj["kind"] == KIND else None
        if text is not None:
            with self._lock:
                self._texts[obj["metadata"]["uid"]] = text

    def check(self, resource: Resource, before: Object | None, request: Request) -> None:
        """Raise ApiError (422) if a write that leaves the data alone would change its text."""
        if before is None or resource.kind != KIND:
            return
        with self._lock:
            stored = self._texts.get(before["metadata"]["uid"])
        if stored is None:
            return
        written = _written(stored, request)
        if written != stored and json.loads(written) == json.loads(stored):
            text = f"Invalid value: {written}: field is immutable"
            cause = Cause("data", "FieldValueInvalid", text)
            raise invalid_object(resource, before["metadata"]["name"], [cause])

    def is_frozen(self, uid: str) -> bool:
        """Tell whether no controller can adopt the revision: its patch would change the text."""
        with self._lock:
            stored = self._texts.get(uid)
        return stored is not None and _canonical(stored) != stored


def _written(stored: str, request: Request) -> str:
    """Return the text of the data after the request: as sent, or as the server writes it again."""
    if request.method == "PUT":
        sent = _member(request.body, "data")
        return stored if sent is None else sent
    if request.headers.get("content-type", "").startswith(STRATEGIC_PATCH):
        return _canonical(stored)
    return _compact(stored)


def _compact(text: str) -> str:
    """Drop the blanks and escape what Go escapes; order, numbers and other escapes stay."""
    tokens = TOKEN.findall(text)
    return "".join(_escaped(token) for token in tokens if not token.isspace())


def _canonical(text: str) -> str:
    """Write the data as Go writes a map: sorted, whole floats as integers, no needless escapes."""
    value = json.loads(text, parse_float=lambda number: _whole(float(number)))
    return _escaped(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False))


def _whole(number: float) -> float | int:
    return int(number) if number.is_integer() else number


def _escaped(text: str) -> str:
    for character, escape in ESCAPED.items():
        text = text.replace(character, escape)
    return text


def _member(body: bytes, name: str) -> str | None:
    """Return the text of a member of the object in the body, None if it has none."""
    text = body.decode("utf-8", "replace")
    decoder = json.JSONDecoder()
    try:
        at = text.index("{") + 1
        while True:
            key, at = decoder.raw_decode(text, _skip(text, at, ","))
            start = _skip(text, at, ":")
            _, at = decoder.raw_decode(text, start)
            if key == name:
                return text[start:at]
    except (ValueError, IndexError):
        return None


def _skip(text: str, at: int, separator: str) -> int:
    while text[at].isspace() or text[at] == separator:
        at += 1
    return at
