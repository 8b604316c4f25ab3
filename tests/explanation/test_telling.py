"""What is told of a record: the numbers in words, the timeline, the decision; nothing harmful."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from decide.building import (
    LENGTH,
    START,
    baseline,
    fine,
    gap,
    gauge,
    latency,
    policy,
    probe,
    ratio,
    sample,
    watched,
)
from deploy_guard import record
from deploy_guard.explanation import explain, words
from deploy_guard.explanation.agreement import agreement
from deploy_guard.explanation.document import document
from deploy_guard.explanation.showing import show
from deploy_guard.explanation.timeline import timeline
from deploy_guard.model import (
    Counts,
    Event,
    Evidence,
    Finding,
    Gauge,
    Latencies,
    NoData,
    NoDataReason,
    Probe,
    Reading,
)

from .recording import written


def outage(at: float) -> list[Reading]:
    """Return a poll in which one request of twenty fails."""
    return [sample(at, Counts(900, 47))]


@pytest.mark.parametrize(
    ("p_value", "told"),
    [
        (1.0, "once in 1"),
        (0.4, "once in 2.5"),
        (0.03, "once in 33"),
        (1 / 12_340, "once in 12,000"),
        (2e-7, "once in 10⁶"),
        (1e-40, "once in 10⁴⁰"),
        (0.0, "less than once in 10³⁰⁰"),
    ],
)
def test_odds(p_value: float, told: str) -> None:
    """A p-value is told as how often it happens: exact while one can imagine it."""
    assert words.odds(p_value) == told


def test_a_regression_in_words(tmp_path: Path) -> None:
    """Counts, what was expected and why, the chance, the threshold, and that it fires."""
    found = explain(written(tmp_path, policy(ratio()), watched(outage, before=baseline())))
    told = show(found, width=200)
    decision = told[told.index("The decision") :]
    whence = "at the 0.1 % of before the deploy (180 of 180,000 requests)"
    assert f"47 of 900 requests failed, 0.9 expected {whence}" in decision
    assert re.search("would come by chance once in 8[0-9]0,000; the threshold is once in", decision)
    assert "; fires" in decision
    assert "45 s after the deploy" in decision


@pytest.mark.parametrize(
    ("evidence", "near"),
    [
        ({"p_value": 1.0, "level": 1e-6}, "far from firing"),
        ({"p_value": 1e-3, "level": 1e-6}, "on its way to firing"),
        ({"p_value": 1e-5, "level": 1e-6}, "close to firing"),
        ({"p_value": 1e-7, "level": 1e-6}, "beyond the threshold: nobody knows"),
    ],
)
def test_how_near_to_firing(evidence: dict[str, float], near: str) -> None:
    """The share of the evidence that is there, in orders of magnitude, has a word."""
    numbers = {"requests": 900.0, "errors": 5.0, "expected": 1.2, **evidence}
    found = Evidence(
        "errors", Finding.SUSPECT, "5 of 900; nobody knows", 0.0, rule="comparison", numbers=numbers
    )
    signal = policy(ratio()).signals[0]
    assert words.nearness(found, signal) == near


def test_other_kinds_of_signals_have_their_words(tmp_path: Path) -> None:
    """A value, a probe and a histogram say what would make them fire."""
    slow = Latencies((0.1, 0.5, float("inf")), (900.0, 990.0, 1000.0))
    chosen = policy(gauge(), probe(), latency(limit={"share": 0.9, "below": 0.5}))

    def poll(at: float) -> list[Reading]:
        value = 150.0 if at > LENGTH - 40 else 7.0
        answer = Probe(at < LENGTH - 20, 0.02, "status 500")
        return [
            sample(at, Gauge(value), signal="queue"),
            sample(at, answer, signal="payments"),
            sample(at, slow, signal="latency"),
        ]

    found = explain(written(tmp_path, chosen, watched(poll)), every=60.0)
    told = show(found, width=300)
    assert "7 now; now 7, within at most 100; fires above 100 for 1 m" in told
    assert "fires when it lasts for 1 m" in told
    assert "1 of the 3 failures in a row that fire" in told
    assert "requests took more than 500 ms" in told
    assert "at 10 % of its limit" in told


def test_only_what_changed_is_told(tmp_path: Path) -> None:
    """Steps without news are one line; with all of them every signal stands at every step."""
    file = written(tmp_path, policy(ratio()), watched(fine, before=baseline()))
    found = explain(file, every=60.0)
    quiet = [row for row in timeline(found) if row.step is not None]
    whole = [row for row in timeline(found, everything=True) if row.step is not None]
    assert [len(row.told) for row in whole] == [2] * 10
    assert len(quiet) < len(whole)
    assert quiet[-1].told == ()
    assert quiet[-1].until == START + 600
    assert "nothing changed until" in show(found, width=100)


def test_steps_are_counted_from_the_deploy(tmp_path: Path) -> None:
    """Each step is a whole number of steps after the deploy, whenever the readings came."""
    file = written(tmp_path, policy(ratio()), watched(fine, before=baseline()))
    at = [step.at - START for step in explain(file, every=50.0).replay.steps]
    assert at == [50.0 * n for n in range(1, 13)]


def test_a_short_watch_has_short_steps(tmp_path: Path) -> None:
    """Without --every a watch of ten minutes is told by the minute."""
    file = written(tmp_path, policy(ratio()), watched(fine, before=baseline()))
    assert explain(file).every == 60.0


def test_a_gap_of_years_is_one_step(tmp_path: Path) -> None:
    """A clock that jumped makes no step for each minute of the jump."""
    entries = [*watched(fine)[:10], sample(1e9, Counts(10, 0))]
    found = explain(written(tmp_path, policy(ratio()), entries), every=1.0)
    assert len(found.replay.steps) < 200


def test_no_data_is_told_once_for_each_reason(tmp_path: Path) -> None:
    """The same reason with other details is not told at every poll."""
    events = [Event(START + n, "no-data", f"errors: stale: {n} s old") for n in range(5)]
    file = written(tmp_path, policy(ratio()), watched(lambda at: [gap(at)]), events=events)
    told = show(explain(file), width=100)
    assert told.count("errors: stale") == 1
    assert show(explain(file), width=100, everything=True).count("errors: stale") == 5


def test_another_verdict_than_the_recorded_one_is_told(tmp_path: Path) -> None:
    """If the replay differs, both verdicts and what that may come from are told."""
    file = written(tmp_path, policy(ratio()), watched(fine, before=baseline()))
    text = file.read_text()
    file.write_text(text.replace('"verdict":"healthy"', '"verdict":"regressed"'))
    found = explain(file)
    agreed = agreement(found)
    assert agreed.same is False
    assert "the record says regressed, the replay says healthy" in agreed.text
    assert agreed.text in show(found, width=300)
    file.write_text(file.read_text().replace('"guard":"', '"guard":"0.0.1-', 1))
    assert "guard 0.0.1-" in agreement(explain(file)).text


def test_nothing_recorded_reaches_the_terminal_as_a_command(tmp_path: Path) -> None:
    """Escapes in a detail, an event and an outcome are taken out or spelled out."""
    evil = "\x1b]0;owned\x07\x1b[2J::error::x"
    bad = NoData("errors", START + 15, NoDataReason.REJECTED, evil)
    entries = [*watched(lambda at: [bad])]
    events = [Event(START + 1, "warning\x1b[2J", evil)]
    file = written(tmp_path, policy(ratio()), entries, events=events)
    (tmp_path / "outcome.json").write_text(
        json.dumps({"version": 1, "action": evil, "reason": evil})
    )
    told = show(explain(file), width=100)
    assert "\x1b" not in told
    assert "\x07" not in told
    assert not any(line.lstrip().startswith("::") for line in told.splitlines())


@pytest.mark.parametrize(
    "outcome",
    [
        "",
        "[]",
        "{",
        '{"version": 2}',
        '{"version": 1}',
        '{"version": 1, "durations": {"to_detect": "x"}}',
    ],
)
def test_an_outcome_that_is_none_is_no_error(tmp_path: Path, outcome: str) -> None:
    """A missing, broken, newer or poor outcome.json leaves the explanation as it is."""
    file = written(tmp_path, policy(ratio()), watched(fine, before=baseline()))
    (tmp_path / "outcome.json").write_text(outcome)
    assert "What was done" in show(explain(file), width=100)


def test_a_secret_of_a_policy_is_in_no_form(tmp_path: Path) -> None:
    """What the record blanked stays blanked, in text and in JSON."""
    secret = probe(url="http://user:hunter2@payments/healthz?token=hunter2", body="hunter2")
    file = written(tmp_path, policy(secret), watched(lambda at: []))
    found = explain(file, policy=policy(secret))
    for told in (show(found, width=100), json.dumps(document(found))):
        assert "hunter2" not in told


def test_the_json_document(tmp_path: Path) -> None:
    """It can be written as strict JSON, and has the timeline, the series and the evidence."""
    events = [Event(START + 30, "hold", "the rollout is paused (gate): 1 of 3 pods new")]
    entries = watched(fine, before=baseline())
    found = explain(written(tmp_path, policy(ratio()), entries, events=events), every=60.0)
    told = json.loads(json.dumps(document(found), allow_nan=False))
    assert told["version"] == 1
    assert told["agrees"] is True
    assert [row["kind"] for row in told["timeline"][:2]] == ["hold", "step"]
    assert told["timeline"][0]["seconds"] == 30
    [series] = [s for s in told["series"] if s["signal"] == "errors"]
    assert series["unit"] == "ratio"
    assert series["readings"][-1] == [585.0, 0.001, None]
    evidence = next(e for e in told["evidence"] if e["signal"] == "errors")
    assert "of 55,500 requests failed" in evidence["counts"]
    assert told["second_look"] is None
    assert told["outcome"] is None
    assert told["with"] is None


def test_colours_are_only_added(tmp_path: Path) -> None:
    """With colours the text is the same."""
    found = explain(written(tmp_path, policy(ratio()), watched(outage, before=baseline())))
    plain, coloured = show(found, width=80), show(found, width=80, colour=True)
    assert "\x1b[" in coloured
    for code in ("0", "1", "2", "31", "32", "33", "35", "36", "1;31"):
        coloured = coloured.replace(f"\x1b[{code}m", "")
    assert coloured == plain


def test_an_empty_record(tmp_path: Path) -> None:
    """A guard that was killed at once leaves a header: told, with nothing made up."""
    file = written(tmp_path, policy(ratio()), watched(fine))
    file.write_bytes(file.read_bytes().split(b"\n")[0] + b"\n")
    found = explain(file)
    assert found.replay.decision.verdict is None
    assert "no verdict" in show(found, width=80)
    assert record.read(file).entries == ()


def test_the_verdict_of_another_guard_is_not_made_up(tmp_path: Path) -> None:
    """A watch that finished a dead guard's rollback has no verdict of its own, and none is told."""
    rolled_back = Event(START + 1, "rollback", "revision 1 serves again")
    file = written(tmp_path, policy(ratio()), watched(outage), events=[rolled_back], decided=False)
    found = explain(file)
    assert found.parts.watched == ()
    assert found.replay.decision.verdict is None
    assert agreement(found).same is None
    assert "the verdict was another guard's" in show(found, width=200)
