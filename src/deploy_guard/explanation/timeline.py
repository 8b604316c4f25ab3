"""The timeline of an explanation: what was told, and how the signals stood, in one order.

Decides which signals are worth a line at a step: those that changed since they were last told.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from deploy_guard.explanation.model import Explanation, Step
from deploy_guard.model import Event, Evidence

NOTABLE = 0.25  # a value that changed by so much of itself is told again
DECADES = 1.0  # so is a chance that changed by so many powers of ten,
RARE = 0.05  # if it is smaller than this, and not beyond the threshold anyway


@dataclass(frozen=True, slots=True)
class Row:
    """A moment of the timeline: an event, or a step with the signals to be told there.

    `until` is the last of several steps at which nothing changed.
    """

    at: float
    event: Event | None = None
    step: Step | None = None
    told: tuple[Evidence, ...] = ()
    until: float | None = None


def timeline(found: Explanation, *, everything: bool = False) -> list[Row]:
    """Return events and steps in their order; steps without news are joined.

    With `everything` each step tells every signal, and each event is told.
    """
    steps = [*found.replay.steps, *(found.second.steps if found.second is not None else ())]
    events = found.parts.events
    rows = [Row(e.at, event=e) for e in (events if everything else _without_repetition(events))]
    rows += [
        Row(step.at, step=step, told=told)
        for step, told in zip(steps, _told(steps, everything=everything), strict=True)
    ]
    rows.sort(key=lambda row: row.at if math.isfinite(row.at) else -math.inf)
    return list(_joined(rows))


def _without_repetition(events: Iterable[Event]) -> Iterator[Event]:
    """Leave out that a signal still cannot be read for the same reason, with other details."""
    last: dict[str, str] = {}
    for event in events:
        if event.kind == "no-data":
            signal, _, rest = event.text.partition(": ")
            reason = rest.partition(": ")[0]
            if last.get(signal) == reason:
                continue
            last[signal] = reason
        yield event


def _told(steps: list[Step], *, everything: bool) -> Iterator[tuple[Evidence, ...]]:
    last: dict[tuple[str, bool], Evidence] = {}
    for step in steps:
        told = []
        for evidence in step.evidence:
            key = (evidence.signal, step.second)
            if everything or key not in last or changed(last[key], evidence):
                last[key] = evidence
                told.append(evidence)
        yield tuple(told)


def changed(before: Evidence, now: Evidence) -> bool:
    """Whether a signal has news: another finding, value, or chance."""
    if before.finding is not now.finding:
        return True
    if _differ(before.current, now.current):
        return True
    if now.rule in ("cluster", "probe") and before.numbers != now.numbers:
        return now.rule == "cluster" or _row(before) != _row(now)
    then, p_value = before.numbers.get("p_value", 1.0), now.numbers.get("p_value", 1.0)
    level = now.numbers.get("level", 0.0)
    if min(then, p_value) > RARE or max(then, p_value) <= level:
        return False
    return abs(math.log10(max(then, 1e-300)) - math.log10(max(p_value, 1e-300))) >= DECADES


def _row(evidence: Evidence) -> float:
    return evidence.numbers.get("failures_in_a_row", 0.0)


def _differ(before: float | None, now: float | None) -> bool:
    if before is None or now is None:
        return before is not now
    return abs(before - now) > NOTABLE * max(abs(before), abs(now))


def _joined(rows: list[Row]) -> Iterator[Row]:
    """Join steps at which nothing changed, if nothing was told between them."""
    quiet: Row | None = None
    for row in rows:
        if row.step is not None and not row.told:
            began = row.at if quiet is None else quiet.at
            quiet = Row(began, step=row.step, until=row.at)
            continue
        if quiet is not None:
            yield quiet
            quiet = None
        yield row
    if quiet is not None:
        yield quiet
