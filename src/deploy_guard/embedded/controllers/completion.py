"""When a rollout is over: every pod that should be new is new and available, no other is left.

Decides this for each kind of workload from its status alone, stricter than `kubectl rollout
status`, which does not wait for old pods that terminate.
"""

from __future__ import annotations

from collections.abc import Callable

from deploy_guard.embedded.controllers.conditions import is_complete
from deploy_guard.embedded.controllers.objects import DAEMON_SETS, DEPLOYMENTS, STATEFUL_SETS
from deploy_guard.embedded.store import Object

STORED_AS = {"Deployment": DEPLOYMENTS, "StatefulSet": STATEFUL_SETS, "DaemonSet": DAEMON_SETS}


def is_rolled_out(workload: Object) -> bool:
    """Tell whether the workload's rollout is complete.

    With OnDelete the pods that run count, whatever they were made from; with a partition those
    from it upwards must be new.
    """
    status = workload.get("status") or {}
    if status.get("observedGeneration", 0) < workload["metadata"]["generation"]:
        return False
    return COMPLETE[workload["kind"]](workload, status)


def _deployment(workload: Object, status: Object) -> bool:
    unfinished = status.get("unavailableReplicas") or status.get("terminatingReplicas")
    return is_complete(workload, status) and not unfinished


def _stateful_set(workload: Object, status: Object) -> bool:
    spec = workload["spec"]
    replicas, strategy = spec["replicas"], spec["updateStrategy"]
    kept = int((strategy.get("rollingUpdate") or {}).get("partition", 0))
    new = 0 if strategy["type"] == "OnDelete" else max(0, replicas - kept)
    counts = (status.get(field, 0) for field in ("replicas", "readyReplicas", "availableReplicas"))
    return all(count == replicas for count in counts) and status.get("updatedReplicas", 0) >= new


def _daemon_set(workload: Object, status: Object) -> bool:
    desired = status["desiredNumberScheduled"]
    fields = ["currentNumberScheduled", "numberReady", "numberAvailable"]
    if workload["spec"]["updateStrategy"]["type"] != "OnDelete":
        fields.append("updatedNumberScheduled")
    counts = (status.get(field, 0) for field in fields)
    return all(count == desired for count in counts) and not status["numberMisscheduled"]


COMPLETE: dict[str, Callable[[Object, Object], bool]] = {
    "Deployment": _deployment,
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
}
