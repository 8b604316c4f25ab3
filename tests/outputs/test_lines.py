"""One line per event, for pipelines."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from deploy_guard.model import Event, Finding
from deploy_guard.outputs import open_output
from deploy_guard.outputs.base import EVENT_KINDS, LINE_KINDS, Item
from deploy_guard.outputs.lines import KIND_WIDTH, LineOutput

from .samples import HTTP, OUTCOMES, PROGRESS, REGRESSED, START
from .terminals import Terminal

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ  [+-]\d\d+:\d\d  [a-z-]+ +\S.*")


def told(*items: Item, status_every: float = 60.0) -> list[str]:
    """Return the lines that the items give."""
    stream = io.StringIO()
    with open_output(stream, environ={}, status_every=status_every) as output:
        for item in items:
            output.show(item)
    return stream.getvalue().splitlines()


def test_the_columns_are_time_since_kind_and_text() -> None:
    """The columns that docs/output.md promises."""
    assert told(
        Event(START, "preflight", "revision 7 is there to go back to"),
        Event(START + 34, "verdict", "regressed"),
    ) == [
        "2026-11-23T17:40:12Z  +00:00  preflight  revision 7 is there to go back to",
        "2026-11-23T17:40:46Z  +00:34  verdict    regressed",
    ]


@pytest.mark.parametrize("kind", [*EVENT_KINDS, *LINE_KINDS])
def test_every_documented_kind_keeps_the_text_in_its_column(kind: str) -> None:
    """No kind is wider than its column."""
    assert len(kind) <= KIND_WIDTH
    [line] = told(Event(START, kind, "text"))
    assert line.index("text") == len("2026-11-23T17:40:12Z  +00:00  ") + KIND_WIDTH + 1


@pytest.mark.parametrize(
    "text",
    [
        "a\nb",
        "a\r\nb",
        "a\x1b[2Jb",
        "::error::a",
        "x" * 10_000,
        "支払い" * 900,
        "a\u2028b\x85c",
        "\ud800",
    ],
)
def test_a_hostile_text_stays_one_line(text: str) -> None:
    """Whatever a text has in it, an event is one line that no terminal and no runner obeys."""
    [line] = told(Event(START, "warning\n", text))
    assert LINE.fullmatch(line)
    assert line.isprintable()
    assert len(line) < 2_100


def test_a_status_comes_once_a_minute() -> None:
    """Progress every second gives a status line each minute."""
    lines = told(*(replace(PROGRESS, at=START + n) for n in range(181)))
    assert [line.split()[1] for line in lines] == ["+01:00", "+02:00", "+03:00"]
    assert all(line.split()[2] == "status" for line in lines)


def test_the_time_between_two_statuses_can_be_set() -> None:
    """A demo wants them more often, a long watch less."""
    lines = told(*(replace(PROGRESS, at=START + n) for n in range(11)), status_every=5)
    assert len(lines) == 2


def test_a_status_comes_when_a_finding_changes() -> None:
    """A signal that turns suspect is told at once."""
    good = replace(PROGRESS, signals=(replace(HTTP, finding=Finding.GOOD),))
    suspect = replace(PROGRESS, signals=(replace(HTTP, finding=Finding.SUSPECT),), at=START + 31)
    lines = told(good, good, suspect, replace(suspect, at=START + 32))
    assert len(lines) == 1
    assert "http-errors suspect 50 %" in lines[0]


def test_a_status_says_all_in_one_line() -> None:
    """Phase, time left, rollout, and every signal with its numbers or its problem."""
    [line] = told(PROGRESS, replace(PROGRESS, at=START + 95, dry_run=True))
    assert line == (
        "2026-11-23T17:41:47Z  +01:35  status     watching (dry run), 8 m 25 s left; "
        "2/3 updated, 3/3 ready, 3/3 available, 1 old left; kubernetes good; "
        "http-errors bad 50 % (baseline: 0.11 %, limit: at most 5 %); "
        "latency good 340 ms (baseline: 310 ms, limit: 99 % below 500 ms); "
        "payments-api no data (timeout: no answer within 5 s)"
    )


@pytest.mark.parametrize("name", OUTCOMES)
def test_the_last_line_is_the_outcome(name: str) -> None:
    """The outcome has words for awk, then the reason."""
    outcome = OUTCOMES[name]
    [line] = told(outcome)
    words = line.split()
    assert words[2] == "outcome"
    assert words[3] == f"exit={outcome.exit_code}"
    assert words[4] == f"verdict={outcome.verdict.value if outcome.verdict else 'none'}"
    assert words[5] == f"action={outcome.action.value}"
    assert line.endswith(outcome.reason)


def test_a_stream_that_is_gone_does_not_end_the_watch() -> None:
    """A closed stream and a closed pipe swallow what is told."""
    stream = io.StringIO()
    output = LineOutput(stream)
    stream.close()
    output.show(REGRESSED)


@pytest.mark.parametrize(
    ("environ", "live"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "CI": "false"}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True),
        ({"TERM": "xterm", "CI": "true"}, False),
        ({"TERM": "dumb"}, False),
        ({}, False),
    ],
)
def test_the_live_view_is_for_terminals_that_somebody_sees(
    environ: dict[str, str], live: bool
) -> None:
    """A dumb terminal and the terminal of a CI job get lines."""
    with Terminal(80, 24) as terminal:
        with open_output(terminal.stream, environ=environ) as output:
            output.show(Event(START, "warning", "text"))
        written = terminal.close()
    assert ("\x1b" in written) is live
    assert bool(LINE.match(written)) is not live


def test_a_pipeline_does_not_pay_for_the_live_view() -> None:
    """Lines and the plain final screen are written without loading rich."""
    code = (
        "import io, sys\n"
        "from outputs.samples import REGRESSED\n"
        "from deploy_guard.outputs import open_output\n"
        "from deploy_guard.outputs.report import tell_result\n"
        "with open_output(io.StringIO(), environ={}) as output:\n"
        "    output.show(REGRESSED)\n"
        "tell_result(REGRESSED, io.StringIO(), environ={})\n"
        "print('rich' in sys.modules)\n"
    )
    tests = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        cwd=tests,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "False\n", done.stderr
