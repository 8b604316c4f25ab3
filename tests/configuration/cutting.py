"""A cluster whose connection, or whose process, ends at one of its writes."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any, Literal

from deploy_guard.cluster.client import Cluster

Side = Literal["before", "after"]


class Killed(BaseException):
    """The process died here."""


class Cut(Cluster):
    """Everything goes to the server, but for the end of one write.

    At the `at`-th write, counted from 1, `error` is raised: before the server hears of it, or after
    it did it. With `error` None nothing is cut, and `writes` counts.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        at: int = 0,
        side: Side = "before",
        error: BaseException | None = None,
    ) -> None:
        super().__init__(
            cluster.api,
            namespace=cluster.namespace,
            context=cluster.context,
            retries=cluster.retries,
        )
        self.writes: list[str] = []
        self._at, self._side, self._error = at, side, error
        self._lock = Lock()

    def patch(self, path: str, body: Any, **options: Any) -> dict[str, Any]:
        """Patch, or end."""
        return self._counted(f"patch {path}", lambda: Cluster.patch(self, path, body, **options))

    def create(self, path: str, body: Any, **options: Any) -> dict[str, Any]:
        """Create, or end."""
        name = f"create {path}/{body['metadata']['name']}"
        return self._counted(name, lambda: Cluster.create(self, path, body, **options))

    def delete(self, path: str, **options: Any) -> None:
        """Delete, or end."""

        def send() -> dict[str, Any]:
            Cluster.delete(self, path, **options)
            return {}

        self._counted(f"delete {path}", send)

    def _counted(self, name: str, send: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        with self._lock:
            self.writes.append(name)
            cut = len(self.writes) == self._at
        if cut and self._side == "before" and self._error is not None:
            raise self._error
        answer = send()
        if cut and self._error is not None:
            raise self._error
        return answer
