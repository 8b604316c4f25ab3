"""What the raw objects of a workload mean: its pods, its revisions, when a rollout began.

Decides which of guard's own notes are believed. Pure: no clock, no network.
"""

from __future__ import annotations

from deploy_guard.cluster.notes import parsed
from deploy_guard.cluster.rollouts import rollout_of
from deploy_guard.cluster.snapshot import Json, Snapshot
from deploy_guard.cluster.templates import hash_of, template_of
from deploy_guard.cluster.times import seconds
from deploy_guard.model import Container, Pod, Revision, Verdict, Workload

REVISION = "deployment.kubernetes.io/revision"
FORMER = "deployment.kubernetes.io/revision-history"
CHANGE_CAUSE = "kubernetes.io/change-cause"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"  # the whole object once more
VERDICT = "deploy-guard/verdict"
LONGEST_NUMBER = 18  # digits of a revision, which is an int64


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


def began_at(snapshot: Snapshot, template_hash: str) -> float:
    """Return when the rollout of a revision began, in Unix seconds.

    The creation of the revision: pods may be younger, since nodes are drained. A revision that is
    used again, by a deploy that goes back to it, is older than its rollout: then the creation of
    its earliest living pod; without pods the moment of the look.
    """
    own = next((r for r in snapshot.revisions if hash_of(r) == template_hash), None)
    if own is not None and not _used_again(own, snapshot.revisions):
        return _created(own)
    pods = [_created(pod) for pod in snapshot.pods if hash_of(pod) == template_hash]
    return min(pods, default=snapshot.seen_at)


def _used_again(revision: Json, all_of_them: tuple[Json, ...]) -> bool:
    """Tell whether a revision is live once more: it has a former number, or another came after it.

    The controller notes the former number a moment late.
    """
    notes = revision["metadata"].get("annotations") or {}
    return bool(notes.get(FORMER)) or any(_created(r) > _created(revision) for r in all_of_them)


def _created(obj: Json) -> float:
    return seconds(obj["metadata"]["creationTimestamp"])


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
        template=hash_of(pod),
        created=seconds(metadata["creationTimestamp"]),
        ip=status.get("podIP", ""),
        phase=status.get("phase", "Pending"),
        ready=is_ready,
        ready_since=seconds(ready.get("lastTransitionTime") or "") if is_ready else None,
        terminating="deletionTimestamp" in metadata,
        unschedulable=scheduled.get("message", "") or "Unschedulable" if failed else "",
        containers=tuple(_container(c) for c in statuses),
    )


def revision_of(obj: Json) -> Revision:
    """Interpret a ReplicaSet or a ControllerRevision as a revision.

    The number of a ReplicaSet is 0 until the controller has given one. A ControllerRevision does
    not say how many pods it has, nor which numbers it had before.
    """
    metadata = obj["metadata"]
    notes = metadata.get("annotations") or {}
    verdict, at = _verdict(notes.get(VERDICT, ""), hash_of(obj))
    spec = template_of(obj).get("spec") or {}
    kept = "data" in obj
    return Revision(
        number=int(obj.get("revision", 0)) if kept else _number(notes.get(REVISION, "")),
        name=metadata["name"],
        uid=metadata["uid"],
        template_hash=hash_of(obj),
        images=tuple(str(c.get("image", "")) for c in spec.get("containers") or ()),
        created=seconds(metadata["creationTimestamp"]),
        change_cause=notes.get(CHANGE_CAUSE, ""),
        former_numbers=tuple(
            _number(part) for part in notes.get(FORMER, "").split(",") if _number(part)
        ),
        replicas=None if kept else int((obj.get("status") or {}).get("replicas", 0)),
        verdict=verdict,
        verdict_at=at,
    )


def _verdict(text: str, template_hash: str) -> tuple[Verdict | None, float | None]:
    """Read guard's own note, if it is about this very template.

    `kubectl rollout undo` copies a ReplicaSet's annotations to the Deployment, and the controller
    copies them on to the next release's ReplicaSet: a note alone proves nothing.
    """
    try:
        note = parsed(text)
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


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) <= LONGEST_NUMBER else 0
