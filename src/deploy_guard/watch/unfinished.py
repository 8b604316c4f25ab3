"""What a guard that died has left of its watch, and the note from which the next one goes on.

Decides what is written into the lease, and what of a dead guard's note is believed: only what the
cluster itself bears out. What was seen before is not in it: the cluster and the metrics server
remember that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from deploy_guard.cluster.lease import Previous
from deploy_guard.cluster.snapshot import Snapshot
from deploy_guard.cluster.times import seconds
from deploy_guard.outputs.format import stamp
from deploy_guard.rollback.revisions import read_note

FRESH = 3600.0  # seconds: an older verdict of a dead guard is not acted upon, it is judged again


class Stage(Enum):
    """How far the dead guard had come."""

    WATCHING = "watching"
    CONDEMNED = "condemned"  # its verdict was regressed; the candidate is still live
    ROLLED_BACK = "rolled back"  # the rollback is in place, but was not followed to its end


@dataclass(frozen=True, slots=True)
class Left:
    """An unfinished watch: of which revision (its hash), since when, why it was condemned.

    `condemned_at` and `rolled_back_at` are 0 where it did not come to that.
    """

    holder: str
    candidate: str
    started_at: float
    stage: Stage
    reason: str = ""
    accused: tuple[str, ...] = ()
    condemned_at: float = 0.0
    rolled_back_at: float = 0.0


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

    `live` is the hash of the live template.
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
    reason = str(note.get("reason") or "")
    last, rolled_back_at = read_note(snapshot.workload), 0.0
    if candidate == live:
        fresh = condemned_at > 0 and now - condemned_at < FRESH
        stage = Stage.CONDEMNED if fresh else Stage.WATCHING
    elif condemned_at and last is not None and (last.from_hash, last.to_hash) == (candidate, live):
        stage, rolled_back_at = Stage.ROLLED_BACK, last.at
    else:
        return None
    return Left(
        previous.holder,
        candidate,
        started_at,
        stage,
        reason,
        accused,
        condemned_at=condemned_at,
        rolled_back_at=rolled_back_at,
    )
