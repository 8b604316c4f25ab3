"""Scaling of a Deployment's ReplicaSets, in proportion when several have pods.

Decides the sizes after a change of `replicas`; the step of a rollout is `rollout`'s.
Source: kubernetes/pkg/controller/deployment/sync.go (scale).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from deploy_guard.embedded.controllers.objects import (
    REPLICA_SETS,
    get_status,
    private,
    replace,
)
from deploy_guard.embedded.controllers.rolling import is_rolling, max_surge, proportion
from deploy_guard.embedded.controllers.templates import (
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    age_key,
    annotated_number,
    annotations_of,
    replicas_annotations,
)
from deploy_guard.embedded.store import Object

if TYPE_CHECKING:
    from deploy_guard.embedded.controllers.deployment import DeploymentSync


def active(replica_sets: Iterable[Object]) -> list[Object]:
    """Return those that should have pods."""
    return [rs for rs in replica_sets if rs["spec"]["replicas"] > 0]


def resize(sync: DeploymentSync, rs: Object, size: int) -> Object:
    """Give a ReplicaSet that size and note the proportions; return it as it is afterwards."""
    noted = replicas_annotations(sync.spec)
    before = rs["spec"]["replicas"]
    if before == size and noted.items() <= annotations_of(rs).items():
        return rs
    changed = private(rs)
    changed["spec"]["replicas"] = size
    changed["metadata"].setdefault("annotations", {}).update(noted)
    after = replace(sync.store, REPLICA_SETS, changed)
    if before != size:
        tell(sync, after, before=before)
    return after


def resize_if_needed(sync: DeploymentSync, rs: Object, size: int) -> bool:
    """As `resize`, but only when the size differs; return whether it did."""
    if rs["spec"]["replicas"] == size:
        return False
    resize(sync, rs, size)
    return True


def tell(sync: DeploymentSync, rs: Object, *, before: int) -> None:
    """Write the event about a ReplicaSet that had `before` replicas."""
    size = rs["spec"]["replicas"]
    way = "up" if before < size else "down"
    message = f"Scaled {way} replica set {rs['metadata']['name']} from {before} to {size}"
    sync.events.event(sync.deployment, "Normal", "ScalingReplicaSet", message)


def scale(sync: DeploymentSync, new: Object | None, old: Sequence[Object]) -> None:
    """Bring the ReplicaSets to the size that the Deployment's `replicas` asks for."""
    desired = sync.spec["replicas"]
    only = _active_or_latest(new, old)
    if only is not None:
        resize_if_needed(sync, only, desired)
    elif new is not None and _is_saturated(sync, new):
        for rs in active(old):
            resize_if_needed(sync, rs, 0)
    elif is_rolling(sync.spec):
        _scale_in_proportion(sync, active([*old, *([new] if new else [])]))


def _active_or_latest(new: Object | None, old: Sequence[Object]) -> Object | None:
    candidates = active([*old, *([new] if new else [])])
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        return None
    return new or max(old, key=age_key, default=None)


def _is_saturated(sync: DeploymentSync, rs: Object) -> bool:
    desired = sync.spec["replicas"]
    noted = annotated_number(rs, DESIRED_REPLICAS)
    return (rs["spec"]["replicas"], noted, get_status(rs, "availableReplicas")) == (desired,) * 3


def _scale_in_proportion(sync: DeploymentSync, replica_sets: list[Object]) -> None:
    desired = sync.spec["replicas"]
    allowed = desired + max_surge(sync.spec) if desired else 0
    to_add = allowed - sum(rs["spec"]["replicas"] for rs in replica_sets)
    # Largest first; among equals the newer ones grow and the older ones shrink first.
    ordered = sorted(replica_sets, key=age_key, reverse=to_add > 0)
    ordered.sort(key=lambda rs: rs["spec"]["replicas"], reverse=True)
    added = 0
    sizes = []
    for rs in ordered:
        size = rs["spec"]["replicas"]
        before = annotated_number(rs, MAX_REPLICAS) or get_status(sync.deployment, "replicas")
        share = proportion(sync.spec, size=size, max_before=before, to_add=to_add, added=added)
        added += share
        sizes.append(size + share)
    if sizes:
        sizes[0] = max(0, sizes[0] + to_add - added)
    for rs, size in zip(ordered, sizes, strict=True):
        resize(sync, rs, size)
