"""The two strategies: RollingUpdate and Recreate, and the clean-up of old revisions.

Decides the next step of a rollout. Source: kubernetes/pkg/controller/deployment/
{rolling.go,recreate.go,progress.go,sync.go}.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from deploy_guard.embedded.controllers.conditions import (
    NO_LIMIT,
    deadline_left,
    get_condition,
    has_deadline,
    is_complete,
    set_progress,
)
from deploy_guard.embedded.controllers.objects import (
    REPLICA_SETS,
    controller_of,
    get_status,
    is_terminating,
)
from deploy_guard.embedded.controllers.rolling import max_unavailable, new_replicas
from deploy_guard.embedded.controllers.scaling import active, resize, resize_if_needed
from deploy_guard.embedded.controllers.status import set_replica_failure, status_of
from deploy_guard.embedded.controllers.templates import age_key, revision_of
from deploy_guard.embedded.store import Object

if TYPE_CHECKING:
    from deploy_guard.embedded.controllers.deployment import DeploymentSync


def roll(sync: DeploymentSync) -> None:
    """Take one step of a rolling update: grow the new ReplicaSet, else shrink the old ones."""
    new, old = sync.replica_sets(create=True)
    assert new is not None  # noqa: S101 - create=True makes it
    moved = _grow_new(sync, new, old) or _shrink_old(sync, new, old)
    if not moved and is_complete(sync.deployment, sync.deployment.get("status") or {}):
        clean_up(sync, old)
    write_rollout_status(sync, new, old)


def recreate(sync: DeploymentSync) -> None:
    """Take one step of Recreate: first all old pods go, then the new ReplicaSet comes."""
    new, old = sync.replica_sets(create=False)
    shrunk = [resize_if_needed(sync, rs, 0) for rs in active(old)]
    if not any(shrunk) and not _old_pods_run(sync, new, old):
        if new is None:
            new, old = sync.replica_sets(create=True)
        assert new is not None  # noqa: S101 - create=True makes it
        resize_if_needed(sync, new, sync.spec["replicas"])
        if is_complete(sync.deployment, sync.deployment.get("status") or {}):
            clean_up(sync, old)
    write_rollout_status(sync, new, old)


def write_rollout_status(sync: DeploymentSync, new: Object | None, old: Sequence[Object]) -> None:
    """Write counts and conditions; come back when the progress deadline may have passed."""
    before = sync.deployment.get("status") or {}
    status = status_of(sync.deployment, new, old)
    set_progress(sync.deployment, status, new["metadata"]["name"] if new else None)
    set_replica_failure(status, new, old)
    if status == before:
        _watch_deadline(sync, status)
        return
    sync.deployment["status"] = status
    sync.write_status()


def clean_up(sync: DeploymentSync, old: Sequence[Object]) -> None:
    """Delete the oldest revisions above revisionHistoryLimit that have no pods."""
    limit = sync.spec.get("revisionHistoryLimit")
    if limit in (None, NO_LIMIT):
        return
    cleanable = sorted((rs for rs in old if not is_terminating(rs)), key=revision_of)
    for rs in cleanable[: max(0, len(cleanable) - limit)]:
        meta = rs["metadata"]
        behind = meta["generation"] > get_status(rs, "observedGeneration")
        if rs["spec"]["replicas"] == 0 and get_status(rs, "replicas") == 0 and not behind:
            sync.store.delete(REPLICA_SETS, meta["namespace"], meta["name"])


def _grow_new(sync: DeploymentSync, new: Object, old: Sequence[Object]) -> bool:
    desired, size = sync.spec["replicas"], new["spec"]["replicas"]
    if size >= desired:
        return resize_if_needed(sync, new, desired)
    total = size + sum(rs["spec"]["replicas"] for rs in old)
    return resize_if_needed(sync, new, new_replicas(sync.spec, new=size, total=total))


def _shrink_old(sync: DeploymentSync, new: Object, old: Sequence[Object]) -> bool:
    shrinkable = sorted(active(old), key=age_key)
    if not shrinkable:
        return False
    total = sum(rs["spec"]["replicas"] for rs in [*old, new])
    least = sync.spec["replicas"] - max_unavailable(sync.spec)
    missing = new["spec"]["replicas"] - get_status(new, "availableReplicas")
    allowed = total - least - missing
    if allowed <= 0:
        return False
    shrinkable, unhealthy = _shrink_unhealthy(sync, shrinkable, allowed)
    available = sum(get_status(rs, "availableReplicas") for rs in [*shrinkable, new])
    return unhealthy + _shrink_healthy(sync, shrinkable, available - least) > 0


def _shrink_unhealthy(
    sync: DeploymentSync, shrinkable: Sequence[Object], allowed: int
) -> tuple[list[Object], int]:
    """Take pods that are not available first; return the ReplicaSets afterwards and how many."""
    taken = 0
    after = []
    for rs in shrinkable:
        size = rs["spec"]["replicas"]
        surplus = max(0, size - get_status(rs, "availableReplicas"))
        step = min(allowed - taken, surplus)
        after.append(resize(sync, rs, size - step) if step else rs)
        taken += step
    return after, taken


def _shrink_healthy(sync: DeploymentSync, shrinkable: Sequence[Object], allowed: int) -> int:
    """Take pods that serve, oldest ReplicaSet first; return how many went."""
    taken = 0
    for rs in shrinkable:
        size = rs["spec"]["replicas"]
        step = max(0, min(size, allowed - taken))
        if step:
            resize(sync, rs, size - step)
        taken += step
    return taken


def _old_pods_run(sync: DeploymentSync, new: Object | None, old: Sequence[Object]) -> bool:
    if sum(get_status(rs, "replicas") for rs in old) > 0:
        return True
    mine = new["metadata"]["uid"] if new else None
    return any(
        (controller_of(pod) or {}).get("uid") != mine
        and (pod.get("status") or {}).get("phase") not in ("Failed", "Succeeded")
        for pod in sync.pods()
    )


def _watch_deadline(sync: DeploymentSync, status: Object) -> None:
    progressing = get_condition(status, "Progressing")
    if not has_deadline(sync.spec) or progressing is None or is_complete(sync.deployment, status):
        return
    if progressing["reason"] in ("ProgressDeadlineExceeded", "NewReplicaSetAvailable"):
        return
    sync.later(max(0.05, deadline_left(sync.spec, progressing) + 0.05))
