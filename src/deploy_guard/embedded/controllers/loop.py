"""One thread for all controllers: woken by changes, one key at a time, tries again on failure.

Decides which object is synced when. Knows no rule of Kubernetes but which change concerns
which controller. Source for the delays: client-go util/workqueue (5 ms, doubled each time).
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol

from deploy_guard.embedded.controllers.daemonset import DaemonSetController
from deploy_guard.embedded.controllers.deployment import DeploymentController
from deploy_guard.embedded.controllers.garbage import GarbageCollector, resource_of
from deploy_guard.embedded.controllers.objects import (
    DAEMON_SETS,
    DEPLOYMENTS,
    PODS,
    REPLICA_SETS,
    REVISIONS,
    STATEFUL_SETS,
    SyncError,
    controller_of,
)
from deploy_guard.embedded.controllers.replicaset import ReplicaSetController
from deploy_guard.embedded.controllers.statefulset import StatefulSetController
from deploy_guard.embedded.nodes import ONE_NODE, Node
from deploy_guard.embedded.selectors import matches_label_selector
from deploy_guard.embedded.store import (
    FIRST_VERSION,
    Change,
    ExpiredError,
    Object,
    Store,
    StoreError,
)

Key = tuple[str, ...]  # what is to be done, to which object
Task = Callable[[], None]


class Controller(Protocol):
    """Moves one object of its resource towards its spec."""

    def sync(self, namespace: str, name: str, later: Callable[[float], None]) -> None:
        """Do one step; `later` asks for another sync after that many seconds."""


# Whose controllers hear of a change of such an object: of its owner or, while it has none, of
# all that could adopt it. A StatefulSet looks at its revisions only when something else wakes it.
OWNERS = {
    REPLICA_SETS: (DEPLOYMENTS,),
    REVISIONS: (DAEMON_SETS,),
    PODS: (REPLICA_SETS, STATEFUL_SETS, DAEMON_SETS),
}

FIRST_DELAY = 0.005
LONGEST_DELAY = 1000.0
NOT_WATCHED = frozenset({"events", "leases.coordination.k8s.io"})  # many, and nobody's business
IDLE = 60.0  # seconds until the next look when nothing happens

log = logging.getLogger(__name__)


class ControllerLoop:
    """Runs the controllers of a store in a thread."""

    def __init__(
        self,
        store: Store,
        nodes: Sequence[Node] = ONE_NODE,
        *,
        is_frozen: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._store = store
        self._controllers: dict[str, Controller] = {
            DEPLOYMENTS: DeploymentController(store),
            REPLICA_SETS: ReplicaSetController(store),
            STATEFUL_SETS: StatefulSetController(store, is_frozen),
            DAEMON_SETS: DaemonSetController(store, nodes, is_frozen),
        }
        self._garbage = GarbageCollector(store)
        self._queue: OrderedDict[Key, Task] = OrderedDict()
        self._timers: list[tuple[float, int, Key, Task]] = []
        self._numbers = itertools.count()  # so that timers of the same time need no order
        self._failures: dict[Key, int] = {}
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
                self._do(*self._queue.popitem(last=False))
            else:
                self._store.wait(version, timeout=self._idle_time(), until=self._stopped.is_set)

    def _idle_time(self) -> float:
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else IDLE

    def _do(self, key: Key, task: Task) -> None:
        try:
            task()
        except Exception as error:  # as Kubernetes: one bad object must not stop the others
            if not isinstance(error, StoreError | SyncError):
                log.exception("%s is tried again", "/".join(key))
            failed = self._failures.get(key, 0)
            self._failures[key] = failed + 1
            self._do_later(key, task, min(LONGEST_DELAY, FIRST_DELAY * 2.0**failed))
        else:
            self._failures.pop(key, None)

    def _do_later(self, key: Key, task: Task, seconds: float) -> None:
        at = time.monotonic() + seconds
        heapq.heappush(self._timers, (at, next(self._numbers), key, task))

    def _take_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            _, _, key, task = heapq.heappop(self._timers)
            self._queue[key] = task

    def _take_changes(self) -> None:
        """Queue what follows from the changes since the last look, in the order of the changes."""
        found: list[tuple[str, Change]] = []
        for resource in self._store.resources():
            if resource in NOT_WATCHED:
                continue
            try:
                changes, self._seen[resource] = self._store.changes(
                    resource, self._seen.get(resource, FIRST_VERSION)
                )
            except ExpiredError:
                changes = self._list_again(resource)
            found += [(resource, change) for change in changes]
        for resource, change in sorted(found, key=lambda item: item[1].version):
            self._take(resource, change)

    def _list_again(self, resource: str) -> list[Change]:
        objects, self._seen[resource] = self._store.list_all(resource)
        return [Change("MODIFIED", self._seen[resource], obj, obj) for obj in objects]

    def _take(self, resource: str, change: Change) -> None:
        obj = change.object
        if resource in self._controllers:
            self._add(resource, obj, obj["metadata"]["name"])
        self._add_owner(resource, obj)
        if resource == PODS and change.type == "DELETED":
            self._add_recreated(obj)
        self._add_garbage(resource, change)

    def _add(self, resource: str, obj: Object, name: str) -> None:
        """Queue the object of that resource and name in the namespace of `obj`."""
        namespace = obj["metadata"].get("namespace", "")
        key = (resource, namespace, name)

        def task() -> None:
            self._controllers[resource].sync(
                namespace, name, lambda seconds: self._do_later(key, task, seconds)
            )

        self._queue[key] = task

    def _add_owner(self, resource: str, obj: Object) -> None:
        """Queue the controller of an object, or all that could adopt it."""
        owners = OWNERS.get(resource, ())
        reference = controller_of(obj)
        if reference is not None:
            found = resource_of(reference)
            if found is not None and found.store_name in owners:
                self._add(found.store_name, obj, reference["name"])
            return
        labels = obj["metadata"].get("labels") or {}
        for owner in owners:
            for candidate in self._store.list_all(owner, obj["metadata"].get("namespace", ""))[0]:
                if matches_label_selector(candidate["spec"]["selector"], labels):
                    self._add(owner, candidate, candidate["metadata"]["name"])

    def _add_recreated(self, pod: Object) -> None:
        """Wake a Deployment that waits for its old pods to go (strategy Recreate)."""
        owner = controller_of(pod)
        namespace = pod["metadata"].get("namespace", "")
        rs = owner and self._store.find(REPLICA_SETS, namespace, owner["name"])
        if rs:
            self._add_owner(REPLICA_SETS, rs)

    def _add_garbage(self, resource: str, change: Change) -> None:
        meta = change.object["metadata"]
        if change.type == "DELETED":
            key: Key = ("gone", resource, meta["uid"])
            self._queue[key] = lambda: self._garbage.owner_gone(change.object)
            for reference in meta.get("ownerReferences") or []:
                owner = resource_of(reference)
                if owner is not None:
                    self._add_check(owner.store_name, meta, reference["name"])
        elif meta.get("ownerReferences") or meta.get("finalizers"):
            self._add_check(resource, meta, meta["name"])

    def _add_check(self, resource: str, meta: Object, name: str) -> None:
        namespace = meta.get("namespace", "")

        def task() -> None:
            found = self._store.find(resource, namespace, name)
            if found is not None:
                self._garbage.check(resource, found)

        self._queue[("garbage", resource, namespace, name)] = task
