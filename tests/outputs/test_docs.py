"""docs/output.md says what is so."""

from __future__ import annotations

import json
import re
from pathlib import Path

from deploy_guard.errors import EXIT_CODES
from deploy_guard.model import Finding
from deploy_guard.outputs.base import EVENT_KINDS, LINE_KINDS
from deploy_guard.outputs.format import SYMBOLS
from deploy_guard.outputs.json import document
from deploy_guard.outputs.lines import LineOutput
from deploy_guard.record import FILES, KINDS

from .samples import REGRESSED

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "output.md").read_text(encoding="utf-8")


def table(heading: str) -> dict[str, str]:
    """Return the first two columns of the first table after these words."""
    part = PAGE[PAGE.index(heading) :]
    rows = re.findall(r"^\|.*\|$(?:\n\|.*\|$)*", part, re.MULTILINE)[0].splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {row[0].replace("`", ""): row[1] for row in cells}


def test_the_exit_codes_are_documented() -> None:
    """The table of exit codes is the one that the command has."""
    assert table("## Exit codes") == {str(int(c)): words for c, words in EXIT_CODES.items()}


def test_the_kinds_of_events_are_documented() -> None:
    """The table of kinds is the one that the outputs have."""
    assert table("| kind |") == {**EVENT_KINDS, **LINE_KINDS}


def test_the_findings_are_documented() -> None:
    """Every sign stands with its word."""
    assert table("| sign |") == {SYMBOLS[finding]: finding.value for finding in Finding}


def test_the_keys_of_the_document_are_documented() -> None:
    """Page, schema and document name the same keys."""
    named = {key for keys in table("## The JSON document") for key in keys.split(", ")}
    schema = json.loads((DOCS / "outcome.schema.json").read_text(encoding="utf-8"))
    assert named == document(REGRESSED).keys() == schema["properties"].keys()


def test_the_record_is_documented() -> None:
    """Every file and every kind of line is named."""
    assert table("| file |").keys() == set(FILES)
    assert table("one key, which says").keys() == {*KINDS, "same_look"}


def test_the_example_lines_are_real(tmp_path: Path) -> None:
    """The first two example lines are what the outputs write."""
    example = PAGE.split("```text\n")[1].splitlines()[:2]
    with (tmp_path / "log").open("w+", encoding="utf-8") as stream:
        output = LineOutput(stream)
        for event in REGRESSED.timeline:
            output.show(event)
        stream.seek(0)
        assert stream.read().splitlines() == example
