"""How far a workload's rollout is, for each kind by the rule of `kubectl rollout status`.

Decides by counts of pods when a rollout is complete; conditions are passed on, never trusted: the
one of a bad rollout survives its undo. Pure: no clock, no network.
"""

from __future__ import annotations

from typing import Any

from deploy_guard.cluster.snapshot import Json, Snapshot
from deploy_guard.cluster.templates import hash_of, live_revision
from deploy_guard.cluster.times import seconds
from deploy_guard.model import Condition, Rollout


def rollout_of(snapshot: Snapshot, template_hash: str) -> Rollout:
    """Tell how far the rollout of a revision is; never complete unless it is the live one.

    Complete by the rule of `kubectl rollout status`: the controller has seen this generation, all
    wanted pods are of this revision and available, no other is left. Counts that are zero are left
    out of a status.
    """
    workload = snapshot.workload
    if workload is None:
        return Rollout()
    seen = int(status_of(workload).get("observedGeneration", 0)) >= generation_of(workload)
    observed = seen and live_hash(snapshot) == template_hash
    count = {"statefulset": _stateful, "daemonset": _daemon}.get(snapshot.target.kind, _deployment)
    return count(snapshot, workload, template_hash, observed)


def live_hash(snapshot: Snapshot) -> str | None:
    """Return the hash of the workload's template, None before the controller made its revision."""
    if snapshot.workload is None:
        return None
    revision = live_revision(snapshot.workload, snapshot.revisions)
    return hash_of(revision) if revision is not None else None


def is_observed(workload: Json) -> bool:
    """Tell whether the controller has seen the latest change."""
    return int(status_of(workload).get("observedGeneration", 0)) >= generation_of(workload)


def generation_of(workload: Json) -> int:
    """Return the number of changes of the workload, status aside."""
    return int(workload["metadata"].get("generation", 0))


def status_of(workload: Json) -> dict[str, Any]:
    """Return the status, empty before there is one."""
    status: dict[str, Any] = workload.get("status") or {}
    return status


def conditions_of(workload: Json) -> tuple[Condition, ...]:
    """Return the conditions of the workload's status as they are."""
    return tuple(
        Condition(
            type=c["type"],
            status=c["status"],
            reason=c.get("reason", ""),
            message=c.get("message", ""),
            since=seconds(c.get("lastUpdateTime") or c.get("lastTransitionTime") or ""),
        )
        for c in status_of(workload).get("conditions") or ()
    )


def partition_of(workload: Json) -> int:
    """Return from which ordinal on a StatefulSet's pods are updated."""
    strategy = workload["spec"].get("updateStrategy") or {}
    return int((strategy.get("rollingUpdate") or {}).get("partition") or 0)


def on_delete(workload: Json) -> bool:
    """Tell whether pods are only replaced when somebody deletes them (not a Deployment's)."""
    return bool((workload["spec"].get("updateStrategy") or {}).get("type") == "OnDelete")


def _deployment(snapshot: Snapshot, workload: Json, template_hash: str, observed: bool) -> Rollout:
    """Count as DeploymentComplete does (k8s.io/kubernetes/pkg/controller/deployment/util)."""
    status = status_of(workload)
    desired = int(workload["spec"].get("replicas", 1))
    total = int(status.get("replicas", 0))
    updated = int(status.get("updatedReplicas", 0))
    available = int(status.get("availableReplicas", 0))
    if not observed:  # the status still counts for another template
        sets = [rs for rs in snapshot.revisions if hash_of(rs) == template_hash]
        updated = sum(int(status_of(rs).get("replicas", 0)) for rs in sets)
    return Rollout(
        desired=desired,
        updated=updated,
        ready=int(status.get("readyReplicas", 0)),
        available=available,
        old=max(0, total - updated),
        observed=observed,
        paused=bool(workload["spec"].get("paused")),
        complete=observed and updated == total == available == desired,
        conditions=conditions_of(workload),
    )


def _stateful(snapshot: Snapshot, workload: Json, template_hash: str, observed: bool) -> Rollout:
    """Count as `StatefulSetStatusViewer` of kubectl, and want all pods available besides.

    With a partition only the pods from that ordinal on are updated; those below are not old.
    """
    status = status_of(workload)
    desired = int(workload["spec"].get("replicas", 1))
    wanted = max(0, desired - partition_of(workload))
    available = int(status.get("availableReplicas", 0))
    observed = observed and status.get("updateRevision") == template_hash
    if observed:
        updated = int(status.get("updatedReplicas", 0))
    else:
        updated = sum(hash_of(pod) == template_hash for pod in snapshot.pods)
    total = int(status.get("replicas", 0))
    # Going back before the first pod was replaced, the update revision is the current one.
    unchanged = status.get("currentRevision") == template_hash
    done = updated >= (desired if unchanged else wanted)
    return Rollout(
        desired=desired,
        updated=updated,
        ready=int(status.get("readyReplicas", 0)),
        available=available,
        old=max(0, (desired if unchanged else wanted) - updated),
        observed=observed,
        complete=observed and done and total == available == desired,
        conditions=conditions_of(workload),
    )


def _daemon(snapshot: Snapshot, workload: Json, template_hash: str, observed: bool) -> Rollout:
    """Count as `DaemonSetStatusViewer` of kubectl."""
    status = status_of(workload)
    desired = int(status.get("desiredNumberScheduled", 0))
    updated = int(status.get("updatedNumberScheduled", 0))
    available = int(status.get("numberAvailable", 0))
    if not observed:
        updated = sum(hash_of(pod) == template_hash for pod in snapshot.pods)
    return Rollout(
        desired=desired,
        updated=updated,
        ready=int(status.get("numberReady", 0)),
        available=available,
        old=max(0, int(status.get("currentNumberScheduled", 0)) - updated),
        observed=observed,
        complete=observed and updated == available == desired,
        conditions=conditions_of(workload),
    )
