"""The second look, after a rollback: have the signals that condemned the candidate become good?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from deploy_guard.decide.fold import Observation, State, evidence_of, evidence_of_one, observe
from deploy_guard.model import Evidence, Finding, Recovery, Sample, Workload


def verifying(state: State, *, at: float, duration: float, accused: Iterable[str]) -> Verification:
    """Return the state of the second look, after a rollback, at the same signals."""
    signals = tuple(w.again() for w in state.signals)
    fresh = State(at, at + duration, signals, complete=True)
    return Verification(fresh, tuple(accused))


@dataclass(frozen=True, slots=True)
class Verification:
    """What was seen since the rollback.

    A signal that is still bad is judged anew from its next sample on, so that the first seconds
    after the rollback do not hide a recovery; `bad` has what was last said of each such signal.
    """

    state: State
    accused: tuple[str, ...]
    bad: tuple[Evidence, ...] = ()

    def observe(self, item: Observation) -> Verification:
        """Return the verification after one more observation."""
        if isinstance(item, Workload):
            return replace(self, state=observe(self.state, item))
        state = self.state
        if isinstance(item, Sample) and item.candidate is not None:
            signals = tuple(
                replace(w, judge=w.judge.again())
                if w.name == item.signal and w.judge.evidence(item.at).finding in _BAD
                else w
                for w in state.signals
            )
            state = replace(state, signals=signals)
        state = observe(state, item)
        latest = next(evidence_of_one(w, item.at) for w in state.signals if w.name == item.signal)
        bad = self.bad
        if isinstance(item, Sample) and latest.finding in _BAD:
            bad = (*(e for e in bad if e.signal != item.signal), latest)
        return replace(self, state=state, bad=bad)

    def evidence(self, now: float) -> tuple[Evidence, ...]:
        """Return each signal's evidence; of what has been bad, and is not good, when it was so."""
        was_bad = {e.signal: e for e in self.bad}
        return tuple(
            e if e.finding is Finding.GOOD else was_bad.get(e.signal, e)
            for e in evidence_of(self.state, now)
        )

    def recovery(self, now: float) -> Recovery | None:
        """Return whether the accused signals recovered, None while it cannot be told yet."""
        accused = [w for w in self.state.signals if w.name in self.accused]
        findings = {w.name: evidence_of_one(w, now).finding for w in accused}
        if accused and all(findings[w.name] is Finding.GOOD and w.samples >= 3 for w in accused):
            return Recovery.RECOVERED
        if now < self.state.ends_at:
            return None
        half = (self.state.started_at + self.state.ends_at) / 2
        for e in self.bad:
            # What was proven bad early and is under suspicion again has not become good.
            if e.signal in findings and (e.at >= half or findings[e.signal] is Finding.SUSPECT):
                return Recovery.STILL_BAD
        return Recovery.UNKNOWN


_BAD = (Finding.BAD, Finding.SHARED)
