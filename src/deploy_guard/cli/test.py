"""`guard test`: does a policy do what its tests say?"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deploy_guard.cli.options import option, say, values_options, write_json
from deploy_guard.errors import UsageError

if TYPE_CHECKING:
    from deploy_guard.policy.values import Values
    from deploy_guard.policy_tests.suite import Results

USUAL_PLACE = "policies"


@click.command(short_help="Run the unit tests of policies, without a cluster.")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@option(
    "-k",
    "--cases",
    "chosen",
    metavar="WORDS",
    default="",
    help="Only cases whose name has these words.",
)
@values_options
@option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "github", "junit"]),
    default="text",
    show_default=True,
    help="Form of the result on stdout; github is for the log of GitHub Actions.",
)
def test(*, paths: tuple[str, ...], chosen: str, values: Values | None, output: str) -> int:
    """Run the tests of policies in virtual time: no cluster, no metrics server.

    PATH is a test file (NAME.test.yaml), a policy that has one beside it, or a directory; without
    any, the directory policies/. A case says what the signals read, what goes wrong, and which
    verdict that must give by when. Exits with 3 if a case fails or a file is invalid.

    \b
    Examples:
      guard test
      guard test policies/checkout.yaml -k "taken back"
      guard test policies/ -o junit > guard-tests.xml
    """
    if not paths and not Path(USUAL_PLACE).is_dir():
        raise UsageError(
            "test is missing",
            help="name test files or directories of them: guard test policies/",
        )
    from deploy_guard.policy_tests.suite import run

    results = run(paths or (USUAL_PLACE,), values=values, chosen=chosen)
    if chosen and not results.cases and not any(file.problems for file in results.files):
        raise UsageError(
            f"no case has {chosen!r} in its name",
            help=f"{results.left_out} cases were found; -k takes words of their names",
        )
    _write(results, output)
    for note in results.notes:
        say(f"note: {note}")
    return int(results.exit_code)


def _write(results: Results, form: str) -> None:
    """Write the results to stdout."""
    if form == "text":
        from deploy_guard.outputs.screen import coloured, columns, terminal
        from deploy_guard.policy_tests.as_text import lines

        colour = coloured(sys.stdout, os.environ)
        known = terminal(sys.stdout, os.environ)
        width = columns(sys.stdout, os.environ) if known else 100
        for line in lines(results, colour=colour, width=width):
            click.echo(line)
        return
    if form == "json":
        from deploy_guard.policy_tests.as_json import document

        write_json(document(results))
        return
    from deploy_guard.check.repository import relative, shown, top

    root = top(os.environ)
    if form == "junit":
        from deploy_guard.policy_tests.as_json import junit

        click.echo(junit(results, relative=lambda path: shown(relative(path, root))))
        return
    from deploy_guard.check.github import commands
    from deploy_guard.check.reports import FileReport

    reports = [FileReport(f.path, None, tuple(f.failures())) for f in results.files]
    for line in commands(reports, root=root):
        click.echo(line)
