"""What a watch tells a human at its end: why, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable

from deploy_guard import text
from deploy_guard.cluster.snapshot import Snapshot
from deploy_guard.cluster.templates import hash_of
from deploy_guard.cluster.workload import revision_of
from deploy_guard.errors import ExitCode
from deploy_guard.model import (
    Action,
    Evidence,
    Finding,
    Recovery,
    Revision,
    Rollout,
    Target,
    Verdict,
    Workload,
)
from deploy_guard.ownership.rules import KIND as OWNER
from deploy_guard.rollback.preparing import Prepared
from deploy_guard.watch.unfinished import Left, Stage


def rollout_words(workload: Workload) -> str:
    """Return how far the candidate's rollout is, in one line."""
    rollout = workload.rollout
    new = workload.candidates()
    ready = sum(p.ready for p in new)
    words = f"{len(new)} of {text.plural(rollout.desired, 'pod')} new, {ready} of them ready"
    if rollout.old:
        words += f", {rollout.old} old"
    if rollout.paused:
        words += ", paused"
    return words + (", complete" if rollout.complete else "")


def revision_words(revision: Revision | None) -> str:
    """Return ``revision 3 (registry.example/shop:2.0)``."""
    if revision is None:
        return "no revision"
    return f"revision {revision.number} ({', '.join(revision.images)})"


def left_words(left: Left) -> str:
    """Return what a guard that died had left undone, and what this one does about it."""
    who = left.holder or "another guard"
    if left.stage is Stage.ROLLED_BACK:
        return f"{who} rolled back and ended before it served again: this watch follows it"
    if left.stage is Stage.CONDEMNED:
        return f"{who} found a regression and ended before the rollback: this watch does it"
    return f"{who} watched this deploy and ended without a verdict: this watch goes on"


def restoring_words(rollout: Rollout) -> str:
    """Return how far a rollback's rollout is, in one line."""
    words = f"{rollout.updated} of {text.plural(rollout.desired, 'pod')} taken back"
    words += f", {rollout.available} available"
    return words + (f", {rollout.old} of the condemned left" if rollout.old else "")


def recovery_words(recovery: Recovery, evidence: Iterable[Evidence]) -> str:
    """Return what the second look at the signals showed."""
    seen = "; ".join(f"{e.signal}: {e.text}" for e in evidence if e.finding is not Finding.NO_DATA)
    if recovery is Recovery.RECOVERED:
        return f"recovered: {seen}"
    if recovery is Recovery.STILL_BAD:
        return f"STILL BAD: the deploy was not the cause, or not the only one: {seen}"
    return f"not proven: {seen or 'no data'}"


def superseded(snapshot: Snapshot, live: str) -> str:
    """Return what took the place of the revision under watch."""
    for replicaset in snapshot.revisions:
        if hash_of(replicaset) == live:
            return f"{revision_words(revision_of(replicaset))} took the candidate's place"
    return "a newer deploy took the candidate's place"


def interrupted(why: str, rolled_back_at: float | None) -> str:
    """Return what was and was not done before the interruption."""
    if rolled_back_at is not None:
        return f"{why}: the rollback was accepted by the cluster and goes on without guard"
    return f"{why}: nothing was changed"


def exit_code(verdict: Verdict | None, action: Action) -> ExitCode:
    """Return the documented exit code of how a watch ended."""
    by_action = {
        Action.INTERRUPTED: ExitCode.INTERRUPTED,
        Action.SUPERSEDED: ExitCode.SUPERSEDED,
        Action.ROLLED_BACK: ExitCode.ROLLED_BACK,
    }
    if action in by_action:
        return by_action[action]
    if verdict is Verdict.REGRESSED:
        return ExitCode.NOT_ROLLED_BACK
    return ExitCode.OK if verdict is Verdict.HEALTHY else ExitCode.INCONCLUSIVE


def _owner_steps(prepared: Prepared | None) -> list[str]:
    """Say what makes the rollback last where a tool that was not suspended owns the workload."""
    if prepared is None or prepared.plan.way.owner == "suspend":
        return []
    found = [p for p in prepared.plan.problems if p.kind == OWNER]
    return [f"{problem.text}: {problem.help}" for problem in found if problem.help]


def _not_restored(name: str, prepared: Prepared | None, *, restored: bool) -> str:
    if prepared is not None and prepared.restores and restored:
        return "not restored by a rollback: replicas, databases"
    if prepared is not None and prepared.configuration:
        return f"the configuration was not restored: guard rollback {name} --restore-config"
    return "not restored by a rollback: ConfigMap and Secret contents, replicas, databases"


def next_steps(
    target: Target,
    *,
    verdict: Verdict | None,
    action: Action,
    recovered: Recovery | None,
    candidate: Revision | None,
    target_revision: Revision | None,
    shared: bool = False,
    prepared: Prepared | None = None,
    restored: bool = False,
    owners: Iterable[str] = (),
) -> tuple[str, ...]:
    """Return what a human should do now, most urgent first, commands ready to be pasted.

    `shared`: something is bad that is not the deploy's fault. `restored`: so was all of the
    configuration that differed. `owners`: how to resume the GitOps tools that were suspended.
    """
    name = f"{target} -n {target.namespace}"
    steps: list[str] = []
    if action is Action.ROLLED_BACK:
        if recovered is Recovery.STILL_BAD:
            steps.append(
                "look for another cause: the old revision is as bad "
                "(dependencies, infrastructure, configuration that a template does not hold)"
            )
        elif recovered is not Recovery.RECOVERED:
            steps.append("check the signals yourself: the recovery is not proven")
        steps.append(
            "fix or revert the change in its source: the next apply of the same manifest, "
            "or a GitOps sync, brings the bad revision back"
        )
        steps += [f"then: {command}" for command in owners]
        steps += _owner_steps(prepared)
        steps.append(_not_restored(name, prepared, restored=restored))
    elif action is Action.WOULD_ROLL_BACK:
        steps.append(f"to take it back now: guard rollback {name}")
    elif action in (Action.REFUSED, Action.ROLLBACK_FAILED):
        steps.append(f"see what stands in the way: guard rollback {name} --dry-run")
        steps.append(f"see what can be gone back to: guard history {name}")
    elif action is Action.INTERRUPTED:
        steps.append(f"see what runs now: kubectl rollout status {name}")
        if verdict is Verdict.REGRESSED:
            steps.append(f"to take it back: guard rollback {name}")
    elif action is Action.SUPERSEDED:
        steps.append(f"watch the newer deploy: guard watch {name} -p POLICY")
    elif verdict is Verdict.INCONCLUSIVE:
        if shared:
            steps.append(
                "look at what old and new pods share: the APIs they call, databases, network"
            )
        else:
            steps.append("nothing was changed; look at the signals above and decide")
        if candidate is not None and target_revision is not None:
            steps.append(f"to take it back all the same: guard rollback {name}")
        if not shared:
            steps.append(
                "with little traffic: watch longer (watch.for) or add a probe (provider: http)"
            )
    elif verdict is Verdict.NO_DATA:
        steps.append("nothing was changed; find out why no signal could be read (see above)")
        steps.append("see what each signal says now: guard check POLICY --target " + name)
    return tuple(steps)
