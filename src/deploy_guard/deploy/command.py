"""The command that deploys, as a process of its own: started as it is, never killed by guard.

Decides what becomes of its streams: stdin is guard's, stdout and stderr come through one pipe, so
that their order stays, and are handed on as they come. A child that the command leaves behind may
hold the pipe: its end is not waited for, only what the command itself has written.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from deploy_guard.errors import UsageError

LINES = 20  # of its output that are kept
LONGEST_LINE = 500  # characters of a line that are kept
_CHUNK = 65536
_END, _LEAVE = b".", b"x"
_PROMPT = 0.2  # seconds after which a line without an end is shown: it may be a question


class Command:
    """A running command. `show` gets its output, `ended` is called once with it, both from threads.

    Raises UsageError when it cannot be started.
    """

    def __init__(
        self,
        words: Sequence[str],
        *,
        show: Callable[[bytes], None],
        ended: Callable[[Command], None],
        environ: Mapping[str, str],
    ) -> None:
        self._show = show
        self._ended = ended
        self._last: deque[str] = deque(maxlen=LINES)
        self._line = b""  # a line of which the end has not come, to be kept
        self._unshown = b""  # what of it was not shown yet
        self._drained = threading.Event()
        self._done = threading.Event()
        self.ended_at: float | None = None  # time.monotonic()
        self._pipe, theirs = os.pipe()
        self._woken, self._wake = os.pipe()
        try:
            self._process = _start(words, theirs, environ)
        except BaseException:
            self._close()
            raise
        finally:
            os.close(theirs)
        threading.Thread(target=self._read, name="output", daemon=True).start()
        threading.Thread(target=self._wait, name="command", daemon=True).start()

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return not self._done.is_set()

    @property
    def code(self) -> int | None:
        """Its exit code; the negative number of the signal that ended it; None while it runs."""
        return None if self.running else self._process.returncode

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The last lines of its output so far, as they came."""
        rest = (_text(self._line),) if self._line.strip() else ()
        return (*self._last, *rest)[-LINES:]

    def send(self, number: int) -> None:
        """Hand a signal on to it, if it still runs."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    def leave(self) -> None:
        """Once it has ended, read no more of what children of it may still write."""
        with suppress(OSError):
            os.write(self._wake, _LEAVE)

    def _wait(self) -> None:
        self._process.wait()
        self.ended_at = time.monotonic()
        with suppress(OSError):
            os.write(self._wake, _END)
        self._drained.wait(5.0)  # a slow reader of guard's own output must not hide the end
        self._done.set()
        self._ended(self)

    def _read(self) -> None:
        """Hand its output on until the pipe is closed, or nobody wants more."""
        woken = b""
        while not (_END in woken and _LEAVE in woken):
            drained = _END not in woken or self._drained.is_set()
            wait = 0.0 if not drained else _PROMPT if self._unshown else None
            ready = select.select([self._pipe, self._woken], [], [], wait)[0]
            if self._pipe in ready:
                chunk = os.read(self._pipe, _CHUNK)
                if not chunk:
                    break
                self._take(chunk)
            elif self._woken in ready:
                woken += os.read(self._woken, 1)
            else:
                self._flush()
                if _END in woken:
                    self._drained.set()
        self._flush()
        self._drained.set()
        self._done.wait()
        self._close()

    def _take(self, chunk: bytes) -> None:
        """Show whole lines at once and hold the rest for a moment; keep the last lines."""
        whole, newline, rest = (self._unshown + chunk).rpartition(b"\n")
        if newline or len(rest) > _CHUNK:
            self._show(whole + newline)
        self._unshown = rest
        *lines, line = (self._line + chunk).split(b"\n")
        self._last.extend(_text(line) for line in lines if line.strip())
        self._line = line[-4 * LONGEST_LINE :]

    def _flush(self) -> None:
        """Show a line that has no end: it may be a question."""
        if self._unshown:
            self._show(self._unshown)
            self._unshown = b""

    def _close(self) -> None:
        for number in (self._pipe, self._woken, self._wake):
            os.close(number)


def how_it_ended(code: int) -> str:
    """Return ``exit code 3`` or ``signal SIGTERM``."""
    return f"exit code {code}" if code >= 0 else f"signal {signal_name(code)}"


def signal_name(code: int | None) -> str:
    """Return the name of the signal that ended a process; empty if none did."""
    if code is None or code >= 0:
        return ""
    try:
        return signal.Signals(-code).name
    except ValueError:  # a real-time signal has a number only
        return f"SIG{-code}"


def require_startable(words: Sequence[str], environ: Mapping[str, str]) -> None:
    """Refuse a command that does not exist or must not be executed, before anything is done.

    Raises UsageError.
    """
    if shutil.which(words[0], path=environ.get("PATH", os.defpath)) is None:
        raise _cannot_start(words[0], "no such program, or it must not be executed")


def _start(
    words: Sequence[str], output: int, environ: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(words, stdout=output, stderr=output, env=dict(environ))
    except OSError as error:
        raise _cannot_start(words[0], (error.strerror or str(error)).lower()) from error


def _cannot_start(program: str, why: str) -> UsageError:
    help = "the words after -- are run as they are, without a shell; try -- sh -c '…'"
    return UsageError(f"command {program!r} cannot be started: {why}", help=help)


def _text(line: bytes) -> str:
    """Return a line as it stands at its end: a progress bar writes over itself."""
    return line.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", "replace")[:LONGEST_LINE]
