"""A share of failed requests, from readings to a finding in words."""

from __future__ import annotations

import pytest

from deploy_guard.model import Counts, Finding, Verdict

from .building import EVERY, baseline, fine, judge, policy, ratio, sample, seen, watched

WELL, BAD = Counts(1500, 1.5), Counts(1500, 75)


def test_regression_against_the_time_before() -> None:
    """A regression is told with counts, with what was expected, and how sure it is."""
    watch = watched(lambda at: [sample(at, BAD)], before=baseline())
    decision = judge(policy(ratio()), watch)
    assert decision.verdict is Verdict.REGRESSED
    evidence = decision.evidence[1]
    assert evidence.finding is Finding.BAD
    assert evidence.rule == "comparison"
    assert evidence.unit == "ratio"
    assert evidence.current == pytest.approx(0.05)
    assert evidence.baseline == pytest.approx(0.001)
    assert evidence.numbers["errors"] == 75
    assert evidence.numbers["requests"] == 1500
    assert evidence.numbers["expected"] == pytest.approx(1.5)
    assert evidence.numbers["p_value"] <= evidence.numbers["level"]
    words = (
        "errors 75 of 1,500 (5 %) on the new pods against 0.1 % before (180 of 180,000, so 1.5 "
        "expected); p < 10"
    )
    assert evidence.text.startswith(words)
    assert decision.reason == f"errors: {evidence.text}"


def test_regression_against_a_limit() -> None:
    """A limit accuses without any baseline, and its evidence names the limit."""
    spec = policy(ratio(limit=0.02))
    decision = judge(spec, watched(lambda at: [sample(at, BAD)]))
    assert decision.verdict is Verdict.REGRESSED
    assert decision.evidence[1].rule == "limit"
    assert decision.evidence[1].limit == pytest.approx(0.02)
    assert "against the limit of 2 %" in decision.reason


def test_regression_against_the_old_pods() -> None:
    """Old pods that are well at the same time accuse, and the evidence says so."""
    decision = judge(policy(ratio()), watched(lambda at: [sample(at, BAD, WELL)]))
    assert decision.verdict is Verdict.REGRESSED
    assert "against 0.1 % on the old pods at the same time" in decision.reason


def test_shared_outage_is_inconclusive() -> None:
    """An outage that the old pods share leads to no rollback and says why."""
    watch = watched(lambda at: [sample(at, BAD, BAD)], before=baseline())
    decision = judge(policy(ratio()), watch)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.reason.startswith("not the deploy: errors: ")
    assert decision.reason.endswith("the old pods were as bad")


def test_shared_outage_whose_control_dies() -> None:
    """An outage that the old pods shared stays not the deploy's after they are gone."""
    watch = watched(
        lambda at: [sample(at, BAD, BAD if at < 100 else None)],
        before=baseline(),
    )
    assert judge(policy(ratio()), watch).verdict is Verdict.INCONCLUSIVE


def test_shared_outage_that_ends_in_time() -> None:
    """A candidate that is well after a shared outage is healthy at the end of the watch."""
    watch = watched(
        lambda at: [sample(at, BAD, BAD)] if at < 120 else fine(at),
        before=baseline(),
    )
    assert judge(policy(ratio()), watch).verdict is Verdict.HEALTHY


def test_limit_exceeded_before() -> None:
    """A limit that was exceeded as much before the deploy is no reason for a rollback."""
    spec = policy(ratio(limit=0.02))
    watch = watched(lambda at: [sample(at, BAD)], before=baseline(BAD))
    decision = judge(spec, watch)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.reason.endswith("it was so before")


def test_a_little_above_the_limit_is_not_good() -> None:
    """A ratio just above its limit is not proven bad, and never called healthy."""
    spec = policy(ratio(limit=0.05))
    slightly = Counts(1500, 1500 * 0.0525)
    decision = judge(spec, watched(lambda at: [sample(at, slightly)]))
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.evidence[1].finding is Finding.SUSPECT


@pytest.mark.parametrize(
    ("each", "finding", "words"),
    [
        (Counts(0, 0), Finding.LITTLE, "no requests on the new pods to judge yet"),
        (Counts(1, 0), Finding.LITTLE, "fewer than the 50 requests needed to call it healthy"),
        (WELL, Finding.GOOD, "against 0.1 % before"),
    ],
    ids=["no traffic", "little traffic", "enough traffic"],
)
def test_enough_requests(each: Counts, finding: Finding, words: str) -> None:
    """Good needs enough requests of the candidate after its warm-up."""
    evidence = seen(
        policy(ratio()),
        watched(lambda at: [sample(at, each)], before=baseline()),
    )
    assert evidence.finding is finding
    assert words in evidence.text


def test_requests_of_the_warm_up_do_not_count() -> None:
    """Requests during the warm-up are not enough to call a candidate healthy."""
    watch = watched(lambda at: [sample(at, WELL if at <= 30 else Counts(0, 0))], before=baseline())
    evidence = seen(policy(ratio()), watch)
    assert evidence.finding is Finding.LITTLE
    assert "errors 3 of 3,000 (0.1 %) so far, all in the warm-up" in evidence.text


@pytest.mark.parametrize("minutes", [0, 30])
def test_nothing_to_compare_with(minutes: int) -> None:
    """Without limit, baseline traffic and old pods nothing is bad, and nothing is good either."""
    before = baseline(Counts(0, 0), minutes=minutes)
    watch = watched(lambda at: [sample(at, BAD)], before=before)
    evidence = seen(policy(ratio()), watch)
    assert evidence.finding is Finding.LITTLE
    assert evidence.text.endswith("no limit, and only 0 requests to compare with")
    assert judge(policy(ratio()), watch).verdict is Verdict.INCONCLUSIVE


def test_control_is_no_baseline_once_the_candidate_serves() -> None:
    """Old pods alone, after the candidate was seen, do not change what was known before."""
    watch = watched(
        lambda at: [sample(at, WELL) if at == EVERY else sample(at, None, BAD)],
        before=baseline(),
    )
    assert seen(policy(ratio()), watch).baseline == pytest.approx(0.001)


def test_suspicion_is_no_verdict() -> None:
    """An excess that is not proven is told as a suspicion and leads to no rollback."""
    odd = Counts(1500, 10)
    watch = watched(lambda at: [sample(at, odd if at == 60 else WELL)], before=baseline())
    until = watch.index(sample(60, odd)) + 1
    evidence = seen(policy(ratio()), watch[:until])
    assert evidence.finding is Finding.SUSPECT
    assert evidence.text.endswith("not proven yet")
    assert judge(policy(ratio()), watch).verdict is not Verdict.REGRESSED


def test_level_is_shared_between_signals() -> None:
    """The accepted chance of a false rollback is divided among all comparisons of a policy."""
    one = seen(policy(ratio()), [*baseline(), sample(15, BAD)])
    many = policy(ratio(), ratio("more"), ratio("again"), ratio("still"))
    of_four = seen(many, [*baseline(), sample(15, BAD)])
    assert of_four.numbers["level"] == pytest.approx(one.numbers["level"] / 4)


def test_a_single_request_to_compare_with() -> None:
    """One request to compare with is told as one request."""
    before = baseline(Counts(1, 0), minutes=0.25)
    evidence = seen(policy(ratio()), watched(fine, before=before))
    assert evidence.text.endswith("no limit, and only 1 request to compare with")


def test_most_requests_failed_before_next_to_old_pods() -> None:
    """Where 70 % failed before, old pods that fail as often show nothing healthy either."""
    most = Counts(1500, 1050)
    watch = watched(lambda at: [sample(at, most, most)], before=baseline(most))
    evidence = seen(policy(ratio()), watch)
    assert evidence.finding is Finding.LITTLE
    assert evidence.text.endswith(", 70 % before: nothing could be seen to get worse")
