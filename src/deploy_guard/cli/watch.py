"""`guard watch`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from deploy_guard.cli.options import (
    cluster_options,
    connected,
    option,
    output_option,
    policy_option,
    prometheus_option,
    report_option,
)

if TYPE_CHECKING:
    from deploy_guard.policy.values import Values


@click.command(short_help="Watch TARGET after a deploy; roll it back if it regresses.")
@click.argument("target")
@policy_option
@option("--dry-run", is_flag=True, help="Do everything but write to the cluster.")
@report_option
@prometheus_option
@cluster_options
@output_option
def watch(
    *,
    target: str,
    policies: tuple[Path, ...],
    values: Values | None,
    dry_run: bool,
    report: Path | None,
    prometheus_url: str | None,
    kubeconfig: str | None,
    context: str | None,
    namespace: str | None,
    output: str,
) -> int:
    """Watch TARGET after a deploy; roll it back if it regresses.

    TARGET is kubectl's form, such as deployment/checkout. Run it right after the deploy: it
    follows the rollout, reads the signals of the policies, and ends with a verdict that is also
    the exit code.

    \b
    Example:
      kubectl apply -f checkout.yaml
      guard watch deployment/checkout -n shop -p policies/combined.yaml
    """
    from deploy_guard.policy.load import load_all

    policy = load_all(policies, prometheus_url=prometheus_url, values=values)
    from deploy_guard.watch.command import run_watch

    with connected(target, kubeconfig, context, namespace) as (cluster, workload):
        return run_watch(
            cluster.dry_run() if dry_run else cluster,
            workload,
            policy,
            report=report,
            json_output=output == "json",
        )
