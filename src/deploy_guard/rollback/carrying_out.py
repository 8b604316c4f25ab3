"""Carry out a rollback: suspend who would revert it, put the configuration back, send the patch.

Decides the order of the writes. Each is sent with preconditions and planned from what is live, so
a rollback that died between any two of them is done again by the same command: an owner that is
suspended stays so, contents that are back are not written again, and the patch comes last, for the
pods that it starts read the configuration.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.errors import ApiError
from deploy_guard.cluster.snapshot import Snapshot
from deploy_guard.configuration.restoring import Restored, restore
from deploy_guard.ownership.rules import SUSPENDABLE
from deploy_guard.ownership.suspending import suspend
from deploy_guard.problems import Problem, warning
from deploy_guard.rollback.execution import Done, execute
from deploy_guard.rollback.fast import read_saved, restore_strategy, strategy_words
from deploy_guard.rollback.planning import Plan
from deploy_guard.rollback.preflight.asking import Asker
from deploy_guard.rollback.preparing import NOT_RESTORED, Prepared

T = TypeVar("T")
SUSPENDING = 10.0  # seconds for one owner: a rollback does not wait longer for it
RESTORING = 30.0  # seconds for all of the configuration

Tell = Callable[[str, str], None]
"""Is told what was done: the kind of the event, and the words; `next-step` is for afterwards."""


def carry_out(
    cluster: Cluster,
    prepared: Prepared,
    *,
    tell: Tell,
    patience: float = 0.0,
    clock: Callable[[], float] = time.time,
    before_write: Callable[[], None] = lambda: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Done:
    """Do all that a rollback writes up to the patch, which the server accepts or refuses.

    `patience` is how many seconds a server that is away is waited for. `before_write` is called
    before each part, and may raise. Raises as `execute` does; what is done before the patch never
    stands in its way, and is told.
    """
    made, restored = prepared.plan, False
    if made.blocking is None:
        _suspend_owners(cluster, made, tell, clock, before_write)
        restored = _restore_configuration(cluster, prepared, tell, before_write)
    before_write()
    done = execute(cluster, made, patience=patience, stopped=stopped, clock=clock)
    return replace(done, restored_config=restored)


def _within(seconds: float, work: Callable[[], T]) -> T:
    """Wait for some work no longer than `seconds`; it may go on. Raises ApiError."""
    return Asker(seconds).ask(work).wait()


def finish_strategy(
    cluster: Cluster, snapshot: Snapshot, done_uid: str, *, tell: Tell
) -> Problem | None:
    """Put back the strategy that a fast rollback has replaced; return what stood against it."""
    target, workload = snapshot.target, snapshot.workload
    if target.kind != "deployment" or cluster.dry:
        return None
    saved = read_saved(workload) if workload is not None else None
    try:
        settled = restore_strategy(cluster, target, uid=done_uid)
    except ApiError as error:
        text = f"the strategy is still that of a fast rollback: {error.detail}"
        return warning("strategy", text, f"guard resume {target} -n {target.namespace}")
    if settled.changed:
        was = f": {strategy_words(saved.was)}" if saved is not None else ""
        tell("rollback", f"the strategy is what it was{was}")
    return None


def _suspend_owners(
    cluster: Cluster,
    made: Plan,
    tell: Tell,
    clock: Callable[[], float],
    before_write: Callable[[], None],
) -> None:
    if made.way.owner != "suspend":
        return
    for owner in made.owners:
        if owner.tool not in SUSPENDABLE:
            continue
        before_write()
        try:
            found = _within(
                SUSPENDING,
                lambda owner=owner: suspend(  # type: ignore[misc]
                    cluster, owner, by=made.way.by, reason=made.reason, at=clock()
                ),
            )
        except ApiError:
            words = f"{owner.what} is not suspended after {SUSPENDING:g} s"
            tell("warning", f"{words}: the rollback goes on, and may be reverted")
            continue
        if found.done:
            how = "is suspended" if found.changed else "was suspended already"
            how = "would be suspended" if cluster.dry and found.changed else how
            tell("rollback", f"{owner.what} {how}")
            for command in found.resume[:1]:
                tell("next-step", f"{command} (resumes {owner.what})")
        for problem in found.problems:
            tell("warning", f"{problem.text}; {problem.help}".rstrip("; "))


def _restore_configuration(
    cluster: Cluster,
    prepared: Prepared,
    tell: Tell,
    before_write: Callable[[], None],
) -> bool:
    """Put the configuration back; return whether all that differed is as it was."""
    comparison = prepared.comparison
    for problem in prepared.plan.problems:
        if problem.kind == NOT_RESTORED:
            tell("warning", f"{problem.text}; {problem.help}")
    if not prepared.restores or comparison is None:
        return False
    before_write()
    made = prepared.plan

    def work() -> Restored:
        return restore(
            cluster,
            comparison,
            by=made.way.by,
            reason=made.reason,
            at=made.at,  # as in the note that comes with the patch: by it a run that died is told
            tell=lambda words: tell("rollback", words),
        )

    try:
        found = work() if made.in_place else _within(RESTORING, work)
    except ApiError:
        words = f"the configuration is not all put back after {RESTORING:g} s"
        tell("warning", f"{words}: the template goes back; run the same command again")
        return False
    for problem in found.problems:
        tell("warning", f"{problem.text}; {problem.help}".rstrip("; "))
    return found.complete
