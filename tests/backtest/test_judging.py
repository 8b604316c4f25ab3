"""One trial, folded: the same verdict as the watch's replay, and what a missing signal means."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from decide.building import (
    EVERY,
    LENGTH,
    START,
    Entry,
    baseline,
    fine,
    gap,
    latency,
    look,
    pods,
    policy,
    probe,
    ratio,
    sample,
    watched,
)
from deploy_guard import decide
from deploy_guard.backtest.judging import judge, why_silent, with_sensitivity
from deploy_guard.backtest.model import Deploy, Trial
from deploy_guard.model import Counts, Reading, Sample, Symptom, Tick, Verdict


def trial(entries: Iterable[Entry], **more: object) -> Trial:
    """Return a trial of a deploy at the start."""
    return Trial(Deploy(START, "v2"), START, tuple(entries), **more)  # type: ignore[arg-type]


def failing(at: float) -> list[Reading]:
    """Return a poll in which 5 % fail."""
    return [sample(at, Counts(100 * EVERY, 5 * EVERY))]


CASES: dict[str, list[Entry]] = {
    "healthy": watched(fine, before=baseline()),
    "failing": watched(failing, before=baseline()),
    "baseline after the first look": [look(0), pods(0), *baseline(), *watched(failing)],
    "crashing at once": [
        look(0),
        pods(0, Symptom("CrashLoopBackOff", "back-off 10s", 3)),
        *watched(fine, before=baseline()),
    ],
    "gaps": watched(lambda at: fine(at) if at > LENGTH * 0.8 else [gap(at)], before=baseline()),
    "no data": watched(lambda at: [gap(at)]),
    "incomplete": watched(fine, before=baseline(), complete=False),
    "cut off": watched(fine, before=baseline())[:60],
}


@pytest.mark.parametrize("name", list(CASES))
def test_the_verdict_is_that_of_the_replay(name: str) -> None:
    """Verdict, reason and moment are those of decide.replay, whatever is left out on the way."""
    rules = policy(ratio())
    decision = decide.replay(rules, START, CASES[name])
    found = judge(rules, trial(CASES[name]))
    assert found.verdict is decision.verdict
    if decision.verdict is not None:
        assert found.reason == decision.reason
    if decision.verdict is Verdict.REGRESSED:
        assert found.seconds == decision.at - START
    else:
        assert found.seconds is None


def test_the_cases_are_as_different_as_their_names() -> None:
    """The cases above have every verdict, and none."""
    found = {judge(policy(ratio()), trial(entries)).verdict for entries in CASES.values()}
    assert found == {*Verdict, None}


def test_the_accused_signal_is_named() -> None:
    """A regression names its signal; an open verdict names the signal and what it lacks."""
    rules = policy(ratio())
    assert judge(rules, trial(CASES["failing"])).accused == "errors"
    few = judge(rules, trial(watched(lambda at: [sample(at, Counts(1, 0))], before=baseline())))
    assert (few.verdict, few.accused) == (Verdict.INCONCLUSIVE, "errors")
    assert few.why == "errors: too little"
    crashing = judge(rules, trial(CASES["crashing at once"]))
    assert crashing.accused == "kubernetes"


def test_the_time_is_from_the_deploy() -> None:
    """A watch that began after the deploy adds the time between."""
    late = Trial(Deploy(START - 30, "v2"), START, tuple(CASES["failing"]))
    on_time = judge(policy(ratio()), trial(CASES["failing"])).seconds
    assert on_time is not None
    assert judge(policy(ratio()), late).seconds == on_time + 30


def test_a_signal_without_a_history_does_not_keep_a_deploy_from_being_healthy() -> None:
    """What history does not have counts as optional; otherwise it is missed."""
    rules = policy(ratio(), probe())
    entries = CASES["healthy"]
    missed = judge(rules, trial(entries))
    assert missed.verdict is Verdict.INCONCLUSIVE
    excused = judge(rules, trial(entries, missing=(("payments", "it has no history"),)))
    assert excused.verdict is Verdict.HEALTHY
    assert excused.missing == (("payments", "it has no history"),)


def test_a_missing_signal_keeps_its_share_of_the_sensitivity() -> None:
    """The others are judged as strictly as they would be beside it."""
    both, alone = policy(ratio(), latency()), policy(ratio())
    entries = [e for e in CASES["failing"] if not isinstance(e, Sample) or e.signal != "latency"]
    excused = judge(both, trial(entries, missing=(("latency", "it has no history"),)))
    strict = with_sensitivity(alone, both.watch.sensitivity / 4)  # one test of the ratio, three
    assert excused.seconds == judge(strict, trial(entries)).seconds


def test_readings_of_unknown_signals_are_left_out() -> None:
    """A record of another policy has signals that this one does not know."""
    other = [sample(15, Counts(100, 100), signal="unheard")]
    assert judge(policy(ratio()), trial([*other, *CASES["healthy"]])).verdict is Verdict.HEALTHY


def test_a_trial_that_ends_early_has_no_verdict_and_does_not_count() -> None:
    """Where the observations end before a verdict, that is told, and nothing is made of it."""
    found = judge(
        policy(ratio()), trial([*baseline(), look(0), pods(15), *fine(15), Tick(START + 16)])
    )
    assert found.verdict is None
    assert not found.counts
    assert "end before a verdict" in found.reason


def test_why_deploys_stay_open_is_counted_the_commonest_first() -> None:
    """Healthy and regressed deploys are not in the list."""
    rules = policy(ratio())
    judged = [
        judge(rules, trial(CASES[n])) for n in ("healthy", "failing", "gaps", "gaps", "no data")
    ]
    assert [count for _, count in why_silent(judged)] == [2, 1]
