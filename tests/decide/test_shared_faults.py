"""A fault of the world spreads over signals; only what the old pods contradict is the deploy's."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from decide.building import (
    EVERY,
    baseline,
    judge,
    pods,
    policy,
    ratio,
    sample,
    watched,
)
from deploy_guard.model import Counts, Reading, Sample, Symptom, Verdict

FINE = Counts(100 * EVERY, 0.1 * EVERY)
FAILING = Counts(100 * EVERY, 60 * EVERY)
OLD = Counts(100 * EVERY, 0.1 * EVERY)
TWO = policy(ratio("payments"), ratio("errors"))
BEFORE = [*baseline(signal="payments"), *baseline(signal="errors")]


def shared(at: float, errors: Callable[[float], Reading]) -> list[Reading]:
    """Return a poll: payments fail on all pods from 60 s on, old pods are gone from 180 s on."""
    failing = at >= 60
    old = (FAILING if failing else OLD) if at < 180 else None
    payments = sample(at, FAILING if failing else FINE, old, signal="payments")
    return [payments, errors(at)]


def spreading(at: float) -> Sample:
    """Return errors that follow the payments once no old pod is left."""
    return sample(at, FAILING if at >= 240 else FINE, OLD if at < 180 else None)


def test_what_follows_a_shared_fault_is_no_regression() -> None:
    """A second signal that goes bad later, with no old pod left, is not held against the deploy."""
    decision = judge(TWO, watched(lambda at: shared(at, spreading), before=BEFORE))
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.reason.startswith("not the deploy: payments")
    errors = next(e for e in decision.evidence if e.signal == "errors")
    assert "payments is as bad on the old pods" in errors.text


def test_without_a_shared_fault_the_same_is_a_regression() -> None:
    """The excuse needs the other signal: alone, the same errors condemn the candidate."""
    alone = policy(ratio("errors"))
    decision = judge(alone, watched(lambda at: [spreading(at)], before=baseline()))
    assert decision.verdict is Verdict.REGRESSED


def test_what_the_old_pods_contradict_is_a_regression_all_the_same() -> None:
    """During a shared fault in one signal, another one that is good on the old pods condemns."""

    def only_new(at: float) -> Sample:
        return sample(at, FAILING if at >= 120 else FINE, OLD)

    def living(at: float) -> list[Reading]:
        payments = FAILING if at >= 60 else FINE
        return [sample(at, payments, payments, signal="payments"), only_new(at)]

    decision = judge(TWO, watched(living, before=BEFORE))
    assert decision.verdict is Verdict.REGRESSED
    assert decision.reason.startswith("errors: ")


@pytest.mark.parametrize("reason", ["CrashLoopBackOff", "OOMKilled"])
def test_a_sign_of_the_cluster_needs_no_old_pods(reason: str) -> None:
    """New pods that crash are the deploy's fault, whatever else the world does."""

    def crashing(at: float) -> list[Reading]:
        symptom = Symptom(reason, "container web", since=at)
        return [pods(at, symptom), *shared(at, spreading)] if at >= 300 else shared(at, spreading)

    decision = judge(TWO, watched(crashing, before=BEFORE))
    assert decision.verdict is Verdict.REGRESSED
    assert decision.reason.startswith("kubernetes: ")
