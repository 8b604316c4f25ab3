"""The live view on real pseudo-terminals."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from deploy_guard.model import Event, Finding, Phase, Rollout, SignalSummary
from deploy_guard.outputs import open_output
from deploy_guard.outputs.format import cells
from deploy_guard.outputs.layout import View, frame

from .samples import (
    HTTP,
    LATENCY,
    LOOK,
    OUTCOMES,
    PAYMENTS,
    PROGRESS,
    REGRESSED,
    SIGNALS,
    START,
    STUCK,
)
from .terminals import Screen, Terminal

ENVIRON = {"TERM": "xterm-256color"}
EVENT = Event(START, "preflight", "revision 7 is there to go back to")
LATER = replace(PROGRESS, at=START + 31)


def seen(*items: object, columns: int = 80, rows: int = 24) -> Screen:
    """Show the items on a terminal and return what a person sees at the end."""
    with Terminal(columns, rows) as terminal:
        with open_output(terminal.stream, environ=ENVIRON) as output:
            for item in items:
                output.show(item)  # type: ignore[arg-type]
        return Screen(columns, rows).feed(terminal.close())


def rows_of(view: View, *, width: int, height: int = 40) -> list[str]:
    """Return the frame's rows as plain text."""
    return ["".join(text for text, _ in row) for row in frame(view, width=width, height=height)]


def test_it_shows_the_whole_state() -> None:
    """Target, revisions, phase, rollout, signals with their numbers, and time left are shown."""
    text = seen(PROGRESS).text()
    for part in [
        "deployment/checkout -n shop",
        "watching",
        "revision 8 (registry.example/checkout:2.0.0)",
        "back to  revision 7 (registry.example/checkout:1.9.3)",
        "2/3 updated, 3/3 ready, 3/3 available, 1 old left",
        "✗ bad",
        "50 %",
        "0.11 %",
        "at most 5 %",
        "5/7",
        "? no data",
        "timeout: no answer within 5 s",
        "340 ms",
        "9 m 30 s left of 10 m",
    ]:
        assert part in text


def test_a_frame_is_drawn_over_the_one_before() -> None:
    """Progress takes no further lines, and nothing of an older frame stays."""
    once = seen(PROGRESS).text()
    often = seen(PROGRESS, *(replace(PROGRESS, at=START + n) for n in range(90)), PROGRESS).text()
    assert often == once


def test_a_frame_that_shrinks_leaves_nothing_behind() -> None:
    """Rows that are gone from the frame are gone from the screen."""
    few = replace(PROGRESS, signals=(LATENCY,))
    assert seen(PROGRESS, few).text() == seen(few).text()


def test_events_stay_above_the_frame() -> None:
    """Each event stays in the scrollback, in order, with the frame once below them."""
    events = [Event(START + n, "signal", f"event number {n}") for n in range(60)]
    text = seen(PROGRESS, *events).text()
    assert re.findall(r"event number (\d+)", text) == [str(n) for n in range(60)]
    assert text.count("deployment/checkout -n shop") == 1
    assert text.index("event number 59") < text.index("deployment/checkout")


def test_a_frame_is_painted_without_erasing_first() -> None:
    """Nothing is erased before it is written anew, and each update is one, so nothing flickers."""
    with Terminal(80, 24) as terminal:
        with open_output(terminal.stream, environ=ENVIRON) as output:
            output.show(PROGRESS)
            output.show(LATER)
        written = terminal.close()
    update = written.split("\x1b[?2026h")[2]
    assert re.match(r"\x1b\[\d+A\r[^\x1b]*(\x1b\[\d+m|\S)", update)
    assert "\x1b[2J" not in update
    assert "\x1b[2K" not in update
    assert update.index("\x1b[J") > update.index("left of")


def test_an_unchanged_frame_is_not_written_again() -> None:
    """The same state costs no output."""
    with Terminal(80, 24) as terminal:
        with open_output(terminal.stream, environ=ENVIRON) as output:
            output.show(PROGRESS)
            output.show(PROGRESS)
        assert terminal.close().count("left of") == 1


@pytest.mark.parametrize("columns", [40, 60, 66, 80, 100, 200])
@pytest.mark.parametrize("signals", [SIGNALS, (), (HTTP,) * 30])
def test_no_line_is_longer_than_the_terminal(
    columns: int, signals: tuple[SignalSummary, ...]
) -> None:
    """At every width all lines fit, and so does the height."""
    stuck = replace(LOOK, rollout=replace(LOOK.rollout, conditions=(STUCK,), paused=True))
    progress = replace(PROGRESS, signals=signals, dry_run=True, workload=stuck)
    story = Event(START, "story", "A long story is told, " * 12)
    screen = seen(story, EVENT, progress, columns=columns, rows=20)
    assert screen.longest < columns
    assert "DRY RUN" in screen.text()


@pytest.mark.parametrize("rows", [6, 10, 14, 24])
def test_the_frame_never_exceeds_the_height(rows: int) -> None:
    """On a low terminal the worst signals are shown, the others counted."""
    signals = (*[replace(LATENCY, name=f"good-{n}") for n in range(30)], HTTP)
    progress = replace(PROGRESS, signals=signals)
    often = seen(progress, replace(progress, at=START + 40), rows=rows).text()
    assert len(often.splitlines()) < rows
    if rows >= 14:
        assert "http-errors" in often
        assert re.search(r"… and \d+ more: \d+ good", often)


def test_a_resize_draws_everything_anew() -> None:
    """After the width changed the screen has the last events and one frame, all of them fitting."""
    with Terminal(100, 24) as terminal:
        with open_output(terminal.stream, environ=ENVIRON) as output:
            output.show(EVENT)
            output.show(PROGRESS)
            before = len(terminal.wait_for("9 m 30 s left of"))
            terminal.resize(60, 24)
            output.show(LATER)
        screen = Screen(60, 24).feed(terminal.close()[before:])
    text = screen.text()
    assert screen.longest < 60
    assert text.count("revision 7 is there to go back to") == 1
    assert text.count("deployment/checkout -n shop") == 1


@pytest.mark.parametrize("name", OUTCOMES)
def test_the_last_frame_stays_and_says_how_it_ended(name: str) -> None:
    """The outcome stands in the frame, which stays; what is told later goes below it."""
    outcome = OUTCOMES[name]
    late = Event(outcome.ended_at, "warning", "the record cannot be closed")
    text = seen(PROGRESS, outcome, late).text()
    ending = (outcome.verdict or outcome.action).replace("_", " ").upper()
    assert ending in text
    assert "left of" not in text
    assert text.rstrip().endswith("the record cannot be closed")
    assert text.index(ending) < text.index("the record cannot be closed")


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_the_cursor_comes_back(error: type[BaseException] | None) -> None:
    """The cursor is hidden while the view is drawn, and back after any ending."""
    with Terminal(80, 24) as terminal:
        try:
            with open_output(terminal.stream, environ=ENVIRON) as output:
                output.show(PROGRESS)
                assert not Screen(80, 24).feed(terminal.wait_for("left of 10 m")).cursor_visible
                if error is not None:
                    raise error
        except (ValueError, KeyboardInterrupt) as caught:
            assert type(caught) is error
        screen = Screen(80, 24).feed(terminal.close())
    assert screen.cursor_visible
    assert "http-errors" in screen.text()


def test_no_color_counts() -> None:
    """With NO_COLOR no colour is written, and nothing that is told is lost."""
    with Terminal(80, 24) as terminal:
        with open_output(terminal.stream, environ={**ENVIRON, "NO_COLOR": "1"}) as output:
            output.show(PROGRESS)
        written = terminal.close()
    assert not re.search(r"\x1b\[[0-9;]*(3[0-9]|9[0-7])(;[0-9;]*)?m", written)
    assert Screen(80, 24).feed(written).text() == seen(PROGRESS).text()


def test_colours_are_there_otherwise() -> None:
    """Without NO_COLOR a bad finding is red."""
    with Terminal(80, 24) as terminal:
        with open_output(terminal.stream, environ=ENVIRON) as output:
            output.show(PROGRESS)
        assert re.search(r"\x1b\[1;31m✗ bad", terminal.close())


def test_a_terminal_without_unicode_gets_ascii() -> None:
    """On an ASCII terminal every sign has a plain one of the same width."""
    with Terminal(80, 24, encoding="ascii") as terminal:
        with open_output(terminal.stream, environ=ENVIRON) as output:
            output.show(PROGRESS)
        text = Screen(80, 24).feed(terminal.close()).text()
    assert "x bad" in text
    assert "+ good" in text


def test_a_terminal_that_goes_away_does_not_end_the_watch() -> None:
    """Writing to a terminal whose window was closed is nothing."""
    terminal = Terminal(80, 24)
    with terminal:
        pass
    with open_output(terminal.stream, environ=ENVIRON) as output:
        output.show(PROGRESS)


def test_hostile_texts_are_harmless() -> None:
    """Escapes, newlines and controls in other people's texts never reach the terminal."""
    hostile = "\x1b[2J\x1b]0;owned\x07\r\n\x9b31m\u202eevil\x00" + "x" * 10_000
    progress = replace(
        PROGRESS,
        signals=(
            replace(HTTP, text=hostile, limit_text=hostile),
            replace(PAYMENTS, problem=hostile),
        ),
        workload=replace(
            LOOK,
            rollout=replace(LOOK.rollout, conditions=(replace(STUCK, message=hostile),)),
        ),
    )
    screen = seen(progress, Event(START, "warning\x1b[5m", hostile), progress)
    assert "owned" not in screen.text()
    assert "\u202e" not in screen.text()
    assert screen.text().count("deployment/checkout -n shop") == 1


def test_wide_characters_keep_the_columns() -> None:
    """A text of wide characters takes no more columns than there are."""
    wide = replace(PAYMENTS, problem="支払いサービスは応答しません。" * 20)
    view = View(replace(PROGRESS, signals=(wide,)), START)
    assert all(cells(row) <= 59 for row in rows_of(view, width=59))


def test_gaps_are_visible_in_the_trend() -> None:
    """A poll without data is a dot between the bars, neither high nor low."""
    [row] = [r for r in rows_of(View(PROGRESS, START), width=199) if r.startswith("http-errors")]
    assert "▁▁▃··▇█" in row


@pytest.mark.parametrize("finding", Finding)
def test_a_finding_is_told_by_sign_and_word(finding: Finding) -> None:
    """No finding is told by colour alone."""
    view = View(replace(PROGRESS, signals=(replace(HTTP, finding=finding),)), START)
    assert any(f" {finding.value} " in row for row in rows_of(view, width=79))


def test_the_first_sight_of_a_phase_starts_its_bar() -> None:
    """The time of a later phase is counted from when it began, not from the start."""
    verifying = replace(PROGRESS, phase=Phase.VERIFYING, at=START + 100, ends_at=START + 220)
    text = seen(PROGRESS, verifying, replace(verifying, at=START + 160)).text()
    assert "1 m left of 2 m" in text


def test_a_bar_is_full_only_when_all_is_done() -> None:
    """A rollout that is not complete leaves a piece of its bar open."""
    almost = Rollout(desired=3, updated=3, ready=2, available=2, observed=True)
    done = replace(almost, ready=3, available=3, complete=True)
    rows = {
        rollout: next(
            r
            for r in rows_of(
                View(replace(PROGRESS, workload=replace(LOOK, rollout=rollout)), START), width=99
            )
            if r.startswith("rollout")
        )
        for rollout in (almost, done)
    }
    assert "─" in rows[almost]
    assert "─" not in rows[done]


def test_nothing_is_shown_before_there_is_something() -> None:
    """A watch that failed before any progress leaves an untouched screen."""
    assert seen().text() == "\n"
    assert seen(REGRESSED).text() == "\n"
