"""Explanations of watches that took place, on the embedded cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy_guard import record
from deploy_guard.explanation import explain
from deploy_guard.explanation.agreement import agreement
from deploy_guard.explanation.document import document
from deploy_guard.explanation.showing import show
from deploy_guard.model import Recovery, Verdict

from .conftest import Stories
from .recording import STORIES

VERDICTS = {
    "healthy": Verdict.HEALTHY,
    "regressed": Verdict.REGRESSED,
    "inconclusive": Verdict.INCONCLUSIVE,
    "no_data": Verdict.NO_DATA,
    "gated": Verdict.HEALTHY,
    "interrupted": None,
}


@pytest.mark.parametrize("name", STORIES)
def test_the_told_verdict_is_the_recorded_one(story: Stories, name: str) -> None:
    """Verdict, moment and reason of the replay are those of the watch, and so it is told."""
    directory, outcome = story(name)
    found = explain(directory / record.FILE)
    assert outcome.verdict is VERDICTS[name], outcome.reason
    assert found.replay.decision.verdict is outcome.verdict
    assert agreement(found).same is (True if outcome.verdict is not None else None)
    if found.parts.recorded is not None:
        assert found.replay.decision == found.parts.recorded
    told = show(found, width=100)
    verdict = "no verdict" if outcome.verdict is None else outcome.verdict.replace("_", " ")
    assert told.startswith(f"deployment/web -n shop: {verdict}\n")
    assert document(found)["replayed"]["verdict"] == outcome.verdict


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", STORIES)
def test_no_line_is_wider_than_the_terminal(story: Stories, name: str, width: int) -> None:
    """Whatever the width, no line exceeds it but a path, which is broken."""
    found = explain(story(name)[0] / record.FILE)
    assert all(len(line) <= width for line in show(found, width=width).splitlines())


def test_a_rollback_is_told_to_its_end(story: Stories) -> None:
    """The recovery is concluded again, from the readings after the rollback alone."""
    directory, outcome = story("regressed")
    found = explain(directory / record.FILE)
    assert found.second is not None
    assert outcome.recovered is found.second.recovery is Recovery.RECOVERED
    assert found.second.accused == ("errors",)
    told = show(found, width=100)
    assert "recovered (accused: errors)" in told
    assert "rolled back (exit code 10)" in told
    assert "× after the rollback" in told


def test_a_hold_stands_at_its_time(story: Stories) -> None:
    """The pause of a gate and its end are in the timeline, in their order."""
    found = explain(story("gated")[0] / record.FILE)
    told = show(found, width=200)
    assert 0 < told.index("the rollout is paused (gate)") < told.index("the rollout is resumed")


def test_no_data_has_its_reason(story: Stories) -> None:
    """A signal without a single reading says why, and has no chart."""
    told = show(explain(story("no_data")[0] / record.FILE), width=200)
    assert "? errors: no data" in told
    assert "404" in told
    assert "● new pods" not in told


def test_an_interrupted_watch_has_no_verdict(story: Stories) -> None:
    """Where the watch ended before a verdict that is said, not made up for."""
    found = explain(story("interrupted")[0] / record.FILE)
    told = show(found, width=200)
    assert "the watch ended before one (interrupted)" in told
    assert "No decision" in told


def test_a_torn_record(story: Stories, tmp_path: Path) -> None:
    """A record that a killed guard left is explained up to its last whole line."""
    whole = (story("regressed")[0] / record.FILE).read_bytes().split(b"\n")
    decided = next(i for i, line in enumerate(whole) if line.startswith(b'{"decision"'))
    file = tmp_path / record.FILE
    file.write_bytes(b"\n".join(whole[: decided - 3]) + b"\n" + whole[decided - 3][:20])
    found = explain(file)
    assert found.torn
    assert found.parts.recorded is None
    told = show(found, width=200)
    assert "cut off, as by a killed guard" in told
    assert "there is no outcome.json" in told
