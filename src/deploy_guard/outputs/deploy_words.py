"""What the final screen and the Markdown report say of the command of `guard deploy`.

Decides the plain words for each result. A deploy that was not watched has no verdict, no evidence
and no revisions to tell of: `unwatched` says so.
"""

from __future__ import annotations

from deploy_guard.errors import ExitCode
from deploy_guard.model import Action, DeployResult, Outcome


def unwatched(outcome: Outcome) -> bool:
    """Tell whether this is a deploy without a watch."""
    return outcome.deploy is not None and not outcome.deploy.watched


def headline(outcome: Outcome) -> str:
    """Say in capitals what became of a deploy that was not watched."""
    what, deploy = str(outcome.target), outcome.deploy
    if deploy is None:
        return ""
    if outcome.action is Action.INTERRUPTED:
        return f"INTERRUPTED: {what}, {_INTERRUPTED.get(deploy.result, 'and it was not watched')}"
    match deploy.result:
        case DeployResult.UNCHANGED:
            return f"NOTHING DEPLOYED: the template of {what} is what it was"
        case DeployResult.CONFIGURATION_ONLY:
            return f"CONFIGURATION ONLY: {what} reads what changed; its template is what it was"
        case DeployResult.SOMETHING_ELSE:
            return f"SOMETHING ELSE DEPLOYED: {_others(deploy.others)} changed, {what} did not"
        case DeployResult.MISSING:
            return f"NOTHING TO WATCH: {what} does not exist, and the command did not make it"
        case DeployResult.DELETED:
            return f"DELETED: {what} is gone after the command"
        case DeployResult.NOT_RUN:
            return f"DRY RUN: the command that deploys {what} was not run"
        case DeployResult.UNFINISHED:
            return f"NOT FINISHED: the command that deploys {what} still runs"
        case DeployResult.FAILED:
            return f"COMMAND FAILED: the template of {what} is what it was"
        case DeployResult.CHANGED | DeployResult.FAILED_AFTER_CHANGE:
            return f"NOT WATCHED: {what} was changed"


_INTERRUPTED = {
    DeployResult.UNCHANGED: "whose template is what it was",
    DeployResult.FAILED: "whose template is what it was",
    DeployResult.CONFIGURATION_ONLY: "whose template is what it was",
    DeployResult.SOMETHING_ELSE: "whose template is what it was",
    DeployResult.MISSING: "which does not exist",
    DeployResult.DELETED: "which is gone after the command",
    DeployResult.UNFINISHED: "while the command still ran",
}


def interrupted(outcome: Outcome) -> str:
    """Say when a watched deploy was interrupted, and that what was deployed stays."""
    if outcome.verdict is None:
        return "before a verdict; what the command deployed stays"
    verdict = outcome.verdict.value.replace("_", " ")
    return f"{verdict}, while the command still ran; what it deployed stays"


def prefix(outcome: Outcome) -> str:
    """Say before the headline of a watch that the command failed all the same."""
    deploy = outcome.deploy
    failed = deploy is not None and deploy.result is DeployResult.FAILED_AFTER_CHANGE
    return "COMMAND FAILED; " if failed and outcome.exit_code == ExitCode.FAILED else ""


def mood(outcome: Outcome) -> str:
    """Return ``good``, ``warning`` or ``bad``: how loud the headline has to be."""
    if outcome.exit_code == ExitCode.OK:
        quiet = (DeployResult.UNCHANGED, DeployResult.NOT_RUN)
        result = outcome.deploy.result if outcome.deploy is not None else None
        return "good" if result in quiet else "warning"
    return "warning" if outcome.exit_code == ExitCode.INTERRUPTED else "bad"


def _others(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")
