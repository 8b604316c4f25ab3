"""Call-outs: a policy that cannot fire, that fires now, or that says nothing, each proven right."""

from __future__ import annotations

from dataclasses import replace

import pytest

from check_live.test_firing import (
    LATENCY,
    NOW,
    PROBE,
    RATIO,
    VALUE,
    failing,
    fired,
    histogram,
    numbers,
    policy,
)
from deploy_guard import decide, text
from deploy_guard.check_live.callouts import Callout, callouts, notes
from deploy_guard.check_live.firing import firing
from deploy_guard.check_live.recent import Recent
from deploy_guard.check_live.virtual import Numbers, surely
from deploy_guard.model import (
    Counts,
    Finding,
    Gauge,
    NoData,
    NoDataReason,
    Probe,
    Reading,
    Sample,
    Value,
)
from deploy_guard.policy.models import Policy


def called(
    rules: Policy,
    known: Numbers,
    *,
    readings: tuple[Reading, ...] = (),
    warnings: tuple[str, ...] = (),
) -> tuple[Callout, ...]:
    """Return what is called out of the only signal, when the present watch has nothing to say."""
    return callouts(
        rules,
        evidence=(),
        recent={"s": Recent(known, warnings=warnings)},
        fires={"s": firing(rules, rules.signals[0], known)},
        readings={"s": [*readings]},
    )


def kinds(found: tuple[Callout, ...]) -> list[str]:
    """Return what kinds of call-outs there are."""
    return [callout.kind for callout in found]


def at_the_end(rules: Policy, known: Numbers, value: Value) -> Finding:
    """Return what the core says at the end of a watch in which every poll brings this."""
    state = decide.begin(rules, started_at=NOW)
    for sample in known.before:
        state = decide.observe(state, sample)
    for poll in range(1, 41):
        state = decide.observe(state, Sample("s", NOW + poll * 15, 15.0, candidate=value))
    return next(e for e in decide.evidence_of(state, NOW + 600) if e.signal == "s").finding


@pytest.mark.parametrize(
    ("signal", "value"),
    [
        (RATIO | {"limit": "5%"}, Counts(1200, 3)),
        (LATENCY | {"limit": {"share": "99%", "below": "500ms"}}, histogram(1200, 0.002)),
        (VALUE | {"above": "100"}, Gauge(12.0)),
    ],
)
def test_a_good_policy_has_no_callout(signal: dict[str, object], value: Value) -> None:
    """Enough traffic, a limit above what is usual: nothing to say."""
    assert called(policy(signal), numbers(value)) == ()


def test_a_limit_that_is_exceeded_now_would_condemn_a_healthy_deploy() -> None:
    """Without a baseline nothing acquits what is beyond the limit already; the core agrees."""
    rules, known = policy(RATIO | {"limit": "5%"}), numbers(Counts(1200, 120), before=False)
    (callout,) = called(rules, known)
    after = fired(rules, known, failing(surely(Counts(1200, 120)), 40.0))
    assert after is not None
    assert callout.kind == "fires_now"
    assert callout.signal == "s"
    assert callout.text.startswith("would condemn a healthy deploy: 10 % now, and ≥ 5.")
    assert f"is condemned after {text.seconds(after)}, unless old pods" in callout.text


def test_a_few_errors_by_chance_are_no_lasting_share() -> None:
    """4 errors of 20 requests are 20 %, and prove nothing of the next ten minutes."""
    rules, known = policy(RATIO | {"limit": "5%"}), numbers(Counts(20, 4), before=False)
    assert fired(rules, known, failing(0.2, 20 / 30)) is not None
    assert "fires_now" not in kinds(called(rules, known))
    assert surely(Counts(20, 4)) == 0
    assert 0.09 < surely(Counts(20000, 2000)) < 0.1


def test_a_baseline_that_is_as_bad_acquits_and_then_a_watch_is_inconclusive() -> None:
    """The same limit with the same past is not the deploy's fault: no condemnation, no 'good'."""
    rules, known = policy(RATIO | {"limit": "5%"}), numbers(Counts(1200, 120))
    assert fired(rules, known, failing(0.1, 40.0)) is None
    assert at_the_end(rules, known, Counts(600, 60)) is Finding.SHARED
    (callout,) = called(rules, known)
    assert callout.kind == "inconclusive"
    assert callout.text.startswith("a deploy that changes nothing would end inconclusive: ")
    assert "it was so before: not the deploy" in callout.text


def test_what_runs_now_and_is_condemned_is_called_out_once() -> None:
    """A signal that is bad in the present watch is told with its evidence."""
    rules, known = policy(RATIO | {"limit": "5%"}), numbers(Counts(1200, 120), before=False)
    state = decide.begin(rules, started_at=NOW)
    for poll in range(1, 5):
        sample = Sample("s", NOW + poll * 15, 15.0, candidate=Counts(600, 60))
        state = decide.observe(state, sample)
    evidence = decide.evidence_of(state, NOW + 60)
    fires = {"s": firing(rules, rules.signals[0], known)}
    found = callouts(
        rules, evidence=evidence, recent={"s": Recent(known)}, fires=fires, readings={}
    )
    assert kinds(found) == ["fires_now"]
    assert found[0].words.startswith("s: would condemn what runs now: errors 120 of 1,200 (10 %)")


def test_too_little_traffic_is_told_with_its_numbers() -> None:
    """The requests that are needed, and those that come: the core ends with too little, too."""
    rules, known = policy(RATIO | {"limit": "50%"}), numbers(Counts(1, 0), seconds=30.0)
    assert at_the_end(rules, known, Counts(0.5, 0)) is Finding.LITTLE
    found = [c for c in called(rules, known) if c.kind == "too_little"]
    assert [c.text for c in found] == [
        "a watch would end inconclusive: min_requests needs 50 requests, about 19 are expected in "
        "9 m 30 s after the warm-up of 30 s, at 2 requests/min"
    ]
    enough = policy(RATIO | {"limit": "50%", "min_requests": "19"})
    assert "too_little" not in kinds(called(enough, known))
    assert at_the_end(enough, known, Counts(0.5, 0)) is Finding.GOOD
    optional = policy(RATIO | {"limit": "50%", "optional": "true"})
    assert "too_little" not in kinds(called(optional, known))


def test_what_can_never_fire_is_called_out_and_so_is_a_policy_of_nothing_else() -> None:
    """No signal that can fire: only the cluster's own signs would."""
    rules, known = policy(RATIO | {"interval": "20m"}), numbers(Counts(1200, 3))
    found = [c for c in called(rules, known) if c.kind == "never_fires"]
    assert [c.signal for c in found] == ["s", ""]
    assert found[0].text.startswith("can never fire now: its interval of 20 m is longer")
    assert found[1].words == (
        "no signal of this policy can fire now: only the cluster's own signs would"
    )


def test_an_api_that_fails_is_told_once() -> None:
    """It cannot fire; that a watch would be inconclusive follows and is not said again."""
    call = Probe(False, 0.1, "expected status 200, got 503")
    known = Numbers("s", NOW, (Sample("s", NOW, 0.0, control=call),), call)
    assert kinds(called(policy(PROBE), known)) == ["never_fires", "never_fires"]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (NoDataReason.EMPTY, ["never_fires", "never_fires"]),
        (NoDataReason.MISSING_METRIC, ["never_fires", "never_fires"]),
        (NoDataReason.UNREACHABLE, []),
        (NoDataReason.TIMEOUT, []),
    ],
)
def test_a_query_without_any_result_can_never_fire(
    reason: NoDataReason, expected: list[str]
) -> None:
    """Nothing there is called out with what is known of it; a server that is away is not."""
    known = Numbers("s", NOW)
    gone = ("the series ended 40 m ago: nothing is scraped any more",)
    failure = NoData("s", NOW, reason, "words")
    found = called(policy(RATIO), known, readings=(failure,), warnings=gone)
    assert kinds(found) == expected
    if expected:
        assert found[0].text.endswith(f"({reason}; {gone[0]})")


def test_old_numbers_are_called_out_unless_nothing_is_left() -> None:
    """A watch would judge what stands still; a series that has ended is told by 'never'."""
    rules, known = policy(RATIO | {"limit": "5%"}), numbers(Counts(1200, 3))
    words = "the newest sample is 3 m old: the query answers with old numbers"
    fires = {"s": firing(rules, rules.signals[0], known)}
    recent = Recent(known, 180.0, old=words, warnings=(words,))
    for gone, expected in ((False, [Callout("old_data", "s", words)]), (True, [])):
        found = callouts(
            rules,
            evidence=(),
            recent={"s": replace(recent, gone=gone)},
            fires=fires,
            readings={},
        )
        assert [*found] == expected


def test_notes_are_no_warnings() -> None:
    """A policy that only reports, or whose signals are all optional, is told so."""
    rules = policy(RATIO | {"optional": "true"})
    reports = rules.model_copy(
        update={"rollback": rules.rollback.model_copy(update={"enabled": False})}
    )
    assert [note.partition(":")[0] for note in notes(reports)] == [
        "rollback.enabled is false",
        "all signals are optional",
    ]
    assert notes(policy(RATIO)) == ()
    nothing = rules.model_copy(update={"signals": []})
    assert notes(nothing) == ("the policy has no signals: only the cluster's own signs are judged",)


def test_the_candidate_is_judged_alone() -> None:
    """Old pods are not assumed: with some that were as bad, the core would say 'not the deploy'."""
    rules, known = policy(RATIO | {"limit": "5%"}), numbers(Counts(1200, 120), before=False)
    assert kinds(called(rules, known)) == ["fires_now"]
    state = decide.begin(rules, started_at=NOW)
    for poll in range(1, 41):
        half = Counts(300, 30)
        sample = Sample("s", NOW + poll * 15, 15.0, candidate=half)
        state = decide.observe(state, replace(sample, control=half))
    assert all(e.finding is not Finding.BAD for e in decide.evidence_of(state, NOW + 600))
