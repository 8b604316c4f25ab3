"""One line per event, for pipelines and logs: time, time since the start, kind, text.

The columns are stable (docs/output.md). Does not wrap, colour or redraw anything.
"""

from __future__ import annotations

from typing import TextIO

from deploy_guard import text
from deploy_guard.model import Event, Finding, Outcome, Progress, SignalSummary
from deploy_guard.outputs import format as fmt
from deploy_guard.outputs.base import Item
from deploy_guard.outputs.stream import write

KIND_WIDTH = 10


class LineOutput:
    """Writes events as they come, and a status line a minute or when a finding changes."""

    def __init__(self, stream: TextIO, *, status_every: float = 60.0) -> None:
        self._stream = stream
        self._status_every = status_every
        self._start: float | None = None
        self._last_status: float | None = None
        self._findings: dict[str, Finding] = {}

    def show(self, item: Item) -> None:
        """Write the item's line, if it is due."""
        if isinstance(item, Event):
            self._line(item.at, item.kind, item.text)
        elif isinstance(item, Progress):
            self._progress(item)
        else:
            self._line(item.ended_at, "outcome", outcome_text(item))

    def _progress(self, item: Progress) -> None:
        if self._start is None:
            self._start = item.started_at
        read = [signal for signal in item.signals if signal.samples or signal.no_data]
        findings = {signal.name: signal.finding for signal in read}
        changed = any(self._findings.get(n, f) is not f for n, f in findings.items())
        self._findings.update(findings)
        if self._last_status is None:
            self._last_status = item.at
        if changed or item.at - self._last_status >= self._status_every:
            self._last_status = item.at
            self._line(item.at, "status", status_text(item))

    def _line(self, at: float, kind: str, text: str) -> None:
        if self._start is None:
            self._start = at
        word = "-".join(fmt.clean(kind).split()) or "event"
        since = fmt.offset(at - self._start)
        line = f"{fmt.stamp(at)}  {since}  {word:<{KIND_WIDTH}} {fmt.clean(text)}"
        write(self._stream, line.rstrip() + "\n")


def status_text(item: Progress) -> str:
    """Say in one line where the watch is and what every signal says."""
    left = text.seconds(max(0.0, item.ends_at - item.at))
    parts = [f"{item.phase}{' (dry run)' if item.dry_run else ''}, {left} left"]
    if item.workload is not None:
        parts.append(fmt.rollout(item.workload.rollout))
    parts.extend(signal_text(signal) for signal in item.signals)
    return "; ".join(parts)


def signal_text(signal: SignalSummary) -> str:
    """Say in a few words what one signal says."""
    words = [signal.name, str(signal.finding)]
    if signal.problem:
        words.append(f"({fmt.clean(signal.problem, longest=120)})")
    elif signal.current is not None:
        words.append(fmt.value(signal.current, signal.unit))
        known = {"baseline": fmt.value(signal.baseline, signal.unit), "limit": limit(signal)}
        told = [f"{name}: {number}" for name, number in known.items() if number != fmt.NONE]
        words += [f"({', '.join(told)})"] if told else []
    return " ".join(words)


def limit(signal: SignalSummary) -> str:
    """Return the signal's limit as it was written, or its number."""
    return fmt.clean(signal.limit_text) or fmt.value(signal.limit, signal.unit)


def outcome_text(outcome: Outcome) -> str:
    """Say in one line how the watch ended."""
    verdict = outcome.verdict.value if outcome.verdict is not None else "none"
    words = f"exit={outcome.exit_code} verdict={verdict} action={outcome.action.value}"
    if outcome.recovered is not None:
        words += f" recovered={outcome.recovered.value}"
    if outcome.deploy is not None:
        words += f" deploy={outcome.deploy.result.value}"
    return f"{words} {outcome.reason}"
