"""`guard check`: is a policy right, and what would it say now?"""

from __future__ import annotations

import os
import sys
from typing import Literal

import click

from deploy_guard.cli.options import cluster_options, option, output_option
from deploy_guard.errors import UsageError


@click.command(short_help="Find every mistake in policies; with a cluster, try them.")
@click.argument("paths", nargs=-1, metavar="PATH...")
@option(
    "--target",
    metavar="TARGET",
    help="Ask a cluster too: read every signal of the policy once for this workload, such as "
    "deployment/checkout, and say what the verdict would be now.",
)
@option("--prometheus-url", metavar="URL", help="Instead of the policy's prometheus.url.")
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

    PATH is a policy file, a directory of them, or - for standard input. Exits with 3 if any
    policy is invalid.

    \b
    Examples:
      guard check policies/
      guard check policies/combined.yaml --target deployment/checkout -n shop
    """
    if not paths:
        raise UsageError(
            "policy is missing",
            help="name files, directories, or - for standard input: guard check policies/",
        )
    from deploy_guard.check import check as check_files
    from deploy_guard.check import show
    from deploy_guard.outputs.screen import coloured

    report = check_files(paths, prometheus_given=prometheus_url is not None)
    colour = coloured(sys.stdout, os.environ)
    form: Literal["text", "json"] = "json" if output == "json" else "text"
    click.echo(show(report, form, colour=colour))
    return int(report.exit_code)
