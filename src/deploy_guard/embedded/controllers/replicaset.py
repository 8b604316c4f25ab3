"""The ReplicaSet controller: as many pods as asked for, and what is known of them.

Decides which pods are made and deleted and the status counts.
Source: kubernetes/pkg/controller/replicaset/{replica_set.go,replica_set_utils.go}.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from deploy_guard.embedded.controllers.events import Recorder
from deploy_guard.embedded.controllers.objects import (
    PODS,
    REPLICA_SETS,
    SyncError,
    claim,
    is_terminating,
)
from deploy_guard.embedded.controllers.pod_state import (
    FINISHED,
    available_in,
    phase,
    ready_condition,
)
from deploy_guard.embedded.controllers.pods import ForbiddenError, create_pod, mark_deleted
from deploy_guard.embedded.store import NotFoundError, Object, Store, now_text

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
PHASES = ("Pending", "Unknown", "Running")


class ReplicaSetController:
    """Syncs ReplicaSets of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._events = Recorder(store, "replicaset-controller")

    def sync(self, namespace: str, name: str, later: Callable[[float], None]) -> None:
        """Make or delete pods, then write the status. Raises SyncError when a pod was refused.

        The status counts the pods that were there before, as Kubernetes' does.
        """
        rs = self._store.find(REPLICA_SETS, namespace, name)
        if rs is None:
            return
        pods = [p for p in claim(self._store, PODS, rs) if phase(p) not in FINISHED]
        active = [pod for pod in pods if not is_terminating(pod)]
        failure = "" if is_terminating(rs) else self._manage(rs, active)
        ready_after = rs["spec"].get("minReadySeconds", 0)
        waits = [available_in(pod, ready_after) for pod in active]
        status = _status_of(rs, active, waits, terminating=len(pods) - len(active))
        _set_failure(rs, status, failure, too_few=len(active) < rs["spec"]["replicas"])

        def change(draft: Object) -> None:
            draft["status"] = status

        try:
            self._store.update(REPLICA_SETS, namespace, name, change, status=True)
        except NotFoundError:
            return
        pending = [wait for wait in waits if wait is not None and wait > 0]
        if pending:
            later(min(pending))
        if failure:
            raise SyncError(failure)

    def _manage(self, rs: Object, active: Sequence[Object]) -> str:
        missing = rs["spec"]["replicas"] - len(active)
        if missing > 0:
            return self._create(rs, missing)
        for pod in sorted(active, key=deletion_key)[: max(0, -missing)]:
            meta = pod["metadata"]
            mark_deleted(self._store, meta["namespace"], meta["name"])
            self._events.event(rs, "Normal", "SuccessfulDelete", f"Deleted pod: {meta['name']}")
        return ""

    def _create(self, rs: Object, missing: int) -> str:
        """Create pods in batches of 1, 2, 4, …; a batch with a failure is the last one."""
        batch, failure = 1, ""
        while missing > 0 and not failure:
            for _ in range(min(batch, missing)):
                failure = self._create_one(rs) or failure
            missing -= batch
            batch *= 2
        return failure

    def _create_one(self, rs: Object) -> str:
        try:
            pod = create_pod(self._store, rs)
        except ForbiddenError as error:
            self._events.event(rs, "Warning", "FailedCreate", f"Error creating: {error}")
            return str(error)
        message = f"Created pod: {pod['metadata']['name']}"
        self._events.event(rs, "Normal", "SuccessfulCreate", message)
        return ""


def deletion_key(pod: Object) -> tuple[bool, int, bool, int, float, int, float]:
    """Order pods so that those that are missed least come first (ActivePodsWithRanks)."""
    ready = ready_condition(pod)
    is_ready = ready is not None and ready["status"] == "True"
    since = _seconds(ready["lastTransitionTime"]) if ready and is_ready else 0.0
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    restarts = max((status.get("restartCount", 0) for status in statuses), default=0)
    now = phase(pod)
    cost = (pod["metadata"].get("annotations") or {}).get(DELETION_COST, "0")
    return (
        bool(pod["spec"].get("nodeName")),
        PHASES.index(now) if now in PHASES else len(PHASES),
        is_ready,
        int(cost),
        -since,
        -restarts,
        -_seconds(pod["metadata"]["creationTimestamp"]),
    )


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


def _status_of(
    rs: Object, active: Sequence[Object], waits: Sequence[float | None], *, terminating: int
) -> Object:
    labels = rs["spec"]["template"]["metadata"].get("labels") or {}
    labelled = [p for p in active if labels.items() <= (p["metadata"].get("labels") or {}).items()]
    counts = {
        "fullyLabeledReplicas": len(labelled),
        "readyReplicas": sum(wait is not None for wait in waits),
        "availableReplicas": sum(wait is not None and wait <= 0 for wait in waits),
    }
    status: Object = {"replicas": len(active)}
    status.update({field: count for field, count in counts.items() if count})
    status["terminatingReplicas"] = terminating
    status["observedGeneration"] = rs["metadata"]["generation"]
    return status


def _set_failure(rs: Object, status: Object, failure: str, *, too_few: bool) -> None:
    known = (rs.get("status") or {}).get("conditions")
    if failure and known:
        status["conditions"] = known
    elif failure:
        status["conditions"] = [
            {
                "type": "ReplicaFailure",
                "status": "True",
                "lastTransitionTime": now_text(),
                "reason": "FailedCreate" if too_few else "FailedDelete",
                "message": failure,
            }
        ]
