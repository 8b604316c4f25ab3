"""`guard snapshot`: keep what ConfigMaps and Secrets hold now, for a rollback to put back."""

from __future__ import annotations

import click

from deploy_guard.cli.options import (
    cluster_options,
    connected,
    option,
    output_option,
    write_json,
)


@click.command(short_help="Keep the ConfigMaps and Secrets of TARGET as they are now.")
@click.argument("target")
@option("--list", "only_list", is_flag=True, help="Only list the snapshots of each revision.")
@cluster_options
@output_option
def snapshot(
    *,
    target: str,
    only_list: bool,
    kubeconfig: str | None,
    context: str | None,
    namespace: str | None,
    output: str,
) -> int:
    """Keep what the ConfigMaps and Secrets of TARGET hold now, before a deploy changes them.

    Copies are kept in the cluster, owned by the workload and noted on its live revision; a Secret
    is only ever copied into a Secret. TARGET is kubectl's form, such as deployment/checkout. Exits
    with 1 if something that the live revision needs could not be kept.

    \b
    Examples:
      guard snapshot deployment/checkout -n shop
      guard snapshot deployment/checkout -n shop --list
    """
    import os
    import time

    from deploy_guard.configuration.command import as_json, as_text, listed
    from deploy_guard.configuration.command import snapshot as take_one
    from deploy_guard.rollback.trail import who

    with connected(target, kubeconfig, context, namespace) as (cluster, workload):
        if only_list:
            report = listed(cluster, workload)
        else:
            report = take_one(cluster, workload, at=time.time(), by=who(os.environ))
    if output == "json":
        write_json(as_json(report))
    else:
        click.echo(as_text(report))
    return int(report.exit_code)
