"""A histogram of durations, from readings to a finding in words."""

from __future__ import annotations

import math
from typing import Any

import pytest

from deploy_guard import decide
from deploy_guard.model import Evidence, Finding, Latencies, Sample, Verdict

from .building import START, Entry, baseline, judge, latency, policy, sample, seen, watched

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, math.inf)


def histogram(
    median: float, *, count: float = 1500, bounds: tuple[float, ...] = BOUNDS
) -> Latencies:
    """Return a histogram of log-normal durations (sigma 0.6) with this median in seconds."""
    at_most = tuple(
        count
        if math.isinf(b)
        else count * 0.5 * (1 + math.erf(math.log(b / median) / (0.6 * math.sqrt(2))))
        for b in bounds
    )
    return Latencies(bounds, at_most)


NORMAL = histogram(0.04)
BEFORE = baseline(NORMAL, signal="latency")


def served(
    candidate: Latencies | None, control: Latencies | None = None, *, before: bool = True
) -> list[Entry]:
    """Return a watch in which every poll has these histograms."""
    return watched(
        lambda at: [sample(at, candidate, control, signal="latency")],
        before=BEFORE if before else [],
    )


def found(entries: list[Entry], **spec: Any) -> Evidence:
    """Return the evidence of the latency signal when the verdict falls."""
    return judge(policy(latency(**spec)), entries).evidence[1]


@pytest.mark.parametrize("times", [1.5, 3.0])
def test_slower_than_before(times: float) -> None:
    """Requests that take one and a half times as long are found within two minutes."""
    decision = judge(policy(latency()), served(histogram(0.04 * times)))
    assert decision.verdict is Verdict.REGRESSED
    evidence = decision.evidence[1]
    assert evidence.numbers["seconds"] <= 120
    assert evidence.unit == "seconds"
    assert evidence.current is not None
    assert evidence.baseline is not None
    assert evidence.current > evidence.baseline
    assert "slower than" in evidence.text
    assert "p99" in evidence.text


@pytest.mark.parametrize("times", [0.5, 1.0, 1.05])
def test_as_quick_as_before(times: float) -> None:
    """The same latency, a better one, and one that is hardly worse, are healthy."""
    decision = judge(policy(latency()), served(histogram(0.04 * times)))
    assert decision.verdict is Verdict.HEALTHY


def test_slower_than_the_old_pods() -> None:
    """Without a baseline the old pods at the same time show that the candidate is slow."""
    slow = served(histogram(0.12), NORMAL, before=False)
    same = served(NORMAL, NORMAL, before=False)
    assert judge(policy(latency()), slow).verdict is Verdict.REGRESSED
    assert judge(policy(latency()), same).verdict is Verdict.HEALTHY


def test_as_slow_as_the_old_pods() -> None:
    """Slowness that the old pods share is not the deploy's."""
    decision = judge(policy(latency()), served(histogram(0.12), histogram(0.12)))
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.evidence[1].finding is Finding.SHARED


@pytest.mark.parametrize("before", [True, False])
def test_bounds_that_differ_between_versions(before: bool) -> None:
    """A candidate with other buckets is compared at the bounds that both versions have."""
    other = (0.02, 0.05, 0.1, 0.3, 1.0, math.inf)
    slow = histogram(0.12, bounds=other)
    assert found(served(slow, None if before else NORMAL, before=before)).finding is Finding.BAD
    same = histogram(0.04, bounds=other)
    evidence = found(served(same, None if before else NORMAL, before=before))
    assert evidence.finding is Finding.GOOD
    assert evidence.numbers["bound"] in set(other) & set(BOUNDS)


def test_no_bound_in_common() -> None:
    """Histograms without a common bound cannot be compared, which is never good."""
    evidence = found(served(histogram(0.04, bounds=(0.03, 0.3, math.inf))))
    assert evidence.finding is Finding.LITTLE


def test_bounds_that_change_later() -> None:
    """A bound that is missing from later samples neither accuses nor crashes."""
    changed = histogram(0.04, bounds=(0.03, 0.3, math.inf))
    watch = watched(
        lambda at: [sample(at, NORMAL if at < 300 else changed, signal="latency")], before=BEFORE
    )
    assert seen(policy(latency()), watch, "latency").finding is Finding.GOOD


@pytest.mark.parametrize(
    ("median", "finding"),
    [(0.04, Finding.GOOD), (0.12, Finding.BAD)],
    ids=["within", "exceeded"],
)
def test_limit(median: float, finding: Finding) -> None:
    """A share of requests that has to be quick is judged without a baseline."""
    limit = {"share": 0.95, "below": 0.25}
    evidence = found(served(histogram(median), before=False), limit=limit, compare=False)
    assert evidence.finding is finding
    assert evidence.rule == "limit"
    assert evidence.limit == 0.25
    assert "limit of 5 %" in evidence.text
    assert "p95" in evidence.text


@pytest.mark.parametrize(
    ("spec", "finding"),
    [({"limit": {"share": 0.95, "below": 0.25}}, Finding.GOOD), ({}, Finding.LITTLE)],
    ids=["limit", "no limit"],
)
def test_a_past_too_short_to_compare_with(spec: dict[str, Any], finding: Finding) -> None:
    """With a limit a service without a past can be good, without one nothing is known of it."""
    past = baseline(histogram(0.04, count=15), signal="latency", minutes=0.25)
    entries = watched(lambda at: [sample(at, NORMAL, signal="latency")], before=past)
    assert found(entries, **spec).finding is finding


def test_limit_between_two_bounds() -> None:
    """A limit between two bounds is judged at the upper one, so that it accuses nobody wrongly."""
    limit = {"share": 0.95, "below": 0.3}
    evidence = found(served(NORMAL, before=False), limit=limit, compare=False)
    assert evidence.numbers["bound"] == 0.5


def test_limit_was_exceeded_before() -> None:
    """A latency limit that was exceeded before the deploy is not the deploy's fault."""
    limit = {"share": 0.99, "below": 0.1}
    evidence = found(served(NORMAL), limit=limit, compare=False)
    assert evidence.finding is Finding.SHARED


def test_most_were_slower_than_the_limit_before() -> None:
    """A service that was nearly all too slow before is not taken back for being so again."""
    slow = histogram(0.4)
    entries = watched(
        lambda at: [sample(at, slow, signal="latency")], before=baseline(slow, signal="latency")
    )
    decision = judge(policy(latency(limit={"share": 0.99, "below": 0.1})), entries)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert "it was so before: not the deploy" in decision.evidence[1].text


def test_judged_for_the_first_time_after_a_rollback() -> None:
    """Where the condemned pods never served, what is seen later is told of the pods after them."""
    state = decide.begin(policy(latency()), started_at=START)
    for entry in BEFORE:
        state = decide.observe(state, entry)
    again = state.signals[1].judge.again()
    assert "no requests after the rollback" in again.evidence(START).text
    again = again.take(Sample("latency", START + 15, 15.0, histogram(0.04)))
    assert "after the rollback" in again.evidence(START + 15).text


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        (Latencies((math.inf,), (1500.0,)), "no limit that the buckets can show"),
        (histogram(0.04, count=0), "no requests on the new pods"),
        (NORMAL, "no histogram of before"),
        (histogram(0.04, count=1), "fewer than the 50 requests"),
    ],
    ids=["no finite bound", "no requests", "nothing to compare with", "few requests"],
)
def test_too_little(candidate: Latencies, words: str) -> None:
    """A histogram from which nothing can be said is too little, never good."""
    before = candidate.count == 1
    evidence = found(served(candidate, before=before))
    assert evidence.finding is Finding.LITTLE
    assert words in evidence.text


def test_size_of_the_baseline() -> None:
    """The chart's value before the deploy is the quantile of the whole baseline."""
    evidence = found(served(NORMAL))
    assert evidence.baseline == pytest.approx(NORMAL.quantile(0.99))
    assert evidence.current == pytest.approx(NORMAL.quantile(0.99))


def test_limit_and_old_pods() -> None:
    """A latency limit that is kept does not keep the old pods from accusing the candidate."""
    entries = served(histogram(0.12), NORMAL, before=False)
    assert found(entries, limit={"share": 0.5, "below": 2.5}).finding is Finding.BAD


def test_a_limit_that_no_bucket_shows() -> None:
    """What is good only next to the time before says that the limit was not looked at."""
    evidence = found(served(NORMAL), limit={"share": 0.99, "below": 5.0})
    assert evidence.finding is Finding.GOOD
    assert evidence.rule == "comparison"
    assert evidence.text.endswith("; no bucket shows the limit of 5 s")


def test_a_limit_and_other_buckets_than_before() -> None:
    """A limit is judged at once, although no bound of the time before is left."""
    slow = histogram(0.12, bounds=(0.03, 0.3, math.inf))
    evidence = found(served(slow), limit={"share": 0.99, "below": 0.3})
    assert evidence.finding is Finding.BAD
    assert evidence.rule == "limit"


def test_buckets_that_all_requests_exceeded() -> None:
    """Buckets that are too small are named, with the share that was slower before."""
    large = Latencies((0.01, 0.1, math.inf), (0.0, 0.0, 1500.0))
    before = baseline(large, signal="latency")
    watch = watched(lambda at: [sample(at, large, signal="latency")], before=before)
    evidence = found(watch)
    assert evidence.finding is Finding.LITTLE
    words = "slower than 100 ms: 100 % before: nothing could be seen to get slower"
    assert evidence.text == words
