"""The gate of a watch: pauses the rollout, ends every pause, and finishes what a dead guard left.

Decides what is written when, and what is told. When to pause and what ends a pause is decided by
`decide.gate`; whose pause it is, by `rollback.holding`.
"""

from __future__ import annotations

from dataclasses import replace

from deploy_guard import decide, text
from deploy_guard.cluster.errors import ApiError, Forbidden, NotFound
from deploy_guard.cluster.rollouts import live_hash
from deploy_guard.cluster.snapshot import Json
from deploy_guard.cluster.target import workload_path
from deploy_guard.cluster.templates import hash_of, same_template, template_of
from deploy_guard.decide.gate import (
    MOST_SUSPICIONS,
    Course,
    Gate,
    Step,
    next_step,
    pods_at,
    suspects_of,
)
from deploy_guard.model import Decision, Verdict, Workload
from deploy_guard.outputs.format import stamp
from deploy_guard.policy.models import Hold
from deploy_guard.problems import Refused, Superseded
from deploy_guard.rollback import holding, trail
from deploy_guard.rollback.fast import (
    STRATEGY,
    Saved,
    extra_pods,
    read_saved,
    restore_strategy,
    strategy_words,
)
from deploy_guard.rollback.revisions import history
from deploy_guard.watch.scene import Ended, Scene
from deploy_guard.watch.unfinished import Stage, read_left

AGAIN = 2.0  # seconds after a write that failed, before it is tried again
ATTEMPTS = 3  # failed pauses after which the gate is given up; to resume is tried without end


class Gating:
    """Holds one rollout as the policy's `hold` wants it.

    `begin` comes before the candidate is known, `step` after each look and reading while there is
    no verdict, `leave` at the end of every watch, whatever ended it.
    """

    def __init__(self, rules: Hold) -> None:
        self._rules = rules
        self._course = Course()
        self._generation = 0  # of the Deployment with our pause: an older view does not know of it
        self._touched = False  # there may be a pause of ours
        self._finished = False  # there was a pause of another guard
        self.condemned = False  # what that guard held was judged regressed
        self._failures = 0
        self._not_before = 0.0

    @property
    def holding(self) -> bool:
        """Whether the rollout is paused by guard, as far as is known."""
        return bool(self._course.held)

    def begin(self, scene: Scene) -> None:
        """Finish what another guard left: a fast strategy, and a pause that is not this watch's.

        A pause of another template has to end before the controller can make a revision of the
        one that is live. A pause of the live template is taken over, if the policy has a gate.
        """
        snapshot = scene.follower.latest()
        notes = (snapshot.workload or {}).get("metadata", {}).get("annotations") or {}
        if snapshot.workload is None or not notes.keys() & {holding.HELD, STRATEGY}:
            return
        try:
            with scene.waiting_for_cluster():  # anew: a view does not keep field managers
                live = scene.cluster.get(workload_path(scene.target))
                self._finish(scene, live, live_hash(snapshot))
        except ApiError as error:
            scene.tell("warning", f"what another guard left could not be finished: {error.message}")

    def warnings(self, workload: Json) -> tuple[str, ...]:
        """Say at second 0 what the gate cannot do for this workload."""
        if not self._rules.wanted:
            return ()
        problem = holding.cannot_hold(workload)
        if problem is not None:
            return (f"no gate: {problem.text}; {problem.help}".rstrip("; "),)
        found = []
        if workload["spec"].get("paused") and not self._finished:
            found.append("no gate: the rollout is paused by somebody else")
        if self._rules.at is not None:
            found += coarse(workload, self._rules.at)
        return tuple(found)

    def step(self, scene: Scene, state: decide.State, look: Workload) -> None:
        """Pause or resume the rollout, if it is time; `scene.ends_at` follows the fold's."""
        if state.hold is None:
            return
        scene.ends_at = state.ends_at
        now, workload = scene.clock(), scene.follower.latest().workload
        if workload is None or now < self._not_before:
            return
        if self.holding and self._resumed_by_others(workload):
            scene.tell("hold", "the rollout was resumed by somebody else: the gate is over")
            self._course = _over(self._course)
            return
        if self.holding and not _is_live(scene, scene.judged, workload):
            gate = Gate(Step.RESUME, self._course, "a newer deploy is live")
        else:
            gate = next_step(state, look, self._course, now)
        self._course = gate.course
        if gate.step in (Step.PAUSE, Step.RESUME) and not self._may_write(scene):
            return
        if gate.step is Step.PAUSE:
            self._pause(scene, workload, gate, suspects_of(state, now))
        elif gate.step is Step.RESUME:
            self._resume(scene, gate)
        elif gate.step is Step.LATE:
            scene.tell("warning", gate.text)
            self._course = replace(self._course, gate_over=True)

    def takes_back(self, decision: Decision) -> bool:
        """Tell whether a rollout that is held without a proof is to be taken back."""
        unproven = decision.verdict in (Verdict.INCONCLUSIVE, Verdict.NO_DATA)
        return self.holding and unproven and self._rules.without_evidence == "take_back"

    def leave(self, scene: Scene, reason: str, *, condemned: bool = False) -> None:
        """End the pause at the end of the watch, if it is still there; never raises ApiError.

        With `condemned` the candidate was judged regressed, or is to be taken back: if it is still
        live it could not be, and stays held, which is told, for to resume would spread what is
        known to be bad.
        """
        if not self._touched:
            return
        try:
            scene.check_lease()
        except Ended as ended:
            scene.tell("hold", f"the pause is left to the other guard: {ended.reason}")
            return
        except ApiError as error:
            scene.tell("warning", holding.why_not_released(scene.target, error))
            return
        name = f"{scene.target} -n {scene.target.namespace}"
        try:
            live = scene.cluster.get(workload_path(scene.target))
            hold = holding.read_hold(live)
            held = hold is not None
            if hold is not None and condemned and _is_live(scene, hold.template, live):
                words = (
                    f"to take it back: guard rollback {name}; to let it go on: guard resume {name}"
                )
                scene.tell("hold", f"the rollout stays paused: {reason}; {words}")
                return
            holding.release(scene.cluster, scene.target, uid=scene.uid, known=live)
        except NotFound:
            held = False
        except ApiError as error:
            scene.tell("warning", holding.why_not_released(scene.target, error))
            return
        if held:
            self._tell(scene, "RolloutResumed", f"the rollout is resumed: {reason}")
        self._course, self._touched = _over(self._course), False

    def _may_write(self, scene: Scene) -> bool:
        """Tell whether no other guard is at work; while nobody knows, it is asked again soon."""
        try:
            with scene.waiting_for_cluster():
                scene.check_lease()
        except ApiError:
            self._not_before = scene.clock() + AGAIN
            words = "the rollout stays as it is until the lease can be renewed"
            scene.tell_change("lease", "warning", words)
            return False
        return True

    def _finish(self, scene: Scene, live: Json, current: str | None) -> None:
        saved, found = read_saved(live), holding.read_hold(live)
        if saved is not None:
            self._restore(scene, saved)
        if found is None:
            return
        self._finished = True
        self._touched = not scene.cluster.dry  # also if this fails: `leave` tries it once more
        self.condemned = found.template == current and _was_condemned(scene, found.template)
        by = f" ({found.by})" if found.by else ""
        who = f"a guard{by} paused the rollout at {stamp(found.at)} ({found.why}) and is gone"
        if self._rules.wanted and found.template == current:
            if scene.cluster.dry:
                scene.tell("hold", f"{who}; dry run: a watch would go on with it")
                return
            self._generation = int(live["metadata"].get("generation", 0))
            self._course = Course(held=found.why, held_at=found.at)
            scene.tell("hold", f"{who}; this watch goes on with it")
            return
        if self.condemned:
            scene.tell("hold", f"{who}; it stays paused, for it was judged regressed")
            return
        holding.release(scene.cluster, scene.target, known=live)
        why = "the policy has no gate" if found.template == current else "a newer deploy is live"
        scene.tell("hold", f"{who}; {self._would(scene)}resumed: {why}")

    def _restore(self, scene: Scene, saved: Saved) -> None:
        """Put the strategy back; what stands against it must not keep a pause from its end."""
        try:
            restore_strategy(scene.cluster, scene.target)
        except ApiError as error:
            name = f"{scene.target} -n {scene.target.namespace}"
            words = f"the strategy is still that of a fast rollback: {error.detail}"
            scene.tell("warning", f"{words}; guard resume {name}")
            return
        words = f"{self._would(scene)}restored: {strategy_words(saved.was)}"
        scene.tell("hold", f"a fast rollback left its own strategy; {words}")

    def _pause(self, scene: Scene, workload: Json, gate: Gate, suspects: tuple[str, ...]) -> None:
        self._touched = not scene.cluster.dry
        try:
            with scene.waiting_for_cluster():
                settled = holding.hold(
                    scene.cluster,
                    scene.target,
                    workload,
                    template_hash=scene.judged,
                    why=gate.why,
                    by=scene.who,
                    clock=scene.clock,
                )
        except Superseded:
            return  # the scene sees the newer deploy itself, and ends the watch
        except Refused as refused:
            scene.tell("warning", f"no gate: {refused.message}")
            self._course = _over(self._course)
            return
        except ApiError as error:
            self._failed(scene, error)
            return
        course, now = self._course, scene.clock()
        if settled.dry:
            scene.tell("hold", f"dry run: the rollout would be paused: {gate.text}")
            self._course = _over(course)
            return
        self._failures = 0
        self._generation = int(settled.live["metadata"].get("generation", 0))
        self._course = replace(
            course,
            held=gate.why,
            held_at=now,
            suspects=suspects if gate.why == "suspicion" else (),
            suspicions=course.suspicions + (gate.why == "suspicion"),
            quiet_since=None,
        )
        self._tell(scene, "RolloutHeld", f"the rollout is paused ({gate.why}): {gate.text}")

    def _resume(self, scene: Scene, gate: Gate) -> None:
        course = self._course
        try:
            with scene.waiting_for_cluster():
                holding.release(scene.cluster, scene.target, uid=scene.uid)
        except ApiError as error:
            self._not_before = scene.clock() + AGAIN
            words = holding.why_not_released(scene.target, error)
            scene.tell_change("resuming", "warning", words)
            return
        self._course = replace(
            course,
            held="",
            gate_over=course.gate_over or course.held == "gate" or gate.at_gate,
            suspicions=MOST_SUSPICIONS if gate.unproven else course.suspicions,
            quiet_since=None,
        )
        self._tell(scene, "RolloutResumed", f"the rollout is resumed: {gate.text}")

    def _resumed_by_others(self, workload: Json) -> bool:
        """Tell whether a view that knows of our pause shows it ended."""
        seen = int(workload["metadata"].get("generation", 0)) >= self._generation
        return seen and not workload["spec"].get("paused")

    def _failed(self, scene: Scene, error: ApiError) -> None:
        """Tell that the rollout goes on; try again soon, unless that is without hope."""
        self._failures += 1
        self._not_before = scene.clock() + AGAIN
        words = f"the rollout could not be paused: {error.message}; {error.help}".rstrip("; ")
        if self._failures >= ATTEMPTS or isinstance(error, Forbidden):
            words = f"no gate: {words}"
            self._course = _over(self._course)
        scene.tell_change("pausing", "warning", words)

    @staticmethod
    def _tell(scene: Scene, reason: trail.Reason, words: str) -> None:
        scene.tell("hold", words)
        scene.event(reason, words)

    @staticmethod
    def _would(scene: Scene) -> str:
        return "dry run: would be " if scene.cluster.dry else ""


def _was_condemned(scene: Scene, template: str) -> bool:
    """Tell whether a dead guard, or the verdict on the revision, says that it is bad."""
    snapshot = scene.follower.latest()
    previous = scene.lease.previous if scene.lease is not None else None
    left = read_left(previous, snapshot, template, now=scene.clock())
    if left is not None and left.stage is Stage.CONDEMNED:
        return True
    past = history(snapshot.revisions)
    return any(
        p.revision.template_hash == template and p.revision.verdict is Verdict.REGRESSED
        for p in past
    )


def _is_live(scene: Scene, template: str, live: Json) -> bool:
    """Tell whether a template is live, and not that of a newer deploy.

    While it is paused the controller makes no revision of a newer deploy that would name it.
    """
    known = (r for r in scene.follower.latest().revisions if hash_of(r) == template)
    return any(same_template(template_of(r), template_of(live)) for r in known)


def coarse(workload: Json, share: float) -> tuple[str, ...]:
    """Warn of a strategy whose first step is larger than the share of new pods to stop at."""
    spec = workload["spec"]
    if (spec.get("strategy") or {}).get("type") == "Recreate":
        return ("no gate: the strategy Recreate replaces all pods at once",)
    replicas, wanted = int(spec.get("replicas", 1)), pods_at(share, int(spec.get("replicas", 1)))
    first = min(sum(extra_pods(workload)), replicas)
    if first <= wanted:
        return ()
    return (
        f"the strategy starts {text.plural(first, 'new pod')} at once, the gate is at {wanted}: "
        f"set maxSurge: {wanted} and maxUnavailable: 0",
    )


def _over(course: Course) -> Course:
    """Return the course of a gate that does nothing any more."""
    return replace(course, held="", gate_over=True, suspicions=MOST_SUSPICIONS)
