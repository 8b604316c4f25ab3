"""Regressions put into ordinary days: their size, where they are, and that they repeat."""

from __future__ import annotations

import random
from statistics import mean

import pytest

from decide.building import START, baseline, fine, gauge, latency, policy, ratio, watched
from deploy_guard.backtest.inject import Injection, Kind, binomial, injected, injections
from deploy_guard.backtest.model import Deploy, Trial
from deploy_guard.model import Counts, Latencies, Sample

TRIAL = Trial(Deploy(START, "day", ordinary=True), START, tuple(watched(fine, before=baseline())))


@pytest.mark.parametrize(
    ("n", "p"), [(10, 0.5), (1500, 0.01), (100_000, 0.05), (40, 0.0), (5, 1.0)]
)
def test_draws_have_the_mean_and_the_spread_of_a_binomial(n: int, p: float) -> None:
    """Within five standard errors of n p, and never below 0 or above n."""
    draw = random.Random(1)
    drawn = [binomial(n, p, draw) for _ in range(400)]
    assert min(drawn) >= 0
    assert max(drawn) <= n
    deviation = (n * p * (1 - p)) ** 0.5
    assert abs(mean(drawn) - n * p) <= 5 * deviation / 20 + 1e-9
    spread = mean((d - n * p) ** 2 for d in drawn) ** 0.5
    assert spread == pytest.approx(deviation, rel=0.2, abs=1e-9)


def test_errors_are_added_to_the_new_pods_alone() -> None:
    """About the share of the quick requests fails more; the baseline and the rest stay."""
    made = list(
        injected(policy(ratio()), TRIAL, TRIAL.observations, Injection(Kind.ERRORS, 0.05), seed=1)
    )
    more = requests = 0.0
    for before, after in zip(TRIAL.observations, made, strict=True):
        if isinstance(before, Sample) and isinstance(before.candidate, Counts):
            assert isinstance(after, Sample)
            assert isinstance(after.candidate, Counts)
            assert after.candidate.requests == before.candidate.requests
            assert after.control == before.control
            more += after.candidate.errors - before.candidate.errors
            requests += before.candidate.requests
        else:
            assert after == before
    assert more / requests == pytest.approx(0.05, rel=0.1)


def test_slow_requests_move_to_the_slowest_bucket() -> None:
    """The number of requests stays, the share of the quick ones falls."""
    bounds = (0.1, 0.5, float("inf"))
    slow = Sample("latency", START + 15, 15, Latencies(bounds, (8000.0, 9900.0, 10000.0)))
    rules, injection = policy(latency()), Injection(Kind.SLOW, 0.05)
    [made] = injected(rules, TRIAL, [slow], injection, seed=1)
    assert isinstance(made, Sample)
    assert isinstance(made.candidate, Latencies)
    assert made.candidate.count == 10000
    assert made.candidate.at_most[0] == pytest.approx(7600, rel=0.01)
    assert made.candidate.at_most[1] == pytest.approx(9405, rel=0.01)


def test_pods_in_their_warm_up_get_their_part() -> None:
    """What is warming is a part of the new pods, and gets the same share."""
    warm = Sample("errors", START + 15, 15, Counts(1000, 0), warming=Counts(400, 0))
    [made] = injected(policy(ratio()), TRIAL, [warm], Injection(Kind.ERRORS, 0.05), seed=1)
    assert isinstance(made, Sample)
    assert isinstance(made.candidate, Counts)
    assert isinstance(made.warming, Counts)
    assert made.warming.errors == pytest.approx(0.4 * made.candidate.errors)


def test_the_same_seed_draws_the_same() -> None:
    """Two runs are alike, another seed is not."""

    def made(seed: int) -> list[object]:
        injection = Injection(Kind.ERRORS, 0.01)
        return list(injected(policy(ratio()), TRIAL, TRIAL.observations, injection, seed=seed))

    assert made(1) == made(1)
    assert made(1) != made(2)


def test_one_signal_of_several_has_the_regression() -> None:
    """The signal is drawn for each deploy, and each has its turn."""
    rules = policy(ratio("api"), ratio("web"))
    hit = set()
    for number in range(20):
        day = Trial(Deploy(START + number, "day", ordinary=True), START, ())
        polls = [Sample(name, START + 15, 15, Counts(10_000, 0)) for name in ("api", "web")]
        made = injected(rules, day, polls, Injection(Kind.ERRORS, 0.05), seed=1)
        worse = [e.signal for e in made if isinstance(e, Sample) and e not in polls]
        assert len(worse) == 1
        hit.update(worse)
    assert hit == {"api", "web"}


def test_only_what_the_signals_can_show_is_injected() -> None:
    """Ratios show errors, histograms slowness, plain numbers neither, and missing ones nothing."""
    assert {i.kind for i in injections(policy(ratio(), gauge()))} == {Kind.ERRORS}
    both = policy(ratio(), latency())
    assert {i.kind for i in injections(both)} == {Kind.ERRORS, Kind.SLOW}
    assert {i.kind for i in injections(both, missing=["errors"])} == {Kind.SLOW}
    assert injections(policy(gauge())) == ()
