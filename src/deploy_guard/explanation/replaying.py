"""Fold a record again, and remember how every signal stood at every step.

The fold is `decide`'s; this only looks on. Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from deploy_guard import decide
from deploy_guard.explanation.model import (
    Entries,
    Parts,
    Point,
    Replay,
    SecondLook,
    Step,
    Turn,
)
from deploy_guard.explanation.parts import time_of
from deploy_guard.model import Decision, Evidence, Finding, Recovery, Sample, Tick
from deploy_guard.policy.models import Policy
from deploy_guard.record import Header


def replay(
    policy: Policy, header: Header, entries: Entries, *, every: float, ends_at: float | None
) -> Replay:
    """Fold the entries with a policy up to its verdict, with a step every `every` seconds."""
    clock, turns, points = _Clock(header.deployed_at, every), _Turns(), _Points()
    steps = []
    decision = Decision(None, "", header.started_at)
    state = decide.begin(policy, started_at=header.started_at, ends_at=ends_at)
    consumed = 0
    known = tuple(decide.known(policy, entries))
    for moment in decide.trace(policy, header.started_at, known, ends_at=ends_at):
        if moment.at >= header.started_at and (due := clock.passed(moment.at)) is not None:
            steps.append(Step(due, decide.evidence_of(state, due), state.rollout_words))
        state, decision, consumed = moment.state, moment.decision, consumed + 1
        turns.take(decision.evidence, moment.at)
        points.take(state, moment.entry)
    return Replay(
        policy=policy,
        steps=tuple(steps),
        turns=tuple(turns.turns),
        points=points.all(),
        decision=decision,
        state=state,
        complete=consumed == len(known),
    )


def second_look(parts: Parts, header: Header, first: Replay, *, every: float) -> SecondLook | None:
    """Fold what was read after a rollback as the watch did; None where there is nothing of it.

    When it began is not in the record: it is the last event before its first reading.
    """
    if not parts.after or parts.recorded is None or not first.complete:
        return None
    reads = min(time_of(entry) for entry in parts.after)
    began = max((e.at for e in parts.events if e.at <= reads), default=reads)
    accused = tuple(e.signal for e in first.decision.evidence if e.finding is Finding.BAD)
    second = decide.verifying(
        first.state, at=began, duration=header.policy.rollback.verify, accused=accused
    )
    clock, points, steps = _Clock(header.deployed_at, every), _Points(), []
    clock.passed(began)
    recovery, at = None, began
    for entry in decide.known(header.policy, parts.after):
        if isinstance(entry, Tick):
            continue
        at = max(at, time_of(entry))
        if (due := clock.passed(at)) is not None:
            steps.append(Step(due, second.evidence(due), second.state.rollout_words, second=True))
        second = second.observe(entry)
        points.take(second.state, entry)
        recovery = second.recovery(at)
        if recovery is not None:
            break
    told = [e.at for e in parts.events if e.kind == "recovery"]
    if recovery is None and told:  # concluded without another reading, at the end of its time
        at = max(at, told[-1])
        recovery = second.recovery(at)
    still_bad = recovery is Recovery.STILL_BAD
    evidence = second.evidence(at) if still_bad else decide.evidence_of(second.state, at)
    return SecondLook(began, at, accused, tuple(steps), points.all(), evidence, recovery)


@dataclass
class _Clock:
    """Knows the moments to be told: every `every` seconds since the deploy.

    Of several that pass at once, because nothing was read between them, only the last counts.
    """

    since: float
    every: float
    _last: int | None = None

    def passed(self, at: float) -> float | None:
        """Return the moment that passed since the last call, None for none."""
        if not math.isfinite(at):
            return None
        number = math.floor((at - self.since) / self.every)
        last, self._last = self._last, max(number, self._last or number)
        if last is None or number <= last:
            return None
        return self.since + number * self.every


@dataclass
class _Turns:
    """Collects the moments at which a signal's finding became another one."""

    turns: list[Turn] = field(default_factory=list)
    _last: dict[str, Finding] = field(default_factory=dict)

    def take(self, evidence: tuple[Evidence, ...], at: float) -> None:
        for each in evidence:
            if self._last.get(each.signal) is not each.finding:
                self._last[each.signal] = each.finding
                self.turns.append(Turn(at, each.signal, each.finding))


@dataclass
class _Points:
    """Collects what charts show: the judge's number of each reading."""

    found: dict[str, list[Point]] = field(default_factory=dict)

    def take(self, state: decide.State, entry: object) -> None:
        if not isinstance(entry, Sample):
            return
        judge = next(w.judge for w in state.signals if w.name == entry.signal)
        new, old = judge.value(entry), judge.value(replace(entry, candidate=entry.control))
        self.found.setdefault(entry.signal, []).append(Point(entry.at, new, old))

    def all(self) -> dict[str, tuple[Point, ...]]:
        return {name: tuple(points) for name, points in self.found.items()}
