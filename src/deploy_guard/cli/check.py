"""`guard check`: is a policy right, and what would it say now?"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deploy_guard.cli.options import (
    cluster_options,
    connected,
    option,
    output_option,
    prometheus_option,
    write_json,
)
from deploy_guard.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from deploy_guard.check import Report
    from deploy_guard.check_live import LiveReport


USUAL_PLACE = "policies"


@click.command(short_help="Find every mistake in policies; with a cluster, try them.")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@option(
    "--target",
    metavar="TARGET",
    help="Ask a cluster too: read every signal of the policy once for this workload, such as "
    "deployment/checkout, and say what the verdict would be now.",
)
@prometheus_option
@cluster_options
@output_option
def check(
    *,
    paths: tuple[str, ...],
    target: str | None,
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
      guard check policies/combined.yaml --target deployment/checkout -n shop
    """
    paths = paths or _usual_place()
    if not paths:
        raise UsageError(
            "policy is missing",
            help="name files, directories, or - for standard input: guard check policies/",
        )
    from deploy_guard.check import check as check_files
    from deploy_guard.check import document, show
    from deploy_guard.outputs.screen import coloured

    report = check_files(paths, prometheus_given=prometheus_url is not None)
    colour = coloured(sys.stdout, os.environ)
    if output == "text":
        click.echo(show(report, colour=colour))
    live: dict[str, LiveReport] = {}
    if target is not None and any(file.policy for file in report.files):
        live = _ask(report, target, prometheus_url, (kubeconfig, context, namespace))
    code = _exit_code(report, live)
    if output == "json":
        from deploy_guard.check_live.show import document as live_document

        whole = document(report) | {"exit_code": int(code), "valid": code != 3}
        for file in whole["files"] if target is not None else ():
            file["live"] = live_document(live[file["path"]]) if file["path"] in live else None
        write_json(whole)
    elif live:
        from deploy_guard.check_live.show import show as show_live

        for found in live.values():
            click.echo(f"\n{show_live(found, colour=colour)}")
    return int(code)


def _usual_place() -> tuple[str, ...]:
    """Return the directory where policies are kept by habit, if it is there."""
    return (USUAL_PLACE,) if Path(USUAL_PLACE).is_dir() else ()


def _ask(
    report: Report,
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
        for file in report.files:
            if file.policy is None:
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


def _exit_code(report: Report, live: dict[str, LiveReport]) -> ExitCode:
    """Return the worst: an invalid policy, then a signal without data."""
    codes = [report.exit_code, *(found.exit_code for found in live.values())]
    for code in (ExitCode.INVALID_POLICY, ExitCode.INCONCLUSIVE):
        if code in codes:
            return code
    return ExitCode.OK
