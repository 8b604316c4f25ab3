"""`guard check`: is a policy right, and what would it say now?"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deploy_guard.cli.options import (
    cluster_options,
    connected,
    option,
    prometheus_option,
    say,
    settings_options,
    write_json,
)
from deploy_guard.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from deploy_guard.check import FileReport, Tally
    from deploy_guard.check_live import LiveReport
    from deploy_guard.policy.values import Values


USUAL_PLACE = "policies"
FORMS = ("text", "json", "github", "sarif", "junit")


@click.command(short_help="Find every mistake in policies; with a cluster, try them.")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@option(
    "--target",
    metavar="TARGET",
    help="Ask a cluster too: read every signal of the policy once for this workload, such as "
    "deployment/checkout, and say what the verdict would be now, and what would make it fire.",
)
@option(
    "--stdin-filename",
    metavar="FILE",
    default="",
    help="The file whose text is on standard input, for editors: guard check - with this.",
)
@option(
    "--resolved",
    is_flag=True,
    help="Write valid policies as YAML instead, with all that they extend and the values in it.",
)
@settings_options
@prometheus_option
@cluster_options
@option(
    "-o",
    "--output",
    type=click.Choice(FORMS),
    default="text",
    show_default=True,
    help="Form of the result on stdout; github is for the log of GitHub Actions.",
)
def check(
    *,
    paths: tuple[str, ...],
    target: str | None,
    stdin_filename: str,
    resolved: bool,
    settings: tuple[str, ...],
    value_files: tuple[Path, ...],
    prometheus_url: str | None,
    kubeconfig: str | None,
    context: str | None,
    namespace: str | None,
    output: str,
) -> int:
    """Check policies without a cluster: every mistake with file, line and column.

    PATH is a policy file, a directory of them, or - for standard input; without any, the
    directory policies/ if there is one. Exits with 3 if any
    policy is invalid. With --target, also with 3 if the metrics server refuses a query, and with
    12 if a signal has no data; nothing is written to the cluster.

    \b
    Examples:
      guard check policies/
      guard check policies/ -o sarif > guard.sarif
      guard check policies/ --values prod.values.yaml
      guard check policies/checkout.yaml --values prod.values.yaml --resolved
      guard check - --stdin-filename policies/checkout.yaml < buffer
      guard check policies/combined.yaml --target deployment/checkout -n shop
    """
    paths = paths or _usual_place()
    if not paths:
        raise UsageError(
            "policy is missing",
            help="name files, directories, or - for standard input: guard check policies/",
        )
    if stdin_filename and "-" not in paths:
        raise UsageError(
            "--stdin-filename needs standard input",
            help="guard check - --stdin-filename policies/checkout.yaml",
        )
    if resolved and (target is not None or output != "text"):
        raise UsageError(
            "--resolved is a form of its own: expected no --target and no --output",
            help="guard check policies/checkout.yaml --resolved",
        )
    from deploy_guard.check import Tally, each

    tally = Tally()
    values, wrong = _values(value_files, settings)
    found: Iterable[FileReport] = wrong or each(
        paths,
        prometheus_given=prometheus_url is not None,
        stdin_name=stdin_filename,
        values=values,
    )
    reports = tally.counted(found)
    if resolved:
        _write_resolved(reports)
        return int(tally.exit_code)
    if target is None or wrong:
        _write(reports, output, tally)
        return int(tally.exit_code)
    files = list(reports)
    if output == "text":
        _write(files, output, tally)
    live: dict[str, LiveReport] = {}
    if any(file.policy for file in files):
        live = _ask(files, target, prometheus_url, (kubeconfig, context, namespace))
    code = _exit_code(tally, live)
    if output == "json":
        from deploy_guard.check import document
        from deploy_guard.check_live.document import document as live_document

        whole = document(files) | {"exit_code": int(code), "valid": code != 3}
        for file in whole["files"]:
            file["live"] = live_document(live[file["path"]]) if file["path"] in live else None
        write_json(whole)
        return int(code)
    from deploy_guard.check_live.show import WIDTH
    from deploy_guard.check_live.show import show as show_live
    from deploy_guard.outputs.screen import coloured, columns, terminal

    talk = output != "text"  # its result is on stdout: what is no problem of a file goes to stderr
    stream = sys.stderr if talk else sys.stdout
    colour = coloured(stream, os.environ)
    width = columns(stream, os.environ) if terminal(stream, os.environ) else WIDTH
    for report in live.values():
        click.echo(f"\n{show_live(report, colour=colour, width=width)}", err=talk)
    if talk:
        tally = Tally()
        _write(tally.counted(_with_live(files, live)), output, tally)
    return int(code)


def _values(
    files: Sequence[Path], settings: Sequence[str]
) -> tuple[Values | None, list[FileReport]]:
    """Return the values that were given, or what is wrong with their files: then that is all."""
    if not files and not settings:
        return None, []
    from deploy_guard.check import FileReport
    from deploy_guard.policy.problems import PolicyError
    from deploy_guard.policy.values import read_values

    try:
        return read_values(files, settings), []
    except PolicyError as error:
        told = groupby(error.problems, key=lambda problem: problem.file)
        return None, [FileReport(f, None, tuple(found), of_values=True) for f, found in told]


def _write(reports: Iterable[FileReport], output: str, tally: Tally) -> None:
    """Write what was found, as it comes where the form allows; `tally` counts it meanwhile."""
    if output == "json":
        from deploy_guard.check import document

        write_json(document(reports))
        return
    from deploy_guard.check.forms import write

    for part in write(reports, output, environ=os.environ, stdout=sys.stdout):
        click.echo(part)
    if output in {"github", "sarif", "junit"}:
        say(tally.summary)


def _with_live(files: Sequence[FileReport], live: Mapping[str, LiveReport]) -> Iterator[FileReport]:
    """Yield what was found in files, and what only showed live: refused queries, call-outs."""
    for file in files:
        found = live.get(file.path)
        more = () if found is None else (*found.problems, *found.line_warnings)
        yield replace(file, problems=(*file.problems, *more))


def _write_resolved(reports: Iterable[FileReport]) -> None:
    """Write valid policies to stdout, as documents of YAML, and what is wrong to stderr."""
    from deploy_guard.outputs.screen import coloured
    from deploy_guard.policy.problems import render, visible

    between = ""
    for file in reports:
        if file.problems:
            say(f"{render(file.problems, colour=coloured(sys.stderr, os.environ))}\n")
        if file.policy is None or file.abstract:
            continue
        from deploy_guard.policy.resolved import as_yaml

        click.echo(f"{between}# {visible(file.path)}\n{as_yaml(file.policy)}", nl=False)
        between = "---\n"


def _usual_place() -> tuple[str, ...]:
    """Return the directory where policies are kept by habit, if it is there."""
    return (USUAL_PLACE,) if Path(USUAL_PLACE).is_dir() else ()


def _ask(
    files: Sequence[FileReport],
    target: str,
    prometheus_url: str | None,
    where: tuple[str | None, str | None, str | None],
) -> dict[str, LiveReport]:
    """Read every valid policy for the workload, each on its own; return them by path."""
    from deploy_guard.check_live import check_live
    from deploy_guard.policy.load import require_base_url, with_url

    if prometheus_url is not None:
        require_base_url(prometheus_url)
    found = {}
    with connected(target, *where) as (cluster, workload):
        for file in files:
            if file.policy is None or file.abstract:
                continue
            policy = file.policy
            found[file.path] = check_live(
                policy if prometheus_url is None else with_url(policy, prometheus_url),
                cluster,
                workload,
                environ=os.environ,
                places=file.places,
                tell=lambda words: click.echo(words, err=True),
            )
    return found


def _exit_code(tally: Tally, live: dict[str, LiveReport]) -> ExitCode:
    """Return the worst: an invalid policy, then a signal without data."""
    codes = [tally.exit_code, *(found.exit_code for found in live.values())]
    for code in (ExitCode.INVALID_POLICY, ExitCode.INCONCLUSIVE):
        if code in codes:
            return code
    return ExitCode.OK
