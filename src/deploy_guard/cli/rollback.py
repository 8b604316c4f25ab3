"""`guard rollback`: the same rollback as after a regression, by hand.

Decides when to ask, and what an interrupt means at each moment. The rollback is `rollback`'s.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from deploy_guard.cli.asking import ask
from deploy_guard.cli.interrupts import Interrupts
from deploy_guard.cli.options import (
    cluster_options,
    connected,
    duration,
    option,
    output_option,
    say,
    terminal_width,
    values_options,
    write_json,
)
from deploy_guard.errors import ExitCode, GuardError, UsageError

if TYPE_CHECKING:
    from deploy_guard.cluster.client import Cluster
    from deploy_guard.model import Recovery, Target
    from deploy_guard.policy.models import Policy
    from deploy_guard.policy.values import Values
    from deploy_guard.rollback.by_hand import ByHand
    from deploy_guard.rollback.preparing import Prepared


@click.command(short_help="Roll TARGET back to the revision that was good, by hand.")
@click.argument("target")
@option(
    "--to-revision",
    type=click.IntRange(min=1),
    metavar="N",
    help="Return to this revision (default: the one that `guard history` marks).",
)
@option("--dry-run", is_flag=True, help="Show what would be done, checked by the server.")
@option("--reason", metavar="TEXT", default="", help="Why; kept on the workload.")
@option("--no-wait", is_flag=True, help="Do not wait until the old revision serves again.")
@option(
    "--timeout",
    type=duration,
    default=600.0,
    show_default="10m",
    metavar="DURATION",
    help="How long to wait for it.",
)
@option(
    "--fast",
    is_flag=True,
    help="All pods of the old revision at once: maxSurge 100% until they serve.",
)
@option(
    "--restore-config",
    is_flag=True,
    help="Restore ConfigMaps and Secrets from the old revision's snapshot, too.",
)
@option(
    "--owner",
    type=click.Choice(["proceed", "suspend", "refuse"]),
    default="proceed",
    show_default=True,
    help="If Argo CD or Flux would revert it: go on, suspend them first, or refuse.",
)
@option(
    "--take-over",
    is_flag=True,
    help="Take the target over from another guard that works on it.",
)
@option(
    "-p",
    "--policy",
    "policies",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Afterwards look at the signals of this policy, to say whether the service recovered.",
)
@values_options
@option("--resume", is_flag=True, help="Resume the workload if it is paused.")
@option("-y", "--yes", is_flag=True, help="Do not ask; needed without a terminal.")
@cluster_options
@output_option
def rollback(
    *,
    target: str,
    to_revision: int | None,
    dry_run: bool,
    reason: str,
    no_wait: bool,
    timeout: float,
    fast: bool,
    restore_config: bool,
    owner: Literal["proceed", "suspend", "refuse"],
    take_over: bool,
    policies: tuple[Path, ...],
    values: Values | None,
    resume: bool,
    yes: bool,
    kubeconfig: str | None,
    context: str | None,
    namespace: str | None,
    output: str,
) -> int:
    """Roll TARGET back to the revision that was good.

    Shows what changes and asks; then sends one patch that the server refuses if a newer deploy
    arrived meanwhile, and waits until the old revision serves. TARGET is kubectl's form, such as
    deployment/checkout; `guard history TARGET` shows which revision is chosen.

    \b
    Examples:
      guard rollback deployment/checkout -n shop
      guard rollback deployment/checkout -n shop --to-revision 7 --reason "INC-12" -y
    """
    if not (yes or dry_run or _in_a_terminal()):
        raise UsageError(
            "rollback cannot ask without a terminal",
            help="add -y to roll back without a question, or --dry-run to change nothing",
        )
    from deploy_guard.masking import HIDDEN
    from deploy_guard.outputs.format import clean
    from deploy_guard.rollback.by_hand import rollback_by_hand
    from deploy_guard.rollback.planning import Way
    from deploy_guard.rollback.telling import Told, as_json
    from deploy_guard.rollback.trail import who
    from deploy_guard.secret_names import hide_in_prose

    policy = _policy(policies, values)
    way = Way(
        fast=fast,
        restore_config=restore_config,
        owner=owner,
        resume=resume,
        by=who(os.environ),
    )
    # In a dry run the plan is the result; else it is talk, and the last sentence is the result.
    as_result = dry_run and output == "text"
    told = Told(
        click.echo if as_result else say,
        width=terminal_width(sys.stdout if as_result else sys.stderr),
    )

    def confirm(prepared: Prepared) -> bool:  # noqa: ARG001 - told as it came
        sure = yes or ask("Roll back?")
        interrupts.arm()
        return sure

    with connected(target, kubeconfig, context, namespace) as (cluster, workload):
        try:
            with Interrupts() as interrupts:
                result = rollback_by_hand(
                    cluster,
                    workload,
                    to_revision=to_revision,
                    dry_run=dry_run,
                    way=way,
                    reason=hide_in_prose(reason, HIDDEN),  # it is kept, and read by many
                    take_over=take_over,
                    wait=not no_wait,
                    timeout=timeout,
                    confirm=confirm,
                    report=told,
                    stopped=interrupts.stopped,
                )
        except KeyboardInterrupt:
            raise _interrupted(workload, armed=interrupts.armed, accepted=told.accepted) from None
        recovered = None
        if policy is not None and result.done is not None:
            recovered = _look_again(cluster, workload, policy, result)
    code = result.exit_code
    if interrupts.asked and not (result.restored and result.restored.serves):
        code = ExitCode.INTERRUPTED
    with suppress(BrokenPipeError):  # what was done counts, read or not
        if output == "json":
            document = as_json(result, dry_run=dry_run, exit_code=int(code))
            write_json(document | {"recovered": recovered.value if recovered else None})
        else:
            click.echo(_fitted(clean(result.text)))
    if result.help and not told.has_said(result.help):
        say(f"  help: {result.help}")
    return int(code)


def _policy(files: tuple[Path, ...], values: Values | None) -> Policy | None:
    if not files:
        return None
    from deploy_guard.policy.load import load_all

    return load_all(files, values=values)


def _look_again(
    cluster: Cluster, workload: Target, policy: Policy, result: ByHand
) -> Recovery | None:
    """Look at the signals once the old revision serves; what they say is told as it comes."""
    from deploy_guard.outputs.lines import LineOutput
    from deploy_guard.watch.recovery import check_recovery

    candidate, done, restored = result.plan.candidate, result.done, result.restored
    if candidate is None or done is None or restored is None or not restored.serves:
        return None
    say("looking at the signals again; Ctrl-C ends it, the rollback stays")
    try:
        found = check_recovery(
            cluster,
            workload,
            policy,
            condemned=candidate.template_hash,
            done=done,
            output=LineOutput(sys.stderr),
            environ=os.environ,
        )
    except KeyboardInterrupt:
        return None
    return found.recovery


def _fitted(text: str) -> str:
    """Break the result where a terminal would break it anywhere."""
    from deploy_guard.outputs.format import wrap

    width = terminal_width(sys.stdout)
    return text if width is None else "\n".join(wrap(text, width=width, rest="  "))


def _in_a_terminal() -> bool:
    """Tell whether a person can read the question and answer it."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


class Interrupted(GuardError):
    """The command was interrupted; the text says what was changed."""

    exit_code = ExitCode.INTERRUPTED


def _interrupted(target: Target, *, armed: bool, accepted: bool) -> Interrupted:
    if not armed:
        return Interrupted("interrupted: nothing was changed")
    help = f"see what is live: guard history {target} -n {target.namespace}"
    if accepted:
        return Interrupted(f"interrupted: {target} was rolled back; not waited for", help=help)
    text = f"interrupted while {target} was rolled back: whether it is done is not known"
    return Interrupted(text, help=help)
