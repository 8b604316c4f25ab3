"""What a policy says of one trial: the verdict, how soon, and which signal is accused.

Folds a trial as the watch folds what it observes. Decides what a signal that history does not
have means; reads nothing, counts nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from deploy_guard import decide
from deploy_guard.backtest.model import Deploy, Trial
from deploy_guard.decide import Observation, State
from deploy_guard.decide.fold import Memory
from deploy_guard.model import (
    KUBERNETES,
    Decision,
    NoData,
    Sample,
    Tick,
    Verdict,
    Workload,
)
from deploy_guard.policy.models import Policy

Entry = Observation | Tick


@dataclass(frozen=True, slots=True)
class Judged:
    """What a policy says of one deploy.

    `verdict` is None where the observations end before one. `seconds` is from the deploy to the
    regression, None without one. `accused` is the signal that the reason is about, empty where it
    is about all; `why` names that signal and its finding, for counting. `missing` is what history
    does not have.
    """

    deploy: Deploy
    verdict: Verdict | None
    reason: str
    seconds: float | None = None
    accused: str = ""
    why: str = ""
    missing: tuple[tuple[str, str], ...] = ()

    @property
    def regressed(self) -> bool:
        """Whether the policy would have rolled back."""
        return self.verdict is Verdict.REGRESSED

    @property
    def counts(self) -> bool:
        """Whether there was anything to judge: data of a signal, up to a verdict."""
        return self.verdict not in (None, Verdict.NO_DATA)


@dataclass(frozen=True, slots=True)
class Before:
    """A trial up to the deploy, folded, and what is left of it: several ends share it."""

    trial: Trial
    state: State
    rest: tuple[Entry, ...]


def judge(policy: Policy, trial: Trial) -> Judged:
    """Fold the trial with a policy and return its verdict.

    A signal that history does not have is taken as optional: it can neither accuse the deploy nor
    keep it from being healthy. Its share of the sensitivity stays its own. Readings of signals
    that the policy does not have are left out.
    """
    return conclude(before(policy, trial))


def before(policy: Policy, trial: Trial) -> Before:
    """Fold all up to the first sample of the new pods that a regression may be put into."""
    policy = without_need(policy, trial.missing)
    state = decide.begin(policy, started_at=trial.started_at, ends_at=trial.ends_at)
    entries = tuple(decide.known(policy, trial.observations))
    learned = 0
    for entry in entries:
        later = _observed(state, entry)
        if not _is_baseline(entry, trial.started_at):
            of_signal = isinstance(entry, Sample) and entry.signal != KUBERNETES
            if of_signal or decide.decide(later, _at(entry)).verdict is not None:
                break
        state = later
        learned += 1
    return Before(trial, state, entries[learned:])


def conclude(begun: Before) -> Judged:
    """Fold the rest up to the first verdict, which is that of `decide.replay`.

    Nothing is decided on samples from before the deploy: they cannot make a verdict.
    """
    trial, state = begun.trial, begun.state
    decision = Decision(None, "", trial.started_at)
    memory: Memory = {}
    for entry in begun.rest:
        state = _observed(state, entry)
        if _is_baseline(entry, trial.started_at):
            continue
        decision = decide.decide(state, _at(entry), memory=memory)
        if decision.verdict is not None:
            break
    return _judged(trial, decision)


def _observed(state: State, entry: Entry) -> State:
    return state if isinstance(entry, Tick) else decide.observe(state, entry)


def without_need(policy: Policy, missing: Iterable[tuple[str, str]]) -> Policy:
    """Return the policy with the signals that history does not have as optional ones."""
    names = {name for name, _ in missing}
    if not names:
        return policy
    signals = [
        s.model_copy(update={"optional": True}) if s.name in names else s for s in policy.signals
    ]
    return policy.model_copy(update={"signals": signals})


def with_sensitivity(policy: Policy, sensitivity: float) -> Policy:
    """Return the policy with another accepted chance of a false rollback, a fraction."""
    watch = policy.watch.model_copy(update={"sensitivity": sensitivity})
    return policy.model_copy(update={"watch": watch})


def _is_baseline(entry: Entry, started_at: float) -> bool:
    if isinstance(entry, Sample):
        return entry.candidate is None and entry.at <= started_at
    return isinstance(entry, NoData) and entry.at <= started_at


def _at(entry: Entry) -> float:
    return entry.seen_at if isinstance(entry, Workload) else entry.at


def _judged(trial: Trial, decision: Decision) -> Judged:
    regressed = decision.verdict is Verdict.REGRESSED
    accused, why = _about(decision)
    return Judged(
        deploy=trial.deploy,
        verdict=decision.verdict,
        reason=decision.reason or "the observations end before a verdict",
        seconds=max(0.0, decision.at - trial.deploy.at) if regressed else None,
        accused=accused,
        why=why,
        missing=trial.missing,
    )


def unjudged(trial: Trial, error: Exception) -> Judged:
    """Return what is said of a trial that cannot be folded."""
    why = "a reading that cannot be one"
    return Judged(trial.deploy, None, f"it has {why}: {error}", why=why, missing=trial.missing)


def _about(decision: Decision) -> tuple[str, str]:
    """Return the signal that the reason is about, and it with its finding in words."""
    if decision.verdict is None:
        return "", "ended before a verdict"
    if decision.verdict is Verdict.HEALTHY:
        return "", ""
    words = decision.reason.removeprefix("not the deploy: ")
    for evidence in decision.evidence:
        if words.startswith(f"{evidence.signal}: "):
            return evidence.signal, f"{evidence.signal}: {evidence.finding}"
    if decision.verdict is Verdict.NO_DATA:
        return "", "no signal could be read"
    return KUBERNETES, "the rollout is not complete"


def why_silent(found: Iterable[Judged]) -> Iterator[tuple[str, int]]:
    """Yield why deploys were judged neither healthy nor regressed, the commonest first."""
    counts: dict[str, int] = {}
    for judged in found:
        if judged.verdict not in (Verdict.HEALTHY, Verdict.REGRESSED):
            counts[judged.why] = counts.get(judged.why, 0) + 1
    yield from sorted(counts.items(), key=lambda item: (-item[1], item[0]))
