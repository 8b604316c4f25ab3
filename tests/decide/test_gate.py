"""When a rollout is paused, what ends the pause, and what a pause does to the time of a watch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from decide.building import (
    EVERY,
    LENGTH,
    START,
    Entry,
    baseline,
    fine,
    gap,
    gauge,
    judge,
    pods,
    ratio,
    sample,
)
from deploy_guard import decide
from deploy_guard.decide.fold import TO_RESUME, State, lacking
from deploy_guard.decide.gate import MOST_SUSPICIONS, Course, Gate, Step, next_step, pods_at
from deploy_guard.model import Counts, Gauge, Pod, Rollout, Target, Tick, Verdict, Workload
from deploy_guard.policy.models import Policy

HELD = Course(held="gate", held_at=START)


def policy(*signals: dict[str, Any], **hold: Any) -> Policy:
    """Return a policy with a gate at a quarter of the pods, unless told otherwise."""
    rules = {"at": "25%", "for": 60.0} | hold
    return Policy.model_validate(
        {
            "version": 1,
            "watch": {"for": LENGTH, "interval": EVERY},
            "signals": list(signals or [ratio()]),
            "hold": {key: value for key, value in rules.items() if value is not None},
        }
    )


def seen(
    at: float, new: int, old: int, *, desired: int = 8, paused: bool = False, complete: bool = False
) -> Workload:
    """Return a look at so many new and old pods, `at` seconds after the start."""
    of = [("new", n) for n in range(new)] + [("old", n) for n in range(old)]
    rollout = Rollout(
        desired=desired, updated=new, old=old, observed=True, paused=paused, complete=complete
    )
    return Workload(
        Target("deployment", "shop", "checkout"),
        "new",
        START,
        START + at,
        tuple(Pod(f"{template}-{n}", template, START) for template, n in of),
        rollout,
    )


def folded(policy: Policy, *entries: Entry) -> State:
    """Return the state after these entries."""
    state = decide.begin(policy, started_at=START)
    for entry in entries:
        if not isinstance(entry, Tick):
            state = decide.observe(state, entry)
    return state


def step(
    policy: Policy, look: Workload, *before: Entry, course: Course | None = None, at: float = 0.0
) -> Gate:
    """Return the next step `at` seconds after the start."""
    state = folded(policy, *before, look)
    return next_step(state, look, course or Course(), START + at)


def good(until: float) -> list[Entry]:
    """Return what is read of a candidate that is well, up to so many seconds."""
    entries: list[Entry] = [*baseline()]
    for n in range(1, int(until / EVERY) + 1):
        entries += [pods(n * EVERY), *fine(n * EVERY)]
    return entries


@pytest.mark.parametrize(
    ("share", "desired", "expected"),
    [(0.25, 8, 2), (0.25, 10, 2), (0.1, 3, 1), (0.5, 3, 1), (0.3, 10, 3), (0.29, 100, 29)],
)
def test_a_share_of_the_pods_is_rounded_down_but_is_one_at_least(
    share: float, desired: int, expected: int
) -> None:
    """The gate never asks for more new pods than its share, unless that is none."""
    assert pods_at(share, desired) == expected


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        (0, 8, Step.WAIT), (1, 8, Step.WAIT), (2, 6, Step.PAUSE), (5, 3, Step.PAUSE),
        (8, 1, Step.PAUSE), (8, 0, Step.LATE), (1, 0, Step.LATE), (0, 0, Step.WAIT),
    ],
)  # fmt: skip
def test_the_rollout_is_paused_when_the_share_is_new(new: int, old: int, expected: Step) -> None:
    """From the share on, while there are old pods; without any it is too late."""
    assert step(policy(), seen(0, new, old)).step is expected


def test_more_new_pods_than_asked_for_are_told() -> None:
    """A strategy that is coarser than the gate is paused all the same, with the number."""
    assert "more than the 2 of the gate" in step(policy(), seen(0, 4, 4)).text


def test_pods_that_leave_do_not_count() -> None:
    """Terminating and finished pods are neither new nor old."""
    look = seen(0, 2, 3)
    gone = (
        replace(look.pods[0], terminating=True),
        look.pods[1],
        *(replace(pod, phase="Failed") for pod in look.pods[2:]),
    )
    assert step(policy(), replace(look, pods=gone[:2] + look.pods[2:])).step is Step.WAIT
    assert step(policy(), replace(look, pods=gone)).step is Step.LATE


def test_without_a_gate_nothing_is_paused() -> None:
    """The default policy never pauses, whatever is new."""
    plain = Policy.model_validate({"version": 1, "signals": [ratio()]})
    assert step(plain, seen(0, 4, 4)).step is Step.WAIT


def test_a_human_s_pause_is_not_made_ours() -> None:
    """What is paused already is not paused again."""
    assert step(policy(), seen(0, 4, 4, paused=True)).step is Step.WAIT


def test_a_blind_look_pauses_nothing() -> None:
    """What was seen a while ago may not be so any more."""
    assert step(policy(), replace(seen(0, 4, 4), blind="timeout")).step is Step.WAIT


def test_the_gate_is_passed_after_its_time_with_every_signal_good() -> None:
    """Not before the time, and not without evidence."""
    look = seen(61, 2, 6, paused=True)
    entries = good(75)
    assert step(policy(), look, *entries, course=HELD, at=59).step is Step.STAY
    passed = step(policy(), look, *entries, course=HELD, at=75)
    assert (passed.step, passed.at_gate) == (Step.RESUME, True)
    assert "passed: every signal good for 1 m 15 s with 2 of 8 pods new" in passed.text


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ([], "no signal could be read"),
        ([sample(15, Counts(10, 0))], "too few to judge"),
        ([gap(15), gap(30), gap(45)], "no data"),
    ],
    ids=["nothing", "little", "gaps"],
)
def test_the_gate_is_not_passed_without_evidence(more: list[Entry], why: str) -> None:
    """No data is never good: it stays, and says what is missing."""
    entries: list[Entry] = [*baseline(), pods(15), pods(60), *more]
    found = step(policy(), seen(70, 2, 6, paused=True), *entries, course=HELD, at=70)
    assert found.step is Step.STAY and why in found.text


def test_an_optional_signal_may_be_missing_at_the_gate() -> None:
    """As for the verdict: only what is required has to be good."""
    rules = policy(ratio(), gauge(optional=True))
    found = step(rules, seen(70, 2, 6, paused=True), *good(75), course=HELD, at=75)
    assert found.step is Step.RESUME


def test_a_bad_candidate_is_neither_paused_nor_resumed() -> None:
    """The verdict is there: the rollback ends the pause."""
    bad: list[Entry] = [*baseline(), pods(15), sample(15, Counts(1500, 1500))]
    bad += [pods(60), sample(60, Counts(4500, 4500))]
    rules = policy(ratio(limit="5%"))
    assert step(rules, seen(60, 2, 6), *bad, at=60).step is Step.WAIT
    held = step(rules, seen(60, 2, 6, paused=True), *bad, course=HELD, at=60)
    assert held.step is Step.STAY


def test_without_evidence_the_rollout_is_resumed_after_the_time_of_the_watch() -> None:
    """Counted from the pause; the words say what was missing, and that nothing is proven."""
    look = seen(30, 2, 6, paused=True)
    assert step(policy(), look, course=HELD, at=30 + LENGTH - 1).step is Step.STAY
    found = step(policy(), look, course=HELD, at=30 + LENGTH)
    assert (found.step, found.unproven) == (Step.RESUME, True)
    assert "neither good nor bad is proven after 10 m" in found.text


def test_without_evidence_it_is_the_verdict_that_takes_back() -> None:
    """With `take_back` the gate waits for the verdict, which is not a regression and says why."""
    rules = policy(without_evidence="take_back")
    look = seen(30, 2, 6, paused=True)
    assert step(rules, look, course=HELD, at=30 + LENGTH).step is Step.STAY
    decision = judge(rules, [look, Tick(START + 30 + LENGTH)])
    assert decision.verdict in (Verdict.INCONCLUSIVE, Verdict.NO_DATA)
    assert judge(rules, [look, Tick(START + 30 + LENGTH - 1)]).verdict is None
    some: list[Entry] = [*baseline(), pods(15), sample(15, Counts(10, 0)), look]
    reason = judge(rules, [*some, Tick(START + 30 + LENGTH)]).reason
    assert "stopped half way, and not proven good" in reason


def test_old_pods_that_went_away_end_the_hold() -> None:
    """With nothing left to hold back there is nothing to hold."""
    found = step(policy(), seen(30, 8, 0, paused=True), course=HELD, at=30)
    assert (found.step, "no old pod is left" in found.text) == (Step.RESUME, True)


def test_a_pause_begins_the_time_of_the_watch_anew_and_so_does_its_end() -> None:
    """The rest of the rollout is watched as long as a whole deploy."""
    rules = policy()
    state = folded(rules, seen(0, 1, 8))
    assert state.ends_at == START + LENGTH
    state = decide.observe(state, seen(100, 2, 6, paused=True))
    assert state.ends_at == START + 100 + LENGTH + TO_RESUME
    state = decide.observe(state, seen(200, 2, 6, paused=True))
    assert state.ends_at == START + 100 + LENGTH + TO_RESUME
    state = decide.observe(state, replace(seen(250, 2, 6), blind="timeout"))
    assert state.paused_at == START + 100, "a blind look proves no resume"
    state = decide.observe(state, seen(400, 2, 6))
    assert (state.ends_at, state.paused_at) == (START + 400 + LENGTH, None)


def test_a_human_s_pause_without_a_gate_does_not_prolong_the_watch() -> None:
    """Policies without `hold` are watched for as long as they say."""
    plain = Policy.model_validate({"version": 1, "watch": {"for": LENGTH}, "signals": [ratio()]})
    state = folded(plain, seen(0, 1, 8), seen(100, 2, 6, paused=True), seen(200, 2, 6))
    assert state.ends_at == START + LENGTH


def test_a_paused_rollout_is_never_complete() -> None:
    """Even if the last pod was replaced just when it was paused."""
    assert folded(policy(), seen(0, 8, 0, complete=True)).complete
    assert not folded(policy(), seen(0, 8, 0, complete=True, paused=True)).complete


def test_a_hold_that_cannot_be_ended_ends_the_watch() -> None:
    """A minute after it should have been resumed the verdict is that it is not complete."""
    entries = [seen(0, 2, 6, paused=True), *good(LENGTH + 45)]
    at = START + LENGTH + TO_RESUME
    assert judge(policy(), [*entries, Tick(at - 1)]).verdict is None
    decision = judge(policy(), [*entries, Tick(at)])
    assert decision.verdict is Verdict.INCONCLUSIVE and "paused" in decision.reason


def test_lacking_asks_for_the_signals_only() -> None:
    """Good signals lack nothing, however far the rollout is."""
    state = folded(policy(), seen(0, 2, 6), *good(75))
    evidence = decide.evidence_of(state, START + 75)
    assert lacking(state, evidence) == "" and not state.complete


# --- suspicion ---------------------------------------------------------------------------------

SUSPICIOUS = {"at": None, "for": None, "on_suspicion": True}


def high(at: float, value: float = 200.0) -> Entry:
    """Return a number beyond its limit of 100, which counts after a minute."""
    return sample(at, Gauge(value), signal="queue")


def test_a_suspicion_pauses_a_rollout_that_is_not_complete() -> None:
    """Only when the policy says so, and while there are pods to keep from it."""
    entries = [pods(15), high(15)]
    paused = step(policy(gauge(), **SUSPICIOUS), seen(15, 1, 7), *entries, at=15)
    assert (paused.step, paused.why) == (Step.PAUSE, "suspicion")
    assert "queue is suspect" in paused.text
    assert step(policy(gauge(), at="90%"), seen(15, 1, 7), *entries, at=15).step is Step.WAIT
    assert step(policy(gauge(), **SUSPICIOUS), seen(15, 8, 0), *entries, at=15).step is Step.WAIT


def test_a_suspicion_that_is_gone_for_two_readings_resumes() -> None:
    """Not at the first good value; the wait is counted from it."""
    rules = policy(gauge(), **SUSPICIOUS)
    course = Course("suspicion", START + 15, suspects=("queue",), suspicions=1)
    look = seen(20, 1, 7, paused=True)
    entries = [pods(15), high(15)]
    assert step(rules, look, *entries, course=course, at=20).step is Step.STAY
    calm = [*entries, high(30, 50.0)]
    first = step(rules, look, *calm, course=course, at=30)
    assert (first.step, first.course.quiet_since) == (Step.STAY, START + 30)
    later = step(rules, look, *calm, course=first.course, at=30 + 2 * EVERY)
    assert (later.step, later.text) == (Step.RESUME, "the suspicion is gone")
    again = [*calm, high(45)]
    assert step(rules, look, *again, course=first.course, at=45).course.quiet_since is None


def test_a_suspicion_that_flutters_does_not_stop_a_rollout_for_ever() -> None:
    """After three pauses the rollout goes on, and only a proof takes it back."""
    rules = policy(gauge(), **SUSPICIOUS)
    course = Course(suspicions=MOST_SUSPICIONS)
    found = step(rules, seen(15, 1, 7), pods(15), high(15), course=course, at=15)
    assert found.step is Step.WAIT


def test_a_suspicion_at_the_gate_ends_as_the_gate_does() -> None:
    """Paused for a suspicion with the share new: the gate has to be passed as well."""
    rules = policy(gauge(), on_suspicion=True)
    course = Course("suspicion", START + 15, suspects=("queue",), suspicions=1)
    look = seen(20, 2, 6, paused=True)
    calm: list[Entry] = [pods(15), high(15), high(30, 50.0), pods(60), high(60, 50.0)]
    early = step(rules, look, *calm, course=course, at=65)
    assert early.step is Step.STAY
    passed = step(rules, look, *calm, course=course, at=76)
    assert (passed.step, passed.at_gate) == (Step.RESUME, True)
