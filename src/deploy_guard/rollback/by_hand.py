"""`guard rollback`: the same rollback as the automatic one, asked for by a person or a script.

Decides the order of things and what is told of each; the terminal, the question and the output
format are the command line's. Events' kinds: plan, problem, change, note, patch, rolled-back,
progress, restored, failed, nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.follow import Follower
from deploy_guard.cluster.snapshot import Snapshot
from deploy_guard.errors import ExitCode
from deploy_guard.model import Event, Revision, Rollout, Target, Verdict
from deploy_guard.rollback.differences import NEXT_APPLY, NOT_RESTORED, Change, changes, masked
from deploy_guard.rollback.execution import Done, Restored, execute, wait_restored
from deploy_guard.rollback.planning import Plan, plan
from deploy_guard.rollback.preflight import check
from deploy_guard.rollback.problems import Problem
from deploy_guard.rollback.verdicts import record_verdict

SETTLE = 5.0  # seconds given to the controller to see the latest change


@dataclass(frozen=True, slots=True)
class ByHand:
    """How a rollback by hand ended."""

    exit_code: ExitCode
    text: str  # one sentence
    plan: Plan
    changes: tuple[Change, ...] = ()
    done: Done | None = None
    restored: Restored | None = None
    help: str = ""


def rollback_by_hand(
    cluster: Cluster,
    target: Target,
    *,
    to_revision: int | None = None,
    dry_run: bool = False,
    resume: bool = False,
    reason: str = "",
    wait: bool = True,
    timeout: float = 600.0,
    confirm: Callable[[Plan, list[Change]], bool] | None = None,
    report: Callable[[Event], None] | None = None,
    clock: Callable[[], float] = time.time,
    stopped: Callable[[], bool] = lambda: False,
) -> ByHand:
    """Roll back what is live, or say why not. With `dry_run` the server checks and stores nothing.

    `confirm` is asked once everything is known, but not in a dry run; without it the answer is
    yes. Raises GuardError (with its exit
    code) when the cluster cannot be asked, or a newer deploy arrives between plan and patch.
    """
    tell = Teller(report, clock)
    with Follower(cluster, target, pods=False) as follower:
        snapshot = _settled(follower, clock, stopped)
        made = check(cluster, plan(snapshot, to_revision=to_revision, resume=resume, reason=reason))
        tell.plan(made)
        if made.nothing_to_do:
            text = f"nothing to do: {_kind(made, 'nothing-to-do')}"
            tell("nothing", text)
            help = next((p.help for p in made.problems if p.kind == "nothing-to-do"), "")
            return ByHand(ExitCode.OK, text, made, help=help)
        if made.blocking is not None:
            problem = made.blocking
            text = f"not rolled back: {problem.text}"
            tell("failed", text)
            return ByHand(ExitCode.NOT_ROLLED_BACK, text, made, help=problem.help)
        found = changes(made)
        tell.changes(found)
        if dry_run:
            tell.patch(made)
            text = f"dry run: {target} would go back to {named(made.revision)}; nothing was changed"
            return ByHand(ExitCode.OK, text, made, tuple(found))
        if confirm is not None and not confirm(made, found):
            text = "not confirmed: nothing was changed"
            return ByHand(ExitCode.INTERRUPTED, text, made, tuple(found))
        done = execute(cluster, made, clock=clock)
        tell.done(made, done)
        _condemn(cluster, made, done, tell)
        if not wait:
            text = f"{target} was rolled back to {named(made.revision)}; not waited for"
            return ByHand(ExitCode.OK, text, made, tuple(found), done)
        restored = wait_restored(
            follower, done, timeout=timeout, report=tell.progress, clock=clock, stopped=stopped
        )
    return _ended(made, tuple(found), done, restored, tell)


def named(revision: Revision | None) -> str:
    """Name a revision as people know it: number, image, change-cause."""
    if revision is None:
        return "no revision"
    images = ", ".join(revision.images)
    cause = f", {revision.change_cause}" if revision.change_cause else ""
    return f"revision {revision.number} ({images}{cause})"


class Teller:
    """Turns what happens into events."""

    def __init__(self, report: Callable[[Event], None] | None, clock: Callable[[], float]) -> None:
        self._report = report
        self._clock = clock

    def __call__(self, kind: str, text: str, **data: Any) -> None:
        """Report one event."""
        if self._report is not None:
            self._report(Event(self._clock(), kind, text, data))

    def plan(self, made: Plan) -> None:
        """Tell what is planned, which revisions were passed over, and every problem."""
        if made.revision is not None:
            self(
                "plan",
                f"{made.target}: from {named(made.candidate)} back to {named(made.revision)}: "
                f"{made.choice}",
                to=made.revision.number,
                template=made.revision.template_hash,
            )
        for revision, why in made.passed_over:
            self("note", f"revision {revision.number} is passed over: it {why}")
        for problem in made.problems:
            self.problem(problem)

    def problem(self, problem: Problem) -> None:
        """Tell a problem with what to do about it."""
        self(
            "problem",
            problem.text + (f" ({problem.help})" if problem.help else ""),
            problem=problem.kind,
            blocks=problem.blocks,
        )

    def changes(self, found: list[Change]) -> None:
        """Tell what changes, what is not restored, and what brings the condemned version back."""
        for change in found:
            self(
                "change",
                f"{change.where}: {change.before} → {change.after}",
                where=change.where,
                before=change.before,
                after=change.after,
            )
        for text in (*NOT_RESTORED, NEXT_APPLY):
            self("note", text)

    def patch(self, made: Plan) -> None:
        """Tell exactly what would be sent, but for literal values that may be secrets."""
        shown = masked(list(made.operations))
        self("patch", json.dumps(shown, indent=2, ensure_ascii=False), patch=shown)

    def done(self, made: Plan, done: Done) -> None:
        """Tell that the server accepted, or had it already."""
        how = "was rolled back already" if done.already else "is rolled back"
        self("rolled-back", f"{made.target} {how} to {named(made.revision)}")

    def progress(self, rollout: Rollout) -> None:
        """Tell how far the rollout of the old revision is."""
        text = (
            f"{rollout.updated} of {rollout.desired} pods replaced, {rollout.available} available"
        )
        self("progress", text + (f", {rollout.old} to go" if rollout.old else ""))


def _settled(
    follower: Follower, clock: Callable[[], float], stopped: Callable[[], bool]
) -> Snapshot:
    """Give the controller a moment to see the latest change, so that revisions have numbers."""
    deadline = clock() + SETTLE
    snapshot = follower.latest()
    while snapshot.workload is not None and not stopped():
        generation = int(snapshot.workload["metadata"].get("generation", 0))
        status = snapshot.workload.get("status") or {}
        left = deadline - clock()
        if int(status.get("observedGeneration", 0)) >= generation or left <= 0:
            break
        snapshot = follower.wait(snapshot.serial, min(left, 0.5))
    return snapshot


def _condemn(cluster: Cluster, made: Plan, done: Done, tell: Teller) -> None:
    """Remember that a person rolled this revision back, so that no later rollback returns to it."""
    if made.candidate is None:
        return
    reason = "rolled back by hand" + (f": {made.reason}" if made.reason else "")
    problem = record_verdict(
        cluster, made.target, made.candidate, Verdict.REGRESSED, reason=reason, at=done.at
    )
    if problem is not None:
        tell.problem(problem)


def _ended(
    made: Plan, found: tuple[Change, ...], done: Done, restored: Restored, tell: Teller
) -> ByHand:
    took = restored.at - done.at
    if restored.serves:
        text = f"{made.target} serves {named(made.revision)} again, {took:.0f} s after the patch"
        tell("restored", text)
        return ByHand(ExitCode.OK, text, made, found, done, restored)
    text = f"{made.target} was rolled back, but: {restored.failure}"
    tell("failed", text)
    code = ExitCode.SUPERSEDED if restored.superseded else ExitCode.NOT_ROLLED_BACK
    return ByHand(code, text, made, found, done, restored, help="look at its pods and events")


def _kind(made: Plan, kind: str) -> str:
    return next((problem.text for problem in made.problems if problem.kind == kind), "")
