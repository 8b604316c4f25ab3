"""Events as controllers write them: counted when they repeat, combined when they pile up.

Decides when an event is new, a repetition or dropped. Source: client-go
tools/record/events_cache.go (ten similar ones in ten minutes, then one combined; 25 at once
about one object, then one in five minutes).
"""

from __future__ import annotations

import threading
import time

from deploy_guard.embedded.store import NotFoundError, Object, Store, now_text

SIMILAR = 10  # different messages with the same reason before they are combined
WINDOW = 600.0  # seconds
BURST = 25
REFILL = 300.0  # seconds for one more

Group = tuple[str, ...]


class Recorder:
    """Writes the events of one component into the store."""

    def __init__(self, store: Store, component: str) -> None:
        self._store = store
        self._component = component
        self._names: dict[Group, str] = {}
        self._messages: dict[Group, tuple[float, set[str]]] = {}
        self._tokens: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def event(self, obj: Object, type_: str, reason: str, message: str) -> None:
        """Write an event about `obj`, or count a repetition."""
        with self._lock:
            group = (obj["metadata"].get("uid", ""), type_, reason)
            if self._piles_up(group, message):
                message = f"(combined from similar events): {message}"
                key: Group = (*group, "combined")
            else:
                key = (*group, "message", message)
            if not self._may_write(group[0]):
                return
            if key not in self._names or not self._repeat(obj, self._names[key], message):
                self._names[key] = self._create(obj, type_, reason, message)

    def _piles_up(self, group: Group, message: str) -> bool:
        now = time.monotonic()
        last, messages = self._messages.get(group, (now, set()))
        if now - last > WINDOW:
            messages = set()
        messages.add(message)
        self._messages[group] = (now, messages)
        if len(messages) < SIMILAR:
            return False
        messages.pop()  # as client-go does: the set stays at the limit
        return True

    def _may_write(self, uid: str) -> bool:
        now = time.monotonic()
        tokens, last = self._tokens.get(uid, (float(BURST), now))
        tokens = min(BURST, tokens + (now - last) / REFILL)
        allowed = tokens >= 1
        self._tokens[uid] = (tokens - allowed, now)
        return allowed

    def _repeat(self, obj: Object, name: str, message: str) -> bool:
        def change(event: Object) -> None:
            event["count"] += 1
            event["lastTimestamp"] = now_text()
            event["message"] = message

        try:
            self._store.update("events", obj["metadata"].get("namespace", ""), name, change)
        except NotFoundError:
            return False
        return True

    def _create(self, obj: Object, type_: str, reason: str, message: str) -> str:
        meta = obj["metadata"]
        name = f"{meta['name']}.{time.time_ns():x}"
        now = now_text()
        event = {
            "kind": "Event",
            "apiVersion": "v1",
            "metadata": {"name": name, "namespace": meta["namespace"]},
            "involvedObject": {
                "kind": obj["kind"],
                "namespace": meta["namespace"],
                "name": meta["name"],
                "uid": meta["uid"],
                "apiVersion": obj["apiVersion"],
                "resourceVersion": meta["resourceVersion"],
            },
            "reason": reason,
            "message": message,
            "source": {"component": self._component},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "type": type_,
            "eventTime": None,
            "reportingComponent": self._component,
            "reportingInstance": "",
        }
        self._store.create("events", event)
        return name
