"""The objects of the embedded cluster, their versions and the history that watches read.

Decides: resourceVersion, uid, creationTimestamp, generation, and what a watcher is told.
Does not decide: what is valid, who may write, how a patch is applied (`api`), or what
follows from a change (`controllers`).
"""

from __future__ import annotations

import copy
import threading
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Object = dict[str, Any]
EventType = Literal["ADDED", "MODIFIED", "DELETED"]
Key = tuple[str, str]  # (namespace, name); namespace is "" for cluster-scoped objects

FIRST_VERSION = 1000  # what happened before is history that was compacted away
HISTORY = 20_000  # changes kept per resource before a watch from an old version is answered 410


class StoreError(Exception):
    """A write or read that the store refuses."""


class NotFoundError(StoreError):
    """No object of that name."""


class AlreadyExistsError(StoreError):
    """An object of that name exists."""


class ConflictError(StoreError):
    """The object changed since the caller read it."""


class ExpiredError(StoreError):
    """The history no longer reaches back to the version asked for (HTTP 410)."""

    def __init__(self, asked: int, oldest: int) -> None:
        super().__init__(f"too old resource version: {asked} ({oldest})")
        self.asked = asked
        self.oldest = oldest


@dataclass(frozen=True, slots=True)
class Change:
    """One change as a watcher sees it; `before` lets a selector turn MODIFIED into DELETED."""

    type: EventType
    version: int
    object: Object
    before: Object | None


def now_text() -> str:
    """Return the time in the form of Kubernetes' metadata (whole seconds, UTC)."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Store:
    """All objects by resource, one version counter for all, a bounded history per resource.

    A resource is named as in RBAC with its group: ``deployments.apps``, ``pods``. Objects that
    come out of the store are shared: callers never change them, they pass a changed copy to
    `update`. All methods are safe to call from any thread.
    """

    def __init__(self, *, history: int = HISTORY) -> None:
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._objects: dict[str, dict[Key, Object]] = {}
        self._history: dict[str, deque[Change]] = {}
        self._history_limit = history
        self._dropped: dict[str, int] = {}  # resource -> newest version that fell out of history
        self._version = FIRST_VERSION

    @property
    def version(self) -> int:
        """The newest resourceVersion of the whole cluster."""
        with self._lock:
            return self._version

    def create(self, resource: str, obj: Object) -> Object:
        """Store a new object; metadata gets uid, resourceVersion, creationTimestamp.

        Raises AlreadyExistsError.
        """
        obj = copy.deepcopy(obj)
        meta = obj["metadata"]
        key = (meta.get("namespace", ""), meta["name"])
        with self._lock:
            if key in self._objects.setdefault(resource, {}):
                raise AlreadyExistsError(f"{resource} {meta['name']!r} already exists")
            meta.setdefault("uid", str(uuid.uuid4()))
            meta.setdefault("creationTimestamp", now_text())
            self._commit("ADDED", resource, key, obj, None)
        return obj

    def get(self, resource: str, namespace: str, name: str) -> Object:
        """Return the object. Raises NotFoundError."""
        with self._lock:
            try:
                return self._objects.get(resource, {})[(namespace, name)]
            except KeyError:
                raise NotFoundError(f"{resource} {name!r} not found") from None

    def find(self, resource: str, namespace: str, name: str) -> Object | None:
        """Return the object, or None."""
        with self._lock:
            return self._objects.get(resource, {}).get((namespace, name))

    def list_all(self, resource: str, namespace: str | None = None) -> tuple[list[Object], int]:
        """Return the objects in key order (namespace None: of all) and the version of the list."""
        with self._lock:
            found = self._objects.get(resource, {})
            keys = sorted(k for k in found if namespace is None or k[0] == namespace)
            return [found[k] for k in keys], self._version

    def update(
        self,
        resource: str,
        namespace: str,
        name: str,
        change: Callable[[Object], Object | None],
        *,
        status: bool = False,
        version: str | None = None,
        dry_run: bool = False,
    ) -> Object:
        """Read, change and write in one step; return what is stored afterwards.

        `change` gets a private copy and returns the new object (None: the copy it changed in
        place). Nothing is written, and no version used, when the result equals what is stored.
        A change of `spec` raises metadata.generation, for Deployments one of annotations too
        (kubernetes/pkg/registry/apps/deployment/strategy.go); with `status=True`, the
        /status subresource, neither does. An object that is being deleted is removed when its
        last finalizer goes. With `dry_run=True` the result is returned and not stored. Raises
        NotFoundError, ConflictError (`version` given and not the stored one) and whatever
        `change` raises.
        """
        with self._lock:
            before = self.get(resource, namespace, name)
            if version and before["metadata"]["resourceVersion"] != version:
                raise ConflictError(f"{resource} {name!r} has been modified")
            draft = copy.deepcopy(before)
            after = change(draft)
            after = draft if after is None else after
            for field in ("uid", "creationTimestamp", "resourceVersion"):
                after["metadata"][field] = before["metadata"][field]
            if "generation" in before["metadata"]:
                bump = _starts_deletion(before, after) or (
                    not status and _raises_generation(resource, before, after)
                )
                after["metadata"]["generation"] = before["metadata"]["generation"] + bump
            if after == before:
                return before
            if dry_run:
                return after
            if _is_released(before, after):
                self._commit("DELETED", resource, (namespace, name), copy.deepcopy(before), before)
                return after
            self._commit("MODIFIED", resource, (namespace, name), after, before)
            return after

    def delete(
        self, resource: str, namespace: str, name: str, *, version: str | None = None
    ) -> Object:
        """Remove the object at once (finalizers are the caller's business); return its last state.

        Raises NotFoundError, ConflictError (`version` given and not the stored one).
        """
        with self._lock:
            before = self.get(resource, namespace, name)
            if version and before["metadata"]["resourceVersion"] != version:
                raise ConflictError(f"{resource} {name!r} has been modified")
            last = copy.deepcopy(before)
            self._commit("DELETED", resource, (namespace, name), last, before)
            return last

    def list_at(self, resource: str, namespace: str | None, version: int) -> list[Object]:
        """Return the objects as they were at `version`, in key order. Raises ExpiredError."""
        with self._lock:
            self._check_reach(resource, version)
            found = dict(self._objects.get(resource, {}))
            for change in reversed(self._history.get(resource, ())):
                if change.version <= version:
                    break
                metadata = change.object["metadata"]
                key = (metadata.get("namespace", ""), metadata["name"])
                if change.before is None:
                    found.pop(key, None)
                else:
                    found[key] = change.before
            keys = sorted(key for key in found if namespace is None or key[0] == namespace)
            return [found[key] for key in keys]

    def changes(
        self,
        resource: str,
        after: int,
        *,
        timeout: float | None = 0.0,
        stopped: Callable[[], bool] = lambda: False,
    ) -> tuple[list[Change], int]:
        """Return the changes newer than version `after` and the version up to which they reach.

        Waits up to `timeout` seconds for one (None: for ever), or until `stopped`, which is
        asked again at every `wake`. Raises ExpiredError.
        """
        with self._changed:
            self._check_reach(resource, after)
            self._changed.wait_for(lambda: self._newest(resource) > after or stopped(), timeout)
            self._check_reach(resource, after)  # history may have been dropped meanwhile
            found = [c for c in self._history.get(resource, ()) if c.version > after]
            return found, max(after, self._version if not found else found[-1].version)

    def wait(self, after: int, *, timeout: float, until: Callable[[], bool] = lambda: False) -> int:
        """Wait up to `timeout` seconds for any change after version `after`; return the newest.

        Also returns when `until` is true; it is asked at each change and each `wake`.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._version > after or until(), timeout)
            return self._version

    def wake(self) -> None:
        """Let everyone who waits look again, as a change would."""
        with self._changed:
            self._changed.notify_all()

    def resources(self) -> list[str]:
        """Return the names of the resources that have, or had, objects."""
        with self._lock:
            return list(self._objects)

    def forget_history(self) -> None:
        """Drop all history, as etcd's compaction does: older watches are answered 410."""
        with self._lock:
            for resource in self._objects:
                self._history.get(resource, deque()).clear()
                self._dropped[resource] = self._version

    def _check_reach(self, resource: str, version: int) -> None:
        oldest = self._dropped.get(resource, FIRST_VERSION)
        if version < oldest:
            raise ExpiredError(version, oldest)

    def _newest(self, resource: str) -> int:
        history = self._history.get(resource)
        return history[-1].version if history else 0

    def _commit(
        self, type_: EventType, resource: str, key: Key, obj: Object, before: Object | None
    ) -> None:
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)
        if type_ == "DELETED":
            del self._objects[resource][key]
        else:
            self._objects[resource][key] = obj
        history = self._history.setdefault(resource, deque())
        history.append(Change(type_, self._version, obj, before))
        while len(history) > self._history_limit:
            self._dropped[resource] = history.popleft().version
        self._changed.notify_all()


def _is_released(before: Object, after: Object) -> bool:
    """Tell whether the last finalizer of an object that is being deleted has gone."""
    metadata = after["metadata"]
    return bool(
        before["metadata"].get("finalizers")
        and not metadata.get("finalizers")
        and metadata.get("deletionTimestamp")
        and not metadata.get("deletionGracePeriodSeconds")
    )


def _starts_deletion(before: Object, after: Object) -> bool:
    return "deletionTimestamp" in after["metadata"] and (
        "deletionTimestamp" not in before["metadata"]
    )


def _raises_generation(resource: str, before: Object, after: Object) -> bool:
    if before.get("spec") != after.get("spec"):
        return True
    if "deletionTimestamp" in after["metadata"] and "deletionTimestamp" not in before["metadata"]:
        return True
    return resource == "deployments.apps" and (
        before["metadata"].get("annotations") != after["metadata"].get("annotations")
    )
