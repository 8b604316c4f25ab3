"""What is a regression, and how soon: nothing that chance explains, everything that it cannot."""

from __future__ import annotations

import random

import pytest

from deploy_guard import detect
from deploy_guard.model import Counts
from detect.building import (
    BEFORE,
    Increments,
    learned,
    steady,
    stepped,
)


@pytest.mark.parametrize(
    ("before", "watch"),
    [
        (BEFORE, steady(1800, 0, 0)),
        ([], steady(1800, 100, 0.5)),
        (BEFORE, [*steady(60, 0, 0), (15.0, 3.0, 1.0), *steady(600, 0, 0)]),
        ([], []),
        (steady(3600, 0, 0), steady(1800, 100, 0.001)),
        (BEFORE, steady(1800, 100, 0.001)),
        (BEFORE, steady(1800, 100, 0.0014)),
        (steady(3600, 100, 0.0), [*steady(300, 100, 0), (15.0, 1500.0, 1.0)]),
        (steady(30, 1, 0.0), steady(1800, 1, 0.02)),
        (BEFORE, [*steady(20, 100, 0.05, every=5), *steady(1800, 100, 0.001)]),
        (steady(3600, 100, 1.0), steady(600, 100, 1.0)),
        (steady(3600, 100, 0.3), steady(600, 100, 0.35)),
    ],
    ids=[
        "no traffic",
        "neither baseline nor limit",
        "one failed request of three",
        "nothing at all",
        "an idle baseline",
        "as before",
        "worse by less than is worth acting on",
        "the first error ever",
        "thirty requests of baseline prove nothing",
        "a warm-up of 5 % for 20 s",
        "all were slower than this before, too",
        "a third failed before, too",
    ],
)
def test_never(before: Increments, watch: Increments) -> None:
    """What proves nothing is no regression."""
    assert detect.replay(before, watch) is None


def test_an_idle_baseline_is_no_baseline() -> None:
    """A baseline without a request is not known, and its variance is not either."""
    state = learned(steady(3600, 0, 0))
    assert not state.baseline.known
    assert not state.baseline.expectation().known


@pytest.mark.parametrize("every", [1.0, 2.0, 15.0, 60.0])
@pytest.mark.parametrize(("rps", "ratio"), [(1, 0.01), (100, 0.001)])
def test_false_alarms(every: float, rps: float, ratio: float) -> None:
    """Of a hundred healthy deploys per poll interval, at most the stated one is condemned."""
    length = 300.0 if every < 15 else 600.0
    alarms = 0
    for seed in range(50):
        before = steady(1800, rps, ratio, every=60, seed=seed)
        watch = steady(length, rps, ratio, every=every, seed=1000 + seed)
        alarms += detect.replay(before, watch) is not None
    assert alarms <= 1


# --- soon -------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [1.0, 2.0, 15.0, 60.0])
@pytest.mark.parametrize(
    ("rps", "ratio", "within"),
    [(100, 0.5, 2.0), (100, 0.05, 35.0), (100, 0.01, 45.0), (10, 0.05, 45.0), (1, 0.5, 32.0)],
    ids=["50 % @100", "5 % @100", "1 % @100", "5 % @10", "50 % @1"],
)
def test_soon(every: float, rps: float, ratio: float, within: float) -> None:
    """A regression is found as soon as it can be told from a warm-up, at the next polls."""
    found = detect.replay(BEFORE, steady(1200, rps, ratio, every=every))
    assert found is not None
    assert found <= within + 2 * every


def test_outage_in_the_warm_up() -> None:
    """A warm-up excuses a few errors, not every second request for more than one poll."""
    assert detect.replay(BEFORE, steady(30, 100, 0.5, every=5)) == 10.0


def test_regression_late_in_the_watch() -> None:
    """A regression that begins after half an hour is found although the sum still looks well."""
    watch = steady(1800, 100, 0.001) + steady(600, 100, 0.004)
    found = detect.replay(BEFORE, watch)
    assert found is not None
    assert found <= 1800 + detect.TRAILING[0] + 30
    seen = stepped(learned(BEFORE), watch[: round(found / 15)]).seen.candidate
    assert seen.ratio < 0.0015


def test_uneven_polls() -> None:
    """Polls that come late or early change neither what is found nor what is not."""
    rng = random.Random(7)
    lengths = [rng.choice([0.5, 2.0, 15.0, 40.0, 90.0]) for _ in range(60)]
    well = [(s, 100 * s, 0.1 * s) for s in lengths]
    bad = [(s, 100 * s, 2.0 * s) for s in lengths]
    assert detect.replay(BEFORE, well) is None
    found = detect.replay(BEFORE, bad)
    assert found is not None
    assert found <= 30 + 2 * 90


def test_noisy_baseline_is_not_taken_at_its_word() -> None:
    """Where the ratio always varied threefold, a ratio at the upper end is no regression."""
    minutes = [(60.0, 6000.0, 60.0 * (1 + 2 * (i % 2))) for i in range(60)]
    calm = [(60.0, 6000.0, 120.0)] * 60
    watch = steady(300, 100, 0.045)
    assert detect.replay(minutes, watch) is None
    assert detect.replay(calm, watch) is not None


def test_more_proof_without_much_baseline() -> None:
    """A short baseline needs more errors than a long one, and finds an outage all the same."""
    short = detect.replay(steady(60, 100, 0.001), steady(1200, 100, 0.01))
    long = detect.replay(BEFORE, steady(1200, 100, 0.01))
    assert long is not None
    assert short is None or short >= long
    assert detect.replay(steady(60, 100, 0.001), steady(60, 100, 0.5)) == 30.0


def staggered(bad: float) -> list[tuple[float, Counts, Counts]]:
    """Return a rollout of ten pods, one every 20 s, each with 5 % of errors in its first 30 s.

    Seconds, all counts of the new pods, and those of pods in their warm-up; 20 requests per second
    and pod.
    """
    increments = []
    for poll in range(60):
        ages = [10.0 * poll - 20.0 * pod for pod in range(10)]
        young = sum(0 <= age < 30 for age in ages) * 200
        old = sum(age >= 30 for age in ages) * 200
        warming = Counts(young, 0.05 * young)
        increments.append((10.0, warming + Counts(old, bad * old), warming))
    return increments


@pytest.mark.parametrize(("known", "condemned"), [(True, False), (False, True)])
def test_pods_that_start_at_different_times(known: bool, condemned: bool) -> None:
    """Each pod's warm-up is its own: it is taken for a regression only where ages are not known."""
    state = learned(BEFORE)
    bad = False
    for seconds, candidate, warming in staggered(0.001):
        state = detect.step(state, seconds, candidate, None, warming if known else None)
        bad = bad or state.judgement.bad
    assert bad is condemned


def test_mature_pods_are_judged_while_others_warm_up() -> None:
    """A regression of the first pod is found long before the last one is warm."""
    state = learned(BEFORE)
    for seconds, candidate, warming in staggered(0.02):
        state = detect.step(state, seconds, candidate, None, warming)
        if state.judgement.bad:
            break
    assert state.judgement.bad
    assert state.elapsed <= 80


def test_suspected_before_proven() -> None:
    """A tenfold ratio is suspected within ten seconds, in the warm-up, and proven after it."""
    state = learned(BEFORE)
    suspected = proven = 0.0
    for increment in steady(120, 100, 0.01, every=2):
        state = stepped(state, [increment])
        suspected = suspected or (state.elapsed if state.judgement.suspect else 0.0)
        proven = proven or (state.elapsed if state.judgement.bad else 0.0)
    assert 0 < suspected <= 10
    assert 30 < proven <= 45
    assert state.suspected == suspected
