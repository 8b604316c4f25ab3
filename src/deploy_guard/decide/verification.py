"""The second look, after a rollback: have the signals that condemned the candidate become good?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from deploy_guard.decide.fold import Observation, State, evidence_of_one, observe
from deploy_guard.model import Finding, Recovery, Workload


def verifying(state: State, *, at: float, duration: float, accused: Iterable[str]) -> Verification:
    """Return the state of the second look, after a rollback, at the same signals."""
    signals = tuple(w.again() for w in state.signals)
    fresh = State(at, at + duration, signals, complete=True)
    return Verification(fresh, tuple(accused))


@dataclass(frozen=True, slots=True)
class Verification:
    """What was seen since the rollback.

    A signal that is still bad is judged anew from that moment, so that the first seconds after
    the rollback do not hide a recovery; `bad_at` has the last moment it was bad.
    """

    state: State
    accused: tuple[str, ...]
    bad_at: tuple[tuple[str, float], ...] = ()

    def observe(self, item: Observation) -> Verification:
        """Return the verification after one more observation."""
        state = observe(self.state, item)
        if isinstance(item, Workload):
            return replace(self, state=state)
        bad = dict(self.bad_at)
        signals = []
        for w in state.signals:
            known = w
            if w.name == item.signal and w.judge.evidence(item.at).finding in _BAD:
                bad[w.name] = item.at
                again = w.judge.again()
                known = replace(w, judge=again)
            signals.append(known)
        return Verification(
            replace(state, signals=tuple(signals)), self.accused, tuple(bad.items())
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
        for name, at in self.bad_at:
            # What was proven bad early and is under suspicion again has not become good.
            if name in findings and (at >= half or findings[name] is Finding.SUSPECT):
                return Recovery.STILL_BAD
        return Recovery.UNKNOWN


_BAD = (Finding.BAD, Finding.SHARED)
