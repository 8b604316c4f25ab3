"""What `guard check --target` found, as JSON values. Its keys are in docs/check-target.md.

Version 1 of the document may gain keys and never loses or changes one. Times are in seconds, shares
are fractions.
"""

from __future__ import annotations

import math
from typing import Any

from deploy_guard.check import problem_document
from deploy_guard.check_live.firing import Firing
from deploy_guard.check_live.firing_words import sentence
from deploy_guard.check_live.recent import Recent
from deploy_guard.check_live.report import LiveReport, SignalReport
from deploy_guard.model import Finding
from deploy_guard.outputs.json import revision_document, signal_document


def document(report: LiveReport) -> dict[str, Any]:
    """Return the report as it stands under `live` in the JSON document of `guard check`."""
    plan, decision, rollout = report.found.prepared.plan, report.decision, report.workload.rollout
    target = report.workload.target
    return {
        "target": {"kind": target.kind, "namespace": target.namespace, "name": target.name},
        "exit_code": int(report.exit_code),
        "verdict": decision.verdict.value if decision.verdict is not None else None,
        "reason": decision.reason,
        "candidate": revision_document(plan.candidate),
        "rollout": {
            "desired": rollout.desired,
            "updated": rollout.updated,
            "available": rollout.available,
            "complete": rollout.complete,
        },
        "rollback": {
            "possible": plan.possible,
            "target_revision": revision_document(plan.revision),
            "choice": plan.choice,
            "problems": [
                {"kind": p.kind, "blocks": p.blocks, "text": p.text, "help": p.help}
                for p in plan.problems
            ],
        },
        "warnings": list(report.found.warnings),
        "signals": [_signal_document(signal) for signal in report.signals],
        "problems": [problem_document(problem) for problem in report.problems],
        "callouts": [
            {"kind": c.kind, "signal": c.signal or None, "text": c.text} for c in report.callouts
        ],
        "notes": list(report.notes),
    }


def _signal_document(report: SignalReport) -> dict[str, Any]:
    probe, failure = report.probe, report.failure
    missing = failure is not None and report.summary.finding is Finding.NO_DATA
    return signal_document(report.summary) | {
        "optional": report.optional,
        "no_data_reason": failure.reason.value if failure is not None and missing else None,
        "help": report.help or None,
        "pods": report.pods,
        "probe": None
        if probe is None
        else {"ok": probe.ok, "seconds": round(probe.seconds, 6), "detail": probe.detail},
        "queries": [
            {
                "key": run.key,
                "query": run.text,
                "series": run.series,
                "pods": run.pods,
                "problem": run.problem or None,
                "warnings": list(run.warnings),
            }
            for run in report.queries
        ],
        "warnings": [*report.warnings, *(report.recent.warnings if report.recent else ())],
        "newest": _newest(report.recent),
        "now": _now(report),
        "fires": None if report.firing is None else _fires(report.firing),
    }


def _newest(recent: Recent | None) -> dict[str, Any] | None:
    """Return the age of the newest sample; `gone`: of a series that is not found any more."""
    if recent is None:
        return None
    return {"age_seconds": _number(recent.age), "gone": recent.gone}


def _now(report: SignalReport) -> dict[str, Any] | None:
    if report.recent is None or report.recent.numbers.now is None:
        return None
    numbers = report.recent.numbers
    return {
        "value": _number(report.now),
        "requests_per_second": _number(numbers.rate),
        "seconds": _number(numbers.seconds),
    }


def _fires(found: Firing) -> dict[str, Any]:
    return {
        "text": sentence(found),
        "measure": found.measure,
        "thresholds": [
            {
                "at": _number(edge.at),
                "direction": "above" if edge.above else "below",
                "after_seconds": _number(edge.seconds),
            }
            for edge in found.edges
        ],
        "never": found.never or None,
        "examples": [
            {"at": _number(share), "after_seconds": _number(seconds)}
            for share, seconds in found.examples
        ],
        "within_seconds": _number(found.within),
        "requests_per_second": _number(found.rate),
        "slower_than_seconds": _number(found.bound),
        "now": _number(found.now),
        "baseline": _number(found.before),
    }


def _number(value: float | None) -> float | None:
    """Return the number without the noise of binary fractions, null where it is not finite."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.12g}")
