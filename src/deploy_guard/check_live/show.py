"""What `guard check --target` found, as text for people and as JSON values for machines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deploy_guard import text
from deploy_guard.check import problem_document
from deploy_guard.check_live import LiveReport, SignalReport
from deploy_guard.check_live.queries import QueryRun
from deploy_guard.model import KUBERNETES, Finding
from deploy_guard.outputs import format as fmt
from deploy_guard.outputs.json import revision_document, signal_document
from deploy_guard.policy.problems import render
from deploy_guard.watch.telling import rollout_words

WIDTH = 100
_COLOURS = {"green": "32", "yellow": "33", "bold red": "31", "magenta": "35", "cyan": "36"}


def show(report: LiveReport, *, colour: bool = False) -> str:
    """Return the report as text, without a newline at its end."""
    target = report.workload.target
    lines = [f"{report.policy} on {target} -n {target.namespace}, now:"]
    lines += _wrapped("  ", f"rollout: {rollout_words(report.workload)}")
    lines += [line for told in report.found.lines for line in _wrapped("  ", told)]
    lines += [line for told in report.found.warnings for line in _wrapped("  ! ", told)]
    for signal in report.signals:
        lines += ["", *_signal(signal, colour=colour)]
    lines.append("")
    if report.problems:
        lines += [render(report.problems, colour=colour), ""]
    return "\n".join([*lines, *_verdict(report)])


def _signal(report: SignalReport, *, colour: bool) -> Iterator[str]:
    summary = report.summary
    mark = f"{fmt.SYMBOLS[summary.finding]} {summary.name}: {summary.finding}"
    if colour:
        mark = f"\x1b[{_COLOURS[fmt.STYLES[summary.finding]]}m{mark}\x1b[0m"
    yield f"  {mark}" + (", optional" if report.optional else "")
    if summary.text:
        yield from _wrapped("      ", summary.text)
    if summary.problem and summary.problem not in summary.text:
        yield from _wrapped("      ", summary.problem)
    numbers = {
        "now": fmt.value(summary.current, summary.unit),
        "baseline": fmt.value(summary.baseline, summary.unit),
        "limit": summary.limit_text or fmt.value(summary.limit, summary.unit),
    }
    told = [f"{name} {number}" for name, number in numbers.items() if number != fmt.NONE]
    if told and summary.provider != KUBERNETES:
        yield from _wrapped("      ", ", ".join(told))
    if report.probe is not None:
        yield from _wrapped("      ", f"the API: {report.probe.detail}")
        if not report.probe.ok:
            yield from _wrapped("      ", "a deploy that follows is not blamed for what fails now")
    for run in report.queries:
        yield from _wrapped("      ", f"{run.key}: {run.text}")
        if came := _came(run):
            yield from _wrapped("        = ", came)
    if report.pods is not None:
        yield f"        = read from {text.plural(report.pods, 'pod')}"
    of_queries = [warning for run in report.queries for warning in run.warnings]
    for warning in dict.fromkeys([*report.warnings, *of_queries]):
        yield from _wrapped("      ! ", warning)
    if report.help:
        yield from _wrapped("      = help: ", report.help)


def _came(run: QueryRun) -> str:
    """Say what a query brought; nothing for what is no query of a server."""
    if run.series is None:
        return run.problem
    pods = f", of {text.plural(run.pods or 0, 'pod')} of this workload" if run.series else ""
    return f"{run.series:,} series{pods}"


def _verdict(report: LiveReport) -> list[str]:
    decision = report.decision
    word = "none" if decision.verdict is None else decision.verdict.value.replace("_", " ")
    lines = _wrapped("", f"if the watch ended now: {word}: {decision.reason}")
    if report.silent:
        names = ", ".join(report.silent)
        lines += _wrapped("", f"no data from {names}: a watch could not end healthy like this")
    return lines


def _wrapped(first: str, told: str) -> list[str]:
    rest = " " * fmt.cells(first)
    return fmt.wrap(fmt.clean(told), width=WIDTH, first=first, rest=rest)


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
        "warnings": list(report.warnings),
    }
