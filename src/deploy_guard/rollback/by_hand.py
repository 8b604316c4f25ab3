"""`guard rollback`: the same rollback as the automatic one, asked for by a person or a script.

Decides the order of things and what is told of each; the terminal, the question and the output
format are the command line's. Events' kinds: plan, problem, change, note, patch, rollback,
rolled-back, progress, restored, failed, nothing, warning.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.follow import Follower
from deploy_guard.cluster.lease import Lease
from deploy_guard.cluster.rollouts import is_observed, live_hash, rollout_of
from deploy_guard.cluster.snapshot import Snapshot
from deploy_guard.errors import ExitCode, GuardError
from deploy_guard.model import Change, Event, Revision, Target, Verdict
from deploy_guard.rollback import trail
from deploy_guard.rollback.carrying_out import carry_out, finish_strategy
from deploy_guard.rollback.execution import Done, Restored, found_done, wait_restored
from deploy_guard.rollback.fast import read_saved
from deploy_guard.rollback.planning import AS_USUAL, Plan, Way
from deploy_guard.rollback.preparing import Prepared, prepare
from deploy_guard.rollback.revisions import Note, came_after, history, read_note, went_forward
from deploy_guard.rollback.stuck import Unsticker
from deploy_guard.rollback.teller import Teller, named
from deploy_guard.rollback.verdicts import record_verdict

SETTLE = 5.0  # seconds given to the controller to see the latest change


@dataclass(frozen=True, slots=True)
class ByHand:
    """How a rollback by hand ended."""

    exit_code: ExitCode
    text: str  # one sentence
    plan: Plan
    changes: tuple[Change, ...] = ()
    configuration: tuple[Change, ...] = ()
    restores_config: bool = False
    done: Done | None = None
    restored: Restored | None = None
    help: str = ""


def rollback_by_hand(
    cluster: Cluster,
    target: Target,
    *,
    to_revision: int | None = None,
    dry_run: bool = False,
    way: Way = AS_USUAL,
    reason: str = "",
    take_over: bool = False,
    wait: bool = True,
    timeout: float = 600.0,
    confirm: Callable[[Prepared], bool] | None = None,
    report: Callable[[Event], None] | None = None,
    clock: Callable[[], float] = time.time,
    stopped: Callable[[], bool] = lambda: False,
) -> ByHand:
    """Roll back what is live, or say why not. With `dry_run` the server checks and stores nothing.

    A rollback that an earlier guard had begun is finished. `confirm` is asked once everything is
    known, but not in a dry run; without it the answer is yes. Raises GuardError (with its exit
    code) when the cluster cannot be asked, another guard works on the target (unless `take_over`),
    or a newer deploy arrives between plan and patch.
    """
    cluster = cluster.dry_run() if dry_run else cluster
    tell = Teller(report, clock)
    with Follower(cluster, target, pods=target.kind == "statefulset") as follower:
        snapshot = _settled(follower, clock, stopped)
        with _lease(cluster, snapshot, way, take_over=take_over, tell=tell) as lease:
            made = prepare(cluster, snapshot, to_revision=to_revision, reason=reason, way=way)
            tell.plan(made.plan)
            hand = _Hand(cluster, follower, made, tell, clock, stopped, timeout, wait, lease)
            if made.plan.nothing_to_do and not made.restores:
                return hand.finish()
            return hand.roll_back(None if dry_run else confirm)


@dataclass(frozen=True, slots=True)
class _Hand:
    """One rollback by hand, from what is known to its end."""

    cluster: Cluster
    follower: Follower
    made: Prepared
    tell: Teller
    clock: Callable[[], float]
    stopped: Callable[[], bool]
    timeout: float
    wait: bool
    lease: Lease

    def roll_back(self, confirm: Callable[[Prepared], bool] | None) -> ByHand:
        plan, tell = self.made.plan, self.tell
        if plan.blocking is not None:
            text = f"not rolled back: {plan.blocking.text}"
            tell("failed", text)
            return ByHand(ExitCode.NOT_ROLLED_BACK, text, plan, help=plan.blocking.help)
        tell.changes(self.made)
        if self.cluster.dry:
            tell.patch(plan)
            text = f"dry run: {self._would()}; nothing was changed"
            return self._ended(ExitCode.OK, text)
        if confirm is not None and not confirm(self.made):
            return self._ended(ExitCode.INTERRUPTED, "not confirmed: nothing was changed")
        done = carry_out(
            self.cluster,
            self.made,
            tell=tell,
            patience=self.timeout,
            clock=self.clock,
            before_write=self.lease.check,
            stopped=self.stopped,
        )
        tell.done(plan, done)
        self._condemn(plan.candidate, done.at, plan.reason)
        self._event("RollbackStarted", f"back to {named(plan.revision)}: {_why(plan.reason)}")
        return self._follow(done)

    def finish(self) -> ByHand:
        """Finish what an earlier guard had begun, or say that there is nothing to do."""
        plan, snapshot = self.made.plan, self.follower.latest()
        words = next(p for p in plan.problems if p.kind == "nothing-to-do")
        workload = snapshot.workload
        note = read_note(workload) if workload is not None else None
        rollout = rollout_of(snapshot, live_hash(snapshot) or "")
        open_strategy = workload is not None and read_saved(workload) is not None
        if workload is None or note is None or (rollout.complete and not open_strategy):
            if note is not None and not self.cluster.dry:
                self._condemn_left(snapshot, note)
            text = f"nothing to do: {words.text}"
            self.tell("nothing", text)
            return ByHand(ExitCode.OK, text, plan, help=words.help)
        if self.cluster.dry:
            text = f"dry run: {words.text}, and would be followed to its end"
            return ByHand(ExitCode.OK, text, plan)
        done = found_done(workload, at=self.clock())
        self.tell.done(plan, done)
        self._condemn_left(snapshot, note)
        return self._follow(done)

    def _follow(self, done: Done) -> ByHand:
        """Wait until the old revision serves, and put the strategy back whatever happens."""
        plan, tell = self.made.plan, self.tell
        strategy = read_saved(self.follower.latest().workload or {"metadata": {}, "spec": {}})
        if not self.wait and not (plan.way.fast or strategy):
            text = f"{plan.target} was rolled back to {named(plan.revision)}; not waited for"
            return self._ended(ExitCode.OK, text, done)
        try:
            restored = wait_restored(
                self.follower,
                done,
                timeout=self.timeout,
                report=tell.progress,
                help_along=Unsticker(
                    self.cluster, tell=lambda t: tell("rollback", t), problem=tell.problem
                ),
                clock=self.clock,
                stopped=self.stopped,
            )
        finally:
            problem = finish_strategy(
                self.cluster, self.follower.latest(), done.uid, tell=self.tell
            )
            if problem is not None:
                tell.problem(problem)
        return self._waited(done, restored)

    def _waited(self, done: Done, restored: Restored) -> ByHand:
        plan, tell = self.made.plan, self.tell
        took = restored.at - done.at
        if restored.serves:
            what = named(plan.revision or plan.candidate)
            text = f"{plan.target} serves {what} again, {took:.0f} s after the patch"
            tell("restored", text)
            self._event("RollbackCompleted", text)
            return self._ended(ExitCode.OK, text, done, restored)
        text = f"{plan.target} was rolled back, but: {restored.failure}"
        tell("failed", text)
        self._event("RollbackFailed", text, warning=True)
        code = ExitCode.SUPERSEDED if restored.superseded else ExitCode.NOT_ROLLED_BACK
        help = "look at its pods and events"
        return self._ended(code, text, done, restored, help=help)

    def _ended(
        self,
        code: ExitCode,
        text: str,
        done: Done | None = None,
        restored: Restored | None = None,
        help: str = "",
    ) -> ByHand:
        made = self.made
        return ByHand(
            code,
            text,
            made.plan,
            changes=made.changes,
            configuration=made.configuration,
            restores_config=done.restored_config if done is not None else made.restores,
            done=done,
            restored=restored,
            help=help,
        )

    def _would(self) -> str:
        plan = self.made.plan
        if plan.in_place:
            return f"{plan.target} would keep its template and get its configuration back"
        return f"{plan.target} would go back to {named(plan.revision)}"

    def _condemn(self, candidate: Revision | None, at: float, reason: str) -> None:
        """Remember that a person rolled a revision back, so that no later one returns to it.

        A return to a newer version, as after a false alarm, says nothing against the older one.
        """
        target = self.made.plan.revision
        if candidate is None or self.made.plan.in_place:
            return
        if target is not None and came_after(target, candidate):
            return
        words = "rolled back by hand" + (f": {reason}" if reason else "")
        problem = record_verdict(
            self.cluster,
            self.made.plan.target,
            candidate,
            Verdict.REGRESSED,
            reason=words,
            at=at,
            workload=self.follower.latest().workload,
        )
        if problem is not None:
            self.tell.problem(problem)

    def _condemn_left(self, snapshot: Snapshot, note: Note) -> None:
        """Write the verdict that a guard which died after the patch could not write.

        A version whose configuration was put back is not condemned, nor one that was left for a
        newer one.
        """
        known = history(snapshot.revisions)
        if note.configuration or went_forward(known, note):
            return
        for past in known:
            revision = past.revision
            judged = revision.verdict_at or 0.0
            if revision.verdict is Verdict.REGRESSED:
                continue  # for a better reason
            if revision.template_hash == note.from_hash and judged < note.at:
                self._condemn(revision, note.at, note.reason)

    def _event(self, reason: trail.Reason, text: str, *, warning: bool = False) -> None:
        workload = self.follower.latest().workload
        if workload is None:
            return
        by = f" (by {self.made.plan.way.by})" if self.made.plan.way.by else ""
        problem = trail.write_event(
            self.cluster,
            self.made.plan.target,
            workload,
            reason=reason,
            text=text + by,
            type="Warning" if warning else "Normal",
            at=self.clock(),
        )
        if problem is not None:
            self.tell.problem(problem)


def _lease(
    cluster: Cluster, snapshot: Snapshot, way: Way, *, take_over: bool, tell: Teller
) -> Lease:
    """Take the lease on the target; say who holds it if that is another guard."""
    if snapshot.workload is None:
        raise GuardError(
            f"{snapshot.target} does not exist", help="check the name and the namespace"
        )
    lease = Lease.acquire(
        cluster, snapshot.target, snapshot.workload, holder=way.by, take_over=take_over
    )
    if lease.warning is not None:
        tell("warning", f"{lease.warning.text}; {lease.warning.help}")
    return lease


def _settled(
    follower: Follower, clock: Callable[[], float], stopped: Callable[[], bool]
) -> Snapshot:
    """Give the controller a moment to see the latest change, so that revisions have numbers."""
    deadline = clock() + SETTLE
    snapshot = follower.latest()
    while snapshot.workload is not None and not stopped():
        left = deadline - clock()
        if is_observed(snapshot.workload) or left <= 0:
            break
        snapshot = follower.wait(snapshot.serial, min(left, 0.5))
    return snapshot


def _why(reason: str) -> str:
    return reason or "rolled back by hand"
