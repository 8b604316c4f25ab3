"""`guard deploy`: the whole pipeline step in one line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from deploy_guard.cli.options import (
    cluster_options,
    connected,
    duration,
    option,
    output_option,
    policy_option,
    prometheus_option,
    report_option,
)
from deploy_guard.errors import UsageError

if TYPE_CHECKING:
    from deploy_guard.policy.values import Values


class _WithCommand(click.Command):
    """A command that takes another one after ``--``, as it is, options included."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        rest = super().parse_args(ctx, args[:end])
        ctx.params["command"] = tuple(args[end + 1 :])
        if not ctx.params["command"] and not ctx.resilient_parsing:
            raise UsageError(
                "command that deploys is missing",
                help=f"put it behind two dashes: {ctx.command_path} TARGET -p FILE -- kubectl …",
            )
        return rest

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "-- COMMAND [ARG]..."]


@click.command(
    cls=_WithCommand, short_help="Run the command that deploys TARGET, watch it, roll it back."
)
@click.argument("target")
@policy_option
@option(
    "--settle",
    type=duration,
    default=10.0,
    show_default="10s",
    metavar="DURATION",
    help="How long after COMMAND a change of TARGET may come.",
)
@option(
    "--others-ok",
    is_flag=True,
    help="It is no mistake that COMMAND changes other workloads and leaves TARGET as it is.",
)
@option("--dry-run", is_flag=True, help="Only look at the cluster; COMMAND is not run.")
@report_option
@prometheus_option
@cluster_options
@output_option
def deploy(
    *,
    target: str,
    command: tuple[str, ...],
    policies: tuple[Path, ...],
    values: Values | None,
    settle: float,
    others_ok: bool,
    dry_run: bool,
    report: Path | None,
    prometheus_url: str | None,
    kubeconfig: str | None,
    context: str | None,
    namespace: str | None,
    output: str,
) -> int:
    """Run COMMAND, watch what it deploys, and roll TARGET back if it regresses.

    TARGET is kubectl's form, such as deployment/checkout. COMMAND is run as it is, without a
    shell; what it prints goes to stderr. The watch begins as soon as TARGET changes, also while
    COMMAND still waits for the rollout. The exit code is the verdict; 1 if COMMAND fails, 0 if
    nothing was deployed, 2 if something else than TARGET was.

    --kubeconfig, --context and --namespace are for guard alone: COMMAND needs its own.

    \b
    Examples:
      guard deploy deployment/checkout -n shop -p policies/combined.yaml -- kubectl apply -f k8s/
      guard deploy deploy/checkout -n shop -p policy.yaml -- helm upgrade checkout ./chart -n shop
    """
    from deploy_guard.policy.load import load_all

    policy = load_all(policies, prometheus_url=prometheus_url, values=values)
    import os

    from deploy_guard.deploy.command import require_startable

    require_startable(command, os.environ)
    from deploy_guard.deploy.pipeline import Request
    from deploy_guard.deploy.step import run_deploy

    with connected(target, kubeconfig, context, namespace) as (cluster, workload):
        return run_deploy(
            cluster.dry_run() if dry_run else cluster,
            Request(workload, policy, command, settle, others_ok, report),
            json_output=output == "json",
        )
