"""What it means for a rollback that somebody else writes the workload, too.

Decides which owners stand in the way under each rule of the policy, and the exact commands that
make a rollback last. Who the owners are is found in `owner_marks`, more about them is read in
`owner_details`, and `suspending` pauses them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from deploy_guard.ownership.marks import Owner, Reverts, Tool, find_owners
from deploy_guard.problems import Problem, Weight, worst_first

__all__ = ["Owner", "Rule", "Tool", "find_owners", "owner_problems"]

Rule = Literal["refuse", "suspend", "proceed"]

KIND = "owner"
REVERTING = (Tool.ARGO_CD, Tool.FLUX_KUSTOMIZATION, Tool.FLUX_HELM_RELEASE, Tool.OPERATOR)
SUSPENDABLE = (Tool.ARGO_CD, Tool.FLUX_KUSTOMIZATION, Tool.FLUX_HELM_RELEASE)
ENDS: dict[Tool, dict[Reverts, str]] = {
    Tool.ARGO_CD: {
        "unknown": "with self-heal it reverts a rollback in seconds",
        "any change": "it heals itself and reverts a rollback in seconds",
        "next release": "its next automated sync, at any new commit, ends a rollback",
        "never": "automated sync is off, so a rollback lasts until somebody syncs",
    },
    Tool.FLUX_KUSTOMIZATION: {
        "unknown": "it reverts a rollback at its next reconcile",
        "any change": "it reverts a rollback at its next reconcile",
        "next release": "it reverts a rollback at its next reconcile",
        "never": "it does not reconcile this now, so a rollback lasts until it is resumed",
    },
    Tool.FLUX_HELM_RELEASE: {
        "unknown": "it ends a rollback at its next upgrade, or with drift detection at its next "
        "reconcile",
        "any change": "it detects drift and reverts a rollback at its next reconcile",
        "next release": "its next upgrade ends a rollback",
        "never": "it does not reconcile this now, so a rollback lasts until it is resumed",
    },
}


def owner_problems(owners: Iterable[Owner], rule: Rule) -> tuple[Problem, ...]:
    """Say what each owner means for a rollback, with the commands that make it last.

    Under ``refuse`` an owner that brings the condemned version back by itself blocks the rollback;
    one that is known not to do so, or that only people set in motion, is a warning under every
    rule. Under ``suspend`` nothing blocks: in an outage a rollback that may be reverted in minutes
    is better than none, and whether suspending worked is told by `suspending`.
    """
    return worst_first(_problem(owner, rule) for owner in owners)


def suspend_command(owner: Owner) -> str:
    """Return the command line that suspends the owner by hand, empty where there is none."""
    space = f" -n {owner.namespace}" if owner.namespace else ""
    if owner.tool is Tool.ARGO_CD:
        return f"argocd app set {owner.argocd_name} --sync-policy none"
    if owner.tool is Tool.FLUX_KUSTOMIZATION:
        return f"flux suspend kustomization {owner.name or 'NAME'}{space}"
    if owner.tool is Tool.FLUX_HELM_RELEASE:
        return f"flux suspend helmrelease {owner.name or 'NAME'}{space}"
    return ""


def reverts_by_itself(owner: Owner) -> bool:
    """Tell whether the owner brings the condemned version back with nobody doing anything."""
    drives = owner.tool in REVERTING or owner.tool is Tool.ARGO_ROLLOUTS
    return drives and owner.reverts != "never"


def _problem(owner: Owner, rule: Rule) -> Problem:
    text, help = _words(owner, rule)
    if rule == "refuse" and reverts_by_itself(owner):
        return Problem(KIND, text, help)
    return Problem(KIND, text, help, Weight.WARNING)


def _words(owner: Owner, rule: Rule) -> tuple[str, str]:
    match owner.tool:
        case Tool.HELM:
            return _helm(owner)
        case Tool.ARGO_ROLLOUTS:
            text = f"Rollout {owner.name} runs the pods of this {owner.owned}, in its own steps"
            command = f"kubectl argo rollouts undo {owner.name} -n {owner.namespace}"
            return text, f"roll back with: {command}"
        case Tool.OPERATOR:
            text = f"{owner.kind} {owner.name} owns this {owner.owned} and may revert it"
            return text, "roll back where its operator reads the version"
        case Tool.KUBECTL_APPLY:
            name = owner.owned_name
            text = f"the next kubectl apply of the same manifest deploys {name} as it is now again"
            return text, "revert the change where the manifest comes from"
    return _gitops(owner, rule)


def _gitops(owner: Owner, rule: Rule) -> tuple[str, str]:
    tool = "Argo CD" if owner.tool is Tool.ARGO_CD else "Flux"
    which = f" ({owner.what.removeprefix(f'{tool} ')})" if owner.name else ""
    text = f"{tool} owns this {owner.owned}{which}: {ENDS[owner.tool][owner.reverts]}"
    if owner.reverts == "never":
        return text, "revert the commit before that"
    if rule == "suspend" and owner.name:
        return text, "guard suspends it first; revert the commit, then resume it"
    if rule == "refuse":
        return text, f"revert the commit; to roll back at once: {suspend_command(owner)}"
    return text, f"revert the commit, or: {suspend_command(owner)}"


def _helm(owner: Owner) -> tuple[str, str]:
    text = f"Helm release {owner.name} owns this {owner.owned} and will not know of the rollback"
    space = f"-n {owner.namespace}"
    if owner.revision:
        return text, f"afterwards: helm rollback {owner.name} {owner.revision} {space}"
    help = (
        f"afterwards: helm rollback {owner.name} {space} (without a number Helm takes the revision "
        f"before the last, even one that failed; see: helm history {owner.name} {space})"
    )
    return text, help
