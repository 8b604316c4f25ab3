"""`guard demo`: the outage of the postmortem, on a cluster that comes with it."""

from __future__ import annotations

from pathlib import Path

import click

from deploy_guard.cli.options import option, output_option, report_option

STORIES = {
    "outage": "version 2 ships a misconfigured API integration (the postmortem's outage)",
    "healthy": "version 2 is good and stays",
    "slow": "version 2 answers, but much more slowly",
    "never-ready": "version 2 never becomes ready",
    "shared-outage": "the payments API fails for old and new pods alike: not the deploy's fault",
}


@click.command(
    short_help="Replay an outage on an embedded cluster; none is needed.",
    epilog="\b\nStories:\n" + "\n".join(f"  {name:<14} {what}" for name, what in STORIES.items()),
)
@click.argument("story", metavar="[STORY]", type=click.Choice(list(STORIES)), default="outage")
@option("--serve", is_flag=True, help="Keep the cluster up afterwards and print a kubeconfig.")
@report_option
@output_option
def demo(story: str, serve: bool, report: Path | None, output: str) -> int:
    """Replay an outage on an embedded cluster: detect it, roll back, confirm the recovery.

    No cluster is needed: a small Kubernetes API with real controllers and a toy service runs in
    this process, and is watched and rolled back by the same code as a real one.
    """
    from deploy_guard.demo import run_demo

    return run_demo(story, serve=serve, report=report, json_output=output == "json")
