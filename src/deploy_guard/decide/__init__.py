"""Decide: a pure fold from what was observed to a verdict.

`begin` makes a state from the policy, `observe` folds in one sample, gap or look at the workload,
`decide` says what the state means at a moment. No socket, clock, file or environment: replaying
the record of a watch gives the same verdict.

The verdict: *regressed* as soon as one signal is bad; at the deadline *healthy* when the rollout
is complete and every signal that is not optional is good with enough evidence, *no data* when
none of them could be read, else *inconclusive*. A signal that is as bad on the old pods, or was
before the deploy, never makes a regression.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from deploy_guard import detect, text
from deploy_guard.decide.gauge import GaugeJudge
from deploy_guard.decide.health import HealthJudge
from deploy_guard.decide.judge import Judge, Watched
from deploy_guard.decide.latency import SLOW_SHARES, LatencyJudge
from deploy_guard.decide.probe import ProbeJudge
from deploy_guard.decide.ratio import RatioJudge
from deploy_guard.model import (
    Decision,
    Evidence,
    Finding,
    Reading,
    Recovery,
    SignalSummary,
    Verdict,
    Workload,
)
from deploy_guard.policy.models import Compare, HttpSignal, LatencyLimit, Metrics, Policy, Signal

KUBERNETES = "kubernetes"  # the name of the signal that is always on
COVERAGE = 0.5  # at least this share of the polls must have had data to call a signal good


@dataclass(frozen=True, slots=True)
class State:
    """All that the fold remembers. Times are Unix seconds."""

    started_at: float
    ends_at: float
    signals: tuple[Watched, ...]
    complete: bool = False
    rollout_words: str = "the rollout has not been seen yet"


def begin(policy: Policy, *, started_at: float) -> State:
    """Return the state before anything was observed; the deadline is `watch.for` later."""
    duration = policy.watch.duration
    level = policy.watch.sensitivity / max(1, _comparisons(policy))
    watched = [
        Watched(
            name=signal.name,
            provider=signal.provider,
            judge=_judge_for(signal, policy, level),
            interval=signal.interval or policy.watch.interval,
            optional=signal.optional,
            limit_text=limit_text(signal),
        )
        for signal in policy.signals
    ]
    cluster = Watched(KUBERNETES, KUBERNETES, HealthJudge(KUBERNETES), interval=1.0)
    return State(started_at, started_at + duration, (cluster, *watched))


def observe(state: State, item: Reading | Workload) -> State:
    """Return the state after one more observation; readings of unknown signals are an error.

    Raises KeyError.
    """
    if isinstance(item, Workload):
        rollout = item.rollout
        words = (
            f"{rollout.updated} of {rollout.desired} pods updated, {rollout.available} available"
        )
        return replace(state, complete=rollout.complete, rollout_words=words)
    names = [w.name for w in state.signals]
    if item.signal not in names:
        raise KeyError(item.signal)
    signals = tuple(w.take(item) if w.name == item.signal else w for w in state.signals)
    return replace(state, signals=signals)


def decide(state: State, now: float) -> Decision:
    """Return the verdict at `now`, None while the watch has to go on."""
    evidence = evidence_of(state, now)
    bad = [e for e in evidence if e.finding is Finding.BAD]
    if bad:
        return Decision(Verdict.REGRESSED, f"{bad[0].signal}: {bad[0].text}", now, evidence)
    if now < state.ends_at:
        return Decision(None, "", now, evidence)
    verdict, reason = _at_deadline(state, evidence)
    return Decision(verdict, reason, now, evidence)


def evidence_of(state: State, now: float) -> tuple[Evidence, ...]:
    """Return each signal's evidence, with gaps in the data taken into account."""
    return tuple(_evidence(w, now) for w in state.signals)


def verifying(state: State, *, at: float, duration: float, accused: Iterable[str]) -> Verification:
    """Return the state of the second look, after a rollback, at the same signals."""
    signals = tuple(w.again(looks=max(1, math.ceil(duration / w.interval))) for w in state.signals)
    fresh = State(at, at + duration, signals, complete=True)
    return Verification(fresh, tuple(accused))


@dataclass(frozen=True, slots=True)
class Verification:
    """The second look: have the signals that condemned the candidate become good?

    A signal that is still bad is judged anew from that moment, so that the first seconds after
    the rollback do not hide a recovery; `bad_at` has the last moment it was bad.
    """

    state: State
    accused: tuple[str, ...]
    bad_at: tuple[tuple[str, float], ...] = ()

    def observe(self, item: Reading | Workload) -> Verification:
        """Return the verification after one more observation."""
        state = observe(self.state, item)
        if isinstance(item, Workload):
            return replace(self, state=state)
        bad = dict(self.bad_at)
        signals = []
        for watched in state.signals:
            finding = watched.judge.evidence(item.at).finding
            if watched.name == item.signal and finding in (Finding.BAD, Finding.SHARED):
                bad[watched.name] = item.at
                again = watched.judge.again(
                    looks=max(1, math.ceil((state.ends_at - item.at) / watched.interval))
                )
                signals.append(replace(watched, judge=again))
            else:
                signals.append(watched)
        return replace(
            self, state=replace(state, signals=tuple(signals)), bad_at=tuple(bad.items())
        )

    def recovery(self, now: float) -> Recovery | None:
        """Return whether the accused signals recovered, None while it cannot be told yet."""
        accused = [w for w in self.state.signals if w.name in self.accused]
        findings = {w.name: _evidence(w, now).finding for w in accused}
        if accused and all(findings[w.name] is Finding.GOOD and w.samples >= 3 for w in accused):
            return Recovery.RECOVERED
        if now < self.state.ends_at:
            return None
        half = (self.state.started_at + self.state.ends_at) / 2
        if any(at >= half for name, at in self.bad_at if name in self.accused):
            return Recovery.STILL_BAD
        return Recovery.UNKNOWN


def summaries(state: State, now: float) -> tuple[SignalSummary, ...]:
    """Return each signal as views show it."""
    found = []
    for watched in state.signals:
        evidence = _evidence(watched, now)
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


def _comparisons(policy: Policy) -> int:
    """Return how many tests share the accepted chance of a false rollback."""
    return sum(_tests(s) for s in policy.signals if isinstance(s, Metrics))


def _tests(signal: Metrics) -> int:
    if signal.latency is not None:
        compares = len(SLOW_SHARES) if signal.compare else 0
        return compares + (signal.limit is not None)
    return 1 if signal.ratio is not None else 0


def _judge_for(signal: Signal, policy: Policy, level: float) -> Judge:
    if isinstance(signal, HttpSignal):
        return ProbeJudge(signal.name, signal.failures, limit=signal.expect.latency)
    if signal.value is not None:
        return GaugeJudge(signal.name, signal.above, signal.below, signal.hold)
    interval = signal.interval or policy.watch.interval
    compare = signal.compare if isinstance(signal.compare, Compare) else Compare()
    settings = detect.Settings(
        level=level,
        looks=max(1, math.ceil(policy.watch.duration / interval)),
        ratio=compare.ratio,
        difference=compare.difference,
        warm_up=policy.watch.warm_up,
        limit=signal.limit if isinstance(signal.limit, float) else None,
        compare=signal.compare is not False,
    )
    if signal.ratio is not None:
        return RatioJudge(signal.name, detect.State(settings), signal.min_requests)
    limit = signal.limit if isinstance(signal.limit, LatencyLimit) else None
    return LatencyJudge(
        signal.name,
        settings,
        signal.min_requests,
        share=limit.share if limit is not None else None,
        below=limit.below if limit is not None else None,
    )


def limit_text(signal: Signal) -> str:
    """Return the signal's absolute limit in words, empty without one."""
    if isinstance(signal, HttpSignal):
        return f"{signal.failures} failures in a row"
    if isinstance(signal.limit, LatencyLimit):
        limit = signal.limit
        return f"{text.percent(limit.share)} below {text.seconds(limit.below)}"
    if isinstance(signal.limit, float):
        return f"at most {text.percent(signal.limit)}"
    limits = [("at most", signal.above), ("at least", signal.below)]
    return " and ".join(f"{w} {text.number(v)}" for w, v in limits if v is not None)


def _evidence(watched: Watched, now: float) -> Evidence:
    """Return the judge's evidence; good only when enough of the polls had data."""
    found = watched.judge.evidence(now)
    polls = watched.samples + watched.no_data
    finding, words = found.finding, found.text
    if finding in (Finding.GOOD, Finding.LITTLE) and watched.no_data:
        if watched.samples == 0:
            finding = Finding.NO_DATA
            words = f"no data in {text.plural(polls, 'poll')}; {watched.problem}"
        elif watched.samples < COVERAGE * polls:
            finding = Finding.LITTLE
            words = f"no data in {watched.no_data} of {text.plural(polls, 'poll')}; {words}"
    elif finding is Finding.LITTLE and watched.samples == 0:
        finding = Finding.NO_DATA
    if finding is Finding.GOOD and _silent(watched, now):
        finding = Finding.LITTLE
        silence = now - (watched.last_sample_at or now)
        words = f"nothing read for {text.seconds(silence)}; {words}"
    return replace(
        found, finding=finding, text=words, samples=watched.samples, no_data=watched.no_data
    )


def _silent(watched: Watched, now: float) -> bool:
    """Whether the newest sample is too old to speak of the present."""
    return watched.last_sample_at is not None and now - watched.last_sample_at > max(
        60.0, 4 * watched.interval
    )


def _at_deadline(state: State, evidence: tuple[Evidence, ...]) -> tuple[Verdict, str]:
    required = [e for e, w in zip(evidence, state.signals, strict=True) if not w.optional]
    queried = [e for e in required if e.signal != KUBERNETES]
    shared = [e for e in required if e.finding is Finding.SHARED]
    if shared:
        return Verdict.INCONCLUSIVE, f"not the deploy: {shared[0].signal}: {shared[0].text}"
    if queried and all(e.finding is Finding.NO_DATA for e in queried):
        return Verdict.NO_DATA, f"no signal could be read: {queried[0].signal}: {queried[0].text}"
    if not state.complete:
        return Verdict.INCONCLUSIVE, f"the rollout is not complete: {state.rollout_words}"
    weak = [e for e in required if e.finding is not Finding.GOOD]
    if weak:
        return Verdict.INCONCLUSIVE, f"{weak[0].signal}: {weak[0].text}"
    signals = text.plural(len(required), "signal")
    return Verdict.HEALTHY, f"{signals} good to the end of the watch, the rollout is complete"
