"""The comparison of failed requests: how sure, how soon, how rarely wrong, whose fault."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_guard import detect
from deploy_guard.model import Counts

Increments = list[detect.Increment]

# --- traces -----------------------------------------------------------------------------------


def steady(
    seconds: float, rps: float, ratio: float, *, every: float = 15.0, seed: int | None = None
) -> Increments:
    """Return increments of requests with independent errors; without seed exactly the mean."""
    number = round(seconds / every)
    if seed is None:
        return [(every, rps * every, rps * every * ratio)] * number
    rng = random.Random(seed)
    increments = []
    for _ in range(number):
        requests = poisson(rng, rps * every)
        increments.append(
            (every, float(requests), float(min(requests, binomial(rng, requests, ratio))))
        )
    return increments


def poisson(rng: random.Random, mean: float) -> int:
    """Draw a Poisson number; above 50 by the normal approximation."""
    if mean > 50:
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    number, passed = 0, rng.expovariate(1.0)
    while passed < mean:
        number, passed = number + 1, passed + rng.expovariate(1.0)
    return number


def binomial(rng: random.Random, n: int, p: float) -> int:
    """Draw the number of errors, as Poisson: the same at small ratios, and wilder at large."""
    return poisson(rng, n * p)


BEFORE = steady(3600, 100, 0.001)


def learned(before: Sequence[detect.Increment], **settings: float | None) -> detect.State:
    """Return a state that knows this baseline."""
    state = detect.State(detect.Settings(**settings))  # type: ignore[arg-type]
    for seconds, requests, errors in before:
        state = detect.learn(state, seconds, Counts(requests, errors))
    return state


def stepped(
    state: detect.State,
    watch: Sequence[detect.Increment],
    control: Sequence[detect.Increment | None] = (),
) -> detect.State:
    """Return the state after these increments; with `control`, of the old pods next to them."""
    for i, (seconds, requests, errors) in enumerate(watch):
        beside = control[i] if i < len(control) else None
        old = Counts(beside[1], beside[2]) if beside is not None else None
        state = detect.step(state, seconds, Counts(requests, errors), old)
    return state


# --- never ------------------------------------------------------------------------------------


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


# --- the old pods -----------------------------------------------------------------------------

BAD, WELL, NONE = (15.0, 1500.0, 750.0), (15.0, 1500.0, 1.5), (15.0, 0.0, 0.0)


def test_shared_outage() -> None:
    """An outage that the old pods share is not the deploy's fault."""
    judgement = stepped(learned(BEFORE), [BAD] * 20, [BAD] * 20).judgement
    assert judgement.shared
    assert judgement.world
    assert not judgement.bad


def test_only_the_candidate() -> None:
    """An outage next to old pods that are well is the deploy's fault, at the second poll."""
    judgement = stepped(learned(BEFORE), [BAD] * 2, [WELL] * 2).judgement
    assert judgement.bad
    assert not judgement.shared


def test_control_alone_is_enough() -> None:
    """Without any baseline the old pods at the same time show a regression."""
    watch = steady(300, 100, 0.05)
    assert detect.replay([], watch, watch) is None
    found = detect.replay([], watch, steady(300, 100, 0.001))
    assert found is not None
    assert found <= 60


def test_shared_outage_outlives_the_old_pods() -> None:
    """An outage that the old pods shared stays not the deploy's when they are gone."""
    state = stepped(learned(BEFORE), [BAD] * 4, [BAD] * 4)
    for _ in range(40):
        state = stepped(state, [BAD])
        assert state.judgement.shared
        assert not state.judgement.bad


def test_shared_outage_ends() -> None:
    """When a shared outage is over, the candidate is judged by what comes after it."""
    state = stepped(learned(BEFORE), [BAD] * 4, [BAD] * 4)
    state = stepped(state, [BAD] * 10 + [WELL] * 10)
    assert not state.judgement.shared
    assert not state.judgement.bad
    after = stepped(state, [BAD] * 2)
    assert after.judgement.bad


def test_no_traffic_is_not_the_end_of_an_outage() -> None:
    """A shared outage that takes the traffic away is not over."""
    state = stepped(learned(BEFORE), [BAD] * 4, [BAD] * 4)
    state = stepped(state, [NONE] * 40)
    assert stepped(state, [BAD]).judgement.shared


def test_candidate_stays_behind() -> None:
    """When the old pods recover from a shared outage and the candidate does not, it is bad."""
    state = stepped(learned(BEFORE), [BAD] * 4, [BAD] * 4)
    assert state.judgement.shared
    assert stepped(state, [BAD] * 10, [WELL] * 10).judgement.bad


@pytest.mark.parametrize("gone", [1, 2, 4])
def test_old_pods_that_are_gone_delay_nothing(gone: int) -> None:
    """A regression that begins after the last old pod is found as if there had been none."""
    state = stepped(learned(BEFORE), [WELL] * 6, [WELL] * 6)
    state = stepped(state, [WELL] * gone + [BAD] * 2)
    assert state.judgement.bad


def test_old_pods_with_little_to_say() -> None:
    """While living old pods have not said enough, an excess is suspicion, and then proof."""
    few = (15.0, 2.0, 0.0)
    state = stepped(learned(BEFORE), [BAD], [few])
    assert state.judgement.suspect
    assert not state.judgement.bad
    assert stepped(state, [BAD] * 10, [few] * 10).judgement.bad


# --- limits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("watch", "bad"),
    [
        (steady(600, 100, 0.06), True),
        (steady(600, 100, 0.04), False),
        (steady(600, 100, 0.05), False),
        ([(15.0, 3.0, 1.0)] * 2, False),
        ([(15.0, 1.0, 1.0)] * 3, False),
        ([(15.0, 10.0, 10.0)] * 1, False),
        ([(15.0, 10.0, 10.0)] * 2, True),
        (steady(15, 100, 0.09, every=5), False),
    ],
    ids=[
        "above",
        "below",
        "at the limit",
        "two of six requests",
        "three of three requests",
        "ten of ten requests in one poll",
        "twenty of twenty requests in two polls",
        "above, in the warm-up",
    ],
)
def test_limit(watch: Increments, bad: bool) -> None:
    """A limit is exceeded when plain chance cannot explain it, also without a baseline."""
    state = learned([], limit=0.05)
    assert stepped(state, watch).judgement.bad is bad


@pytest.mark.parametrize(
    ("before", "now", "shared", "bad"),
    [(0.08, 0.08, True, False), (0.08, 0.10, True, False), (0.08, 0.5, False, True)],
    ids=["as before", "a little worse", "much worse"],
)
def test_limit_exceeded_before(before: float, now: float, shared: bool, bad: bool) -> None:
    """A limit that was exceeded before the deploy accuses only what became clearly worse."""
    state = learned(steady(3600, 100, before), limit=0.05)
    judgement = stepped(state, steady(600, 100, now)).judgement
    assert (judgement.shared, judgement.bad) == (shared, bad)


def test_one_error_in_a_short_baseline_excuses_nothing() -> None:
    """A single failed request before the deploy is no proof that the limit was exceeded then."""
    state = learned([(15.0, 10.0, 1.0)], limit=0.05)
    assert stepped(state, steady(300, 100, 0.5)).judgement.bad


def test_regression_after_an_exceeded_limit() -> None:
    """A limit exceeded before the deploy does not hide an outage later in the watch."""
    state = learned(steady(3600, 100, 0.08), limit=0.05)
    state = stepped(state, steady(300, 100, 0.08))
    assert state.judgement.shared
    assert stepped(state, steady(60, 100, 0.9)).judgement.bad


def test_comparison_switched_off() -> None:
    """Without comparison neither the time before nor the old pods accuse."""
    state = learned(BEFORE, limit=0.5, compare=False)
    assert not stepped(state, steady(600, 100, 0.2), steady(600, 100, 0.001)).judgement.bad


def test_expected_errors_are_those_of_the_reference() -> None:
    """The expected number of errors is requests times the ratio that is told."""
    for state in (learned(BEFORE), learned(BEFORE, limit=0.01)):
        judgement = stepped(state, steady(300, 100, 0.05)).judgement
        told = judgement.counts.requests * judgement.expected_ratio
        assert judgement.expected == pytest.approx(told)


# --- bounds -----------------------------------------------------------------------------------


def size_of(value: object) -> int:
    """Return how many values hang on this one."""
    if isinstance(value, tuple):
        return 1 + sum(size_of(inner) for inner in value)
    slots = getattr(type(value), "__slots__", ())
    return 1 + sum(size_of(getattr(value, name)) for name in slots)


@pytest.mark.parametrize("every", [0.05, 1.0, 15.0])
def test_bounded_state(every: float) -> None:
    """The state is as small after many thousand polls as after a hundred, however quick."""
    state = learned(BEFORE)
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    def polls(number: int) -> None:
        nonlocal state
        state = stepped(state, [(every, 100 * every, 0.1 * every)] * number)

    polls(20_000)
    early = size_of(state)
    sys.setprofile(count)
    polls(10)
    sys.setprofile(None)
    work = calls
    polls(13_000)
    calls = 0
    sys.setprofile(count)
    polls(10)
    sys.setprofile(None)
    assert size_of(state) <= early + 20
    assert calls <= work * 1.5
    assert state.scene is not None
    assert len(state.scene.windows.marks) <= detect.TRAILING[-1] / detect.BIN + 2


def test_bounded_baseline() -> None:
    """A baseline of ten weeks takes no more room than one of an hour."""
    hour, weeks = (
        learned(steady(3600, 100, 0.01)),
        learned(steady(100_000 * 60, 100, 0.01, every=60)),
    )
    assert size_of(weeks) <= size_of(hour)
    assert weeks.baseline.scales[0].number == 100_000


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_overdispersion(noise: float) -> None:
    """The expected variance is that of the ratio between groups, enlarged, beyond Poisson's."""
    rng = random.Random(3)
    state = detect.State()
    for _ in range(500):
        ratio = 0.01 * (1 + noise * rng.choice([-1, 1]))
        errors = poisson(rng, 6000 * ratio)
        state = detect.learn(state, 60.0, Counts(6000.0, float(errors)))
    expected = 3 * noise**2 + detect.MODEL_VARIANCE
    found = state.baseline.expectation().variance(60.0, 3.0)
    assert found == pytest.approx(expected, rel=0.2, abs=0.01)


def test_variance_shrinks_with_the_length_of_the_window() -> None:
    """What changes every 15 seconds averages out over minutes; what stays for minutes does not."""
    rng = random.Random(5)

    def variances(every: int) -> list[float]:
        state = detect.State()
        for i in range(960):
            if i % every == 0:
                ratio = 0.01 * rng.choice([0.5, 1.5])
            state = detect.learn(state, 15.0, Counts(15000.0, float(poisson(rng, 15000 * ratio))))
        expectation = state.baseline.expectation()
        return [expectation.variance(seconds, 1.0) for seconds in (15.0, 60.0, 300.0)]

    quick, slow = variances(1), variances(20)
    assert quick[0] == pytest.approx(0.25 + detect.MODEL_VARIANCE, rel=0.2)
    assert quick[1] == pytest.approx(0.25 / 4 + detect.MODEL_VARIANCE, rel=0.3)
    assert quick[2] < 0.06
    assert all(v == pytest.approx(0.25 + detect.MODEL_VARIANCE, rel=0.3) for v in slow)


def test_clusters() -> None:
    """Errors that come in groups of about four are known to do so from the baseline."""
    rng = random.Random(9)
    state = detect.State()
    for _ in range(2000):
        groups = poisson(rng, 5)
        errors = sum(1 + poisson(rng, 3) for _ in range(groups))
        state = detect.learn(state, 15.0, Counts(15000.0, float(errors)))
    assert state.baseline.expectation().clustering == pytest.approx(4.75, rel=0.15)
    assert learned(BEFORE).baseline.expectation().clustering == 1.0


INCREMENT = st.tuples(st.floats(0.1, 100), st.integers(0, 5000).map(float), st.floats(0, 1)).map(
    lambda t: (t[0], t[1], t[1] * t[2])
)


@given(st.lists(INCREMENT, max_size=10), st.lists(INCREMENT, max_size=25), st.booleans())
def test_any_counts(before: Increments, watch: Increments, beside: bool) -> None:
    """Whatever the counts, there is a judgement, and it is not bad and shared at once."""
    state = learned(before, limit=0.3 if beside else None)
    for increment in watch:
        state = stepped(state, [increment], [increment] if beside else [])
        judgement = state.judgement
        assert 0 <= judgement.p_value <= 1
        assert not (judgement.bad and judgement.shared)
        assert not beside or not judgement.bad or judgement.reference


@given(st.lists(INCREMENT, max_size=10), st.lists(INCREMENT, max_size=25))
def test_found_by_any_prefix(before: Increments, watch: Increments) -> None:
    """What is declared after some polls does not depend on the polls that follow."""
    state = learned(before)
    found = [stepped(state, watch[:i]).judgement.bad for i in range(len(watch) + 1)]
    times = [sum(s for s, _, _ in watch[: i + 1]) for i in range(len(watch))]
    expected = next((t for t, bad in zip(times, found[1:], strict=True) if bad), None)
    result = detect.replay(before, watch)
    assert result == (None if expected is None else pytest.approx(expected))


def test_restart_forgets_counts_and_keeps_what_was_known() -> None:
    """After a restart the baseline is known, nothing is judged, and there is no warm-up."""
    bad = stepped(learned(BEFORE), [BAD] * 4)
    state = detect.restart(bad)
    assert state.baseline == bad.baseline
    assert state.judgement == detect.Judgement()
    assert state.condemned == pytest.approx(0.5)
    assert not detect.recovered(state)
    assert detect.recovered(stepped(state, [WELL]))
    assert not detect.recovered(stepped(state, [(15.0, 4.0, 0.0)]))


def ordered(values: Sequence[float], test: Callable[[float, float], bool]) -> bool:
    """Whether each value and its successor pass the test."""
    return all(test(a, b) for a, b in pairwise(values))


def test_stricter_level_is_later() -> None:
    """A smaller accepted chance of a false alarm never finds a regression sooner."""
    watch = steady(1200, 20, 0.005)
    times = []
    for level in (0.1, 0.01, 0.001, 0.0001):
        state = learned(BEFORE, level=level)
        polls = 0
        while not state.judgement.bad:
            state = stepped(state, watch[:1])
            polls += 1
        times.append(polls)
    assert ordered(times, lambda a, b: a <= b)
    assert times[0] < times[-1]


def test_shares_that_move_during_a_shared_fault() -> None:
    """Old pods that served mostly before a shared fault began do not accuse the new ones."""
    state = detect.State(detect.Settings(limit=0.1, warm_up=0.0))
    for second in range(30):
        new, old = 10 + 4 * second, 130 - 4 * second
        ratio = 0.6 if second >= 24 else 0.0
        state = detect.step(state, 1.0, Counts(new, ratio * new), Counts(old, ratio * old))
        assert not state.judgement.bad
    assert state.judgement.shared
    assert not stepped(state, [(1.0, 140.0, 84.0)] * 60).judgement.bad


def test_shares_that_move_while_only_the_candidate_fails() -> None:
    """The same rollout with a fault of the new pods alone is found."""
    state = detect.State(detect.Settings(warm_up=0.0))
    for second in range(30):
        new, old = 10 + 4 * second, 130 - 4 * second
        ratio = 0.1 if second >= 5 else 0.0
        state = detect.step(state, 1.0, Counts(new, ratio * new), Counts(old, 0.0))
    assert state.judgement.bad
    assert state.judgement.reference == "control"


def test_little_baseline_has_an_unknown_variance() -> None:
    """The shorter the baseline, the less it says of the level of the time after it."""
    least = [
        learned(steady(seconds, 100, 0.001)).baseline.expectation().least
        for seconds in (30, 60, 360, 900, 3600, 86_400)
    ]
    assert least[:3] == [detect.UNKNOWN_VARIANCE] * 3
    assert least[3] == pytest.approx(4 * detect.MODEL_VARIANCE)
    assert least[4:] == [detect.MODEL_VARIANCE] * 2


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


# --- late regressions -------------------------------------------------------------------------

BESIDE_OLD = steady(120, 50, 0.001)


@pytest.mark.parametrize(
    ("late", "ratio", "bad"),
    [
        ("outage", 0.004, False),
        ("outage", 0.5, True),
        ("any", 0.004, True),
        ("none", 0.5, False),
    ],
)
def test_what_begins_when_the_old_pods_are_gone(late: detect.Late, ratio: float, bad: bool) -> None:
    """What nobody can attribute is held against the deploy as the settings say, and named so."""
    state = detect.State(detect.Settings(late=late))
    for seconds, requests, errors in BEFORE:
        state = detect.learn(state, seconds, Counts(requests, errors))
    state = stepped(state, BESIDE_OLD, BESIDE_OLD)
    state = stepped(state, steady(180, 100, 0.001))
    state = stepped(state, steady(600, 100, ratio))
    assert state.judgement.bad is bad
    assert state.judgement.suspect is not bad
    assert state.judgement.unattributed


def test_what_was_there_from_the_beginning_is_the_deploys() -> None:
    """A regression since the deploy is one also when the old pods were gone too early to tell."""
    few = steady(30, 3, 0.001)
    state = stepped(learned(BEFORE), steady(30, 3, 0.02), few)
    state = stepped(state, steady(300, 10, 0.02))
    assert state.judgement.bad
    assert not state.judgement.accused_by_old


@pytest.mark.parametrize("attribute", [True, False])
def test_attribution_can_be_switched_off(attribute: bool) -> None:
    """Without attribution a shared outage is a regression like any other."""
    state = detect.State(detect.Settings(attribute=attribute))
    for seconds, requests, errors in BEFORE:
        state = detect.learn(state, seconds, Counts(requests, errors))
    judgement = stepped(state, [BAD] * 4, [BAD] * 4).judgement
    assert judgement.bad is not attribute
    assert judgement.shared is attribute


def test_old_pods_in_trouble_when_they_go() -> None:
    """An outage that began while the last old pods left is not the deploy's fault afterwards."""
    state = stepped(learned(BEFORE), steady(60, 50, 0.001), steady(60, 50, 0.001))
    state = stepped(state, [(15.0, 1500.0, 300.0)], [(15.0, 100.0, 12.0)])
    state = stepped(state, [BAD] * 20)
    assert state.judgement.shared
    assert not state.judgement.bad


# --- suspicion --------------------------------------------------------------------------------


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
