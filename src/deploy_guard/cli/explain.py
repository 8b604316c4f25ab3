"""`guard explain`: what a recorded watch saw, and why its verdict was what it was."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from deploy_guard.cli.options import (
    duration,
    option,
    output_option,
    say,
    terminal_width,
    values_options,
    write_json,
)
from deploy_guard.errors import UsageError

if TYPE_CHECKING:
    from deploy_guard.policy.models import Policy
    from deploy_guard.policy.values import Values

_VALUES = ("settings", "value_files")  # an environment variable may be there for other commands


@click.command(short_help="Replay a recorded watch: what each signal said, and why that verdict.")
@click.argument("record", metavar="RECORD", type=click.Path(path_type=Path))
@option(
    "--with",
    "others",
    multiple=True,
    metavar="POLICY",
    type=click.Path(path_type=Path),
    help="What this policy would have said of the same record; may be given several times, as -p "
    "of guard watch: their signals make one policy.",
)
@option(
    "--every",
    metavar="DURATION",
    help="Time between two steps (default: 1m, less for a short watch).",
)
@option("--all", "everything", is_flag=True, help="Tell every signal at every step.")
@option("--no-charts", is_flag=True, help="Leave the charts out.")
@values_options
@output_option
def explain(
    *,
    record: Path,
    others: tuple[Path, ...],
    every: str | None,
    everything: bool,
    no_charts: bool,
    values: Values | None,
    output: str,
) -> None:
    """Tell what a recorded watch saw, step by step, and why its verdict was what it was.

    RECORD is the directory that --report wrote, or its record.jsonl; of several records in a
    directory the newest. Nothing is asked of a cluster or a metrics server. --set and --values are
    for the policy of --with.

    \b
    Examples:
      guard explain report/
      guard explain report/ --with policies/stricter.yaml
    """
    from deploy_guard.explanation import explain as read_and_fold
    from deploy_guard.explanation.choosing import choose

    seconds = None if every is None else _positive(duration(every))
    policy = _other(others, values)
    chosen = choose(record)
    if chosen.older:
        names = ", ".join(str(file) for file in chosen.older)
        say(f"{record} has several records; this is the newest, {chosen.file}; older: {names}")
    found = read_and_fold(chosen.file, every=seconds, policy=policy)
    if output == "json":
        from deploy_guard.explanation.document import document

        write_json(document(found, everything=everything))
        return
    from deploy_guard.explanation.showing import WIDTH, show
    from deploy_guard.outputs.format import encodable
    from deploy_guard.outputs.screen import coloured

    text = show(
        found,
        width=max(40, terminal_width(sys.stdout) or WIDTH),
        colour=coloured(sys.stdout, os.environ),
        everything=everything,
        with_charts=not no_charts,
    )
    click.echo(encodable(text, sys.stdout.encoding))


def _positive(seconds: float) -> float:
    if not seconds > 0:
        raise UsageError("--every must be longer than 0s", help="such as --every 30s")
    return seconds


def _other(files: tuple[Path, ...], values: Values | None) -> Policy | None:
    """Return the policy to compare with, None without one.

    It may lack its Prometheus: nothing is asked of it.
    """
    if not files:
        given = [click.get_current_context().get_parameter_source(n) for n in _VALUES]
        if ParameterSource.COMMANDLINE in given:
            raise UsageError("--set and --values need --with", help="name a policy with --with")
        return None
    from deploy_guard.policy.load import load_all

    return load_all(files, prometheus_url="http://localhost:9090", values=values)
