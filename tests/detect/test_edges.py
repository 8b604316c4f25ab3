"""Edges of the comparison: counts that cannot be, old pods that waver, short baselines."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest

from deploy_guard import decide, detect
from deploy_guard.decide.latency import LatencyJudge
from deploy_guard.decide.ratio import RatioJudge
from deploy_guard.model import (
    Counts,
    Evidence,
    Finding,
    Latencies,
    Recovery,
    Sample,
)
from deploy_guard.policy.models import Policy

Increments = list[detect.Increment]
Control = Sequence[detect.Increment | None]

BEFORE: Increments = [(15, 1500, 1.5)] * 240  # 100 requests per second, 0.1 %
WELL: detect.Increment = (2, 200, 0.2)
FAILING: detect.Increment = (2, 200, 80)


def known(before: Increments, settings: detect.Settings | None = None) -> detect.State:
    """Return a state that has learned a baseline."""
    state = detect.State(settings or detect.Settings())
    for seconds, requests, errors in before:
        state = detect.learn(state, seconds, Counts(requests, errors))
    return state


def watched(state: detect.State, watch: Increments, control: Control = ()) -> detect.State:
    """Return the state at the first bad judgement, else after the whole watch."""
    for i, (seconds, requests, errors) in enumerate(watch):
        beside = control[i] if i < len(control) else None
        old = Counts(beside[1], beside[2]) if beside is not None else None
        state = detect.step(state, seconds, Counts(requests, errors), old)
        if state.judgement.bad:
            break
    return state


def evidence(state: detect.State) -> Evidence:
    """Return what the judge of a ratio says of a state."""
    return RatioJudge("errors", state, 50).evidence(0.0)


# --- what raises ------------------------------------------------------------------------------


def test_more_errors_than_requests() -> None:
    """Failures that are counted before, or more often than, their requests stop no watch."""
    assert watched(known(BEFORE), [(2, 10, 30)] * 5).judgement.bad


@pytest.mark.parametrize("seconds", [0.0, -10.0])
def test_increments_of_no_time(seconds: float) -> None:
    """A clock that stands still, or is set back, stops no watch."""
    state = watched(known(BEFORE), [(seconds, 1000, 20), WELL])
    assert math.isfinite(state.judgement.p_value)


# --- healthy deploys that are rolled back -----------------------------------------------------


def test_old_pods_that_one_poll_could_not_read() -> None:
    """A poll that could not read the old pods does not end the wait for them."""
    control: list[detect.Increment | None] = [(2, 20, 0.08)] * 300
    control[40] = None
    assert not watched(known(BEFORE), [(2, 200, 0.8)] * 300, control).judgement.bad


def test_share_of_the_old_pods_that_wavers() -> None:
    """Old pods whose small share of the traffic goes up and down from bin to bin do not leave."""
    before: Increments = [(15, 150, 1.5)] * 240
    watch: Increments = [(2, 18, 0.72)] * 300
    many, few = (2.0, 4.0, 0.16), (2.0, 1.0, 0.04)
    control = ([many] * 5 + [few] * 5) * 30
    assert not watched(known(before), watch, control).judgement.bad


def test_old_pods_with_a_request_now_and_then() -> None:
    """Old pods that live, and have a request every 14 seconds, are as good as they were before."""
    before: Increments = [(15, 150, 1.5)] * 240
    watch: Increments = [(2, 20, 0.8)] * 300
    control: Increments = [(2, 1, 0.04) if i % 7 == 0 else (2, 0, 0) for i in range(300)]
    assert not watched(known(before), watch, control).judgement.bad


@pytest.mark.parametrize(("limit", "ratio"), [(1.0, 1.0), (0.95, 0.93)])
def test_outage_within_the_limit(limit: float, ratio: float) -> None:
    """What stays within the only limit there is, is not bad."""
    settings = detect.Settings(limit=limit, compare=False)
    state = watched(known([], settings), [(2, 200, 200 * ratio)] * 60)
    assert not state.judgement.bad, evidence(state).text


def test_limit_beyond_the_buckets() -> None:
    """Requests slower than the largest bucket of 1 s are not told to be slower than 5 s."""
    judge = LatencyJudge("latency", detect.Settings(), 50, share=0.99, below=5.0)
    some = Latencies((0.1, 1.0, math.inf), (0.0, 180.0, 200.0))
    for i in range(60):
        judge = judge.take(Sample("latency", 2.0 * i, 2.0, some))
    assert judge.evidence(120.0).finding is not Finding.BAD


def test_late_regression_after_a_shared_fault() -> None:
    """What begins long after the last old pod had gone is never held against the deploy."""
    settings = detect.Settings(late="none")
    watch = [WELL] * 60 + [FAILING] * 20 + [WELL] * 100 + [(2.0, 200.0, 0.8)] * 400
    control = [WELL] * 60 + [FAILING] * 20
    state = watched(known(BEFORE, settings), watch, control)
    assert not state.judgement.bad
    assert state.judgement.unattributed


def test_shared_slowness_that_spreads_to_another_bound() -> None:
    """While one bound is as bad on the old pods, another is not held against the deploy alone."""
    well = Latencies((0.1, 1.0, math.inf), (140.0, 198.0, 200.0))
    slow = Latencies((0.1, 1.0, math.inf), (10.0, 198.0, 200.0))
    slower = Latencies((0.1, 1.0, math.inf), (10.0, 80.0, 200.0))
    judge = LatencyJudge("latency", detect.Settings(), 50)
    for i in range(1800):
        judge = judge.take(Sample("latency", 2.0 * i, 2.0, None, well))
    watch = [well] * 30 + [slow] * 50 + [slower] * 60
    for i, candidate in enumerate(watch):
        control = candidate if i < 60 else None
        judge = judge.take(Sample("latency", 3600 + 2.0 * i, 2.0, candidate, control))
        assert judge.evidence(0.0).finding is not Finding.BAD, i


# --- regressions that are not seen ------------------------------------------------------------


@pytest.mark.parametrize("requests", [1, 2, 5])
def test_short_baseline_next_to_old_pods(requests: int) -> None:
    """A few requests before the deploy hide nothing that old pods at the same time show."""
    watch: Increments = [(2, 200, 50)] * 60
    control: Increments = [(2, 200, 0)] * 60
    assert watched(known([]), watch, control).judgement.bad  # without any baseline
    assert watched(known([(15, requests, 0)]), watch, control).judgement.bad


def test_last_errors_of_old_pods() -> None:
    """5 % failures in the old pods' last poll do not acquit 40 % for the rest of the watch."""
    control = [WELL] * 19 + [(2.0, 200.0, 10.0)]
    state = watched(known(BEFORE), [WELL] * 20 + [FAILING] * 300, control)
    assert state.judgement.bad, evidence(state).text


def test_baseline_that_leaves_no_room() -> None:
    """Where no regression could ever be worth acting on, nothing shows that there is none."""
    state = watched(known([(15, 1500, 1050)] * 240), [(2, 200, 200)] * 60)
    assert evidence(state).finding is not Finding.GOOD


def test_buckets_that_are_too_small() -> None:
    """A histogram whose buckets all requests exceed, before and after, shows nothing healthy."""
    judge = LatencyJudge("latency", detect.Settings(), 50)
    for i in range(240):
        before = Latencies((0.1, 1.0, math.inf), (0.0, 0.0, 1500.0))
        judge = judge.take(Sample("latency", 15.0 * i, 15.0, None, before))
    for i in range(60):
        after = Latencies((0.1, 1.0, math.inf), (0.0, 0.0, 200.0))
        judge = judge.take(Sample("latency", 3600 + 2.0 * i, 2.0, after))
    assert judge.evidence(3720.0).finding is not Finding.GOOD


def test_first_histogram_is_empty() -> None:
    """A first sample without buckets does not throw the baseline away."""
    judge = LatencyJudge("latency", detect.Settings(), 50)
    for i in range(240):
        before = Latencies((0.1, 1.0, math.inf), (1200.0, 1490.0, 1500.0))
        judge = judge.take(Sample("latency", 15.0 * i, 15.0, None, before))
    judge = judge.take(Sample("latency", 3600.0, 2.0, Latencies((math.inf,), (0.0,))))
    for i in range(60):
        after = Latencies((0.1, 1.0, math.inf), (0.0, 0.0, 200.0))
        judge = judge.take(Sample("latency", 3602 + 2.0 * i, 2.0, after))
    assert judge.evidence(3720.0).finding is Finding.BAD


# --- words ------------------------------------------------------------------------------------


def test_suspected_for_its_limit() -> None:
    """What is suspect because of its limit alone says so."""
    settings = detect.Settings(limit=0.01)
    state = watched(known([(15, 1500, 12)] * 240, settings), [(2, 200, 2.2)] * 300)
    found = evidence(state)
    assert found.finding is Finding.SUSPECT
    assert "limit of 1 %" in found.text
    assert "p = 1" not in found.text


def test_old_pods_that_live_are_not_said_to_be_gone() -> None:
    """Old pods that serve less and less, and still live, are not said to be gone."""
    control = [(2.0, 20.0, 0.02)] * 20 + [(2.0, 2.0, 0.002)] * 280
    state = watched(known(BEFORE), [(2, 200, 0.8)] * 300, control)
    assert state.judgement.bad
    assert state.old_pods_live
    assert "were gone" not in evidence(state).text


def test_words_after_a_shared_fault() -> None:
    """When a shared fault has ended, nobody says that the new pods had no requests."""
    state = known(BEFORE)
    said = []
    for i, (seconds, requests, errors) in enumerate([WELL] * 60 + [FAILING] * 20 + [WELL] * 60):
        old = Counts(requests, errors) if i < 80 else None
        state = detect.step(state, seconds, Counts(requests, errors), old)
        said.append(evidence(state).text)
    assert not [words for words in said[30:] if words.startswith("no requests")]


def test_words_when_a_rollback_did_not_help() -> None:
    """What is still bad after the rollback is told with its counts."""
    counters = {"errors": "errors_total", "requests": "requests_total"}
    spec = {"provider": "prometheus", "name": "errors", "ratio": counters}
    policy = Policy.model_validate({"version": 1, "signals": [spec]})
    state = decide.begin(policy, started_at=3600.0)
    for i in range(240):
        state = decide.observe(state, Sample("errors", 15.0 * i, 15.0, None, Counts(1500, 1.5)))
    second = decide.verifying(state, at=3600.0, duration=120.0, accused=["errors"])
    for i in range(1, 9):
        item = Sample("errors", 3600 + 15.0 * i, 15.0, Counts(1500, 750))
        second = second.observe(item)
    assert second.recovery(3720.0) is Recovery.STILL_BAD
    told = {e.signal: e.text for e in decide.evidence_of(second.state, 3720.0)}
    assert "no requests" not in told["errors"]


def test_shared_shift_next_to_old_pods_with_as_many_requests() -> None:
    """Where old pods live and fail as often, few deploys are condemned, whatever was before."""
    before: Increments = [(15, 1500, 0)] * 240
    condemned = 0
    for seed in range(60):
        rng = random.Random(seed)
        watch = [(2.0, 100.0, some_errors(rng)) for _ in range(240)]
        control = [(2.0, 100.0, some_errors(rng)) for _ in range(240)]
        condemned += watched(known(before), watch, control).judgement.bad
    assert condemned <= 6


def some_errors(rng: random.Random) -> float:
    """Draw the errors of a hundred requests of which one in a thousand fails."""
    return float(sum(rng.random() < 0.001 for _ in range(100)))
