"""Which deploys there were: from the revisions that the cluster keeps, or from a list of times.

Decides what counts as a deploy and what is known of it. What a cluster cannot tell: revisions
beyond the history limit are gone, and one that was used again, as by `kubectl rollout undo`, has
the time of its first use only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from deploy_guard.backtest.model import Deploy
from deploy_guard.cluster.snapshot import Snapshot
from deploy_guard.cluster.times import seconds
from deploy_guard.errors import UsageError
from deploy_guard.model import Revision, Verdict
from deploy_guard.outputs.format import stamp
from deploy_guard.rollback.revisions import history

_WORDS = {"bad": True, "good": False}
_SEPARATOR = re.compile(r"[\s,=]+")
_FIRST = 5.0  # seconds between the creation of a workload and that of its first revision


def deploys_in(snapshot: Snapshot) -> list[Deploy]:
    """Return the deploys that the workload's revisions tell, oldest first.

    Each is at the creation of its revision. The first one, made with the workload, is left out:
    there was nothing before it.
    """
    revisions = _by_age(snapshot)
    return [_deploy(each) for each in revisions[_has_first(snapshot, revisions) :]]


def known_since(snapshot: Snapshot) -> float:
    """Return since when all deploys are known, in Unix seconds, -inf for since ever.

    Without the workload's first revision the history limit (`revisionHistoryLimit`) took the
    oldest ones: then it is since the oldest that is left.
    """
    revisions = _by_age(snapshot)
    whole = not revisions or _has_first(snapshot, revisions)
    return -math.inf if whole else revisions[0].created


def _by_age(snapshot: Snapshot) -> list[Revision]:
    found = (past.revision for past in history(snapshot.revisions))
    return sorted(found, key=lambda revision: (revision.created, first_number(revision)))


def _has_first(snapshot: Snapshot, revisions: Sequence[Revision]) -> bool:
    """Tell whether the oldest revision was made with the workload."""
    created = (snapshot.workload or {}).get("metadata", {}).get("creationTimestamp", "")
    return bool(revisions) and revisions[0].created <= seconds(created) + _FIRST


def first_number(revision: Revision) -> int:
    """Return the number that a revision had first."""
    return min((revision.number, *revision.former_numbers))


def _deploy(revision: Revision) -> Deploy:
    known = {Verdict.REGRESSED: True, Verdict.HEALTHY: False}
    bad = known.get(revision.verdict) if revision.verdict is not None else None
    label = f"revision {first_number(revision)}"
    if revision.former_numbers:
        label += f" (now {revision.number})"
    return Deploy(revision.created, label, revision=revision, bad=bad)


def deploys_at(lines: Iterable[str]) -> list[Deploy]:
    """Return the deploys of a list of times, oldest first.

    A time is RFC 3339 (``2026-01-05T10:00:00Z``) or Unix seconds; ``bad`` or ``good`` may follow
    after a blank, a comma or an equals sign. Empty lines and what follows a ``#`` are left out.
    Raises UsageError.
    """
    texts = (line.partition("#")[0].strip() for line in lines)
    return sorted((_given(text) for text in texts if text), key=lambda deploy: deploy.at)


def _given(text: str) -> Deploy:
    when, *words = _SEPARATOR.split(text)
    if len(words) > 1 or any(word not in _WORDS for word in words):
        raise UsageError(
            f"deploy {text!r}: after the time only 'bad' or 'good' can follow",
            help="write 2026-01-05T10:00:00Z=bad",
        )
    at = moment(when)
    return Deploy(at, stamp(at), bad=_WORDS[words[0]] if words else None)


def moment(text: str) -> float:
    """Return RFC 3339 or Unix seconds as Unix seconds; raises UsageError."""
    try:
        if re.fullmatch(r"\d+(\.\d+)?", text):
            return datetime.fromtimestamp(float(text), UTC).timestamp()
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        found = None
    if found is None or found.tzinfo is None:
        raise UsageError(
            f"time {text!r} is neither RFC 3339 nor Unix seconds",
            help="write 2026-01-05T10:00:00Z, with Z or an offset such as +01:00",
        )
    return found.astimezone(UTC).timestamp()
