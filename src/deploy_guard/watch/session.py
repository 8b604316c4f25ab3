"""One watch from second 0 to its outcome: pre-flight, watch, take back, verify.

Decides the order of things. Does not judge (`decide`), does not know how a rollback is done
(`rollback`), how signals are read (`signals`) or how anything looks (`outputs`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy_guard import decide, text
from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.clock import Clock
from deploy_guard.cluster.workload import began_at
from deploy_guard.model import (
    Action,
    Decision,
    Finding,
    Outcome,
    Phase,
    Recovery,
    Target,
    Verdict,
    Workload,
)
from deploy_guard.outputs.base import Output
from deploy_guard.policy.models import Policy
from deploy_guard.record import Header, Recorder
from deploy_guard.rollback.planning import Plan
from deploy_guard.rollback.verdicts import record_verdict
from deploy_guard.signals import open_signals
from deploy_guard.watch import second_zero, telling
from deploy_guard.watch.polling import Poller, Read
from deploy_guard.watch.scene import Changed, Ended, Interrupted, Scene
from deploy_guard.watch.taking_back import accused, take_back, verify


@dataclass(frozen=True, slots=True)
class Begun:
    """What second 0 hands on: the plan of a rollback that may become necessary, and the signals."""

    plan: Plan
    poller: Poller


class Watch:
    """Watches one deploy. `run` blocks until the outcome; `interrupt` ends it from anywhere."""

    def __init__(
        self,
        cluster: Cluster,
        target: Target,
        policy: Policy,
        *,
        output: Output,
        environ: Mapping[str, str],
        report: Path | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        clock = Clock() if clock is None else clock
        self.policy = policy
        self.scene = Scene(cluster, target, output, clock)
        self._environ = environ
        self._report = report
        self._state = decide.begin(policy, started_at=clock())
        self._poller: Poller | None = None
        self._deployed_at: float | None = None
        self._decision: Decision | None = None
        self._action = Action.NONE
        self._reason = ""
        self._recovered: Recovery | None = None
        self._regressed_at: float | None = None
        self._restored_at: float | None = None

    def interrupt(self, why: str) -> None:
        """Ask the watch to end; safe to call from a signal handler and from any thread."""
        self.scene.items.put(Interrupted(why))

    def run(self) -> Outcome:
        """Watch until the verdict and act on it.

        Raises GuardError when guard cannot do its work; nothing was decided then.
        """
        try:
            begun = self._begin()
            self._conclude(self._watch(begun.poller), begun)
        except Ended as ended:
            self._action, self._reason = ended.action, ended.reason
        finally:
            if self._poller is not None:
                self._poller.stop()
            self.scene.follower.stop()
        return self._outcome()

    def _begin(self) -> Begun:
        """Find out who is who, whether a rollback is possible, and whether signals can be read."""
        scene = self.scene
        scene.tell("preflight", f"{scene.target} in {scene.target.namespace}: asking the cluster")
        with scene.waiting_for_cluster():
            scene.follower.start()
        scene.set_clock()
        snapshot, judged = second_zero.wait_for_candidate(scene.follower.latest, scene.pause)
        deployed_at = began_at(snapshot, judged)
        scene.judged = scene.expected = judged
        scene.judged_since = self._deployed_at = deployed_at
        with scene.waiting_for_cluster():
            found = second_zero.inspect(
                scene.cluster,
                snapshot,
                judged,
                deployed_at=deployed_at,
                max_age=self.policy.rollback.max_age,
            )
        scene.uid = found.plan.uid
        scene.candidate, scene.target_revision = found.plan.candidate, found.plan.revision
        self._state = decide.begin(self.policy, started_at=scene.clock())
        if self._report is not None:
            self._open_record(self._report, deployed_at)
        for line in found.lines:
            scene.tell("preflight", line)
        for line in found.warnings:
            scene.tell("warning", line)
        signals = open_signals(self.policy, cluster=scene.cluster, environ=self._environ)
        self._poller = Poller(signals, scene.look, scene.items, clock=scene.clock)
        return Begun(found.plan, self._poller)

    def _open_record(self, directory: Path, deployed_at: float) -> None:
        scene = self.scene
        header = Header(
            policy=self.policy,
            target=scene.target,
            candidate=scene.candidate,
            started_at=self._state.started_at,
            deployed_at=deployed_at,
            dry_run=scene.cluster.dry,
        )
        scene.recorder = Recorder(directory, header, warn=lambda text: scene.tell("warning", text))
        if scene.recorder.directory != directory:
            words = f"{directory} holds a record already: using {scene.recorder.directory}"
            scene.tell("warning", words)

    def _watch(self, poller: Poller) -> Decision:
        """Read signals and fold them until there is a verdict."""
        scene = self.scene
        scene.phase, scene.ends_at = Phase.WATCHING, self._state.ends_at
        words = f"watching for {text.seconds(self.policy.watch.duration)}"
        if scene.cluster.dry:
            words += ", dry run: nothing will be written"
        scene.tell("preflight", words)
        decision = self._fold(scene.look())
        poller.start()
        while decision.verdict is None:
            item = scene.next()
            if isinstance(item, Read) and item.round == poller.round:
                for reading in item.readings:
                    decision = self._fold(reading)
                    if decision.verdict is not None:
                        break
                scene.tell_first_reading(item, self._state)
            elif isinstance(item, Changed):
                decision = self._fold(scene.look())
            now = scene.clock()
            if decision.verdict is None and now >= self._state.ends_at:
                decision = self._fold(scene.last_look())
            scene.show(self._state)
        scene.record(decision)
        return decision

    def _fold(self, item: decide.Observation) -> Decision:
        """Record one observation, fold it into the state, tell what it changed, and decide."""
        self.scene.record(item)
        self._state = decide.observe(self._state, item)
        at = item.seen_at if isinstance(item, Workload) else item.at
        decision = decide.decide(self._state, at)
        self.scene.tell_findings(self._state, decision)
        return decision

    def _conclude(self, decision: Decision, begun: Begun) -> None:
        """Act on the verdict."""
        scene = self.scene
        self._decision, self._reason = decision, decision.reason
        verdict = str(decision.verdict).replace("_", " ")
        scene.tell("verdict", f"{verdict}: {decision.reason}")
        if decision.verdict is not Verdict.REGRESSED:
            self._note_verdict(decision)
            return
        self._regressed_at = scene.clock()
        try:
            attempt = take_back(
                scene,
                self.policy.rollback,
                begun.plan,
                decision,
                accepted=lambda: self._note_verdict(decision),
            )
        except Ended as ended:
            # The newer deploy's own rollback must not choose what was condemned here.
            if ended.action is Action.SUPERSEDED:
                self._note_verdict(decision)
            raise
        self._action, self._restored_at = attempt.action, attempt.restored_at
        if attempt.reason:
            self._reason = f"{self._reason}; {attempt.reason}"
        if attempt.done is None:
            self._note_verdict(decision)
        elif attempt.restored_at is not None:
            self._recovered, self._state = verify(
                scene,
                begun.poller,
                self._state,
                attempt.done,
                bad=accused(decision),
                seconds=self.policy.rollback.verify,
            )
            if self._recovered is Recovery.STILL_BAD:
                # The candidate was not the cause: later rollbacks need not shun it.
                reason = f"still bad after the rollback; before it: {decision.reason}"
                self._note(Verdict.INCONCLUSIVE, reason, at=scene.clock())

    def _note_verdict(self, decision: Decision) -> None:
        if decision.verdict in (Verdict.HEALTHY, Verdict.REGRESSED):
            self._note(decision.verdict, decision.reason, at=decision.at)

    def _note(self, verdict: Verdict, reason: str, *, at: float) -> None:
        """Remember the verdict where the next rollback finds it; a failure is only told."""
        scene = self.scene
        if scene.candidate is None:
            return
        with scene.waiting_for_cluster():
            problem = record_verdict(
                scene.cluster,
                scene.target,
                scene.candidate,
                verdict,
                reason=reason,
                at=at,
            )
        if problem is not None:
            scene.tell("warning", f"{problem.text}; {problem.help}")

    def _outcome(self) -> Outcome:
        scene, now = self.scene, self.scene.clock()
        verdict = self._decision.verdict if self._decision is not None else None
        evidence = self._decision.evidence if self._decision is not None else ()
        return Outcome(
            target=scene.target,
            verdict=verdict,
            action=self._action,
            reason=self._reason,
            exit_code=int(telling.exit_code(verdict, self._action)),
            started_at=scene.started_at,
            ended_at=now,
            deployed_at=self._deployed_at,
            regressed_at=self._regressed_at,
            rolled_back_at=scene.rolled_back_at,
            answer_lost=scene.answer_lost,
            restored_at=self._restored_at,
            candidate=scene.candidate,
            target_revision=scene.target_revision,
            recovered=self._recovered,
            dry_run=scene.cluster.dry,
            policy=self.policy.name,
            signals=decide.summaries(self._state, now),
            evidence=evidence or decide.evidence_of(self._state, now),
            timeline=tuple(scene.timeline),
            next_steps=telling.next_steps(
                scene.target,
                verdict=verdict,
                action=self._action,
                recovered=self._recovered,
                candidate=scene.candidate,
                target_revision=scene.target_revision,
                shared=any(e.finding is Finding.SHARED for e in evidence),
            ),
        )
