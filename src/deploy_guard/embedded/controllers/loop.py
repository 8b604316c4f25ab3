"""One thread for all controllers: woken by changes, one key at a time, tries again on failure.

Decides which object is synced when. Knows no rule of Kubernetes but which change concerns
which controller. Source for the delays: client-go util/workqueue (5 ms, doubled each time).
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

from deploy_guard.embedded.controllers.deployment import DeploymentController
from deploy_guard.embedded.controllers.garbage import GarbageCollector, resource_of
from deploy_guard.embedded.controllers.objects import (
    DEPLOYMENTS,
    PODS,
    REPLICA_SETS,
    SyncError,
    controller_of,
    is_terminating,
)
from deploy_guard.embedded.controllers.replicaset import ReplicaSetController
from deploy_guard.embedded.selectors import matches_label_selector
from deploy_guard.embedded.store import (
    Change,
    ConflictError,
    ExpiredError,
    Object,
    Store,
    StoreError,
)

Kind = Literal["deployment", "replicaset"]
QueueKey = tuple[Kind, str, str]  # kind, namespace, name

FIRST_DELAY = 0.005
LONGEST_DELAY = 1000.0
IDLE = 60.0  # seconds until the next look when nothing happens

log = logging.getLogger(__name__)


class ControllerLoop:
    """Runs the controllers of a store in a thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sync: dict[Kind, Callable[[str, str, Callable[[float], None]], None]] = {
            "deployment": DeploymentController(store).sync,
            "replicaset": ReplicaSetController(store).sync,
        }
        self._garbage = GarbageCollector(store)
        self._queue: OrderedDict[QueueKey, None] = OrderedDict()
        self._timers: list[tuple[float, QueueKey]] = []
        self._failures: dict[QueueKey, int] = {}
        self._seen: dict[str, int] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="controllers", daemon=True)

    def start(self) -> None:
        """Start the thread; objects that are there already are synced, too."""
        self._thread.start()

    def close(self) -> None:
        """Stop the thread and wait for it."""
        self._stopped.set()
        self._store.wake()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            version = self._store.version
            self._take_changes()
            self._take_timers()
            if self._queue:
                self._sync_one(self._queue.popitem(last=False)[0])
            else:
                self._store.wait(version, timeout=self._idle_time(), until=self._stopped.is_set)

    def _idle_time(self) -> float:
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else IDLE

    def _sync_one(self, key: QueueKey) -> None:
        kind, namespace, name = key
        try:
            self._sync[kind](namespace, name, lambda seconds: self._add_later(key, seconds))
        except (StoreError, SyncError) as error:
            if not isinstance(error, ConflictError):
                log.debug("%s %s/%s is tried again: %s", kind, namespace, name, error)
            failed = self._failures.get(key, 0)
            self._failures[key] = failed + 1
            self._add_later(key, min(LONGEST_DELAY, FIRST_DELAY * 2.0**failed))
        else:
            self._failures.pop(key, None)

    def _add_later(self, key: QueueKey, seconds: float) -> None:
        heapq.heappush(self._timers, (time.monotonic() + seconds, key))

    def _take_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            self._queue[heapq.heappop(self._timers)[1]] = None

    def _take_changes(self) -> None:
        for resource in self._store.resources():
            try:
                changes, self._seen[resource] = self._store.changes(
                    resource, self._seen.get(resource, 0)
                )
            except ExpiredError:
                changes = self._list_again(resource)
            for change in changes:
                self._take(resource, change)

    def _list_again(self, resource: str) -> list[Change]:
        objects, self._seen[resource] = self._store.list_all(resource)
        return [Change("MODIFIED", self._seen[resource], obj, obj) for obj in objects]

    def _take(self, resource: str, change: Change) -> None:
        obj = change.object
        if resource == DEPLOYMENTS:
            self._add("deployment", obj, obj["metadata"]["name"])
        elif resource == REPLICA_SETS:
            self._add("replicaset", obj, obj["metadata"]["name"])
            self._add_owner("deployment", DEPLOYMENTS, obj)
        elif resource == PODS:
            self._add_owner("replicaset", REPLICA_SETS, obj)
            if change.type == "DELETED":
                self._add_recreated(obj)
        self._collect(resource, change)

    def _add(self, kind: Kind, obj: Object, name: str) -> None:
        self._queue[(kind, obj["metadata"].get("namespace", ""), name)] = None

    def _add_owner(self, kind: Kind, resource: str, obj: Object) -> None:
        owner = controller_of(obj)
        if owner is not None:
            self._add(kind, obj, owner["name"])
            return
        labels = obj["metadata"].get("labels") or {}
        for candidate in self._store.list_all(resource, obj["metadata"].get("namespace", ""))[0]:
            if matches_label_selector(candidate["spec"]["selector"], labels):
                self._add(kind, candidate, candidate["metadata"]["name"])

    def _add_recreated(self, pod: Object) -> None:
        """Wake a Deployment that waits for its old pods to go (strategy Recreate)."""
        owner = controller_of(pod)
        rs = owner and self._store.find(
            REPLICA_SETS, pod["metadata"].get("namespace", ""), owner["name"]
        )
        if rs:
            self._add_owner("deployment", DEPLOYMENTS, rs)

    def _collect(self, resource: str, change: Change) -> None:
        obj = change.object
        if change.type == "DELETED":
            self._garbage.owner_gone(obj)
            self._check_waiting_owners(obj)
        elif resource != "events":
            self._garbage.check(resource, obj)

    def _check_waiting_owners(self, obj: Object) -> None:
        namespace = obj["metadata"].get("namespace", "")
        for reference in obj["metadata"].get("ownerReferences") or []:
            resource = resource_of(reference)
            owner = self._store.find(resource, namespace, reference["name"])
            if owner and owner["metadata"]["uid"] == reference["uid"] and is_terminating(owner):
                self._garbage.check(resource, owner)
