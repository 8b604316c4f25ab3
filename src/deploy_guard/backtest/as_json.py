"""What a backtest found as the JSON document for machines, which docs/backtest.md describes.

Version 1 may gain keys and never loses one. Times are RFC 3339, durations seconds, shares
fractions.
"""

from __future__ import annotations

import math
from typing import Any

from deploy_guard.backtest.inject import Kind
from deploy_guard.backtest.judging import Judged
from deploy_guard.backtest.result import Result
from deploy_guard.backtest.statistics import PerMonth, Rate
from deploy_guard.backtest.sweep import Sweep
from deploy_guard.outputs.json import revision_document, time_text

VERSION = 1


def document(result: Result) -> dict[str, Any]:
    """Return the result as the documented JSON document; null where nothing is known."""
    return {
        "version": VERSION,
        "exit_code": int(result.exit_code),
        "interrupted": result.interrupted,
        "policy": result.policy.name,
        "source": result.source,
        "sensitivity": result.policy.watch.sensitivity,
        "asked": result.asked,
        "judged": len(result.judged),
        "deploys_per_month": _finite(result.frequency.deploys),
        "deploys_per_month_from": result.frequency.origin,
        "false_rollbacks": _rate(result.false) | {"per_month": _month(result.month)},
        "max_false_rollbacks": result.limit,
        "caught": _rate(result.caught),
        "wronged": _rate(result.wronged),
        "median_seconds": _finite(result.seconds),
        "left_open": [{"why": why, "count": count} for why, count in result.silent],
        "missing": [
            {"signal": name, "why": why, "deploys": count} for name, why, count in result.missing
        ],
        "notes": list(result.notes),
        "deploys": [_judged(j, result) for j in (*result.deploys, *result.ordinary)],
        "sweep": _sweep_document(result.sweep) if result.sweep is not None else None,
    }


def _judged(judged: Judged, result: Result) -> dict[str, Any]:
    deploy = judged.deploy
    found = {
        "at": time_text(deploy.at),
        "label": deploy.label,
        "ordinary": deploy.ordinary,
        "revision": revision_document(deploy.revision),
        "bad": deploy.bad,
        "verdict": judged.verdict.value if judged.verdict is not None else None,
        "seconds": _finite(judged.seconds),
        "accused": judged.accused or None,
        "reason": judged.reason,
    }
    if deploy.label in result.recorded:
        theirs = result.recorded[deploy.label]
        found["recorded_verdict"] = theirs.value if theirs is not None else None
    return found


def _rate(found: Rate) -> dict[str, Any]:
    return {
        "count": found.count,
        "of": found.of,
        "share": _finite(found.share),
        "low": _finite(found.low) if found.of else None,
        "high": _finite(found.high) if found.of else None,
    }


def _month(month: PerMonth | None) -> dict[str, Any] | None:
    if month is None:
        return None
    return {
        "estimate": _finite(month.estimate),
        "low": _finite(month.low),
        "high": _finite(month.high),
    }


def _sweep_document(found: Sweep) -> dict[str, Any]:
    return {
        "own": found.own,
        "accepted_per_month": found.accepted,
        "suggestion": found.suggestion,
        "why": found.why,
        "settings": [
            {
                "sensitivity": row.sensitivity,
                "false_rollbacks": _rate(row.false) | {"per_month": _month(row.month)},
                "mean_seconds": _finite(row.delay),
                "known_bad": _rate(row.bad),
                "injected": [
                    {
                        "kind": "errors" if seen.injection.kind is Kind.ERRORS else "slow",
                        "share": seen.injection.share,
                        "median_seconds": _finite(seen.median),
                    }
                    | {"caught": _rate(seen.caught)}
                    for seen in row.seen
                ],
            }
            for row in found.rows
        ],
    }


def _finite(value: float | None) -> float | None:
    return round(value, 6) if value is not None and math.isfinite(value) else None
