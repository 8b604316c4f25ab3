"""Answers that are older than what was seen before: from a replica or a cache that lags behind.

Decides whether a read may be believed. Kubernetes' resourceVersions grow within a cluster and can
be compared as numbers (KEP-5504); what is no number is believed.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from deploy_guard.cluster.errors import Call, Stale


class Freshness:
    """The newest version that was seen of each object and of each collection."""

    def __init__(self) -> None:
        self._newest: dict[str, int] = {}
        self._lock = threading.Lock()

    def check(self, call: Call, path: str, answer: Mapping[str, Any]) -> None:
        """Raise Stale if an object or a list was seen in a newer version before."""
        key, version = _key(path, answer)
        with self._lock:
            known = self._newest.get(key, 0)
        if version is not None and version < known:
            raise Stale(
                call,
                "the answer is older than what was seen before",
                help="a replica of the API server, or a cache before it, lags behind",
            )

    def saw(self, path: str, answer: Mapping[str, Any]) -> None:
        """Remember an object, or a list, that was read or written at `path`.

        A list that comes later cannot be older than one of its objects.
        """
        key, version = _key(path, answer)
        if version is None:
            return
        call = Call.of("get", path)
        keys = [key]
        if call.name and "/" not in call.resource:
            keys.append(path.rpartition("/")[0])
        with self._lock:
            for each in keys:
                self._newest[each] = max(version, self._newest.get(each, 0))

    def saw_event(self, path: str, obj: Mapping[str, Any]) -> None:
        """Remember an object that a watch of the collection at `path` brought."""
        key, version = _key(path, obj)
        if version is None:
            return
        with self._lock:
            for each in (key, path):
                self._newest[each] = max(version, self._newest.get(each, 0))


def _key(path: str, answer: Mapping[str, Any]) -> tuple[str, int | None]:
    """Return what an answer is about, and its version: None where it cannot be compared."""
    metadata = answer.get("metadata")
    if not isinstance(metadata, Mapping):
        return path, None
    version = str(metadata.get("resourceVersion") or "")
    key = path if "items" in answer else str(metadata.get("uid") or path)
    return key, int(version) if version.isdecimal() else None
