"""`guard history`: the revisions of a workload, what guard knows of them, where a rollback goes.

Decides the rows and their two forms, text and JSON. Which revision a rollback chooses is decided
by the rollback itself, so that this can never say something else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.snapshot import Snapshot, take
from deploy_guard.masking import HIDDEN
from deploy_guard.model import Revision, Target
from deploy_guard.outputs.format import clean, fit, stamp, wrap
from deploy_guard.rollback.planning import Plan, plan
from deploy_guard.rollback.revisions import Note, read_note
from deploy_guard.rollback.revisions import history as revisions
from deploy_guard.secret_names import hide

HEADER = ("", "REVISION", "CREATED", "IMAGES", "PODS", "VERDICT", "CHANGE-CAUSE")
_LONGEST = 200  # characters of an image or a change-cause: anybody may have written them


@dataclass(frozen=True, slots=True)
class Row:
    """One revision, whether it is live, and what a rollback would do with it."""

    revision: Revision
    live: bool
    chosen: bool
    passed_over: str  # why a rollback would not go there; empty otherwise


@dataclass(frozen=True, slots=True)
class History:
    """All revisions, newest first, and the plan that a rollback would have now."""

    target: Target
    rows: tuple[Row, ...]
    plan: Plan
    last: Note | None = None  # guard's note on the last rollback


def history(cluster: Cluster, target: Target) -> History:
    """Read the history of a workload; raises ApiError."""
    return history_of(take(cluster, target, pods=False))


def history_of(snapshot: Snapshot) -> History:
    """Interpret a snapshot as history."""
    made = plan(snapshot)
    live = made.candidate.uid if made.candidate else ""
    chosen = made.revision.uid if made.revision else ""
    passed = {revision.uid: why for revision, why in made.passed_over}
    rows = tuple(
        Row(
            revision=past.revision,
            live=past.revision.uid == live,
            chosen=past.revision.uid == chosen,
            passed_over=passed.get(past.revision.uid, ""),
        )
        for past in revisions(snapshot.revisions)
    )
    last = read_note(snapshot.workload) if snapshot.workload is not None else None
    return History(snapshot.target, rows, made, last)


def as_text(found: History, *, width: int | None = None) -> str:
    """Write the history as a table, with one line that says where a rollback would go.

    Where it is wider than `width`, images lose their registry, and what still is too long is cut.
    """
    lines, answer = _table([_cells(row) for row in found.rows]), _answer(found).split("\n")
    if width is not None:
        if max(map(len, lines)) > width:
            lines = _table([_cells(row, brief=True) for row in found.rows])
        lines = [fit(line, width) for line in lines]
        first, *more = answer
        answer = wrap(first, width=width, rest="  ")
        answer += [part for line in more for part in wrap(line, width=width, first="  ", rest="  ")]
    head = f"{found.target} in {found.target.namespace}"
    last = [_last(found.last)] if found.last is not None else []
    if width is not None:
        last = [part for line in last for part in wrap(line, width=width, rest="  ")]
    return "\n".join([head, *lines, "", *last, *answer])


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(HEADER, *rows, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in (HEADER, *rows)
    ]


def as_json(found: History) -> dict[str, Any]:
    """Return the documented JSON form, version 1."""
    made = found.plan
    return {
        "version": 1,
        "target": {
            "kind": found.target.kind,
            "namespace": found.target.namespace,
            "name": found.target.name,
        },
        "rollback": {
            "to_revision": made.revision.number if made.revision else None,
            "possible": made.possible,
            "reason": made.choice,
            "problems": [
                {"kind": p.kind, "blocks": p.blocks, "text": p.text, "help": p.help}
                for p in made.problems
            ],
        },
        "last_rollback": {
            "at": stamp(found.last.at),
            "by": found.last.by,
            "reason": found.last.reason,
            "from_template": found.last.from_hash,
            "to_template": found.last.to_hash,
            "configuration_only": found.last.configuration,
        }
        if found.last is not None
        else None,
        "revisions": [_row_json(row) for row in found.rows],
    }


def _row_json(row: Row) -> dict[str, Any]:
    revision = row.revision
    return {
        "revision": revision.number,
        "former_revisions": list(revision.former_numbers),
        "replicaset": revision.name,
        "template_hash": revision.template_hash,
        "created": stamp(revision.created),
        "images": list(revision.images),
        "change_cause": hide(revision.change_cause, HIDDEN),
        "pods": revision.replicas,
        "verdict": str(revision.verdict) if revision.verdict else None,
        "verdict_at": stamp(revision.verdict_at) if revision.verdict_at else None,
        "live": row.live,
        "rollback_target": row.chosen,
        "passed_over": row.passed_over or None,
    }


def _cells(row: Row, *, brief: bool = False) -> tuple[str, ...]:
    revision = row.revision
    images = [clean(image, longest=_LONGEST) for image in revision.images]
    if brief:
        images = [f"…/{image.rpartition('/')[2]}" if "/" in image else image for image in images]
    number = str(revision.number)
    if revision.former_numbers:
        number += f" (was {', '.join(map(str, revision.former_numbers))})"
    return (
        "live" if row.live else "→" if row.chosen else "",
        number,
        stamp(revision.created),
        ", ".join(images),
        "–" if revision.replicas is None else str(revision.replicas),
        str(revision.verdict) if revision.verdict else "–",
        clean(hide(revision.change_cause, HIDDEN), longest=_LONGEST) or "–",
    )


def _last(note: Note) -> str:
    """Say who rolled back last, when and why."""
    what = "the configuration was restored" if note.configuration else "rolled back"
    by = f" by {clean(note.by, longest=_LONGEST)}" if note.by else ""
    why = f": {clean(note.reason, longest=_LONGEST)}" if note.reason else ""
    return f"last time {what} {stamp(note.at)}{by}{why}"


def _answer(found: History) -> str:
    made = found.plan
    if made.revision is not None and made.possible:
        return f"→ guard rollback would go to revision {made.revision.number}: {clean(made.choice)}"
    problem = made.blocking
    text = clean(problem.text if problem else made.choice)
    lines = [f"guard rollback would change nothing: {text}"]
    return "\n".join([*lines, f"  {problem.help}"] if problem and problem.help else lines)
