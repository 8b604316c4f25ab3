"""The second half of a watch that found a regression: roll back, follow, look at the signals again.

Decides what is told of each step and what an interruption in between means. How a rollback is
planned and sent is in `rollback`, whether the signals recovered in `decide`.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from deploy_guard import decide
from deploy_guard.cluster.errors import ApiError
from deploy_guard.cluster.rollouts import live_hash
from deploy_guard.cluster.templates import same_template, template_of
from deploy_guard.errors import GuardError
from deploy_guard.model import Action, Decision, Finding, Phase, Recovery, Rollout
from deploy_guard.policy.models import Rollback
from deploy_guard.rollback.execution import Done, RollbackFailed, execute, wait_restored
from deploy_guard.rollback.planning import Plan, again, plan
from deploy_guard.rollback.preflight import check_references
from deploy_guard.rollback.problems import Refused, Superseded
from deploy_guard.watch import second_zero, telling
from deploy_guard.watch.polling import Poller, Read
from deploy_guard.watch.scene import Changed, Ended, Scene


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
    first_plan: Plan,
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
            fresh = _fresh_plan(scene, first_plan, decision.reason)
        done = _send(scene, fresh)
    except Refused as refused:
        scene.tell("rollback", f"refused: {refused.message}; {refused.help}".rstrip("; "))
        return Attempt(Action.REFUSED, f"refused: {refused.message}")
    except Superseded as superseded:
        raise Ended(Action.SUPERSEDED, superseded.message) from superseded
    except (RollbackFailed, ApiError) as error:
        scene.answer_lost = isinstance(error, RollbackFailed) and error.answer_lost
        scene.tell("rollback", f"failed: {error.message}; {error.help}".rstrip("; "))
        return Attempt(Action.ROLLBACK_FAILED, f"the rollback failed: {error.message}")
    if done.dry:
        scene.tell("rollback", "dry run: the server would accept it; nothing was changed")
        return Attempt(Action.WOULD_ROLL_BACK)
    scene.rolled_back_at = done.at
    how = "it was in place already" if done.already else "accepted by the cluster"
    scene.tell("rollback", f"to {telling.revision_words(scene.target_revision)}: {how}")
    accepted()
    return _follow(scene, rules, done)


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


def _fresh_plan(scene: Scene, first: Plan, reason: str) -> Plan:
    """Plan anew from what is live now; the plan of second 0 still knows a collected target."""
    snapshot = scene.follower.latest()
    fresh = plan(snapshot, candidate_hash=scene.judged, reason=reason)
    if fresh.template is None and first.template is not None and snapshot.workload:
        fresh = again(replace(first, reason=fresh.reason), snapshot.workload)
    scene.target_revision = fresh.revision
    lasting = tuple(p for p in first.problems if p.kind == second_zero.TOO_OLD)
    return fresh.with_problems((*lasting, *check_references(scene.cluster, fresh)))


def _send(scene: Scene, fresh: Plan) -> Done:
    """Send the patch in a thread, so that an interruption is heard while it is under way."""
    answers: queue.SimpleQueue[Done | BaseException] = queue.SimpleQueue()

    def work() -> None:
        try:
            answers.put(execute(scene.cluster, fresh, clock=scene.clock))
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
        scene.answer_lost = not scene.cluster.dry
        reason = f"{why}: the rollback was sent, the answer is not known; see guard history"
        raise Ended(Action.INTERRUPTED, reason) from None
    if isinstance(answer, Done) and not answer.dry:
        scene.rolled_back_at = answer.at
        raise scene.interrupted(why)
    return answer


def _follow(scene: Scene, rules: Rollback, done: Done) -> Attempt:
    """Follow the rollback until the target revision serves."""
    interrupted: list[str] = []

    def stopped() -> bool:
        if (why := scene.heed()) is not None:
            interrupted.append(why)
        scene.show(None)
        return bool(interrupted)

    def report(rollout: Rollout) -> None:
        if rollout.observed:
            scene.tell_change("restoring", "rollout", telling.restoring_words(rollout))

    restored = wait_restored(
        scene.follower,
        done,
        timeout=rules.timeout,
        report=report,
        clock=scene.clock,
        stopped=stopped,
    )
    if interrupted:
        raise scene.interrupted(interrupted[0])
    if restored.serves:
        scene.tell("rollback", f"{telling.revision_words(scene.target_revision)} serves again")
        return Attempt(Action.ROLLED_BACK, done=done, restored_at=restored.at)
    scene.tell("rollback", restored.failure)
    action = Action.ROLLED_BACK if restored.superseded else Action.ROLLBACK_FAILED
    return Attempt(action, f"after the rollback: {restored.failure}", done)
