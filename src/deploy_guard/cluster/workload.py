"""What the raw objects of a Deployment mean: its pods, its rollout, its revisions.

Decides by replica counts when a rollout is complete; conditions are passed on, never trusted: the
one of a bad rollout survives its undo. Pure: no clock, no network.
"""

from __future__ import annotations

import json
from datetime import datetime

from deploy_guard.cluster.snapshot import Json, Snapshot
from deploy_guard.cluster.templates import HASH_LABEL, hash_of, live_replicaset
from deploy_guard.model import Condition, Container, Pod, Revision, Rollout, Verdict, Workload

REVISION = "deployment.kubernetes.io/revision"
FORMER = "deployment.kubernetes.io/revision-history"
CHANGE_CAUSE = "kubernetes.io/change-cause"
VERDICT = "deploy-guard/verdict"


def look(snapshot: Snapshot, *, candidate_hash: str, deployed_at: float | None = None) -> Workload:
    """Interpret a snapshot, with the revision `candidate_hash` under judgement."""
    if deployed_at is None:
        deployed_at = began_at(snapshot, candidate_hash)
    return Workload(
        target=snapshot.target,
        candidate=candidate_hash,
        deployed_at=deployed_at,
        seen_at=snapshot.seen_at,
        pods=tuple(pod_of(pod) for pod in snapshot.pods),
        rollout=rollout_of(snapshot, candidate_hash),
        blind="; ".join(f"{p.what}: {p.reason}" for p in snapshot.problems),
    )


def live_hash(snapshot: Snapshot) -> str | None:
    """Return the hash of the Deployment's template, None before its ReplicaSet exists."""
    if snapshot.deployment is None:
        return None
    replicaset = live_replicaset(snapshot.deployment, snapshot.replicasets)
    return hash_of(replicaset) if replicaset is not None else None


def began_at(snapshot: Snapshot, template_hash: str) -> float:
    """Return when the rollout of a revision began, in Unix seconds.

    The creation of its ReplicaSet: pods may be younger, since nodes are drained. A ReplicaSet that
    is used again, by a deploy that goes back to it, is older than its rollout: then the creation of
    its earliest living pod; without pods the moment of the look.
    """
    own = next((rs for rs in snapshot.replicasets if hash_of(rs) == template_hash), None)
    if own is not None and not _used_again(own, snapshot.replicasets):
        return _created(own)
    pods = [_created(pod) for pod in snapshot.pods if _hash(pod) == template_hash]
    return min(pods, default=snapshot.seen_at)


def _used_again(replicaset: Json, all_of_them: tuple[Json, ...]) -> bool:
    """Tell whether a revision is live once more: it has a former number, or another came after it.

    The controller notes the former number a moment late.
    """
    notes = replicaset["metadata"].get("annotations") or {}
    return bool(notes.get(FORMER)) or any(_created(rs) > _created(replicaset) for rs in all_of_them)


def _created(obj: Json) -> float:
    return seconds(obj["metadata"]["creationTimestamp"])


def rollout_of(snapshot: Snapshot, template_hash: str) -> Rollout:
    """Tell how far the rollout of a revision is; never complete unless it is the live one.

    Complete by the rule of DeploymentComplete and `kubectl rollout status`: the controller has
    seen this generation, and all wanted pods are of this revision and available, no other is left.
    Counts that are zero are left out of the status.
    """
    deployment = snapshot.deployment
    if deployment is None:
        return Rollout()
    status = deployment.get("status") or {}
    desired = int(deployment["spec"].get("replicas", 1))
    total = int(status.get("replicas", 0))
    updated = int(status.get("updatedReplicas", 0))
    available = int(status.get("availableReplicas", 0))
    generation = int(deployment["metadata"].get("generation", 0))
    seen = int(status.get("observedGeneration", 0)) >= generation
    observed = seen and live_hash(snapshot) == template_hash
    if not observed:  # the status still counts for another template
        sets = [rs for rs in snapshot.replicasets if hash_of(rs) == template_hash]
        updated = sum(int((rs.get("status") or {}).get("replicas", 0)) for rs in sets)
    return Rollout(
        desired=desired,
        updated=updated,
        ready=int(status.get("readyReplicas", 0)),
        available=available,
        old=max(0, total - updated),
        observed=observed,
        paused=bool(deployment["spec"].get("paused")),
        complete=observed and updated == total == available == desired,
        conditions=conditions_of(deployment),
    )


def conditions_of(deployment: Json) -> tuple[Condition, ...]:
    """Return the conditions of the Deployment's status as they are."""
    found = (deployment.get("status") or {}).get("conditions") or ()
    return tuple(
        Condition(
            type=c["type"],
            status=c["status"],
            reason=c.get("reason", ""),
            message=c.get("message", ""),
            since=seconds(c.get("lastUpdateTime") or c.get("lastTransitionTime") or ""),
        )
        for c in found
    )


def pod_of(pod: Json) -> Pod:
    """Interpret one pod."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    ready = conditions.get("Ready", {})
    scheduled = conditions.get("PodScheduled", {})
    is_ready = ready.get("status") == "True"
    failed = scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable"
    statuses = [
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
    ]
    return Pod(
        name=metadata["name"],
        template=_hash(pod),
        created=seconds(metadata["creationTimestamp"]),
        ip=status.get("podIP", ""),
        phase=status.get("phase", "Pending"),
        ready=is_ready,
        ready_since=seconds(ready.get("lastTransitionTime") or "") if is_ready else None,
        terminating="deletionTimestamp" in metadata,
        unschedulable=scheduled.get("message", "") or "Unschedulable" if failed else "",
        containers=tuple(_container(c) for c in statuses),
    )


def revision_of(replicaset: Json) -> Revision:
    """Interpret a ReplicaSet as a revision; its number is 0 until the controller has given one."""
    metadata = replicaset["metadata"]
    notes = metadata.get("annotations") or {}
    verdict, at = _verdict(notes.get(VERDICT, ""), hash_of(replicaset))
    spec = replicaset["spec"]["template"].get("spec") or {}
    return Revision(
        number=_number(notes.get(REVISION, "")),
        name=metadata["name"],
        uid=metadata["uid"],
        template_hash=hash_of(replicaset),
        images=tuple(str(c.get("image", "")) for c in spec.get("containers") or ()),
        created=seconds(metadata["creationTimestamp"]),
        change_cause=notes.get(CHANGE_CAUSE, ""),
        former_numbers=tuple(
            _number(part) for part in notes.get(FORMER, "").split(",") if _number(part)
        ),
        replicas=int((replicaset.get("status") or {}).get("replicas", 0)),
        verdict=verdict,
        verdict_at=at,
    )


def seconds(timestamp: str) -> float:
    """Return a Kubernetes timestamp as Unix seconds; 0 for none."""
    return datetime.fromisoformat(timestamp).timestamp() if timestamp else 0.0


def _verdict(text: str, template_hash: str) -> tuple[Verdict | None, float | None]:
    """Read guard's own note, if it is about this very template.

    `kubectl rollout undo` copies a ReplicaSet's annotations to the Deployment, and the controller
    copies them on to the next release's ReplicaSet: a note alone proves nothing.
    """
    try:
        note = json.loads(text)
        if note["template"] == template_hash:
            return Verdict(note["verdict"]), seconds(note["at"])
    except (ValueError, KeyError, TypeError):
        pass
    return None, None


def _container(status: Json) -> Container:
    state, last = status.get("state") or {}, status.get("lastState") or {}
    waiting = state.get("waiting") or {}
    ended = state.get("terminated") or last.get("terminated") or {}
    return Container(
        name=status.get("name", ""),
        ready=bool(status.get("ready")),
        restarts=int(status.get("restartCount", 0)),
        waiting=waiting.get("reason", ""),
        message=waiting.get("message", ""),  # that of a termination is the program's own output
        terminated=ended.get("reason", ""),
        exit_code=ended.get("exitCode"),
    )


def _hash(pod: Json) -> str:
    return str((pod["metadata"].get("labels") or {}).get(HASH_LABEL, ""))


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0
