"""The probe of an API integration."""

from __future__ import annotations

from typing import Any

import pytest

from deploy_guard.model import Evidence, Finding, Probe, Reading, Verdict

from .building import Entry, judge, policy, probe, sample, seen, watched

GOOD = Probe(True, 0.05, "200 as expected")
BAD = Probe(False, 0.01, "expected status 200, got 502")


def probed(pattern: str, *, before: Probe | None = None) -> list[Entry]:
    """Return a watch whose polls answer as the pattern says, again and again: `.` good, `x` bad."""

    def readings(at: float) -> list[Reading]:
        answer = GOOD if pattern[int(at / 15) % len(pattern)] == "." else BAD
        return [sample(at, answer, signal="payments")]

    first = [] if before is None else [sample(-1, None, before, signal="payments")]
    return watched(readings, before=first)


def evidence(entries: list[Entry], **spec: Any) -> Evidence:
    """Return the probe's evidence at the end."""
    return seen(policy(probe(**spec)), entries, "payments")


@pytest.mark.parametrize(
    ("pattern", "verdict"),
    [
        (".", Verdict.HEALTHY),
        ("x", Verdict.REGRESSED),
        ("xx..", Verdict.HEALTHY),
        ("xxx.", Verdict.REGRESSED),
    ],
    ids=["always answers", "never answers", "two failures in a row", "three failures in a row"],
)
def test_consecutive_failures(pattern: str, verdict: Verdict) -> None:
    """So many consecutive failures as the policy says are a regression, fewer are not."""
    entries = [*probed(pattern, before=GOOD)]
    entries.insert(-1, sample(599, GOOD, signal="payments"))
    assert judge(policy(probe()), entries).verdict is verdict


def test_one_failure_is_enough_where_the_policy_says_so() -> None:
    """The number of failures is the policy's."""
    entries = probed(".......x")
    assert judge(policy(probe(failures=1)), entries).verdict is Verdict.REGRESSED


def test_failing_before_the_deploy() -> None:
    """A probe that failed before the deploy and ever since is not the deploy's fault."""
    entries = probed("x", before=BAD)
    decision = judge(policy(probe()), entries)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert "it failed before the deploy" in decision.reason


def test_never_good_and_nothing_known_from_before() -> None:
    """A probe that guard never saw good may have failed before the deploy: no regression."""
    decision = judge(policy(probe()), probed("x"))
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert "no good answer is known from before the deploy" in decision.reason


def test_failing_before_recovered_and_failing_again() -> None:
    """A probe that failed before, answered the candidate and fails again accuses it."""
    decision = judge(policy(probe()), probed(".xxxx", before=BAD))
    assert decision.verdict is Verdict.REGRESSED


def test_answered_before_in_the_same_sample() -> None:
    """A reading with an answer from before does not hide the candidate's answer."""
    entries: list[Entry] = [sample(15 * i, BAD, GOOD, signal="payments") for i in range(3)]
    assert evidence(entries).finding is Finding.BAD


def test_what_came() -> None:
    """The evidence says how often it failed, what was expected and what came."""
    found = evidence(probed("x", before=GOOD))
    assert found.text.endswith("failed probes in a row: expected status 200, got 502")
    assert found.rule == "probe"
    assert found.numbers["failures_in_a_row"] == 39


def test_a_failure_at_the_end() -> None:
    """A failure at the deadline that is not yet proof is inconclusive."""
    entries = probed(".")
    entries.insert(-1, sample(599, BAD, signal="payments"))
    assert judge(policy(probe()), entries).verdict is Verdict.INCONCLUSIVE


def test_not_probed() -> None:
    """A probe that was only made before the deploy says nothing of the candidate."""
    found = evidence([sample(-1, None, GOOD, signal="payments")])
    assert found.finding is Finding.NO_DATA
    assert found.baseline == GOOD.seconds
