"""The JSON document keeps its documented shape."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from deploy_guard.errors import ExitCode
from deploy_guard.model import Action, Event, Finding, Recovery, Verdict
from deploy_guard.outputs.json import document
from deploy_guard.outputs.report import finish_record, tell_result
from deploy_guard.record import Recorder

from .samples import HEALTHY, HTTP, OUTCOMES, REGRESSED, START, evidence_of
from .test_record import HEADER, refuse

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA = json.loads((DOCS / "outcome.schema.json").read_text(encoding="utf-8"))
ISSUE_KEYS = (
    "version verdict action target candidate target_revision signals evidence timeline recovered "
    "exit_code"
)


def check(outcome: Any) -> dict[str, Any]:
    """Return the document as a reader gets it, after the schema accepted it."""
    read: dict[str, Any] = json.loads(json.dumps(document(outcome), allow_nan=False))
    Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(read)
    return read


def undocumented(data: Any, schema: dict[str, Any]) -> list[str]:
    """Return the keys of the data that the schema does not name."""
    if "$ref" in schema:
        return undocumented(data, SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]])
    if "anyOf" in schema:
        return undocumented(data, schema["anyOf"][0]) if data is not None else []
    if isinstance(data, list):
        return [key for each in data for key in undocumented(each, schema.get("items", {}))]
    if not isinstance(data, dict) or "properties" not in schema:
        return []
    known = schema["properties"]
    inner = [key for name in data.keys() & known for key in undocumented(data[name], known[name])]
    return [*(data.keys() - known), *inner]


def test_the_schema_is_a_schema() -> None:
    """The published schema is itself valid."""
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", OUTCOMES)
def test_every_ending_fits_the_schema(name: str) -> None:
    """Every document has all documented keys, and no others."""
    read = check(OUTCOMES[name])
    assert undocumented(read, SCHEMA) == []
    assert set(ISSUE_KEYS.split()) <= read.keys()


def test_every_word_is_in_the_schema() -> None:
    """All verdicts, actions, recoveries, findings and exit codes are documented."""
    for verdict, action in product([None, *Verdict], Action):
        check(replace(REGRESSED, verdict=verdict, action=action))
    for recovered in (None, *Recovery):
        check(replace(REGRESSED, recovered=recovered))
    for code in ExitCode:
        check(replace(REGRESSED, exit_code=code))
    for finding in Finding:
        check(replace(REGRESSED, signals=(replace(HTTP, finding=finding),)))


def test_the_least_known_outcome_fits_the_schema() -> None:
    """A watch that ended before it knew anything has a document with nulls."""
    read = check(
        replace(
            OUTCOMES["interrupted"],
            candidate=None,
            target_revision=None,
            deployed_at=None,
            signals=(),
            evidence=(),
            timeline=(),
        )
    )
    assert read["candidate"] is read["target_revision"] is read["verdict"] is None


def test_no_number_is_made_up() -> None:
    """NaN and infinity become null everywhere, in an event's data too."""
    odd = replace(
        HTTP, current=math.nan, baseline=math.inf, limit=-math.inf, history=(math.nan, None, 1.0)
    )
    evidence = replace(evidence_of(odd), numbers={"level": math.nan})
    event = Event(
        START, "signal", "x", {"deep": [{"p": math.inf}], "finding": Finding.BAD, "o": HTTP}
    )
    read = check(replace(REGRESSED, signals=(odd,), evidence=(evidence,), timeline=(event,)))
    [signal] = read["signals"]
    assert signal["current"] is signal["baseline"] is signal["limit"] is None
    assert signal["history"] == [None, None, 1.0]
    assert read["evidence"][0]["numbers"] == {"level": None}
    assert read["timeline"][0]["data"]["deep"] == [{"p": None}]
    assert read["timeline"][0]["data"]["finding"] == "bad"


def test_times_are_utc_and_durations_seconds() -> None:
    """A reader needs no library for either."""
    read = check(REGRESSED)
    assert read["started_at"] == "2026-11-23T17:40:12.250Z"
    assert read["durations"] == {
        "watched": 83,
        "to_detect": 36,
        "to_roll_back": 1,
        "to_restore": 18,
    }
    assert check(HEALTHY)["durations"]["to_detect"] is None


def test_the_result_on_stdout_is_the_document_alone() -> None:
    """A program can read all of stdout as JSON."""
    stdout = io.StringIO()
    tell_result(REGRESSED, stdout, environ={}, form="json")
    assert json.loads(stdout.getvalue()) == json.loads(json.dumps(document(REGRESSED)))
    assert stdout.getvalue().endswith("}\n")


def test_the_record_has_the_document_and_both_summaries(tmp_path: Path) -> None:
    """A report directory has the same document as stdout, and texts for people."""
    with Recorder(tmp_path, HEADER, warn=refuse) as recorder:
        finish_record(recorder, REGRESSED)
    assert json.loads((tmp_path / "outcome.json").read_text()) == json.loads(
        json.dumps(document(REGRESSED))
    )
    assert (
        (tmp_path / "summary.txt").read_text(encoding="utf-8").startswith("REGRESSED, ROLLED BACK")
    )
    assert (tmp_path / "summary.md").read_text(encoding="utf-8").startswith("### ✅ REGRESSED")
