"""`guard resume`: end what a guard that was killed has left."""

from __future__ import annotations

import click

from deploy_guard.cli.options import (
    cluster_options,
    connected,
    option,
    output_option,
    say,
    write_json,
)


@click.command(short_help="End a pause, or a fast strategy, that a killed guard has left.")
@click.argument("target")
@option("--force", is_flag=True, help="Resume it whoever paused it, and beside another guard.")
@option("--dry-run", is_flag=True, help="Only say what would be done, checked by the server.")
@cluster_options
@output_option
def resume(
    *,
    target: str,
    force: bool,
    dry_run: bool,
    kubeconfig: str | None,
    context: str | None,
    namespace: str | None,
    output: str,
) -> None:
    """Resume TARGET if a guard that is gone has left it paused, and restore its strategy.

    A gate pauses a rollout, and a fast rollback changes the strategy, both for a while. A guard
    that was killed in between cannot end that; the next guard watch or guard rollback does, and
    this does it at once, without either. TARGET is kubectl's form, such as deployment/checkout.

    \b
    Example:
      guard resume deployment/checkout -n shop
    """
    import os

    from deploy_guard.outputs.format import clean
    from deploy_guard.rollback.finishing import as_json, finish
    from deploy_guard.rollback.trail import who

    with connected(target, kubeconfig, context, namespace) as (cluster, workload):
        asked = cluster.dry_run() if dry_run else cluster
        found = finish(asked, workload, force=force, by=who(os.environ))
    if output == "json":
        write_json(as_json(found, dry_run=dry_run))
    else:
        click.echo(clean(found.text))
    for problem in found.problems:
        say(f"guard: warning: {clean(problem.text)}; {clean(problem.help)}")
