"""From the evidence of all signals to the verdict: never green without evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from deploy_guard import decide
from deploy_guard.model import Counts, Finding, Gauge, Probe, Reading, Symptom, Tick, Verdict

from .building import (
    EVERY,
    LENGTH,
    START,
    Entry,
    Readings,
    baseline,
    fine,
    gap,
    gauge,
    judge,
    latency,
    look,
    pods,
    policy,
    probe,
    ratio,
    sample,
    watched,
)

BAD = Counts(1500, 750)


def test_healthy() -> None:
    """A candidate whose signals are good to the end, and whose rollout is complete, is healthy."""
    decision = judge(policy(ratio()), watched(fine, before=baseline()))
    assert decision.verdict is Verdict.HEALTHY
    assert decision.at == START + LENGTH
    assert decision.reason == "2 signals good to the end of the watch, the rollout is complete"
    assert [e.finding for e in decision.evidence] == [Finding.GOOD, Finding.GOOD]


def test_not_while_the_cluster_cannot_be_seen() -> None:
    """A rollout that was complete when the cluster was last seen may not be so any more."""
    entries = watched(fine, before=baseline())
    blind = replace(look(LENGTH - 1), blind="deployments: connection refused")
    decision = judge(policy(ratio()), [*entries[:-1], blind, entries[-1]])
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert "the cluster cannot be seen: deployments: connection refused" in decision.reason


def test_not_before_the_deadline() -> None:
    """However good the evidence, nothing is healthy before the end of the watch."""
    entries = [e for e in watched(fine, before=baseline()) if not isinstance(e, Tick)]
    assert judge(policy(ratio()), [*entries, Tick(START + LENGTH - 0.1)]).verdict is None


@pytest.mark.parametrize(
    ("readings", "verdict", "words"),
    [
        (lambda at: [], Verdict.NO_DATA, "no signal could be read: errors: no requests"),
        (
            lambda at: [gap(at)],
            Verdict.NO_DATA,
            "no signal could be read: errors: no data in 39 polls; timeout: no answer within 10 s",
        ),
        (
            lambda at: fine(at) if at % 45 == 0 else [gap(at)],
            Verdict.INCONCLUSIVE,
            "errors: no data in 26 of 39 polls",
        ),
        (
            lambda at: fine(at) if at < 500 else [],
            Verdict.INCONCLUSIVE,
            "errors: nothing read for 1 m 45 s",
        ),
        (
            lambda at: [sample(at, Counts(1, 0))],
            Verdict.INCONCLUSIVE,
            "errors: errors 0 of 37 (0 %) since the warm-up: fewer than the 50 requests",
        ),
        (
            lambda at: [sample(at, Counts(0, 0))],
            Verdict.INCONCLUSIVE,
            "errors: no requests on the new pods to judge yet",
        ),
        (
            lambda at: [sample(at, None, Counts(1500, 1.5))],
            Verdict.NO_DATA,
            "no signal could be read: errors: no requests on the new pods",
        ),
    ],
    ids=[
        "no readings",
        "only polls without data",
        "most polls without data",
        "silence at the end",
        "too few requests",
        "no requests",
        "only old pods",
    ],
)
def test_missing_evidence(readings: Readings, verdict: Verdict, words: str) -> None:
    """Whatever is missing, the verdict is not healthy and says what is missing."""
    decision = judge(policy(ratio()), watched(readings, before=baseline()))
    assert decision.verdict is verdict
    assert decision.reason.startswith(words)


def test_half_of_the_polls_are_enough() -> None:
    """A signal that was read in half of the polls can be good."""
    readings: Readings = lambda at: fine(at) if at % 30 == 15 else [gap(at)]  # noqa: E731
    assert judge(policy(ratio()), watched(readings, before=baseline())).verdict is Verdict.HEALTHY


def test_incomplete_rollout() -> None:
    """A rollout that is not complete at the deadline is inconclusive, with the pods counted."""
    decision = judge(policy(ratio()), watched(fine, before=baseline(), complete=False))
    assert decision.verdict is Verdict.INCONCLUSIVE
    words = "the rollout is not complete: 2 of 3 pods updated, 3 available"
    assert decision.reason == words


def test_rollout_not_seen() -> None:
    """A rollout that was never looked at is not complete."""
    entries = [e for e in watched(fine, before=baseline()) if not hasattr(e, "rollout")]
    decision = judge(policy(ratio()), entries)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.reason == "the rollout is not complete: the rollout has not been seen yet"


def test_rollout_that_is_undone() -> None:
    """The last look at the rollout counts, not the best one."""
    entries = watched(fine, before=baseline())
    entries.insert(-1, look(590, complete=False))
    assert judge(policy(ratio()), entries).verdict is Verdict.INCONCLUSIVE


def test_pods_not_seen() -> None:
    """Without a look at the candidate's pods nothing is healthy."""
    entries = [
        e for e in watched(fine, before=baseline()) if getattr(e, "signal", "") != "kubernetes"
    ]
    decision = judge(policy(ratio()), entries)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.reason.startswith("kubernetes: no new pods seen yet")


@pytest.mark.parametrize(
    ("entries", "verdict"),
    [
        (watched(lambda at: []), Verdict.HEALTHY),
        (watched(lambda at: [], complete=False), Verdict.INCONCLUSIVE),
        ([look(0), Tick(START + LENGTH)], Verdict.NO_DATA),
        ([look(0), pods(1), Tick(START + LENGTH)], Verdict.INCONCLUSIVE),
        ([Tick(START + LENGTH)], Verdict.NO_DATA),
    ],
    ids=["pods well", "rollout incomplete", "pods not seen", "pods not seen for long", "nothing"],
)
def test_no_signals(entries: list[Entry], verdict: Verdict) -> None:
    """A policy without signals is judged by the cluster's own signs, which must have been seen."""
    assert judge(policy(), entries).verdict is verdict


EXTRA: list[tuple[str, Callable[[float], list[Reading]], Verdict]] = [
    ("not read", lambda at: [], Verdict.HEALTHY),
    ("no data", lambda at: [gap(at, signal="extra")], Verdict.HEALTHY),
    ("little", lambda at: [sample(at, Counts(1, 0), signal="extra")], Verdict.HEALTHY),
    ("good", lambda at: [sample(at, Counts(1500, 1), signal="extra")], Verdict.HEALTHY),
    ("bad", lambda at: [sample(at, BAD, signal="extra")], Verdict.REGRESSED),
    ("shared", lambda at: [sample(at, BAD, BAD, signal="extra")], Verdict.INCONCLUSIVE),
]


@pytest.mark.parametrize(("name", "readings", "verdict"), EXTRA, ids=[e[0] for e in EXTRA])
def test_optional_signal(
    name: str, readings: Callable[[float], list[Reading]], verdict: Verdict
) -> None:
    """An optional signal may lack data; what it says counts as much as any other's."""
    spec = policy(ratio(), ratio("extra", optional=True))
    before = [*baseline(), *baseline(signal="extra")]
    entries = watched(lambda at: [*fine(at), *readings(at)], before=before)
    assert judge(spec, entries).verdict is verdict, name


@pytest.mark.parametrize("readings", [EXTRA[0][1], EXTRA[1][1]], ids=["not read", "no data"])
def test_only_optional_signals(readings: Callable[[float], list[Reading]]) -> None:
    """A policy whose signals are all optional and all unread has no data, and is not healthy."""
    decision = judge(policy(ratio("extra", optional=True)), watched(readings))
    assert decision.verdict is Verdict.NO_DATA


def test_one_of_two_signals_without_data() -> None:
    """A required signal without data makes the verdict inconclusive, and is named."""
    spec = policy(ratio(), ratio("other"))
    entries = watched(lambda at: [*fine(at), gap(at, signal="other")], before=baseline())
    decision = judge(spec, entries)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.reason.startswith("other: no data in 39 polls")


def test_bad_signal_among_good_ones() -> None:
    """One bad signal is a regression at the second poll, whatever the others say."""
    spec = policy(ratio(), gauge(), probe(), latency())

    def readings(at: float) -> list[Reading]:
        return [
            sample(at, BAD),
            sample(at, Gauge(1), signal="queue"),
            sample(at, Probe(True, 0.1, ""), signal="payments"),
            gap(at, signal="latency"),
        ]

    decision = judge(spec, watched(readings, before=baseline()))
    assert decision.verdict is Verdict.REGRESSED
    assert decision.at == START + 2 * EVERY
    assert decision.reason.startswith("errors: ")


def test_shared_fault_does_not_hide_another() -> None:
    """A fault that is shared does not keep a bad signal from being a regression."""
    spec = policy(ratio(), ratio("other"))
    before = [*baseline(), *baseline(signal="other")]
    entries = watched(
        lambda at: [sample(at, BAD, BAD), sample(at, BAD, Counts(1500, 1), signal="other")],
        before=before,
    )
    decision = judge(spec, entries)
    assert decision.verdict is Verdict.REGRESSED
    assert decision.reason.startswith("other: ")


def test_unknown_signal() -> None:
    """A reading of a signal that the policy does not have is an error, not ignored."""
    with pytest.raises(KeyError, match="typo"):
        judge(policy(ratio()), [sample(1, BAD, signal="typo")])


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (ratio(), ""),
        (ratio(limit="5%"), "at most 5 %"),
        (latency(limit={"share": "99.9%", "below": "300ms"}), "99.9 % below 300 ms"),
        (gauge(), "at most 100"),
        (gauge(above=10, below=2), "at most 10 and at least 2"),
        (probe(), "3 failures in a row"),
        (probe(failures=1), "1 failure in a row"),
    ],
    ids=["none", "ratio", "latency", "above", "above and below", "probe", "probe of one"],
)
def test_limit_text(spec: dict[str, object], words: str) -> None:
    """A signal's limit is told in the words of the policy."""
    assert decide.limit_text(policy(spec).signals[0]) == words


def test_summaries() -> None:
    """The summary of a signal has its history with gaps, its counts and its last problem."""
    state = decide.begin(policy(ratio(limit=0.05)), started_at=START)
    for item in (*baseline(), *fine(15), gap(30), sample(45, Counts(0, 0)), gap(60)):
        state = decide.observe(state, item)
    cluster, errors = decide.summaries(state, START + 60)
    assert (cluster.name, cluster.finding) == ("kubernetes", Finding.NO_DATA)
    assert errors.history[0] == pytest.approx(0.001)
    assert errors.history[1:] == (None, None, None)
    assert (errors.samples, errors.no_data) == (2, 2)
    assert errors.problem == "timeout: no answer within 10 s"
    assert (errors.unit, errors.limit, errors.limit_text) == ("ratio", 0.05, "at most 5 %")
    assert errors.baseline == pytest.approx(0.001)


def test_problem_is_over_with_the_next_sample() -> None:
    """A problem is told until the signal can be read again."""
    state = decide.begin(policy(ratio()), started_at=START)
    for item in (gap(15), *fine(30)):
        state = decide.observe(state, item)
    assert decide.summaries(state, START + 30)[1].problem == ""


def test_history_is_bounded() -> None:
    """A long watch keeps the last values for its chart, not all."""
    state = decide.begin(policy(gauge()), started_at=START)
    for i in range(1000):
        state = decide.observe(state, sample(i, Gauge(i), signal="queue"))
    history = decide.summaries(state, START + 1000)[1].history
    assert len(history) == 240
    assert history[-1] == 999


def test_symptom_in_the_reason() -> None:
    """What the cluster says comes first in the reason when several signals are bad."""
    symptom = Symptom("OOMKilled", "exit code 137")
    entries = [*baseline(), pods(14, symptom), sample(15, BAD)]
    assert judge(policy(ratio()), entries).reason.startswith("kubernetes: OOMKilled")


def test_signal_with_its_own_interval() -> None:
    """A signal that is read every five minutes is not silent after two."""
    readings: Readings = lambda at: fine(at) if at in (150, 450) else []  # noqa: E731
    spec = policy(ratio(interval="5m"))
    assert judge(spec, watched(readings, before=baseline())).verdict is not Verdict.NO_DATA
    assert "nothing read" not in judge(spec, watched(readings, before=baseline())).reason
