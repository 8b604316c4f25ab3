"""Rehearse, send and follow a rollback.

Decides what an answer to the patch means. The patch is never sent again blindly: after a refusal
or a broken connection the workload is read again, and what is live then says what to do. Dry run
is a property of the cluster that is handed in.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Protocol

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.converging import ATTEMPTS, is_away, worth_another_look
from deploy_guard.cluster.errors import (
    ApiError,
    Forbidden,
    Invalid,
    NotFound,
    ServerError,
    Unreachable,
)
from deploy_guard.cluster.rollouts import conditions_of, generation_of, rollout_of
from deploy_guard.cluster.snapshot import Json, Snapshot
from deploy_guard.cluster.target import workload_path
from deploy_guard.cluster.templates import hash_of, live_revision, same_template, template_of
from deploy_guard.errors import ExitCode, GuardError
from deploy_guard.model import Condition, Rollout
from deploy_guard.problems import Problem, Refused, Superseded, warning
from deploy_guard.rollback.planning import Plan, again

AGAIN = 1.0  # seconds between two reads while the server is away
LONGEST_PAUSE = 10.0  # seconds, whatever the server asks for


class RollbackFailed(GuardError):
    """The rollback was possible but could not be done; the text says how far it came."""

    exit_code = ExitCode.NOT_ROLLED_BACK
    answer_lost = False  # it may have been done all the same


@dataclass(frozen=True, slots=True)
class Done:
    """A rollback that the server accepted.

    `generation` is what the controller has to observe, `template` what is live now (admission may
    have changed what was sent), `conditions` those that are older than the rollback. `already`: it
    was in place before, nothing was sent by this call, or an earlier attempt did it.
    `restored_config`: all of the configuration that differed was put back before.
    """

    at: float
    uid: str
    generation: int
    template: Json
    conditions: tuple[Condition, ...]
    already: bool
    attempts: int
    dry: bool
    restored_config: bool = False


@dataclass(frozen=True, slots=True)
class Restored:
    """How the wait for the target revision ended: `failure` is empty when it serves."""

    at: float
    rollout: Rollout
    failure: str = ""
    superseded: bool = False

    @property
    def serves(self) -> bool:
        """Whether all wanted pods run the target revision and are available."""
        return not self.failure


class Watched(Protocol):
    """What `wait_restored` needs of a Follower."""

    def latest(self) -> Snapshot:
        """Return what is known now."""
        ...

    def wait(self, serial: int, timeout: float) -> Snapshot:
        """Return the latest snapshot once it is newer than `serial`, or after `timeout`."""
        ...


def rehearse(cluster: Cluster, plan: Plan) -> tuple[Problem, ...]:
    """Let the server check the patch without storing it; return what it says against it.

    Quota, policies, webhooks and validation of today judge the old template here. Pod Security
    judges pods, not workloads, so its refusal shows only later.
    """
    if not plan.operations or plan.template is None:
        return ()
    path = workload_path(plan.target)
    try:
        answer = cluster.dry_run().patch(path, list(plan.operations))
    except Invalid as error:
        if error.test_failed:
            return (Problem("changed", f"{plan.target} changed meanwhile", "it is read again"),)
        return (_refused_by_server(error),)
    except ApiError as error:
        if isinstance(error, Forbidden) or error.code in (400, 500):
            return (_refused_by_server(error),)
        text = f"the rollback could not be rehearsed: {error.detail}"
        return (warning("not-rehearsed", text, error.help),)
    if not same_template(template_of(answer), plan.template):
        text = "an admission webhook changes the old template: another revision will come of it"
        return (warning("mutated", text),)
    return ()


def execute(
    cluster: Cluster,
    plan: Plan,
    *,
    patience: float = 0.0,
    stopped: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], object] = time.sleep,
) -> Done:
    """Send the rollback, at most ATTEMPTS times, each time against what is live then.

    While the server cannot be reached, or fails, it is tried for `patience` seconds, however often,
    unless `stopped`.
    Raises Refused when something stands in the way, Superseded when a newer deploy is live, the
    server's own error when it refuses for good, RollbackFailed when it could not be reached.
    """
    last: ApiError | None = None
    path = workload_path(plan.target)
    until = time.monotonic() + patience
    for attempt in count(1):
        if attempt > ATTEMPTS and (time.monotonic() > until or not is_away(last)):
            break
        if attempt > 1 and stopped():
            if is_away(last):
                raise _unknown(plan, "it was interrupted")
            raise RollbackFailed(
                f"{plan.target}: interrupted before the rollback was accepted",
                help="nothing was changed",
            )
        if plan.blocking is not None or plan.template is None:
            raise Refused(plan.blocking or Problem("no-target", plan.choice))
        try:
            answer = cluster.patch(path, list(plan.operations))
            return _done(answer, clock(), attempts=attempt, dry=cluster.dry)
        except ApiError as error:
            last = error
            if not worth_another_look(error):
                raise
        pause = last.retry_after if last.retry_after is not None else 0.2 * (attempt - 1)
        sleep(min(pause, LONGEST_PAUSE))
        try:
            live = _read(cluster, path, until=until, stopped=stopped, sleep=sleep)
        except NotFound as error:
            raise Superseded(f"{plan.target} does not exist any more") from error
        except ApiError as error:
            if isinstance(last, Unreachable | ServerError):
                raise _unknown(plan) from error
            raise
        if live["metadata"]["uid"] == plan.uid and same_template(template_of(live), plan.template):
            return _done(live, clock(), attempts=attempt, dry=cluster.dry, already=True)
        plan = again(plan, live)
    raise RollbackFailed(
        f"{plan.target}: the rollback was refused {ATTEMPTS} times: {last.detail if last else ''}",
        help="nothing was changed; try again, or use kubectl rollout undo",
    ) from last


def _read(
    cluster: Cluster,
    path: str,
    *,
    until: float,
    stopped: Callable[[], bool],
    sleep: Callable[[float], object],
) -> Json:
    """Read the workload; while the server is away, try it until `until`, in monotonic seconds."""
    while True:
        try:
            return cluster.get(path)
        except ApiError as error:
            if not is_away(error) or time.monotonic() > until or stopped():
                raise
        sleep(AGAIN)


def wait_restored(
    follower: Watched,
    done: Done,
    *,
    timeout: float,
    report: Callable[[Rollout], None] | None = None,
    help_along: Callable[[Snapshot], None] | None = None,
    clock: Callable[[], float] = time.time,
    stopped: Callable[[], bool] = lambda: False,
) -> Restored:
    """Follow the rollout until all wanted pods run what was restored, at most `timeout` seconds.

    Judged by replica counts; a failed condition counts only if it is not one from before.
    `help_along` is called with every look that is not the end, such as to delete stuck pods.
    """
    deadline = clock() + timeout
    snapshot = follower.latest()
    before: Rollout | None = None
    while True:
        rollout, failure, superseded = _assess(snapshot, done)
        if report is not None and rollout != before:
            report(rollout)
        before = rollout
        if failure or rollout.complete:
            return Restored(clock(), rollout, failure, superseded)
        if help_along is not None and rollout.observed:
            help_along(snapshot)
        left = deadline - clock()
        if left <= 0 or stopped():
            return Restored(clock(), rollout, _late(rollout, snapshot, timeout, stopped()))
        snapshot = follower.wait(snapshot.serial, min(left, 0.5))


def _assess(snapshot: Snapshot, done: Done) -> tuple[Rollout, str, bool]:
    """Return the rollout of what was restored, why it cannot succeed, and whether it is gone."""
    workload = snapshot.workload
    if workload is None:
        return Rollout(), f"{snapshot.target} was deleted", True
    if workload["metadata"]["uid"] != done.uid:
        return Rollout(), f"{snapshot.target} was deleted and made anew", True
    if generation_of(workload) < done.generation:
        return Rollout(), "", False  # the view is still from before the patch
    if not same_template(template_of(workload), done.template):
        return Rollout(), "another template was deployed meanwhile", True
    live = live_revision(workload, snapshot.revisions)
    rollout = rollout_of(snapshot, hash_of(live) if live else "")
    for condition in rollout.conditions:
        if condition.type == "Progressing" and condition.status == "False":
            known = any(c == condition for c in done.conditions)
            if not known and rollout.observed and not rollout.complete:
                return (
                    rollout,
                    f"the rollout of the old revision is stuck: {condition.reason}",
                    False,
                )
    return rollout, "", False


def _late(rollout: Rollout, snapshot: Snapshot, timeout: float, interrupted: bool) -> str:
    counts = f"{rollout.updated} of {rollout.desired} pods replaced, {rollout.available} available"
    if interrupted:
        return f"interrupted while waiting: {counts}"
    if snapshot.problems:
        blind = snapshot.problems[0]
        return (
            f"not restored within {timeout:.0f} s, and {blind.what} cannot be seen: {blind.reason}"
        )
    failed = next((c for c in rollout.conditions if c.type == "ReplicaFailure"), None)
    more = f"; {failed.reason}" if failed and failed.status == "True" else ""
    return f"not restored within {timeout:.0f} s: {counts}{more}"


def found_done(workload: Json, *, at: float) -> Done:
    """Return a rollback that an earlier guard had done, from the workload as it is live now."""
    return _done(workload, at, attempts=0, dry=False, already=True)


def _done(answer: Json, at: float, *, attempts: int, dry: bool, already: bool = False) -> Done:
    return Done(
        at=at,
        uid=answer["metadata"]["uid"],
        generation=generation_of(answer),
        template=template_of(answer),
        conditions=conditions_of(answer),
        already=already,
        attempts=attempts,
        dry=dry,
    )


def _unknown(plan: Plan, why: str = "the cluster cannot be read") -> RollbackFailed:
    failed = RollbackFailed(
        f"{plan.target}: the connection broke while rolling back, and {why}",
        help="whether it was rolled back is not known: look with guard history",
    )
    failed.answer_lost = True
    return failed


def _refused_by_server(error: ApiError) -> Problem:
    return Problem("refused", f"the server refuses the rollback: {error.detail}", error.help)
