"""How a command ends: every error is told on stderr in one form and becomes an exit code.

Decides the words around an error and its exit code. No traceback reaches a user, unless
GUARD_DEBUG is set.
"""

from __future__ import annotations

import os
import sys
from typing import TextIO

import click

from deploy_guard.cli import guard
from deploy_guard.cli.options import say
from deploy_guard.errors import ExitCode, GuardError


def run(arguments: list[str], *, name: str = "guard") -> int:
    """Run one command and return its exit code; every error is told on stderr, none is raised."""
    try:
        result = guard.main(arguments, prog_name=name, standalone_mode=False)
        return result if isinstance(result, int) else int(ExitCode.OK)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except SystemExit as exit_:  # click's own: shell completion, and a pipe that nobody reads
        return exit_.code if isinstance(exit_.code, int) else int(ExitCode.FAILED)
    except BrokenPipeError:  # the reader of our output left: `guard history … | head`
        return int(ExitCode.FAILED)
    except (click.Abort, KeyboardInterrupt):
        say("guard: interrupted")
        return int(ExitCode.INTERRUPTED)
    except Exception as error:  # the last resort, told as what it is
        _traceback()
        return _tell(error)


def flush(code: int) -> int:
    """Write out what the streams still hold; a result that could not be written is no success."""
    error = _flushed(sys.stdout, 1)
    if error is not None and not isinstance(error, BrokenPipeError):
        say(f"guard: error: result cannot be written: {_reason(error)}")
        code = code or int(ExitCode.FAILED)
    _flushed(sys.stderr, 2)
    return code


def _flushed(stream: TextIO | None, number: int) -> OSError | None:
    """Flush a stream; one that cannot be written leads nowhere from then on.

    Else Python would try again at its end, complain, and exit with 120.
    """
    try:
        if stream is not None:
            stream.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)
        return error
    return None


def _tell(error: Exception) -> int:
    """Say what went wrong and what to do; return the exit code."""
    if isinstance(error, click.ClickException):
        command = getattr(getattr(error, "ctx", None), "command_path", "guard")
        _error(_sentence(error.format_message()), help=f"{command} -h shows what it takes")
        return int(ExitCode.USAGE)
    if isinstance(error, GuardError):
        if error.exit_code is ExitCode.INVALID_POLICY:
            return _invalid_policy(error)
        _error(error.message, help=error.help, word=_word(error))
        return int(error.exit_code)
    if isinstance(error, OSError):
        _error(_reason(error))
    else:
        _error(
            f"this is a bug in guard: {type(error).__name__}: {error}",
            help="run it again with GUARD_DEBUG=1, and report the traceback",
        )
    return int(ExitCode.FAILED)


def _invalid_policy(error: GuardError) -> int:
    """Show every problem of the policies, with place, line and caret."""
    from deploy_guard.outputs.screen import coloured
    from deploy_guard.policy.problems import PolicyError, Severity, render

    if not isinstance(error, PolicyError):
        _error(error.message, help=error.help)
        return int(error.exit_code)
    say(render(error.problems, colour=coloured(sys.stderr, os.environ)))
    count = sum(problem.severity is Severity.ERROR for problem in error.problems)
    say(f"\nguard: error: policy is invalid: {count} {'error' if count == 1 else 'errors'}")
    return int(error.exit_code)


def _word(error: GuardError) -> str:
    return "" if error.exit_code is ExitCode.INTERRUPTED else "error: "


def _error(message: str, *, help: str = "", word: str = "error: ") -> None:
    """Tell an error on one line, and what to do on another; servers may have a part in both."""
    from deploy_guard.outputs.format import clean

    say(f"guard: {word}{clean(message)}")
    if help:
        say(f"  help: {clean(help)}")


def _sentence(text: str) -> str:
    """Return click's message as ours are: lower case, no full stop."""
    return text[:1].lower() + text[1:].rstrip(".")


def _reason(error: OSError) -> str:
    reason = (error.strerror or str(error) or type(error).__name__).lower()
    return f"{error.filename}: {reason}" if error.filename else reason


def _traceback() -> None:
    if os.environ.get("GUARD_DEBUG"):
        import traceback

        traceback.print_exc()
