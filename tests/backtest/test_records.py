"""Records of watches as history: what was observed until the recorded verdict, and no further."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from decide.building import (
    EVERY,
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
from deploy_guard import decide
from deploy_guard.backtest.command import Options, backtest, records_source
from deploy_guard.backtest.judging import judge
from deploy_guard.backtest.record_source import find_records, read_records
from deploy_guard.backtest.show import show
from deploy_guard.errors import ExitCode, UsageError
from deploy_guard.model import Counts, Latencies, Reading, Target, Verdict
from deploy_guard.policy.models import Policy
from deploy_guard.record import FILE, Entry, Header, Recorder


def failing(at: float) -> list[Reading]:
    """Return a poll in which 2 % fail."""
    return [sample(at, Counts(100 * EVERY, 2 * EVERY))]


def write(folder: Path, rules: Policy, entries: Iterable[Entry], *after: Entry) -> None:
    """Write what a watch with this policy records: up to its verdict, then what comes after."""
    header = Header(rules, Target("deployment", "shop", "checkout"), None, START, START - 5)
    with Recorder(folder, header, warn=pytest.fail) as recorder:
        for moment in decide.trace(rules, START, entries):  # type: ignore[arg-type]
            recorder.write(moment.entry)
            if moment.decision.verdict is not None:
                recorder.write(moment.decision)
        for entry in after:
            recorder.write(entry)


def test_the_policy_of_the_record_says_what_the_record_says(tmp_path: Path) -> None:
    """With the same policy every record has the verdict that was recorded."""
    rules = policy(ratio())
    write(tmp_path / "a", rules, watched(fine, before=baseline()))
    write(tmp_path / "b", rules, watched(failing, before=baseline()))
    found = backtest(records_source(tmp_path, rules), Options())
    assert [(j.deploy.label, j.verdict) for j in found.deploys] == [
        ("a", Verdict.HEALTHY),
        ("b", Verdict.REGRESSED),
    ]
    assert found.recorded == {"a": Verdict.HEALTHY, "b": Verdict.REGRESSED}
    assert found.exit_code is ExitCode.OK
    assert found.deploys[1].deploy.at == START - 5


def test_what_came_after_the_verdict_is_left_out(tmp_path: Path) -> None:
    """A policy that tolerates more is not judged on the pods that came back."""
    rules = policy(ratio())
    entries = watched(failing, before=baseline())
    write(tmp_path, rules, entries, *watched(fine))
    tolerant = policy(ratio(compare={"ratio": 50, "difference": "10%"}))
    verdicts: dict[str, Verdict | None] = {}
    [trial] = read_records(
        find_records(tmp_path), tolerant, folder=tmp_path, verdicts=verdicts, warn=pytest.fail
    )
    found = judge(tolerant, trial)
    assert found.verdict is None
    assert verdicts == {"deployment/checkout": Verdict.REGRESSED}


def test_a_signal_that_the_record_does_not_have_is_told(tmp_path: Path) -> None:
    """A policy with one signal more can still be tried."""
    write(tmp_path, policy(ratio()), watched(fine, before=baseline()))
    found = backtest(records_source(tmp_path, policy(ratio(), probe())), Options())
    assert found.deploys[0].verdict is Verdict.HEALTHY
    assert found.missing == (("payments", "the record has no reading of it", 1),)


def test_damaged_records_are_told_and_skipped(tmp_path: Path) -> None:
    """One broken record does not keep the others from being read."""
    rules = policy(ratio())
    for name in ("a", "b", "c"):
        write(tmp_path / name, rules, watched(fine, before=baseline()))
    (tmp_path / "a" / FILE).write_text("{}\n")
    torn = (tmp_path / "c" / FILE).read_text()
    (tmp_path / "c" / FILE).write_text(torn[:-30])
    found = backtest(records_source(tmp_path, rules), Options())
    assert [j.deploy.label for j in found.deploys] == ["b", "c"]
    assert len(found.notes) == 2
    assert "left out" in found.notes[0]
    assert "cut off" in found.notes[1]
    assert found.asked == 3


@pytest.mark.parametrize(
    ("signal", "good", "damaged"),
    [
        (ratio(), '"requests":1500.0,"errors":30.0', '"requests":-1500.0,"errors":30.0'),
        (ratio(), '"requests":1500.0,"errors":30.0', '"requests":1500.0,"errors":1e999'),
        (latency(name="errors"), '"at_most":[90.0,100.0]', '"at_most":[100.0,90.0]'),
        (latency(name="errors"), '"at_most":[90.0,100.0]', '"at_most":[100.0]'),
    ],
    ids=["negative", "infinite", "falling buckets", "a bucket too few"],
)
def test_a_record_with_numbers_that_cannot_be_is_told_and_left_out(
    tmp_path: Path, signal: dict[str, Any], good: str, damaged: str
) -> None:
    """It was changed by hand or is damaged: no verdict is made of it; the others are judged."""

    def slow(at: float) -> list[Reading]:
        return [sample(at, Latencies((0.3, math.inf), (90.0, 100.0)))]

    rules = policy(signal)
    for name in ("a", "b"):
        write(tmp_path / name, rules, watched(failing if "ratio" in signal else slow))
    text = (tmp_path / "a" / FILE).read_text()
    assert good in text
    (tmp_path / "a" / FILE).write_text(text.replace(good, damaged))
    found = backtest(records_source(tmp_path, rules), Options())
    assert [j.deploy.label for j in found.deploys] == ["b"]
    assert "what errors read at 2023-11-14T22:" in found.notes[0]
    assert "left out" in show(found)


def test_a_record_with_a_time_that_cannot_be_is_left_out(tmp_path: Path) -> None:
    """Its file and line are told."""
    rules = policy(ratio())
    write(tmp_path, rules, watched(fine, before=baseline()))
    text = (tmp_path / FILE).read_text()
    (tmp_path / FILE).write_text(text.replace(f'"deployed_at":{START - 5}', '"deployed_at":-5.0'))
    found = backtest(records_source(tmp_path, rules), Options())
    assert found.deploys == ()
    assert "its time cannot be one" in found.notes[0]


def test_a_directory_without_a_record_is_refused(tmp_path: Path) -> None:
    """Nothing to try is a mistake in the arguments."""
    with pytest.raises(UsageError, match="has no record"):
        find_records(tmp_path)
    with pytest.raises(UsageError, match="does not exist"):
        find_records(tmp_path / "nowhere")
