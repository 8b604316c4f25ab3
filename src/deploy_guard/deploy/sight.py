"""The target as the command finds it, changes it and leaves it.

Decides when two looks at the target are the same deploy: the same object with the same template.
It need not exist: a first deploy makes it. What a change means is `results`' to say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.errors import NotFound
from deploy_guard.cluster.snapshot import Json
from deploy_guard.cluster.target import collection_path, workload_path, workloads_of
from deploy_guard.cluster.templates import same_template, template_of
from deploy_guard.cluster.view import Tempo, View
from deploy_guard.model import Target

_NOT_THE_USERS = ("deployment.kubernetes.io/", "deprecated.daemonset.template.", "deploy-guard/")


@dataclass(frozen=True, slots=True)
class Deployed:
    """What a workload runs: one object with one template. None stands for no such workload."""

    uid: str
    template: Json

    @classmethod
    def of(cls, workload: Json | None) -> Deployed | None:
        """Return what the workload runs, None if there is none or it is being deleted."""
        if workload is None or "deletionTimestamp" in workload["metadata"]:
            return None
        return cls(str(workload["metadata"]["uid"]), template_of(workload))

    def same(self, other: Deployed | None) -> bool:
        """Tell whether this is the same object with the same template."""
        return (
            other is not None
            and other.uid == self.uid
            and same_template(other.template, self.template)
        )


class Sight:
    """Follows the target, also while it does not exist; `changed` is called from a thread."""

    def __init__(self, cluster: Cluster, target: Target, *, changed: Callable[[], None]) -> None:
        self._cluster = cluster
        self._target = target
        resource = workloads_of(target)
        self._view = View(
            cluster,
            resource,
            collection_path(target, resource),
            {"fieldSelector": f"metadata.name={target.name}"},
            changed=changed,
            clock=lambda: 0.0,
            tempo=Tempo(),
        )

    def start(self) -> Json | None:
        """Read the target, then follow it. Raises ApiError."""
        self._view.load(patient=True)
        self._view.start()
        return self.workload()

    def workload(self) -> Json | None:
        """Return the target as it was last seen, None while there is none."""
        return next(iter(self._view.objects()), None)

    def ask(self) -> Json | None:
        """Read the target now: what was last seen may be stale. Raises ApiError."""
        try:
            return self._cluster.get(workload_path(self._target))
        except NotFound:
            return None

    def stop(self) -> None:
        """End the stream and its thread."""
        self._view.stop()
        self._view.join(0.5)


def other_changes(before: Json, after: Json) -> tuple[str, ...]:
    """Return what changed of a workload besides its template, in words."""
    words = []
    for key in sorted({*before["spec"], *after["spec"]} - {"template"}):
        old, new = before["spec"].get(key), after["spec"].get(key)
        if old != new:
            shown = f" {old} → {new}" if isinstance(old, int) and isinstance(new, int) else ""
            words.append(f"spec.{key}{shown}")
    for part in ("labels", "annotations"):
        if _of_users(before, part) != _of_users(after, part):
            words.append(part)
    return tuple(words)


def _of_users(workload: Json, part: str) -> dict[str, str]:
    """Return labels or annotations without those that controllers and guard write."""
    values = workload["metadata"].get(part) or {}
    return {k: v for k, v in values.items() if not k.startswith(_NOT_THE_USERS)}
