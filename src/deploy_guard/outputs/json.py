"""The JSON document of a watch: a mapping written by hand, so that internals may change freely.

Its keys are documented in docs/output.md and docs/outcome.schema.json; version 1 may gain keys and
never loses or changes one. Times are RFC 3339 in UTC, durations seconds, ratios fractions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from deploy_guard.masking import HIDDEN
from deploy_guard.model import Change, Deploy, Event, Evidence, Outcome, Revision, SignalSummary
from deploy_guard.secret_names import hide

VERSION = 1


def document(outcome: Outcome) -> dict[str, Any]:
    """Return the outcome as the documented JSON document; never NaN or infinity, null instead."""
    return {
        "version": VERSION,
        "verdict": outcome.verdict.value if outcome.verdict is not None else None,
        "action": outcome.action.value,
        "reason": outcome.reason,
        "recovered": outcome.recovered.value if outcome.recovered is not None else None,
        "exit_code": int(outcome.exit_code),
        "dry_run": outcome.dry_run,
        "policy": outcome.policy,
        "target": {
            "kind": outcome.target.kind,
            "namespace": outcome.target.namespace,
            "name": outcome.target.name,
        },
        "candidate": revision_document(outcome.candidate),
        "target_revision": revision_document(outcome.target_revision),
        "started_at": time_text(outcome.started_at),
        "deployed_at": time_text(outcome.deployed_at),
        "regressed_at": time_text(outcome.regressed_at),
        "rolled_back_at": time_text(outcome.rolled_back_at),
        "restored_at": time_text(outcome.restored_at),
        "ended_at": time_text(outcome.ended_at),
        "durations": _durations(outcome),
        "signals": [signal_document(signal) for signal in outcome.signals],
        "evidence": [evidence_document(evidence) for evidence in outcome.evidence],
        "timeline": [event_document(event, start=outcome.started_at) for event in outcome.timeline],
        "next_steps": list(outcome.next_steps),
        "changes": [change_document(change) for change in outcome.changes],
        "configuration": {
            "changes": [change_document(change) for change in outcome.configuration],
            "restored": outcome.configuration_restored,
        },
        "deploy": _deploy(outcome.deploy),
    }


def change_document(change: Change) -> dict[str, str]:
    """Return a difference: where, what the candidate has, what the target revision has."""
    return {"where": change.where, "before": change.before, "after": change.after}


def _deploy(deploy: Deploy | None) -> dict[str, Any] | None:
    if deploy is None:
        return None
    return {
        "result": deploy.result.value,
        "command": deploy.command,
        "exit_code": deploy.exit_code,
        "signal": deploy.signal,
        "started_at": time_text(deploy.started_at),
        "ended_at": time_text(deploy.ended_at),
        "others": list(deploy.others),
        "configuration": list(deploy.configuration),
        "output": list(deploy.output),
    }


def _durations(outcome: Outcome) -> dict[str, float | None]:
    def between(start: float | None, end: float | None) -> float | None:
        return finite(end - start) if start is not None and end is not None else None

    return {
        "watched": between(outcome.started_at, outcome.ended_at),
        "to_detect": between(outcome.deployed_at, outcome.regressed_at),
        "to_roll_back": between(outcome.regressed_at, outcome.rolled_back_at),
        "to_restore": between(outcome.rolled_back_at, outcome.restored_at),
    }


def revision_document(revision: Revision | None) -> dict[str, Any] | None:
    """Return a revision as it stands in documents; null for none."""
    if revision is None:
        return None
    return {
        "revision": revision.number,
        "name": revision.name,
        "uid": revision.uid,
        "template_hash": revision.template_hash,
        "images": list(revision.images),
        "created_at": time_text(revision.created),
        "change_cause": hide(revision.change_cause, HIDDEN),
    }


def signal_document(signal: SignalSummary) -> dict[str, Any]:
    """Return a signal as it stands in documents."""
    return {
        "name": signal.name,
        "provider": signal.provider,
        "unit": signal.unit,
        "finding": signal.finding.name.lower(),
        "current": finite(signal.current),
        "baseline": finite(signal.baseline),
        "limit": finite(signal.limit),
        "limit_text": signal.limit_text,
        "samples": signal.samples,
        "no_data": signal.no_data,
        "problem": signal.problem,
        "text": signal.text,
        "history": [finite(value) for value in signal.history],
    }


def evidence_document(evidence: Evidence) -> dict[str, Any]:
    """Return a piece of evidence as it stands in documents."""
    return {
        "signal": evidence.signal,
        "finding": evidence.finding.name.lower(),
        "rule": evidence.rule,
        "text": evidence.text,
        "at": time_text(evidence.at),
        "unit": evidence.unit,
        "current": finite(evidence.current),
        "baseline": finite(evidence.baseline),
        "limit": finite(evidence.limit),
        "samples": evidence.samples,
        "no_data": evidence.no_data,
        "numbers": {name: finite(value) for name, value in evidence.numbers.items()},
    }


def event_document(event: Event, *, start: float) -> dict[str, Any]:
    """Return an event as it stands in documents; `seconds` count from `start`."""
    return {
        "at": time_text(event.at),
        "seconds": finite(event.at - start),
        "kind": event.kind,
        "text": event.text,
        "data": _anything(event.data),
    }


def time_text(at: float | None) -> str | None:
    """Return Unix seconds as RFC 3339 in UTC with milliseconds; null for none."""
    if at is None or not math.isfinite(at):
        return None
    moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return moment.replace("+00:00", "Z")


def finite(value: float | None) -> float | None:
    """Return the number without the noise of binary fractions, null where it is not finite."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.12g}")


def _anything(value: object) -> Any:
    """Return an event's data as plain JSON; what JSON does not know becomes its text."""
    if isinstance(value, Enum):
        return _anything(value.value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return finite(value)
    if isinstance(value, Mapping):
        return {str(key): _anything(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_anything(inner) for inner in value]
    return str(value)
