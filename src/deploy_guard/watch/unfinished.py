"""What a guard that died has left of its watch, and the note from which the next one goes on.

Decides what is written into the lease, and what of a dead guard's note is believed: only what the
cluster itself bears out. What was seen before is not in it: the cluster and the metrics server
remember that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from deploy_guard.cluster.lease import Previous
from deploy_guard.cluster.snapshot import Snapshot
from deploy_guard.cluster.templates import hash_of
from deploy_guard.cluster.times import seconds
from deploy_guard.cluster.workload import pod_of
from deploy_guard.outputs.format import stamp
from deploy_guard.rollback.revisions import Note, Past, history, in_place, read_note

FRESH = 3600.0  # seconds: a dead guard's verdict from further off, before or after, is not believed
SLACK = 60.0  # seconds from the begin of a watch to the first pod of its candidate
ROUNDED = 2.0  # seconds by which two times of the cluster may differ


class Stage(Enum):
    """How far the dead guard had come."""

    WATCHING = "watching"
    CONDEMNED = "condemned"  # its verdict was regressed; the candidate is still live
    ROLLED_BACK = "rolled back"  # the rollback is in place, but was not followed to its end


@dataclass(frozen=True, slots=True)
class Left:
    """An unfinished watch: of which revision (its hash), since when, why it was condemned.

    `condemned_at` and `rolled_back_at` are 0 where it did not come to that. `in_place`: the
    rollback was one of configuration alone, so the template is not to blame.
    """

    holder: str
    candidate: str
    started_at: float
    stage: Stage
    reason: str = ""
    accused: tuple[str, ...] = ()
    condemned_at: float = 0.0
    rolled_back_at: float = 0.0
    in_place: bool = False


def watching(candidate: str, *, started_at: float) -> dict[str, Any]:
    """Return the note of a watch that goes on."""
    return {"candidate": candidate, "started": stamp(started_at)}


def condemned(
    candidate: str, *, started_at: float, at: float, reason: str, accused: Iterable[str]
) -> dict[str, Any]:
    """Return the note of a watch whose verdict was regressed, before anything is written."""
    return watching(candidate, started_at=started_at) | {
        "condemned": stamp(at),
        "reason": reason[:1000],
        "accused": sorted(accused),
    }


def read_left(
    previous: Previous | None, snapshot: Snapshot, live: str, *, now: float
) -> Left | None:
    """Return what is to be gone on with, None if nothing was left or a newer deploy is live.

    `live` is the hash of the live template. A newer deploy may have the candidate's own template:
    its pods are younger than the watch, or a rollback from it came in between.
    """
    if previous is None or snapshot.workload is None:
        return None
    note = previous.note
    try:
        candidate, started_at = str(note["candidate"]), seconds(str(note["started"]))
        condemned_at = seconds(str(note.get("condemned") or ""))
        accused = tuple(str(name) for name in note.get("accused") or ())
    except (KeyError, ValueError, TypeError):
        return None
    last, began = read_note(snapshot.workload), _began(snapshot, candidate)
    found = Left(
        previous.holder,
        candidate,
        started_at,
        Stage.WATCHING,
        str(note.get("reason") or ""),
        accused,
        condemned_at=condemned_at,
    )
    fresh = condemned_at > 0 and abs(now - condemned_at) < FRESH
    if last is not None and _follows(last, candidate, condemned_at):
        past = next((p for p in history(snapshot.revisions) if _is(p, live)), None)
        if not fresh or not in_place(last, past):
            return None
        stage, at = Stage.ROLLED_BACK, last.at
        return replace(found, stage=stage, rolled_back_at=at, in_place=last.configuration)
    if candidate != live or began > started_at + SLACK:
        return None
    if fresh and began <= condemned_at + ROUNDED:
        return replace(found, stage=Stage.CONDEMNED)
    return found


def _follows(last: Note, candidate: str, condemned_at: float) -> bool:
    """Tell whether a rollback is the one that the dead guard's verdict led to."""
    return 0 < condemned_at <= last.at + ROUNDED and last.from_hash == candidate


def _is(past: Past, template_hash: str) -> bool:
    return past.revision.template_hash == template_hash


def _began(snapshot: Snapshot, candidate: str) -> float:
    """Return when the candidate was deployed at the earliest: its revision may be used again."""
    made = (p.revision.created for p in history(snapshot.revisions) if _is(p, candidate))
    pods = (pod_of(pod).created for pod in snapshot.pods if hash_of(pod) == candidate)
    return max(min(made, default=0.0), min(pods, default=0.0))
