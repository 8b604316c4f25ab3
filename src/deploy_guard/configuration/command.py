"""`guard snapshot`: keep the configuration of the live revision now, or list what is kept.

Decides the two forms, text and JSON. What is kept is `taking`'s to say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.snapshot import Json, take
from deploy_guard.cluster.templates import hash_of, live_revision, template_of
from deploy_guard.cluster.workload import revision_of
from deploy_guard.configuration.index import Index, indices
from deploy_guard.configuration.taking import Taken, take_snapshot
from deploy_guard.errors import ExitCode, GuardError
from deploy_guard.model import Revision, Target
from deploy_guard.outputs.format import clean, stamp
from deploy_guard.problems import Problem


@dataclass(frozen=True, slots=True)
class Row:
    """One revision with its snapshots, the newest first."""

    revision: Revision
    live: bool
    snapshots: tuple[Index, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What the command found or did; `taken` is None where it only listed."""

    target: Target
    rows: tuple[Row, ...]
    taken: Taken | None = None

    @property
    def exit_code(self) -> ExitCode:
        """1 where something that the live revision needs is not kept."""
        failed = self.taken is not None and not self.taken.complete
        return ExitCode.FAILED if failed else ExitCode.OK


def snapshot(cluster: Cluster, target: Target, *, at: float, by: str) -> Report:
    """Take a snapshot of the live revision; raises ApiError where the workload cannot be read."""
    found = take(cluster, target, pods=False)
    live = live_revision(found.workload or {}, found.revisions)
    if found.workload is None or live is None:
        raise GuardError(
            f"{target} has no revision of its template yet",
            help="its controller has not seen the latest change; try again in a moment",
        )
    taken = take_snapshot(
        cluster,
        target,
        found.workload,
        live,
        template=template_of(found.workload),
        template_hash=hash_of(live),
        at=at,
        by=by,
    )
    row = Row(revision_of(live), live=True, snapshots=(taken.index,))
    return Report(target, (row,), taken)


def listed(cluster: Cluster, target: Target) -> Report:
    """Read which snapshots the revisions of a workload have; raises ApiError."""
    found = take(cluster, target, pods=False)
    live = live_revision(found.workload or {}, found.revisions) if found.workload else None
    rows = [
        Row(revision_of(obj), live=_uid(obj) == _uid(live), snapshots=indices(obj))
        for obj in found.revisions
    ]
    return Report(target, tuple(sorted(rows, key=lambda row: -row.revision.number)))


def as_text(report: Report) -> str:
    """Write what is kept, one object a line, and what could not be."""
    return "\n".join(_taken_lines(report, report.taken) if report.taken else _lines(report))


def _taken_lines(report: Report, taken: Taken) -> Iterator[str]:
    revision, index = report.rows[0].revision, taken.index
    number = f"revision {revision.number} of {report.target} in {report.target.namespace}"
    if not index.kept and not index.without:
        yield f"{number} refers to no ConfigMap and no Secret: nothing to keep"
        return
    word = "would keep" if taken.dry else "kept"
    new = f"{taken.created} new" if taken.created else "none of them new"
    yield f"{word} {len(index.kept)} for {number} ({new})"
    yield from _objects(index)
    for problem in taken.problems:
        yield from _problem(problem)


def _lines(report: Report) -> Iterator[str]:
    yield f"{report.target} in {report.target.namespace}"
    for row in report.rows:
        live = " (live)" if row.live else ""
        if not row.snapshots:
            yield f"revision {row.revision.number}{live}: no snapshot"
        for index in row.snapshots:
            by = clean(index.by, longest=200)
            since = f", the same since {stamp(index.since)}" if index.since < index.at else ""
            yield f"revision {row.revision.number}{live}: taken {stamp(index.at)} by {by}{since}"
            yield from _objects(index)


def _objects(index: Index) -> Iterator[str]:
    for kept in index.kept:
        immutable = ", immutable" if kept.immutable else ""
        yield f"  {kept}  (copy {kept.copy}{immutable})"
    for without in index.without:
        yield f"  {without}  not kept: {clean(without.why)}"


def _problem(problem: Problem) -> Iterator[str]:
    yield f"warning: {clean(problem.text)}"
    if problem.help:
        yield f"  help: {clean(problem.help)}"


def as_json(report: Report) -> dict[str, Any]:
    """Return the documented JSON form, version 1."""
    taken = report.taken
    target = report.target
    return {
        "version": 1,
        "action": "listed" if taken is None else "taken",
        "exit_code": int(report.exit_code),
        "target": {"kind": target.kind, "namespace": target.namespace, "name": target.name},
        "created": taken.created if taken else 0,
        "recorded": taken.recorded if taken else None,
        "problems": [
            {"kind": p.kind, "blocks": p.blocks, "text": p.text, "help": p.help}
            for p in (taken.problems if taken else ())
        ],
        "revisions": [
            {
                "revision": row.revision.number,
                "name": row.revision.name,
                "template_hash": row.revision.template_hash,
                "live": row.live,
                "snapshots": [_index_json(index) for index in row.snapshots],
            }
            for row in report.rows
        ],
    }


def _index_json(index: Index) -> dict[str, Any]:
    return {
        "at": stamp(index.at),
        "since": stamp(index.since),
        "by": index.by,
        "kept": [
            {"kind": k.kind, "name": k.name, "uid": k.uid, "copy": k.copy, "immutable": k.immutable}
            for k in index.kept
        ],
        "not_kept": [
            {"kind": w.kind, "name": w.name, "reason": w.why, "optional": w.optional}
            for w in index.without
        ],
    }


def _uid(obj: Json | None) -> str:
    return str(obj["metadata"]["uid"]) if obj else ""
