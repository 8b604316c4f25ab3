"""The command as a process: its output, its end, what it leaves behind."""

from __future__ import annotations

import os
import stat
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from deploy_guard.deploy.command import Command, how_it_ended, require_startable, signal_name
from deploy_guard.errors import UsageError


class Run:
    """A command with everything that it showed, and a wait for its end."""

    def __init__(self, words: Sequence[str], *, slow: bool = False) -> None:
        self.shown = bytearray()
        self.parts: list[bytes] = []
        self._ended = threading.Event()
        self._new = threading.Condition()
        self._slow = slow
        self.command = Command(
            words, show=self._show, ended=lambda _: self._ended.set(), environ=os.environ
        )

    def _show(self, data: bytes) -> None:
        if self._slow:
            time.sleep(0.001)
        with self._new:
            self.shown += data
            self.parts.append(data)
            self._new.notify_all()

    def wait(self) -> int | None:
        """Wait for its end; return its code."""
        assert self._ended.wait(60)
        return self.command.code

    def wait_for(self, part: bytes) -> None:
        """Wait until it has shown something."""
        with self._new:
            assert self._new.wait_for(lambda: part in self.shown, timeout=60)


def python(program: str) -> list[str]:
    """Return the command line of a Python program."""
    return [sys.executable, "-c", program]


def test_both_streams_are_handed_on_in_their_order() -> None:
    """What is written to stdout and stderr comes out as it was written."""
    run = Run(["sh", "-c", "echo one; echo two >&2; echo three"])
    assert run.wait() == 0
    assert run.shown == b"one\ntwo\nthree\n"
    assert run.command.last_lines == ("one", "two", "three")


def test_all_of_a_large_output_is_there_when_it_has_ended() -> None:
    """A megabyte arrives whole, and before the end is told, also with a slow reader."""
    run = Run(python("for n in range(20000): print(f'{n:049d} x')"), slow=True)
    assert run.wait() == 0
    assert run.shown.count(b"\n") == 20000
    assert len(run.command.last_lines) == 20
    assert run.command.last_lines[-1].startswith(f"{19999:049d}")


def test_a_question_is_shown_though_its_line_has_no_end() -> None:
    """A prompt is not held back until somebody answers it."""
    run = Run(["sh", "-c", "printf 'really? '; sleep 60"])
    run.wait_for(b"really? ")
    run.command.send(9)
    assert run.wait() == -9


def test_lines_are_not_torn() -> None:
    """A line that is written in pieces is handed on in one."""
    run = Run(
        python("import sys\nfor c in 'whole':\n sys.stdout.write(c); sys.stdout.flush()\nprint()")
    )
    run.wait()
    assert b"whole\n" in run.parts


def test_a_child_that_holds_the_output_is_not_waited_for() -> None:
    """The command's end counts, not that of what it leaves in the background."""
    run = Run(["sh", "-c", "sleep 30 & echo started $!"])
    began = time.monotonic()
    assert run.wait() == 0
    assert time.monotonic() - began < 15
    assert run.shown.startswith(b"started ")
    os.kill(int(run.shown.split()[1]), 9)
    run.command.leave()


def test_its_last_words_are_kept_with_and_without_a_newline() -> None:
    """A line without an end is shown before the end is told; a progress bar is kept at its end."""
    run = Run(["sh", "-c", "printf '10%%\\r100%%\\n'; printf 'no newline'"])
    assert run.wait() == 0
    assert run.shown.endswith(b"no newline")
    assert run.command.last_lines == ("100%", "no newline")


def test_a_long_line_is_kept_in_part() -> None:
    """What is kept is bounded, what is shown is not."""
    run = Run(python("print('x' * 300_000)"))
    assert run.wait() == 0
    assert len(run.shown) == 300_001
    assert [len(line) for line in run.command.last_lines] == [500]


def test_a_signal_that_ends_it_is_named() -> None:
    """The code of a killed command is the negative number of the signal."""
    run = Run(["sh", "-c", "kill -TERM $$"])
    code = run.wait()
    assert (code, signal_name(code)) == (-15, "SIGTERM")
    assert how_it_ended(-15) == "signal SIGTERM"
    assert how_it_ended(3) == "exit code 3"
    assert how_it_ended(-63) == "signal SIG63"


def test_a_program_that_does_not_exist() -> None:
    """It is refused before anything is done, with the reason."""
    with pytest.raises(UsageError, match="'kubctl' cannot be started: no such program"):
        require_startable(["kubctl", "apply"], os.environ)


def test_a_file_that_must_not_be_executed(tmp_path: Path) -> None:
    """It is refused in the same way."""
    file = tmp_path / "deploy.sh"
    file.write_text("#!/bin/sh\n")
    with pytest.raises(UsageError, match="cannot be started"):
        require_startable([str(file)], os.environ)


def test_a_file_that_is_no_program(tmp_path: Path) -> None:
    """What only the system can tell is told as it says it."""
    file = tmp_path / "deploy"
    file.write_text("no interpreter is named\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    require_startable([str(file)], os.environ)
    with pytest.raises(UsageError, match="cannot be started: exec format error"):
        Run([str(file)])


def open_files() -> int:
    """Return how many descriptors this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_descriptor_is_left() -> None:
    """A command that has ended holds nothing open."""
    before = open_files()
    for _ in range(5):
        Run(["true"]).wait()
    end = time.monotonic() + 30
    while open_files() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert open_files() <= before
