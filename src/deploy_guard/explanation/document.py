"""An explanation as a JSON document: documented in docs/explain.md, version 1.

Version 1 may gain keys and never loses or changes one. Times are RFC 3339 in UTC, durations
seconds, ratios fractions; null is what is not known.
"""

from __future__ import annotations

from typing import Any

from deploy_guard.explanation import words
from deploy_guard.explanation.agreement import agreement
from deploy_guard.explanation.model import Explanation, Other, Point, SecondLook
from deploy_guard.explanation.timeline import Row, timeline
from deploy_guard.model import Decision, Evidence
from deploy_guard.outputs.json import (
    event_document,
    evidence_document,
    finite,
    revision_document,
    time_text,
)
from deploy_guard.policy.models import Policy

VERSION = 1


def document(found: Explanation, *, everything: bool = False) -> dict[str, Any]:
    """Return the documented JSON document."""
    header, agreed = found.header, agreement(found)
    target = header.target
    return {
        "version": VERSION,
        "record": {
            "file": str(found.file),
            "guard": header.guard,
            "entries": found.entries,
            "torn": found.torn,
        },
        "target": {"kind": target.kind, "namespace": target.namespace, "name": target.name},
        "candidate": revision_document(header.candidate),
        "policy": header.policy.name,
        "dry_run": header.dry_run,
        "deployed_at": time_text(header.deployed_at),
        "started_at": time_text(header.started_at),
        "ended_at": time_text(found.parts.until),
        "every": found.every,
        "recorded": _decision(found.parts.recorded, found),
        "replayed": _decision(found.replay.decision, found),
        "agrees": agreed.same,
        "agreement": agreed.text,
        "evidence": [explained(e, header.policy) for e in found.replay.decision.evidence],
        "timeline": [_row(row, found) for row in timeline(found, everything=everything)],
        "series": _series(found),
        "second_look": _second(found.second, found),
        "outcome": _outcome(found),
        "with": _other(found.other, found),
    }


def explained(evidence: Evidence, policy: Policy) -> dict[str, Any]:
    """Return a piece of evidence with what it means in words."""
    signal = next((s for s in policy.signals if s.name == evidence.signal), None)
    return evidence_document(evidence) | {
        "counts": words.counts(evidence),
        "reference": words.reference(evidence),
        "chance": words.chance(evidence),
        "near": words.nearness(evidence, signal),
    }


def _decision(decision: Decision | None, found: Explanation) -> dict[str, Any] | None:
    if decision is None:
        return None
    decided = decision.verdict is not None
    return {
        "verdict": decision.verdict.value if decision.verdict is not None else None,
        "reason": decision.reason,
        "at": time_text(decision.at) if decided else None,
        "seconds": finite(decision.at - found.header.deployed_at) if decided else None,
    }


def _row(row: Row, found: Explanation) -> dict[str, Any]:
    """Return an event (kind, text, data), or a step (kind ``step``: the signals told there)."""
    if row.event is not None:
        return event_document(row.event, start=found.header.deployed_at)
    step = row.step
    return {
        "at": time_text(row.at),
        "seconds": finite(row.at - found.header.deployed_at),
        "kind": "step",
        "until": time_text(row.until),
        "after_rollback": step is not None and step.second,
        "rollout": step.rollout if step is not None else "",
        "signals": [explained(e, found.header.policy) for e in row.told],
    }


def _series(found: Explanation) -> list[dict[str, Any]]:
    """Return each signal's readings: ``[seconds since the deploy, new pods, old pods]``."""
    second = found.second.points if found.second is not None else {}
    units = {e.signal: e.unit for e in found.replay.decision.evidence}
    return [
        {
            "signal": name,
            "unit": units.get(name, ""),
            "readings": _readings(points, found),
            "after_rollback": _readings(second.get(name, ()), found),
        }
        for name, points in found.replay.points.items()
    ]


def _readings(points: tuple[Point, ...], found: Explanation) -> list[list[float | None]]:
    since = found.header.deployed_at
    return [[finite(p.at - since), finite(p.new), finite(p.old)] for p in points]


def _second(second: SecondLook | None, found: Explanation) -> dict[str, Any] | None:
    if second is None:
        return None
    return {
        "began_at": time_text(second.began),
        "ended_at": time_text(second.at),
        "recovery": second.recovery.value if second.recovery is not None else None,
        "accused": list(second.accused),
        "evidence": [explained(e, found.header.policy) for e in second.evidence],
    }


def _outcome(found: Explanation) -> dict[str, Any] | None:
    """Return what was done, as the watch's own document says it."""
    if found.outcome is None:
        return None
    keys = ("action", "exit_code", "reason", "recovered", "durations", "target_revision")
    return {key: found.outcome.get(key) for key in keys}


def _other(other: Other | None, found: Explanation) -> dict[str, Any] | None:
    if other is None:
        return None
    return {
        "policy": other.replay.policy.name,
        "replayed": _decision(other.replay.decision, found),
        "evidence": [explained(e, other.replay.policy) for e in other.replay.decision.evidence],
        "absent": list(other.absent),
        "doubts": [{"kind": d.kind, "signal": d.signal, "text": d.text} for d in other.doubts],
    }
