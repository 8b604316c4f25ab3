"""Watch streams: from where they start, what they carry, when they end.

Decides the events of one stream (apiserver/pkg/storage/cacher). The HTTP side only copies the
chunks to the socket.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from deploy_guard.embedded import statuses
from deploy_guard.embedded.event_views import to_view
from deploy_guard.embedded.requests import Request
from deploy_guard.embedded.resources import Resource
from deploy_guard.embedded.selectors import Selection
from deploy_guard.embedded.statuses import Cause
from deploy_guard.embedded.store import Change, ExpiredError, Store

Object = dict[str, Any]
Event = tuple[str, Object]

INITIAL_END = {"k8s.io/initial-events-end": "true"}
LONGEST_SECONDS = 1800  # the server ends a stream without timeoutSeconds after 30 to 60 minutes
LAST_BOOKMARK_SECONDS = 2.0  # apiserver/pkg/storage/cacher: how long before the end of a stream
IDLE_SECONDS = 1.0  # how often a silent stream looks whether its client is still there


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """What the client asked of the stream."""

    version: int | None  # None: the newest state
    bookmarks: bool
    initial_events: bool  # ends the initial objects with a bookmark
    seconds: float


def read_options(request: Request) -> WatchOptions:
    """Read and check the query of a watch. Raises ApiError (422, 500)."""
    query = request.query
    text = query.get("resourceVersion", "")
    if text and not text.isdigit():
        message = (
            f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": '
            "invalid syntax"
        )
        raise statuses.ApiError(500, "", message)
    initial = request.flag("sendInitialEvents")
    match = query.get("resourceVersionMatch", "")
    if initial and match != "NotOlderThan":
        _refuse("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
    if match and "sendInitialEvents" not in query:
        _refuse("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")
    seconds = request.number("timeoutSeconds") or LONGEST_SECONDS * random.uniform(1, 2)
    return WatchOptions(
        int(text) if text else None, request.flag("allowWatchBookmarks"), initial, float(seconds)
    )


def _refuse(text: str) -> None:
    cause = Cause("resourceVersionMatch", "FieldValueForbidden", f"Forbidden: {text}")
    raise statuses.invalid("ListOptions", "", [cause], group="meta.k8s.io")


@dataclass(slots=True)
class Watch:
    """One stream of a resource's events; iterate over `events`."""

    store: Store
    resource: Resource
    namespace: str
    selection: Selection
    options: WatchOptions
    bookmark_seconds: float
    stopped: Callable[[], bool]

    def events(self) -> Iterator[Event | None]:
        """Yield the events, and None once in a while so that a dead client is noticed."""
        ends = time.monotonic() + self.options.seconds
        options = self.options
        version = options.version or 0
        if not options.version or options.initial_events:
            objects, version = self.store.list_all(self.resource.store_name, self.namespace or None)
            for obj in objects:
                if self.selection.matches(obj):
                    yield "ADDED", to_view(self.resource, obj)
            if options.initial_events and options.bookmarks:
                yield self._bookmark(version, INITIAL_END)
        yield from self._changes(version, ends)

    def _changes(self, version: int, ends: float) -> Iterator[Event | None]:
        bookmark_at = self._next_bookmark(ends)
        while not self.stopped():
            now = time.monotonic()
            if now >= ends:
                break
            if self.options.bookmarks and now >= bookmark_at:
                bookmark_at = self._next_bookmark(ends)
                yield self._bookmark(version, None)
            wait = min(ends - now, IDLE_SECONDS)
            if self.options.bookmarks:
                wait = min(wait, bookmark_at - now)
            try:
                changes, version = self.store.changes(
                    self.resource.store_name, version, timeout=max(wait, 0), stopped=self.stopped
                )
            except ExpiredError as error:
                yield "ERROR", statuses.expired(str(error)).body
                return
            for change in changes:
                event = self._event(change)
                if event is not None:
                    yield event
            if not changes:
                yield None

    def _next_bookmark(self, ends: float) -> float:
        """Return when to send one: at intervals, and once shortly before the stream ends."""
        now, last = time.monotonic(), ends - LAST_BOOKMARK_SECONDS
        return min(now + self.bookmark_seconds, last) if now < last else ends + 1

    def _event(self, change: Change) -> Event | None:
        obj = change.object
        if self.namespace and obj["metadata"].get("namespace") != self.namespace:
            return None
        fits = change.type != "DELETED" and self.selection.matches(obj)
        fitted = change.before is not None and self.selection.matches(change.before)
        if fits:
            return ("MODIFIED" if fitted else "ADDED"), to_view(self.resource, obj)
        if not fitted or change.before is None:
            return None
        # Kubernetes sends the last state that was selected, under the version of the change
        metadata = {**change.before["metadata"], "resourceVersion": str(change.version)}
        last = {**change.before, "metadata": metadata}
        return "DELETED", to_view(self.resource, last)

    def _bookmark(self, version: int, annotations: Object | None) -> Event:
        metadata: Object = {"resourceVersion": str(version)}
        if annotations:
            metadata["annotations"] = annotations
        kind, api_version = self.resource.kind, self.resource.api_version
        return "BOOKMARK", {"kind": kind, "apiVersion": api_version, "metadata": metadata}
