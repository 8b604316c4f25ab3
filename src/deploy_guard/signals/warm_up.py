"""Which pods were still warming up when what they counted began.

Decides a pod's age, and from when on an increment counts. What a comparison leaves out is decided
where increments are judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from deploy_guard.model import Pod, Workload


@dataclass(frozen=True, slots=True)
class _Start:
    """From when on a pod serves: since it was ready, or since it was created if it never was."""

    at: float
    ready: bool
    restarts: int

    @classmethod
    def of(cls, pod: Pod) -> _Start:
        restarts = sum(container.restarts for container in pod.containers)
        return cls(pod.ready_since or pod.created, bool(pod.ready_since), restarts)


class WarmUp:
    """Tells pods that are younger than `seconds` from the others.

    A pod is as old as it is ready, for only then it gets traffic; one that is not ready yet is as
    old as it is. A restart of a container begins anew. Readiness that comes and goes does not:
    a pod that fails under its load must not stay young for ever. A pod that no look at the
    cluster has shown is young.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._starts: dict[str, _Start] = {}
        self._read_at: dict[str, float] = {}
        self._deployed_at = 0.0

    def update(self, workload: Workload, place: Callable[[str], str] = str) -> None:
        """Note the pods of this look, by their `place`; called before each `advance`."""
        self._deployed_at = workload.deployed_at
        for pod in workload.pods:
            known, start = self._starts.get(place(pod.name)), _Start.of(pod)
            if known is None or not known.ready or known.restarts != start.restarts:
                self._starts[place(pod.name)] = start

    def advance(self, pods: Iterable[str], now: float) -> set[str]:
        """Take what was read `now`, by place; return those that were young when last read.

        What a pod counted began when it was last read, which may be longer ago than the last
        reading of others; on its first reading it began with the deploy at the earliest.
        """
        read = set(pods)
        young = {pod for pod in read if self._was_young(pod)}
        self._read_at.update(dict.fromkeys(read, now))
        return young

    def _was_young(self, pod: str) -> bool:
        if self._seconds <= 0:
            return False
        start = self._starts.get(pod)
        began = self._read_at.get(pod, self._deployed_at)
        return start is None or began - start.at < self._seconds
