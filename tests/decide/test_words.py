"""What the evidence tells an on-call engineer: whose fault it is, and why nobody can tell."""

from __future__ import annotations

from dataclasses import replace

from decide.building import EVERY, baseline, judge, policy, ratio, sample, seen, watched
from deploy_guard.model import Counts, Finding, Reading, Verdict

WELL = Counts(100 * EVERY, 0.1 * EVERY)
BAD = Counts(100 * EVERY, 5 * EVERY)
MILD = Counts(100 * EVERY, 0.6 * EVERY)
FEW = Counts(2.0, 0.0)
OUT = Counts(100 * EVERY, 60 * EVERY)


def test_old_pods_that_were_gone_too_early() -> None:
    """A regression since the deploy whose old pods could not tell is one, and says so."""
    watch = watched(lambda at: [sample(at, BAD, FEW if at <= 30 else None)], before=baseline())
    decision = judge(policy(ratio()), watch)
    assert decision.verdict is Verdict.REGRESSED
    words = "; the old pods were gone before they could tell whose fault it is"
    assert decision.reason.endswith(words)


def test_waiting_for_the_old_pods() -> None:
    """A proven excess waits for old pods that live and have not said enough."""
    watch = watched(lambda at: [sample(at, BAD, FEW)], before=baseline())
    evidence = seen(policy(ratio()), watch[: watch.index(sample(60, BAD, FEW)) + 1])
    assert evidence.finding is Finding.SUSPECT
    words = "the old pods have not had enough requests yet to tell whose fault it is"
    assert evidence.text.endswith(words)


def test_a_shift_that_nobody_can_attribute() -> None:
    """A mild shift long after the old pods had gone is inconclusive, with the reason."""
    watch = watched(
        lambda at: [sample(at, WELL if at <= 300 else MILD, WELL if at <= 120 else None)],
        before=baseline(),
    )
    decision = judge(policy(ratio()), watch)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert "it began when the old pods were gone" in decision.reason
    assert decision.reason.endswith("nobody can tell whether it is the deploy")


def test_the_policy_holds_any_late_shift_against_the_deploy() -> None:
    """The same shift is a regression where the policy says that any late one is."""
    spec = policy(ratio())
    watch = spec.watch.model_copy(update={"late_regressions": "any"})
    entries = watched(
        lambda at: [sample(at, WELL if at <= 300 else MILD, WELL if at <= 120 else None)],
        before=baseline(),
    )
    decision = judge(spec.model_copy(update={"watch": watch}), entries)
    assert decision.verdict is Verdict.REGRESSED


def test_a_limit_without_anything_to_compare_with() -> None:
    """Without a baseline and old pods there is only the limit, and the evidence says so."""
    decision = judge(policy(ratio(limit=0.02)), watched(lambda at: [sample(at, BAD)]))
    assert decision.verdict is Verdict.REGRESSED
    assert "against the limit of 2 % (nothing to compare with); p <" in decision.reason


def test_the_first_suspicion_is_kept() -> None:
    """The evidence of a regression has the moment since when it was suspected."""
    decision = judge(policy(ratio()), watched(lambda at: [sample(at, BAD)], before=baseline()))
    numbers = decision.evidence[1].numbers
    assert numbers["suspected"] == EVERY
    assert numbers["suspected"] < numbers["seconds"]


def test_pods_in_their_warm_up_do_not_count() -> None:
    """Errors of pods that are still warming up are no regression, whenever they start."""

    def starting(at: float) -> list[Reading]:
        return [replace(sample(at, BAD), warming=BAD)]

    decision = judge(policy(ratio()), watched(starting, before=baseline()))
    assert decision.verdict is Verdict.INCONCLUSIVE


def test_a_late_outage() -> None:
    """What is bad, and began when the old pods had gone, is not said to have begun earlier."""
    entries = watched(
        lambda at: [sample(at, WELL if at <= 300 else OUT, WELL if at <= 120 else None)],
        before=baseline(),
    )
    decision = judge(policy(ratio()), entries)
    assert decision.verdict is Verdict.REGRESSED
    assert decision.reason.endswith("; it began when the old pods were gone")


def test_old_pods_that_serve_too_little() -> None:
    """Old pods that live and leave the traffic to the new ones are not said to be gone."""
    many, few = Counts(10 * EVERY, 0.01 * EVERY), Counts(EVERY, 0.001 * EVERY)
    mild = Counts(100 * EVERY, 0.4 * EVERY)
    entries = watched(lambda at: [sample(at, mild, many if at <= 45 else few)], before=baseline())
    decision = judge(policy(ratio()), entries)
    assert decision.verdict is Verdict.REGRESSED
    words = "; the old pods serve too few requests to tell whose fault it is"
    assert decision.reason.endswith(words)
