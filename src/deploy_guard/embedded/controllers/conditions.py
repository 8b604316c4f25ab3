"""Conditions of a Deployment: how they are set, and what counts as progress.

Decides Progressing's reason and message and when a rollout has timed out. Does not count pods
(`status`). Source: kubernetes/pkg/controller/deployment/{progress.go,util/deployment_util.go}.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from deploy_guard.embedded.store import Object, now_text

NO_LIMIT = 2**31 - 1  # MaxInt32 as deadline or history limit means: none

Status = dict[str, Any]


def condition(type_: str, status: str, reason: str, message: str) -> Object:
    """Return a new Deployment condition as of now."""
    now = now_text()
    return {
        "type": type_,
        "status": status,
        "lastUpdateTime": now,
        "lastTransitionTime": now,
        "reason": reason,
        "message": message,
    }


def get_condition(status: Mapping[str, Any], type_: str) -> Object | None:
    """Return the condition of that type, or None."""
    for found in status.get("conditions") or []:
        if found["type"] == type_:
            return dict(found)
    return None


def set_condition(status: Status, new: Object) -> None:
    """Put the condition at the end of the list, unless its status and reason are there already.

    An equal status keeps lastTransitionTime; an equal reason keeps the old message too.
    """
    current = get_condition(status, new["type"])
    if current and (current["status"], current["reason"]) == (new["status"], new["reason"]):
        return
    if current and current["status"] == new["status"]:
        new = {**new, "lastTransitionTime": current["lastTransitionTime"]}
    remove_condition(status, new["type"])
    status["conditions"] = [*status.get("conditions", []), new]


def remove_condition(status: Status, type_: str) -> None:
    """Drop the condition of that type."""
    left = [found for found in status.get("conditions") or [] if found["type"] != type_]
    status.pop("conditions", None)
    if left:
        status["conditions"] = left


def has_deadline(spec: Mapping[str, Any]) -> bool:
    """Tell whether the Deployment limits the time without progress."""
    return spec.get("progressDeadlineSeconds") not in (None, NO_LIMIT)


def is_complete(deployment: Object, status: Mapping[str, Any]) -> bool:
    """Tell whether all pods are new, available and none is old."""
    desired = deployment["spec"]["replicas"]
    counts = (
        status.get(field, 0) for field in ("updatedReplicas", "replicas", "availableReplicas")
    )
    observed = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    return observed and all(count == desired for count in counts)


def is_progressing(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Tell whether the counts moved towards the end of the rollout."""

    def grew(field: str) -> bool:
        return bool(after.get(field, 0) > before.get(field, 0))

    def old(status: Mapping[str, Any]) -> int:
        return int(status.get("replicas", 0) - status.get("updatedReplicas", 0))

    return (
        grew("updatedReplicas")
        or old(after) < old(before)
        or grew("readyReplicas")
        or grew("availableReplicas")
    )


def deadline_left(spec: Mapping[str, Any], progressing: Mapping[str, Any]) -> float:
    """Return the seconds until the progress deadline, counted from the last progress."""
    since = datetime.fromisoformat(progressing["lastUpdateTime"])
    passed = (datetime.now(UTC) - since).total_seconds()
    return float(spec["progressDeadlineSeconds"] - passed)


def has_timed_out(spec: Mapping[str, Any], status: Mapping[str, Any]) -> bool:
    """Tell whether no progress was made for progressDeadlineSeconds."""
    progressing = get_condition(status, "Progressing")
    if progressing is None or progressing["reason"] == "NewReplicaSetAvailable":
        return False
    if progressing["reason"] == "ProgressDeadlineExceeded":
        return True
    return deadline_left(spec, progressing) < 0


def set_progress(deployment: Object, status: Status, name: str | None) -> None:
    """Set Progressing in a newly counted `status`; `name` is the new ReplicaSet's."""
    spec, before = deployment["spec"], deployment.get("status") or {}
    if not has_deadline(spec):
        remove_condition(status, "Progressing")
        return
    current = get_condition(before, "Progressing")
    done = status.get("replicas", 0) == status.get("updatedReplicas", 0)
    if done and current and current["reason"] == "NewReplicaSetAvailable":
        return
    who = f'ReplicaSet "{name}"' if name else f'Deployment "{deployment["metadata"]["name"]}"'
    if is_complete(deployment, status):
        message = f"{who} has successfully progressed."
        new = condition("Progressing", "True", "NewReplicaSetAvailable", message)
    elif is_progressing(before, status):
        new = condition("Progressing", "True", "ReplicaSetUpdated", f"{who} is progressing.")
        if current and current["status"] == "True":
            new["lastTransitionTime"] = current["lastTransitionTime"]
        remove_condition(status, "Progressing")  # so that lastUpdateTime moves with each progress
    elif has_timed_out(spec, status):
        message = f"{who} has timed out progressing."
        new = condition("Progressing", "False", "ProgressDeadlineExceeded", message)
    else:
        return
    set_condition(status, new)
