"""Follow a workload, its revisions and its pods as the cluster tells of their changes.

Decides what is followed and who is told. How a view is kept true is `view`'s; what the objects
mean is `workload`'s. When something cannot be seen, the snapshot says so in its problems.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.snapshot import Snapshot, assemble, selector_text
from deploy_guard.cluster.target import (
    collection_path,
    revisions_of,
    workload_path,
    workloads_of,
)
from deploy_guard.cluster.view import Tempo, View
from deploy_guard.model import Target


class Follower:
    """A view of one workload that keeps itself up to date in daemon threads.

    Without `pods` only the workload and its revisions are followed. `on_change` is called from
    these threads after each change and has to return quickly. As a context manager it starts and
    stops itself.
    """

    def __init__(
        self,
        cluster: Cluster,
        target: Target,
        *,
        pods: bool = True,
        on_change: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.time,
        tempo: Tempo | None = None,
    ) -> None:
        self.target = target
        self._cluster = cluster
        self._pods = pods
        self._on_change = on_change
        self._clock = clock
        self._tempo = tempo or Tempo()
        self._change = threading.Condition()
        self._serial = 0
        self._views: tuple[View, ...] = ()

    def start(self) -> Snapshot:
        """Read everything once, then follow it; return the first complete snapshot.

        Raises the ApiError that stands in the way, such as NotFound or Forbidden.
        """
        workload = self._cluster.get(workload_path(self.target))
        labels = {"labelSelector": selector_text(workload)}
        # with resourceNames in a Role, list and watch need this very field selector
        name = {"fieldSelector": f"metadata.name={self.target.name}"}
        views = [
            self._view(workloads_of(self.target), name),
            self._view(revisions_of(self.target), labels),
        ]
        if self._pods:
            views.append(self._view("pods", labels))
        for view in views:
            view.load(patient=True)
        self._views = tuple(views)
        for view in views:
            view.start()
        return self.latest()

    def latest(self) -> Snapshot:
        """Return what is known now."""
        with self._change:
            serial = self._serial  # read first: a change in between is told again, never lost
        workloads, revisions, *pods = (view.objects() for view in self._views)
        blind = [view.blind for view in self._views]
        return assemble(
            self.target,
            next(iter(workloads), None),
            revisions,
            pods[0] if pods else (),
            seen_at=self._clock(),
            problems=tuple(problem for problem in blind if problem is not None),
            serial=serial,
        )

    def wait(self, serial: int, timeout: float) -> Snapshot:
        """Return the latest snapshot once it is newer than `serial`, or after `timeout` seconds."""
        with self._change:
            self._change.wait_for(lambda: self._serial != serial, timeout)
        return self.latest()

    def stop(self) -> None:
        """End all streams and threads, within a fraction of a second."""
        for view in self._views:
            view.stop()
        deadline = time.monotonic() + 0.5
        for view in self._views:
            view.join(max(0.0, deadline - time.monotonic()))

    def __enter__(self) -> Follower:
        if not self._views:
            self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _view(self, resource: str, params: dict[str, str]) -> View:
        return View(
            self._cluster,
            resource,
            collection_path(self.target, resource),
            params,
            changed=self._changed,
            clock=self._clock,
            tempo=self._tempo,
        )

    def _changed(self) -> None:
        with self._change:
            self._serial += 1
            self._change.notify_all()
        if self._on_change is not None:
            self._on_change()
