"""The process `guard`: from its first instruction on, Ctrl-C gives the documented exit code.

Decides signals, the streams and the exit of the process; what is done is decided in `cli`.
"""

from __future__ import annotations

import os
import signal
import sys
from io import TextIOWrapper
from pathlib import PurePath
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM)
INTERRUPTED = 130  # errors.ExitCode has it too; not imported, to be quick to the first handler


def main() -> None:
    """Run the command line of this process and exit with the documented code."""
    _fill_closed_streams()
    _end_with(INTERRUPTED)  # while modules are loaded there is nothing to report
    from deploy_guard.cli.ending import flush, run

    _write_anything()
    program = PurePath(sys.argv[0]).name
    name = "kubectl guard" if program.startswith("kubectl-") else "guard"
    code = INTERRUPTED
    try:
        for number in _ours():
            signal.signal(number, _interrupt)
        code = run(sys.argv[1:], name=name)
    except KeyboardInterrupt:  # a second one, while the first was being told
        code = INTERRUPTED
    _end_with(code)  # what the interpreter does at its end cannot change the code
    code = flush(code)
    _end_with(code)
    sys.exit(code)


def _write_anything() -> None:
    """Spell out what the terminal's encoding does not have, instead of failing over an arrow."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _fill_closed_streams() -> None:
    """Give a process whose parent closed stdin, stdout or stderr one that leads nowhere.

    Else a connection would get its number, and take what is meant for a reader.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            stream = os.fdopen(nowhere, "w" if number else "r", encoding="utf-8", closefd=False)
            setattr(sys, name, stream)


def _ours() -> list[signal.Signals]:
    """Return the signals to handle: one that the parent process ignores (nohup) stays ignored."""
    return [number for number in STOPPING if signal.getsignal(number) is not signal.SIG_IGN]


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - signal's signature
    """Interrupt the command, wherever it is: it says what it has changed, then ends."""
    raise KeyboardInterrupt


def _end_with(code: int) -> None:
    """Make further signals end the process at once, with this code."""

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - signal's signature
        os._exit(code)

    for number in _ours():
        signal.signal(number, end)


if __name__ == "__main__":
    main()
