"""The last words of a watch: the result on stdout, the files of the record, the job's summary."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal, TextIO

from deploy_guard.errors import ExitCode
from deploy_guard.model import Outcome
from deploy_guard.outputs import summary
from deploy_guard.outputs.format import encodable
from deploy_guard.outputs.json import document
from deploy_guard.outputs.markdown import append_step_summary, markdown
from deploy_guard.outputs.screen import coloured, columns
from deploy_guard.record import Recorder


def tell_result(
    outcome: Outcome,
    stdout: TextIO,
    *,
    environ: Mapping[str, str],
    form: Literal["text", "json"] = "text",
) -> str:
    """Write the job's summary, and the result to stdout: the final screen, or the JSON document.

    Returns a warning to be told, or nothing. A stdout that cannot be written raises OSError only
    when the exit code would be 0: any other says what was done to the cluster, and stays.
    """
    warning = append_step_summary(outcome, environ)
    try:
        _print(outcome, stdout, environ=environ, form=form)
    except (OSError, ValueError) as error:  # ValueError: the stream is closed
        if outcome.exit_code == ExitCode.OK:
            raise
        why = getattr(error, "strerror", None) or str(error)
        warning += f"{'; ' if warning else ''}the result cannot be written: {why.lower()}"
    return warning


def _print(
    outcome: Outcome,
    stdout: TextIO,
    *,
    environ: Mapping[str, str],
    form: Literal["text", "json"],
) -> None:
    if form == "json":
        stdout.write(as_json(outcome))
    elif coloured(stdout, environ):
        _print_coloured(outcome, stdout, environ)
    else:
        stdout.write(encodable(summary.text(outcome), stdout.encoding))
    stdout.flush()


def as_json(outcome: Outcome) -> str:
    """Return the documented JSON document as text, ending with a newline."""
    return json.dumps(document(outcome), indent=2, allow_nan=False) + "\n"


def finish_record(recorder: Recorder, outcome: Outcome) -> None:
    """Write the outcome into the record's directory, for programs, terminals and web pages."""
    recorder.write_file("outcome.json", as_json(outcome))
    recorder.write_file("summary.txt", summary.text(outcome))
    recorder.write_file("summary.md", markdown(outcome))


def _print_coloured(outcome: Outcome, stdout: TextIO, environ: Mapping[str, str]) -> None:
    from rich.console import Console
    from rich.text import Text

    width = min(summary.WIDTH, columns(stdout, environ))
    console = Console(
        file=stdout, force_terminal=True, highlight=False, width=width, _environ=environ
    )
    console.print()  # apart from what the live view left above
    for line in summary.lines(outcome, width=width):
        text = Text(encodable(line.text, stdout.encoding), style=line.style)
        console.print(text, soft_wrap=True)
