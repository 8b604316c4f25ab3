"""The fold itself: state + one observation -> state, state + moment -> decision.

Decides when all signals together make a verdict; one signal is judged by its judge.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from deploy_guard import text
from deploy_guard.decide.judge import Judge, Watched, longest_gap
from deploy_guard.decide.judges import watched_signals
from deploy_guard.model import (
    KUBERNETES,
    Decision,
    Evidence,
    Finding,
    NoData,
    OldPods,
    Reading,
    Sample,
    SignalSummary,
    Tick,
    Verdict,
    Workload,
)
from deploy_guard.policy.models import Hold, Policy

COVERAGE = 0.5  # at least this share of the polls must have had data to call a signal good
TO_RESUME = 60.0  # seconds that guard has to end a pause, at most the watch's own time

Observation = Reading | Workload
Memory = dict[str, tuple[Judge, Evidence]]
"""What each signal's judge said last: one that has seen nothing new says the same again."""


@dataclass(frozen=True, slots=True)
class State:
    """All that the fold remembers. Times are Unix seconds."""

    started_at: float
    ends_at: float
    signals: tuple[Watched, ...]
    complete: bool = False
    rollout_words: str = "the rollout has not been seen yet"
    hold: Hold | None = None  # what the policy wants the rollout to be paused for, if anything
    length: float = 0.0  # seconds of a watch, and of what follows a pause
    paused_at: float | None = None  # since when the rollout is seen paused

    @property
    def hold_is_over(self) -> float:
        """When a pause has lasted as long as it may; infinity without any."""
        return math.inf if self.paused_at is None else self.paused_at + self.length


def begin(policy: Policy, *, started_at: float, ends_at: float | None = None) -> State:
    """Return the state before anything was observed.

    The deadline is `watch.for` later, or `ends_at` of a watch that was begun before.
    """
    length = policy.watch.duration
    return State(
        started_at,
        started_at + length if ends_at is None else ends_at,
        watched_signals(policy),
        hold=policy.hold if policy.hold.wanted else None,
        length=length,
    )


def observe(state: State, item: Observation) -> State:
    """Return the state after one more observation; readings of unknown signals are an error.

    Raises KeyError.
    """
    if isinstance(item, Workload):
        return _look(state, item)
    names = [w.name for w in state.signals]
    if item.signal not in names:
        raise KeyError(item.signal)
    signals = tuple(w.take(item) if w.name == item.signal else w for w in state.signals)
    return replace(state, signals=signals)


def _look(state: State, look: Workload) -> State:
    """Return the state after a look at the workload.

    Where the policy has a gate, a paused rollout is not complete, and its end begins the time of
    the watch anew: the rest of the rollout has to be watched as well.
    """
    rollout = look.rollout
    words = f"{rollout.updated} of {rollout.desired} pods updated, {rollout.available} available"
    if look.blind:
        words = f"the cluster cannot be seen: {look.blind}; before that {words}"
    complete = rollout.complete and not look.blind
    state = replace(state, complete=complete, rollout_words=words)
    if state.hold is None or look.blind:
        return state
    if rollout.paused:
        state = replace(state, complete=False, rollout_words=f"it is paused: {words}")
        if state.paused_at is not None:
            return state
        until = look.seen_at + state.length + min(TO_RESUME, state.length)
        return replace(state, paused_at=look.seen_at, ends_at=until)
    if state.paused_at is None:
        return state
    return replace(state, paused_at=None, ends_at=look.seen_at + state.length)


def decide(state: State, now: float, *, memory: Memory | None = None) -> Decision:
    """Return the verdict at `now`, None while the watch has to go on.

    A replay hands the same `memory` to every call: signals without news are not judged again.
    """
    evidence = evidence_of(state, now, memory=memory)
    bad = [e for e in evidence if e.finding is Finding.BAD]
    if bad:
        return Decision(Verdict.REGRESSED, f"{bad[0].signal}: {bad[0].text}", now, evidence)
    take_back = state.hold is not None and state.hold.without_evidence == "take_back"
    if now < (min(state.ends_at, state.hold_is_over) if take_back else state.ends_at):
        return Decision(None, "", now, evidence)
    verdict, reason = _at_deadline(state, evidence)
    return Decision(verdict, reason, now, evidence)


def evidence_of(state: State, now: float, *, memory: Memory | None = None) -> tuple[Evidence, ...]:
    """Return each signal's evidence, with gaps in the data taken into account.

    While one signal is known to be as bad on the old pods, others go bad with it as the fault
    spreads: then only what the old pods contradict, or the cluster says of the new pods, is held
    against the deploy.
    """
    found = tuple(evidence_of_one(w, now, memory=memory) for w in state.signals)
    shared = (e for e in found if e.old_pods is OldPods.AS_BAD and e.finding is not Finding.BAD)
    world = next(shared, None)
    if world is None:
        return found
    return tuple(_excused(e, world) for e in found)


def _excused(evidence: Evidence, world: Evidence) -> Evidence:
    accused = evidence.finding is Finding.BAD and evidence.old_pods is not OldPods.BETTER
    if not accused or evidence.rule == "cluster":
        return evidence
    words = f"{evidence.text}; {world.signal} is as bad on the old pods: not the deploy"
    return replace(evidence, finding=Finding.SHARED, text=words)


@dataclass(frozen=True, slots=True)
class Moment:
    """One step of a replay: the entry, the state after it, and what was decided then."""

    at: float
    entry: Observation | Tick
    state: State
    decision: Decision


def trace(
    policy: Policy,
    started_at: float,
    entries: Iterable[Observation | Tick],
    *,
    ends_at: float | None = None,
) -> Iterator[Moment]:
    """Yield what was decided after each entry, up to the first verdict.

    The moment is the reading's `at`, the look's `seen_at`, the tick's `at`. Raises KeyError for a
    reading of a signal that the policy does not have; `known` leaves those out.
    """
    state = begin(policy, started_at=started_at, ends_at=ends_at)
    memory: Memory = {}
    for entry in entries:
        if not isinstance(entry, Tick):
            state = observe(state, entry)
        at = entry.seen_at if isinstance(entry, Workload) else entry.at
        decision = decide(state, at, memory=memory)
        yield Moment(at, entry, state, decision)
        if decision.verdict is not None:
            return


def known(policy: Policy, entries: Iterable[Observation | Tick]) -> Iterator[Observation | Tick]:
    """Yield the entries without the readings of signals that the policy does not have."""
    names = {KUBERNETES, *(signal.name for signal in policy.signals)}
    return (e for e in entries if not isinstance(e, Sample | NoData) or e.signal in names)


def replay(
    policy: Policy,
    started_at: float,
    entries: Iterable[Observation | Tick],
    *,
    ends_at: float | None = None,
) -> Decision:
    """Fold recorded entries in their order as the watch did, up to the first verdict.

    Returns the last decision of `trace`, without a verdict when the entries end before one.
    """
    decision = Decision(None, "", started_at)
    for moment in trace(policy, started_at, entries, ends_at=ends_at):
        decision = moment.decision
    return decision


def summaries(state: State, now: float) -> tuple[SignalSummary, ...]:
    """Return each signal as views show it."""
    found = []
    for watched, evidence in zip(state.signals, evidence_of(state, now), strict=True):
        found.append(
            SignalSummary(
                name=watched.name,
                provider=watched.provider,
                unit=evidence.unit,
                finding=evidence.finding,
                current=evidence.current,
                baseline=evidence.baseline,
                limit=evidence.limit,
                limit_text=watched.limit_text,
                history=watched.history,
                samples=watched.samples,
                no_data=watched.no_data,
                problem=watched.problem,
                text=evidence.text,
            )
        )
    return tuple(found)


def evidence_of_one(watched: Watched, now: float, *, memory: Memory | None = None) -> Evidence:
    """Return the judge's evidence; good only when enough of the polls had data."""
    found = _judged(watched, now, {} if memory is None else memory)
    finding, words = found.finding, found.text
    polls = watched.samples + watched.no_data
    silence = 0.0 if watched.last_sample_at is None else now - watched.last_sample_at
    if finding in (Finding.GOOD, Finding.LITTLE):
        if watched.samples == 0:
            finding = Finding.NO_DATA
            if watched.no_data:
                words = f"no data in {text.plural(polls, 'poll')}; {watched.problem}"
        elif watched.samples < COVERAGE * polls:
            finding = Finding.LITTLE
            words = f"no data in {watched.no_data} of {text.plural(polls, 'poll')}; {words}"
        elif silence > longest_gap(watched.interval):
            finding = Finding.LITTLE
            words = f"nothing read for {text.seconds(silence)}; {words}"
    return replace(
        found, finding=finding, text=words, at=now, samples=watched.samples, no_data=watched.no_data
    )


def _judged(watched: Watched, now: float, memory: Memory) -> Evidence:
    judge, evidence = memory.get(watched.name, (None, None))
    if evidence is None or judge is not watched.judge:
        evidence = watched.judge.evidence(now)
        memory[watched.name] = (watched.judge, evidence)
    return evidence


def lacking(state: State, evidence: Iterable[Evidence]) -> str:
    """Say why the signals do not show the candidate healthy yet; empty when they do."""
    verdict, reason = _at_deadline(replace(state, complete=True), tuple(evidence))
    return "" if verdict is Verdict.HEALTHY else reason


def _at_deadline(state: State, evidence: tuple[Evidence, ...]) -> tuple[Verdict, str]:
    """Return the verdict at the end of a watch in which nothing was bad.

    An optional signal may lack data; what it does say counts as much as any other's.
    """
    queried = [e for e in evidence if e.signal != KUBERNETES] or list(evidence)
    if all(e.finding is Finding.NO_DATA for e in queried):
        return Verdict.NO_DATA, f"no signal could be read: {queried[0].signal}: {queried[0].text}"
    excused = {w.name for w in state.signals if w.optional}
    missing = (Finding.NO_DATA, Finding.LITTLE)
    heard = [e for e in evidence if e.signal not in excused or e.finding not in missing]
    for e in sorted(heard, key=lambda e: e.old_pods is not OldPods.AS_BAD):
        if e.finding is Finding.SHARED:
            words = e.text.removesuffix(": not the deploy")
            return Verdict.INCONCLUSIVE, f"not the deploy: {e.signal}: {words}"
    if state.paused_at is not None and not state.complete and (why := lacking(state, evidence)):
        return Verdict.INCONCLUSIVE, f"the rollout was stopped half way, and not proven good: {why}"
    if not state.complete:
        return Verdict.INCONCLUSIVE, f"the rollout is not complete: {state.rollout_words}"
    for e in heard:
        if e.finding is not Finding.GOOD:
            return Verdict.INCONCLUSIVE, f"{e.signal}: {e.text}"
    signals = text.plural(len(heard), "signal")
    return Verdict.HEALTHY, f"{signals} good to the end of the watch, the rollout is complete"
