"""The exit codes and the errors that end a command. Each error knows its exit code and its help.

An error's text is lower case, subject first, and says what was expected; `help` says what to do.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the command's exit tells a pipeline. All other codes are reserved."""

    OK = 0
    FAILED = 1
    USAGE = 2
    INVALID_POLICY = 3
    ROLLED_BACK = 10
    NOT_ROLLED_BACK = 11
    INCONCLUSIVE = 12
    SUPERSEDED = 13
    INTERRUPTED = 130


EXIT_CODES: dict[ExitCode, str] = {
    ExitCode.OK: "healthy, or the asked action was done",
    ExitCode.FAILED: "guard could not do its work (cluster, credentials, a bug); "
    "nothing was decided",
    ExitCode.USAGE: "wrong arguments",
    ExitCode.INVALID_POLICY: "invalid policy, or its tests fail: "
    "every problem printed with file:line:column",
    ExitCode.ROLLED_BACK: "regression: rolled back",
    ExitCode.NOT_ROLLED_BACK: "regression: not rolled back "
    "(dry run, refused, or the rollback failed; the text says which)",
    ExitCode.INCONCLUSIVE: "inconclusive: too little evidence, or no data, before the deadline",
    ExitCode.SUPERSEDED: "superseded: a newer deploy arrived; left alone",
    ExitCode.INTERRUPTED: "interrupted: nothing was changed that is not reported",
}


class GuardError(Exception):
    """Any error that guard explains to its user. `help` is one line: what to do about it."""

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, *, help: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.help = help


class UsageError(GuardError):
    """The command was called with arguments that cannot be right."""

    exit_code = ExitCode.USAGE
