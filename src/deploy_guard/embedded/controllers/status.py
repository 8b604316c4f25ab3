"""The status of a Deployment, counted from its ReplicaSets.

Decides the counts and the conditions Available and ReplicaFailure; Progressing is
`conditions`'. Counts that are 0 are left out, as Go's omitempty does.
Source: kubernetes/pkg/controller/deployment/sync.go (calculateStatus), progress.go.
"""

from __future__ import annotations

from collections.abc import Sequence

from deploy_guard.embedded.controllers.conditions import (
    Status,
    condition,
    remove_condition,
    set_condition,
)
from deploy_guard.embedded.controllers.objects import get_status
from deploy_guard.embedded.controllers.rolling import max_unavailable
from deploy_guard.embedded.store import Object


def status_of(deployment: Object, new: Object | None, old: Sequence[Object]) -> Status:
    """Return the counts and Available; other conditions as they are."""
    every = [*old, *([new] if new else [])]
    spec, before = deployment["spec"], deployment.get("status") or {}
    available = sum(get_status(rs, "availableReplicas") for rs in every)
    counts = {
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": sum(get_status(rs, "replicas") for rs in every),
        "updatedReplicas": get_status(new, "replicas") if new else 0,
        "readyReplicas": sum(get_status(rs, "readyReplicas") for rs in every),
        "availableReplicas": available,
        "unavailableReplicas": max(0, sum(rs["spec"]["replicas"] for rs in every) - available),
    }
    status: Status = {field: count for field, count in counts.items() if count}
    status["terminatingReplicas"] = sum(get_status(rs, "terminatingReplicas") for rs in every)
    for kept in ("collisionCount", "conditions"):
        if before.get(kept):
            status[kept] = before[kept]
    if available >= spec["replicas"] - max_unavailable(spec):
        message = "Deployment has minimum availability."
        now = condition("Available", "True", "MinimumReplicasAvailable", message)
    else:
        message = "Deployment does not have minimum availability."
        now = condition("Available", "False", "MinimumReplicasUnavailable", message)
    set_condition(status, now)
    return status


def set_replica_failure(status: Status, new: Object | None, old: Sequence[Object]) -> None:
    """Take over the failure of a ReplicaSet, the new one's before the old ones'."""
    for rs in [*([new] if new else []), *old]:
        for found in (rs.get("status") or {}).get("conditions") or []:
            if found["type"] == "ReplicaFailure":
                since = found["lastTransitionTime"]
                failure = condition(
                    "ReplicaFailure", found["status"], found["reason"], found["message"]
                )
                failure.update(lastUpdateTime=since, lastTransitionTime=since)
                set_condition(status, failure)
                return
    remove_condition(status, "ReplicaFailure")
