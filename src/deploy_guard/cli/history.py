"""`guard history`: the revisions of a workload."""

from __future__ import annotations

import sys

import click

from deploy_guard.cli.options import (
    cluster_options,
    connected,
    output_option,
    terminal_width,
    write_json,
)


@click.command(short_help="List the revisions of TARGET, and which one a rollback chooses.")
@click.argument("target")
@cluster_options
@output_option
def history(
    *, target: str, kubeconfig: str | None, context: str | None, namespace: str | None, output: str
) -> None:
    """List the revisions of TARGET: when, image, verdict, and which one a rollback would choose.

    TARGET is kubectl's form, such as deployment/checkout.
    """
    from deploy_guard.history import as_json, as_text
    from deploy_guard.history import history as read

    with connected(target, kubeconfig, context, namespace) as (cluster, workload):
        found = read(cluster, workload)
    if output == "json":
        write_json(as_json(found))
    else:
        click.echo(as_text(found, width=terminal_width(sys.stdout)))
