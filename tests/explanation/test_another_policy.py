"""What another policy would have said of the same record, and what nobody can know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from decide.building import (
    EVERY,
    LENGTH,
    START,
    baseline,
    fine,
    latency,
    policy,
    probe,
    ratio,
    sample,
    watched,
)
from deploy_guard.explanation import explain
from deploy_guard.explanation.document import document
from deploy_guard.explanation.model import Other
from deploy_guard.explanation.showing import show
from deploy_guard.model import Counts, Finding, Reading, Verdict
from deploy_guard.policy.models import Policy
from watch.shop import policy as shop_policy

from .conftest import Stories
from .recording import written

FEW = ratio(limit=0.2, compare=False)


def few(at: float) -> list[Reading]:
    """Return a poll with a quarter of few requests failed: above the limit, and not proven."""
    return [sample(at, Counts(4, 1.1))]


def outage(at: float) -> list[Reading]:
    """Return a poll in which every other request fails."""
    return [sample(at, Counts(1500, 750))]


def other(directory: Path, recorded: Policy, entries: Any, another: Policy) -> Other:
    """Write a record and return what another policy says of it."""
    found = explain(written(directory, recorded, entries), policy=another)
    assert found.other is not None
    return found.other


def kinds(found: Other) -> list[tuple[str, str]]:
    """Return kind and signal of every doubt."""
    return [(doubt.kind, doubt.signal) for doubt in found.doubts]


def test_a_looser_limit_says_healthy(tmp_path: Path) -> None:
    """What was above one limit to the end is below another one, and nothing is in doubt."""
    recorded, looser = policy(FEW), policy(ratio(limit=0.5, compare=False))
    file = written(tmp_path, recorded, watched(few))
    found = explain(file, policy=looser)
    assert found.replay.decision.verdict is Verdict.INCONCLUSIVE
    assert found.other is not None
    assert found.other.replay.decision.verdict is Verdict.HEALTHY
    assert found.other.doubts == ()


def test_a_stricter_policy_says_regressed_and_when(tmp_path: Path) -> None:
    """It condemns at the moment at which its evidence is there, before the recorded end."""
    recorded, stricter = policy(FEW), policy(ratio(limit=0.05, compare=False, min_requests=1))
    found = other(tmp_path, recorded, watched(few), stricter)
    assert found.replay.decision.verdict is Verdict.REGRESSED
    assert found.replay.decision.at < found.replay.state.ends_at


def test_a_signal_that_was_not_recorded_is_left_out(tmp_path: Path) -> None:
    """The verdict does not wait for it, and it is told."""
    another = policy(FEW | {"limit": 0.5}, ratio("logins"))
    file = written(tmp_path, policy(FEW), watched(few))
    found = explain(file, policy=another)
    assert found.other is not None
    assert found.other.replay.decision.verdict is Verdict.HEALTHY
    assert kinds(found.other) == [("not_recorded", "logins")]
    told = show(found, width=120)
    assert "! logins: not in the record: left out" in told


def test_a_signal_of_another_measure_is_left_out(tmp_path: Path) -> None:
    """A histogram cannot be judged from counts that have the same name."""
    found = other(tmp_path, policy(FEW), watched(few), policy(latency("errors"), probe()))
    assert kinds(found)[:2] == [("other_measure", "errors"), ("not_recorded", "payments")]
    assert found.absent == ("errors", "payments")


@pytest.mark.parametrize(
    "change",
    [
        {"ratio": {"errors": "errors_total", "requests": "calls_total"}},
        {"provider": "pods", "port": 80},
    ],
)
def test_another_query_of_the_same_name_is_told(tmp_path: Path, change: dict[str, Any]) -> None:
    """It is judged all the same: by the samples of the recorded query."""
    found = other(tmp_path, policy(FEW), watched(few), policy(FEW | {"limit": 0.5} | change))
    assert found.replay.decision.verdict is Verdict.HEALTHY
    assert kinds(found) == [("other_query", "errors")]
    assert "the samples are those of the recorded query" in found.doubts[0].text


def test_a_longer_watch_than_the_record(tmp_path: Path) -> None:
    """It would have watched on: no verdict is made up for it."""
    found = other(tmp_path, policy(FEW), watched(few), policy(FEW, **{"for": 2 * LENGTH}))
    assert found.replay.decision.verdict is None
    assert kinds(found) == [("record_ends", "")]
    assert "10 m before the end of this policy's watch" in found.doubts[0].text


def test_nothing_is_known_after_the_verdict(story: Stories) -> None:
    """A policy that would not have rolled back has no verdict: the readings are of other pods."""
    directory, _ = story("regressed")
    file = directory / "record.jsonl"
    recorded = explain(file).header.policy
    loose = recorded.signals[0].model_dump(by_alias=True) | {"limit": 0.99, "compare": False}
    raw = recorded.model_dump(by_alias=True) | {"signals": [loose]}
    found = explain(file, policy=Policy.model_validate(raw))
    assert found.replay.decision.verdict is Verdict.REGRESSED
    assert found.other is not None
    assert found.other.replay.decision.verdict is None
    assert found.other.replay.state.signals[1].samples <= len(found.parts.watched)
    assert kinds(found.other) == [("record_ends", "")]


def test_a_shorter_watch_ends_before(tmp_path: Path) -> None:
    """Its verdict comes at its own end."""
    found = other(tmp_path, policy(FEW), watched(fine), policy(FEW, **{"for": LENGTH / 2}))
    assert found.replay.decision.verdict is Verdict.HEALTHY
    assert found.replay.decision.at <= found.replay.state.ends_at + EVERY


@pytest.mark.parametrize(
    ("watch", "words"),
    [
        ({"baseline": 7200.0}, "watch.baseline is 2 h, 1 h in the record"),
        ({"warm_up": 60.0}, "watch.warm_up is 1 m, 30 s in the record"),
        ({"interval": 5.0}, "read every 15 s in the record, not every 5 s"),
    ],
)
def test_settings_of_reading_that_differ_are_told(
    tmp_path: Path, watch: dict[str, float], words: str
) -> None:
    """Baseline, warm-up and interval are those of the record, and that is said."""
    found = other(tmp_path, policy(FEW), watched(fine), policy(FEW, **watch))
    assert [doubt.kind for doubt in found.doubts] == ["other_setting"]
    assert words in found.doubts[0].text


def test_what_only_judges_is_no_doubt(tmp_path: Path) -> None:
    """Sensitivity, limits, attribution and the fewest requests need nothing but the samples."""
    another = policy(ratio(limit=0.9, min_requests=5), sensitivity=0.001, attribution=False)
    assert other(tmp_path, policy(FEW), watched(fine, before=baseline()), another).doubts == ()


def test_a_left_out_signal_keeps_its_part_of_the_sensitivity(tmp_path: Path) -> None:
    """The level of the others is that of the whole policy, as it would have been."""
    entries = watched(fine, before=baseline())
    alone = other(tmp_path / "1", policy(ratio()), entries, policy(ratio()))
    both = other(tmp_path / "2", policy(ratio()), entries, policy(ratio(), ratio("logins")))

    def level(found: Other) -> float:
        evidence = next(e for e in found.replay.decision.evidence if e.signal == "errors")
        return evidence.numbers["level"]

    assert level(both) < level(alone)


def test_two_policies_side_by_side(tmp_path: Path) -> None:
    """Verdict, moment, reason and every signal of both stand in one table, at 80 columns."""
    another = policy(ratio(limit=0.9, compare=False), ratio("logins")).model_copy(
        update={"name": "loose"}
    )
    file = written(tmp_path, policy(ratio(limit=0.2, compare=False)), watched(outage))
    told = show(explain(file, policy=another), width=80, with_charts=False)
    rows = told[told.index("Another policy on the same record") :].splitlines()
    assert rows[1].split() == ["recorded", "with:", "loose"]
    assert rows[2].split() == ["verdict", "regressed", "no", "verdict"]
    assert any("logins" in row and "not in the record" in row for row in rows)
    assert all(len(row) <= 80 for row in rows)


def test_the_document_of_a_comparison(tmp_path: Path) -> None:
    """The JSON document has the other policy's verdict, its evidence and every doubt."""
    another = policy(FEW | {"limit": 0.5}, ratio("logins"))
    found = explain(written(tmp_path, policy(FEW), watched(few)), policy=another)
    told = document(found)["with"]
    assert told["replayed"]["verdict"] == "healthy"
    assert told["absent"] == ["logins"]
    assert told["doubts"][0]["kind"] == "not_recorded"
    findings = {e["signal"]: e["finding"] for e in told["evidence"]}
    assert findings["errors"] == Finding.GOOD.name.lower()


def test_a_blanked_secret_is_no_difference(tmp_path: Path) -> None:
    """A header that the record blanks is compared as it was blanked."""
    secret = probe(headers={"Authorization": {"env": "PAYMENTS"}, "X-Shop": "1"}, body="order")
    file = written(tmp_path, policy(secret), [*watched(lambda at: [])])
    found = explain(file, policy=policy(secret))
    assert found.other is not None
    assert [d for d in found.other.doubts if d.kind == "other_query"] == []


def test_a_watch_that_was_gone_on_with_ends_earlier(tmp_path: Path) -> None:
    """What another guard had watched counts for another policy too: it ends as much earlier."""
    file = written(tmp_path, policy(FEW), watched(few))
    text = file.read_text()
    assert '"ends_at":null' in text
    file.write_text(text.replace('"ends_at":null', f'"ends_at":{START + LENGTH - 120}', 1))
    found = explain(file, policy=policy(FEW, **{"for": LENGTH - 60}))
    assert found.other is not None
    assert found.replay.state.ends_at == START + LENGTH - 120
    assert found.other.replay.state.ends_at == START + LENGTH - 180


def test_nothing_of_a_policy_is_in_the_record(tmp_path: Path) -> None:
    """Then that is the reason, not that its queries had no data."""
    found = other(tmp_path, policy(FEW), watched(few), policy(ratio("logins")))
    assert found.replay.decision.verdict is Verdict.NO_DATA
    assert found.replay.decision.reason == "none of its signals can be judged from this record"


def test_the_recorded_policy_itself(story: Stories) -> None:
    """It says the same once more, at the same moment, and nothing is in doubt."""
    directory, _ = story("regressed")
    found = explain(directory / "record.jsonl", policy=shop_policy())
    assert found.other is not None
    assert found.other.doubts == ()
    assert found.other.replay.decision == found.replay.decision
