"""Guard's lines and the command's in one stream, and the live view after the command."""

from __future__ import annotations

import io
import os
import pty
from contextlib import suppress
from typing import TextIO

from deploy_guard.deploy.talk import Talk


def talk_into(stream: TextIO, **environ: str) -> Talk:
    """Return a talk at a time that stands still."""
    return Talk(stream, environ=environ, clock=lambda: 1_000_000_000.0)


def read_until(terminal: int, part: bytes) -> bytes:
    """Read what is shown up to these words."""
    shown = b""
    while part not in shown:
        shown += os.read(terminal, 65536)
    return shown


def test_an_event_begins_a_line_of_its_own() -> None:
    """A line that the command has not ended is ended before guard says something."""
    stream = io.StringIO()
    with talk_into(stream) as talk:
        talk.output(b"really? ")
        talk.tell("deploy", "the command ended with exit code 0")
        talk.output(b"late\n")
    lines = stream.getvalue().splitlines()
    assert lines[0] == "really? "
    assert lines[1].endswith("deploy     the command ended with exit code 0")
    assert lines[2] == "late"


def test_the_last_line_is_ended() -> None:
    """What follows guard in the terminal begins at the margin."""
    stream = io.StringIO()
    with talk_into(stream) as talk:
        talk.output(b"no newline")
    assert stream.getvalue() == "no newline\n"


def test_bytes_go_through_as_they_are() -> None:
    """Colours, workflow commands and bytes that are no text are the command's own affair."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with talk_into(stream) as talk:
        talk.output(b"\x1b[31mred\x1b[0m ::error::x \xff\n")
    raw = stream.buffer
    assert isinstance(raw, io.BytesIO)
    assert raw.getvalue() == b"\x1b[31mred\x1b[0m ::error::x \xff\n"


def test_a_reader_that_left_ends_nothing() -> None:
    """With nobody behind the stream the talk goes on."""
    ours, theirs = os.pipe()
    os.close(ours)
    stream = os.fdopen(theirs, "w", encoding="utf-8")
    with talk_into(stream) as talk:
        talk.output(b"x\n")
        talk.tell("deploy", "runs on")
    assert [event.text for event in talk.timeline] == ["runs on"]
    with suppress(BrokenPipeError):
        stream.close()


def test_the_live_view_begins_after_the_command() -> None:
    """In a terminal guard only writes lines while the command runs, then draws a frame."""
    ours, theirs = pty.openpty()
    with (
        os.fdopen(theirs, "w", encoding="utf-8") as stream,
        talk_into(stream, TERM="xterm") as talk,
    ):
        talk.tell("deploy", "runs")
        talk.output(b"from the command\n")
        before = read_until(ours, b"from the command")
        talk.begin_live()
        talk.tell("deploy", "ended")
        talk.output(b"from its child\n")
        after = read_until(ours, b"from its child")
    os.close(ours)
    assert b"\x1b[?25l" not in before
    assert b"\x1b[?25l" in after
