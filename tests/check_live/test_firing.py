"""What would make a signal fire: what is stated is tried again here, by the core itself."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator

import pytest

from deploy_guard import decide
from deploy_guard.check_live.firing import SHARES, Firing, firing
from deploy_guard.check_live.firing_words import brief, sentence
from deploy_guard.check_live.virtual import Numbers
from deploy_guard.model import Counts, Gauge, Latencies, Probe, Sample, Value, Verdict
from deploy_guard.policy.models import Policy

NOW = 3600.0
BOUNDS = (0.1, 0.25, 0.5, 1.0, math.inf)
RATIO: dict[str, object] = {
    "name": "s",
    "provider": "prometheus",
    "ratio": {"errors": "e", "requests": "r"},
}
LATENCY: dict[str, object] = {"name": "s", "provider": "prometheus", "latency": "b"}
VALUE: dict[str, object] = {"name": "s", "provider": "prometheus", "value": "v"}
PROBE: dict[str, object] = {"name": "s", "provider": "http", "url": "http://api/health"}


def policy(signal: dict[str, object], **watch: object) -> Policy:
    """Return a policy with one signal."""
    return Policy.model_validate(
        {
            "version": "1",
            "watch": {"for": "10m", "interval": "15s", **watch},
            "prometheus": {"url": "http://prometheus"},
            "signals": [signal],
        }
    )


def numbers(value: Value, *, before: bool = True, seconds: float = 30.0) -> Numbers:
    """Return an hour in which every `seconds` brought the same, and go on so."""
    moments = itertools.takewhile(lambda at: at <= NOW, itertools.count(seconds, seconds))
    past = tuple(Sample("s", at, seconds, control=value) for at in moments)
    return Numbers("s", NOW, past if before else (), value, seconds)


def told(policy: Policy, known: Numbers) -> Firing:
    """Return what is told of the only signal."""
    found = firing(policy, policy.signals[0], known)
    assert found is not None
    return found


def fired(policy: Policy, known: Numbers, value: Callable[[int], Value]) -> float | None:
    """Run a watch whose poll `n` brings this value; return after how many seconds it regressed."""
    every = policy.signals[0].interval or policy.watch.interval
    state = decide.begin(policy, started_at=NOW)
    for sample in known.before:
        state = decide.observe(state, sample)
    first = 0 if isinstance(value(0), Gauge | Probe) else 1
    for poll in range(first, int(policy.watch.duration / every) + 1):
        at = NOW + poll * every
        state = decide.observe(state, Sample("s", at, every, candidate=value(poll)))
        if decide.decide(state, at).verdict is Verdict.REGRESSED:
            return at - NOW
    return None


def failing(share: float, rate: float, every: float = 15.0) -> Callable[[int], Value]:
    """Return a candidate of whose requests, in whole ones, this share fails."""

    def value(poll: int) -> Value:
        was, total = (math.floor(rate * every * n + 1e-9) for n in (poll - 1, poll))
        failed = math.floor(share * total + 1e-9) - math.floor(share * was + 1e-9)
        return Counts(total - was, failed)

    return value


def next_lower(share: float) -> float:
    """Return the next share that would be told."""
    return SHARES[SHARES.index(share) - 1]


CASES: list[tuple[dict[str, object], Counts, bool]] = [
    (RATIO, Counts(1200, 3), True),
    (RATIO | {"limit": "5%"}, Counts(1200, 3), True),
    (RATIO | {"limit": "5%", "compare": "false"}, Counts(1200, 3), True),
    (RATIO | {"limit": "5%"}, Counts(30, 0), False),
    (RATIO | {"compare": {"ratio": "3", "difference": "2%"}}, Counts(3000, 30), True),
]


@pytest.mark.parametrize(("signal", "value", "before"), CASES)
def test_the_stated_share_fires_in_the_stated_time_and_the_next_lower_one_does_not(
    signal: dict[str, object], value: Counts, before: bool
) -> None:
    """The very shares are run through the core again; examples take as long as is said."""
    rules, known = policy(signal), numbers(value, before=before)
    found = told(rules, known)
    (edge,) = found.edges
    rate = value.requests / 30.0
    assert found.rate == pytest.approx(rate)
    assert fired(rules, known, failing(edge.at, rate)) == edge.seconds
    assert fired(rules, known, failing(next_lower(edge.at), rate)) is None
    assert found.examples
    assert found.examples[-1][0] == 1.0
    for share, seconds in found.examples:
        assert fired(rules, known, failing(share, rate)) == seconds <= edge.seconds


def histogram(requests: float, slow: float) -> Latencies:
    """Return requests of which this share is slower than 500 ms, all of those than 1 s."""
    quick = requests * (1 - slow)
    return Latencies(BOUNDS, (quick * 0.8, quick * 0.95, quick, quick, requests))


@pytest.mark.parametrize(
    "signal",
    [
        LATENCY | {"limit": {"share": "99%", "below": "500ms"}, "compare": "false"},
        LATENCY | {"limit": {"share": "99%", "below": "500ms"}},
        LATENCY,
    ],
)
def test_the_stated_share_of_slow_requests_fires(signal: dict[str, object]) -> None:
    """So many beyond the stated bound regress in the stated time, a little fewer do not."""
    rules, known = policy(signal), numbers(histogram(1200, 0.002))
    found = told(rules, known)
    (edge,) = found.edges
    bound = found.bound
    assert bound is not None
    usual = histogram(1200, 0.002)

    def slow(share: float) -> Callable[[int], Value]:
        beyond = usual.slower_than(bound).errors
        shape = [
            (1 - share) * n / (usual.count - beyond)
            if edge_of <= bound
            else 1 - share * (usual.count - n) / beyond
            for edge_of, n in zip(BOUNDS, usual.at_most, strict=True)
        ]
        return lambda _: Latencies(BOUNDS, tuple(600 * part for part in shape))

    assert fired(rules, known, slow(edge.at * 1.02)) is not None
    assert fired(rules, known, slow(next_lower(edge.at) * 0.98)) is None
    if "limit" in signal:
        assert bound == 0.5
    assert f"take longer than {bound * 1000:.0f} ms" in sentence(found)


@pytest.mark.parametrize(
    ("limits", "value", "worse"),
    [({"above": "100"}, 12.0, 100.001), ({"below": "5"}, 12.0, 4.999)],
)
def test_a_number_beyond_its_limit_fires_when_it_has_lasted(
    limits: dict[str, object], value: float, worse: float
) -> None:
    """Just beyond the limit it fires after `for`; at the limit it does not."""
    rules, known = policy(VALUE | limits | {"for": "2m"}), numbers(Gauge(value))
    (edge,) = told(rules, known).edges
    assert edge.seconds == 120.0
    assert fired(rules, known, lambda _: Gauge(worse)) == 120.0
    assert fired(rules, known, lambda _: Gauge(edge.at)) is None


def test_an_api_fires_after_its_failures_in_a_row() -> None:
    """As many calls as the policy says, one interval apart, fire; one fewer does not."""
    rules = policy(PROBE | {"failures": "4", "interval": "10s"})
    good = Sample("s", NOW, 0.0, control=Probe(True, 0.1, "answered 200"))
    known = Numbers("s", NOW, (good,), good.control)
    found = told(rules, known)
    (edge,) = found.edges
    assert (edge.at, edge.seconds) == (4, 30.0)
    assert sentence(found) == "fires after 4 failing calls in a row, 30 s after the first"
    assert fired(rules, known, lambda _: Probe(False, 0.1, "500")) == 30.0
    broken = lambda poll: Probe(poll % 4 == 3, 0.1, "")  # noqa: E731
    assert fired(rules, known, broken) is None


NEVER: dict[str, tuple[Policy, Numbers, str]] = {
    "no requests": (
        policy(RATIO | {"limit": "5%"}),
        numbers(Counts(0, 0)),
        "there are no requests now",
    ),
    "too few requests": (
        policy(RATIO | {"limit": "10%"}),
        numbers(Counts(3, 0), seconds=1800.0),
        "even with every request failing for 10 m, at 0.1 requests/min: 1 request would prove",
    ),
    "nothing exceeds 100 %": (
        policy(RATIO | {"limit": "100%", "compare": "false"}),
        numbers(Counts(1200, 3)),
        "no share exceeds the limit of 100 %",
    ),
    "interval longer than the watch": (
        policy(RATIO | {"interval": "20m"}),
        numbers(Counts(1200, 3)),
        "its interval of 20 m is longer than the watch of 10 m",
    ),
    "shorter than what has to last": (
        policy(VALUE | {"above": "100", "for": "11m"}),
        numbers(Gauge(12.0)),
        "a breach must last 11 m, the watch lasts 10 m",
    ),
    "beyond the limit already": (
        policy(VALUE | {"above": "10"}),
        numbers(Gauge(12.0)),
        "what runs now is as bad already, which acquits a deploy: 12",
    ),
    "most fail already": (
        policy(RATIO | {"limit": "5%"}),
        numbers(Counts(1200, 1000)),
        "what runs now is as bad already, which acquits a deploy: 83 % now, 83 % before",
    ),
    "an API that fails already": (
        policy(PROBE),
        Numbers(
            "s",
            NOW,
            (Sample("s", NOW, 0.0, control=Probe(False, 0.1, "503")),),
            Probe(False, 0.1, "503"),
        ),
        "the call fails already, before any deploy",
    ),
    "more calls than fit": (
        policy(PROBE | {"failures": "50"}),
        Numbers(
            "s",
            NOW,
            (Sample("s", NOW, 0.0, control=Probe(True, 0.1, "")),),
            Probe(True, 0.1, ""),
        ),
        "50 calls at an interval of 15 s do not fit into the watch of 10 m",
    ),
    "most failed before": (
        policy(RATIO),
        numbers(Counts(1200, 1000)),
        "even with every request failing for 10 m, at 40 requests/s: ",
    ),
}


def worst(signal: object) -> Iterator[Callable[[int], Value]]:
    """Yield the worst candidates of a kind of signal."""
    if isinstance(signal, Gauge):
        yield lambda _: Gauge(signal.value + 1e-3)
    elif isinstance(signal, Probe):
        yield lambda _: Probe(False, 0.1, "")
    elif isinstance(signal, Counts):
        rate = signal.requests / 30.0
        yield lambda _: Counts(rate * 15, rate * 15)


@pytest.mark.parametrize("name", NEVER)
def test_what_cannot_fire_says_why(name: str) -> None:
    """Not even the worst candidate regresses when the core is asked, and the reason is told."""
    rules, known, why = NEVER[name]
    found = told(rules, known)
    assert found.edges == ()
    assert found.never.startswith(why), found.never
    assert (found.short, brief(found)) == ("never", "never")
    assert sentence(found).startswith("cannot fire: ")
    if name != "too few requests":  # of which the hour had fewer than whole ones
        for value in worst(known.now):
            assert fired(rules, known, value) is None


def test_the_traffic_that_would_be_enough_is_told() -> None:
    """Where only requests are lacking, the stated traffic does fire, and the present one not."""
    rules, known = policy(RATIO | {"limit": "10%"}), numbers(Counts(1, 0), seconds=300.0)
    never = told(rules, known).never
    found = re.search(r"; at (\d[\d.]*) requests/min it could$", never)
    assert found is not None, never
    assert fired(rules, known, failing(1.0, float(found[1]) / 60)) is not None
    assert fired(rules, known, failing(1.0, 1 / 300)) is None


def test_an_outage_within_the_warm_up_fires_although_the_watch_is_shorter() -> None:
    """A watch that ends within its warm-up still sees an outage; that is found, not assumed."""
    rules = policy(RATIO | {"limit": "5%"}, **{"for": "1m", "warm_up": "2m"})
    known = numbers(Counts(1200, 3))
    (edge,) = told(rules, known).edges
    assert edge.at > 0.05
    assert fired(rules, known, failing(edge.at, 40.0)) == edge.seconds <= 60


def test_the_words_have_every_number() -> None:
    """The sentence names the share, the time, the traffic, what is now and what was before."""
    found = told(policy(RATIO | {"limit": "5%"}), numbers(Counts(1200, 3)))
    (edge,) = found.edges
    share = f"{edge.at * 100:.2g} %"
    assert sentence(found).startswith(
        f"fires at {share} or more within 10 m at 40 requests/s (now 0.25 %, baseline 0.25 %); "
    )
    assert sentence(found).endswith("100 % in 15 s") or sentence(found).endswith("100 % in 30 s")
    assert found.short == f"≥ {share}"
    assert brief(found).startswith(f"≥ {share} in ")


def test_little_traffic_is_told_by_the_minute() -> None:
    """0.5 requests a second are 30 a minute."""
    found = told(policy(RATIO | {"limit": "5%"}), numbers(Counts(15, 0)))
    assert "at 30 requests/min" in sentence(found)


def test_without_numbers_nothing_is_claimed() -> None:
    """A signal of which nothing is known has no threshold, and no 'never' either."""
    rules = policy(RATIO)
    assert firing(rules, rules.signals[0], Numbers("s", NOW)) is None
