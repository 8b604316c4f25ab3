"""The second half of a watch that found a regression: roll back, follow, look at the signals again.

Decides what is told of each step and what an interruption in between means. How a rollback is
planned and sent is in `rollback`, whether the signals recovered in `decide`.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from deploy_guard import decide
from deploy_guard.cluster.errors import ApiError
from deploy_guard.cluster.rollouts import live_hash
from deploy_guard.cluster.templates import same_template, template_of
from deploy_guard.errors import GuardError
from deploy_guard.model import Action, Decision, Finding, Phase, Recovery, Rollout
from deploy_guard.policy.models import Rollback
from deploy_guard.problems import Refused, Superseded
from deploy_guard.rollback.carrying_out import carry_out, finish_strategy
from deploy_guard.rollback.execution import Done, RollbackFailed, wait_restored
from deploy_guard.rollback.preparing import Prepared, renew
from deploy_guard.rollback.stuck import Unsticker
from deploy_guard.watch import second_zero, telling
from deploy_guard.watch.polling import Poller, Read
from deploy_guard.watch.scene import Changed, Ended, Said, Scene


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of a rollback; `reason` is empty when it went as planned."""

    action: Action
    reason: str = ""
    done: Done | None = None  # None: nothing was written
    restored_at: float | None = None


def take_back(
    scene: Scene,
    rules: Rollback,
    first: Prepared,
    decision: Decision,
    *,
    accepted: Callable[[], None],
) -> Attempt:
    """Take the candidate back if that is allowed, possible and safe, until the target serves.

    `accepted` is called as soon as the cluster has taken the patch. Raises Ended when a newer
    deploy is live or the watch was interrupted.
    """
    if not rules.enabled:
        scene.tell("rollback", "the policy forbids it (rollback.enabled: false)")
        return Attempt(Action.WOULD_ROLL_BACK)
    scene.phase, scene.ends_at = Phase.ROLLING_BACK, scene.clock() + rules.timeout
    try:
        with scene.waiting_for_cluster():
            fresh = _fresh(scene, first, decision.reason)
            with suppress(ApiError):  # a server that is away is waited for below
                scene.check_lease()  # waits for the note about the verdict; signals are heard
        done = _send(scene, fresh, rules.timeout)
    except Refused as refused:
        scene.tell("rollback", f"refused: {refused.message}; {refused.help}".rstrip("; "))
        scene.event("RollbackRefused", refused.message, type="Warning")
        return Attempt(Action.REFUSED, f"refused: {refused.message}")
    except Superseded as superseded:
        raise Ended(Action.SUPERSEDED, superseded.message) from superseded
    except (RollbackFailed, ApiError) as error:
        scene.answer_lost = isinstance(error, RollbackFailed) and error.answer_lost
        scene.tell("rollback", f"failed: {error.message}; {error.help}".rstrip("; "))
        scene.event("RollbackFailed", error.message, type="Warning")
        return Attempt(Action.ROLLBACK_FAILED, f"the rollback failed: {error.message}")
    if done.dry:
        scene.tell("rollback", "dry run: the server would accept it; nothing was changed")
        return Attempt(Action.WOULD_ROLL_BACK)
    scene.rolled_back_at = done.at
    how = "it was in place already" if done.already else "accepted by the cluster"
    scene.tell("rollback", f"to {telling.revision_words(scene.target_revision)}: {how}")
    accepted()
    scene.event(
        "RollbackStarted",
        f"back to {telling.revision_words(scene.target_revision)}: {decision.reason}",
    )
    return follow(scene, rules, done)


def verify(
    scene: Scene, poller: Poller, state: decide.State, done: Done, *, bad: list[str], seconds: float
) -> tuple[Recovery, decide.State]:
    """Look at the same signals again, now on the pods of the target revision.

    Raises Ended when the watch was interrupted.
    """
    snapshot = scene.follower.latest()
    live = live_hash(snapshot)
    ours = snapshot.workload is not None and same_template(
        template_of(snapshot.workload), done.template
    )
    if live is None or not ours:
        scene.tell("warning", "the recovery cannot be verified: another template is live already")
        return Recovery.UNKNOWN, state
    scene.judged = scene.expected = live
    scene.judged_since = done.at
    poller.next_round()
    second = decide.verifying(state, at=scene.clock(), duration=seconds, accused=bad)
    scene.phase, scene.ends_at = Phase.VERIFYING, second.state.ends_at
    recovery = None
    try:
        while recovery is None:
            item = scene.next()
            if isinstance(item, Read) and item.round == poller.round:
                for reading in item.readings:
                    scene.record(reading)
                    second = second.observe(reading)
                    scene.tell_problem_of(reading)
            elif isinstance(item, Changed):
                second = second.observe(scene.look())
            recovery = second.recovery(scene.clock())
            scene.show(second.state)
    except GuardError as error:  # the rollback was done: what ends the look is no end of the watch
        scene.tell("warning", f"the recovery cannot be verified: {error.message}")
    except Ended as ended:
        if ended.action is not Action.SUPERSEDED:
            raise
        scene.tell("warning", f"the recovery cannot be verified: {ended.reason}")
    recovery = recovery or Recovery.UNKNOWN
    now = scene.clock()
    still_bad = recovery is Recovery.STILL_BAD
    evidence = second.evidence(now) if still_bad else decide.evidence_of(second.state, now)
    scene.tell("recovery", telling.recovery_words(recovery, evidence))
    return recovery, second.state


def accused(decision: Decision) -> list[str]:
    """Return the names of the signals that condemned the candidate."""
    return [e.signal for e in decision.evidence if e.finding is Finding.BAD]


def _fresh(scene: Scene, first: Prepared, reason: str) -> Prepared:
    """Prepare anew from what is live now; what second 0 found out still holds for the rest."""
    snapshot = scene.follower.latest()
    fresh = renew(scene.cluster, first, snapshot, candidate_hash=scene.judged, reason=reason)
    scene.target_revision = fresh.plan.revision
    lasting = tuple(p for p in first.plan.problems if p.kind == second_zero.TOO_OLD)
    return replace(fresh, plan=fresh.plan.with_problems(lasting))


def _send(scene: Scene, fresh: Prepared, patience: float) -> Done:
    """Send the patch in a thread, so that an interruption is heard while it is under way."""
    answers: queue.SimpleQueue[Done | BaseException] = queue.SimpleQueue()

    def work() -> None:
        try:
            answers.put(
                carry_out(
                    scene.cluster,
                    fresh,
                    tell=lambda kind, words: scene.items.put(Said(kind, words)),
                    patience=patience,
                    clock=scene.clock,
                    before_write=lambda: scene.check_lease(patience),
                    stopped=lambda: scene.abandoned,
                )
            )
        except BaseException as error:  # handed over to the main thread, which raises it
            answers.put(error)

    threading.Thread(target=work, name="rollback", daemon=True).start()
    while True:
        try:
            answer = answers.get(timeout=0.05)
        except queue.Empty:
            if (why := scene.heed()) is None:
                continue
            answer = _last_word(scene, answers, why)
        scene.heed()  # what the thread said last
        if isinstance(answer, BaseException):
            raise answer
        return answer


def _last_word(
    scene: Scene, answers: queue.SimpleQueue[Done | BaseException], why: str
) -> Done | BaseException:
    """Give a patch that is under way a moment to be answered before guard ends."""
    try:
        answer = answers.get(timeout=0.5)
    except queue.Empty:
        scene.abandoned = True
        scene.answer_lost = not scene.cluster.dry
        reason = f"{why}: the rollback was sent, the answer is not known; see guard history"
        raise Ended(Action.INTERRUPTED, reason) from None
    if isinstance(answer, Done) and not answer.dry:
        scene.rolled_back_at = answer.at
        raise scene.interrupted(why)
    return answer


def follow(scene: Scene, rules: Rollback, done: Done) -> Attempt:
    """Follow the rollback until the target revision serves, and put the strategy back.

    Raises Ended when the watch was interrupted.
    """
    interrupted: list[str] = []

    def stopped() -> bool:
        if (why := scene.heed()) is not None:
            interrupted.append(why)
        scene.show(None)
        return bool(interrupted)

    def report(rollout: Rollout) -> None:
        if rollout.observed:
            scene.tell_change("restoring", "rollout", telling.restoring_words(rollout))

    try:
        restored = wait_restored(
            scene.follower,
            done,
            timeout=rules.timeout,
            report=report,
            help_along=Unsticker(
                scene.cluster,
                tell=lambda words: scene.tell("rollback", words),
                problem=scene.tell_problem,
            ),
            clock=scene.clock,
            stopped=stopped,
        )
    finally:
        snapshot = scene.follower.latest()
        left = finish_strategy(scene.cluster, snapshot, done.uid, tell=scene.tell)
        if left is not None:
            scene.tell_problem(left)
    if interrupted:
        raise scene.interrupted(interrupted[0])
    if restored.serves:
        words = f"{telling.revision_words(scene.target_revision)} serves again"
        scene.tell("rollback", words)
        scene.event("RollbackCompleted", words)
        return Attempt(Action.ROLLED_BACK, done=done, restored_at=restored.at)
    scene.tell("rollback", restored.failure)
    scene.event("RollbackFailed", restored.failure, type="Warning")
    action = Action.ROLLED_BACK if restored.superseded else Action.ROLLBACK_FAILED
    return Attempt(action, f"after the rollback: {restored.failure}", done)
