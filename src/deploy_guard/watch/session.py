"""One watch from second 0 to its outcome: pre-flight, watch, take back, verify.

A watch whose guard died is gone on with: the lease says that there was one, the cluster how far it
had come.

Decides the order of things. Does not judge (`decide`), does not know how a rollback is done
(`rollback`), how signals are read (`signals`) or how anything looks (`outputs`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy_guard import decide, text
from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.clock import Clock
from deploy_guard.cluster.lease import Held, Lease
from deploy_guard.cluster.lease_record import margin
from deploy_guard.cluster.snapshot import Json
from deploy_guard.cluster.workload import began_at
from deploy_guard.errors import GuardError
from deploy_guard.model import (
    Action,
    Change,
    Decision,
    Finding,
    Health,
    NoData,
    NoDataReason,
    Outcome,
    Phase,
    Probe,
    Reading,
    Recovery,
    Sample,
    Target,
    Verdict,
    Workload,
)
from deploy_guard.outputs.base import Output
from deploy_guard.policy.models import Policy
from deploy_guard.record import Header, Recorder
from deploy_guard.rollback.differences import differences
from deploy_guard.rollback.execution import found_done
from deploy_guard.rollback.preparing import Prepared
from deploy_guard.rollback.revisions import history
from deploy_guard.rollback.trail import who
from deploy_guard.rollback.verdicts import record_verdict
from deploy_guard.signals import open_signals
from deploy_guard.watch import second_zero, telling
from deploy_guard.watch.gating import Gating
from deploy_guard.watch.polling import Poller, Read
from deploy_guard.watch.recovery import learn
from deploy_guard.watch.scene import Changed, Ended, Interrupted, Scene
from deploy_guard.watch.taking_back import Attempt, accused, follow, take_back, verify
from deploy_guard.watch.unfinished import Left, Stage, condemned, read_left, watching

AT_LEAST = 4  # readings of each signal that a watch has which another guard began
LEASE = 60.0  # seconds after which the lease of a guard that died is free


@dataclass(frozen=True, slots=True)
class Begun:
    """What second 0 hands on: the rollback that may become necessary, the signals, what was left.

    `left` is an unfinished watch of the same candidate, whose guard died.
    """

    prepared: Prepared
    poller: Poller
    left: Left | None


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
        lease: float = LEASE,
    ) -> None:
        clock = Clock() if clock is None else clock
        self.policy = policy
        self.scene = Scene(cluster, target, output, clock, who=who(environ))
        self._lease_seconds = lease
        self._gating = Gating(policy.hold)
        self._prepared: Prepared | None = None
        self._changes: tuple[Change, ...] = ()
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
        self._restored_config = False
        self._takes_back = False
        self._in_place = False  # a rollback is about configuration: no template is to blame
        self._started_at = self._state.started_at

    def interrupt(self, why: str) -> None:
        """Ask the watch to end; safe to call from a signal handler and from any thread."""
        self.scene.items.put(Interrupted(why))

    def run(self) -> Outcome:
        """Watch until the verdict and act on it.

        Raises GuardError when guard cannot do its work; nothing was decided then.
        """
        try:
            begun = self._begin()
            stage = begun.left.stage if begun.left is not None else Stage.WATCHING
            if stage is Stage.WATCHING:
                self._conclude(self._watch(begun.poller), begun)
            else:
                self._go_on(begun)
        except Ended as ended:
            self._action, self._reason = ended.action, ended.reason
        finally:
            self._leave()
        return self._outcome()

    def _leave(self) -> None:
        """Leave nothing behind that needs a guard: no pause, no lease, no thread."""
        scene = self.scene
        if self._poller is not None:
            self._poller.stop()
        try:
            verdict = self._decision.verdict if self._decision is not None else None
            before = self._gating.condemned and verdict is not Verdict.HEALTHY
            self._gating.leave(
                scene,
                self._reason or "the watch ended",
                condemned=verdict is Verdict.REGRESSED or self._takes_back or before,
            )
        finally:
            if scene.lease is not None:
                # Interrupted after a rollback: run again, it is followed to its end.
                undone = self._action is Action.INTERRUPTED and self._recovered is None
                sent = scene.rolled_back_at is not None or scene.answer_lost
                scene.lease.release(keep_note=undone and sent)
            scene.follower.stop()

    def _begin(self) -> Begun:
        """Find out who is who, whether a rollback is possible, and whether signals can be read."""
        scene = self.scene
        scene.tell("preflight", f"{scene.target} in {scene.target.namespace}: asking the cluster")
        with scene.waiting_for_cluster():
            scene.follower.start()
        scene.set_clock()
        self._take_lease()
        self._gating.begin(scene)
        snapshot, judged = second_zero.wait_for_candidate(scene.follower.latest, scene.pause)
        previous = scene.lease.previous if scene.lease is not None else None
        left = read_left(previous, snapshot, judged, now=scene.clock())
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
                way=second_zero.way_of(self.policy.rollback, by=scene.who),
            )
        plan = found.prepared.plan
        self._prepared, self._changes = found.prepared, found.prepared.changes
        self._in_place = plan.in_place
        scene.uid = plan.uid
        scene.candidate, scene.target_revision = plan.candidate, plan.revision
        self._set_state(left)
        if self._report is not None:
            self._open_record(self._report, deployed_at)
        if left is not None:
            scene.tell("preflight", telling.left_words(left))
        if left is None or left.stage is not Stage.ROLLED_BACK:
            self._tell_found(found, snapshot.workload or {})
            self._note_watching(judged)
        signals = open_signals(self.policy, cluster=scene.cluster, environ=self._environ)
        self._poller = Poller(signals, scene.look, scene.items, clock=scene.clock)
        return Begun(found.prepared, self._poller, left)

    def _tell_found(self, found: second_zero.Findings, workload: Json) -> None:
        for line in found.lines:
            self.scene.tell("preflight", line)
        for line in (*found.warnings, *self._gating.warnings(workload)):
            self.scene.tell("warning", line)

    def _take_lease(self) -> None:
        """Take the lease on the target; wait for that of a guard that may be dead. Raises Held."""
        scene = self.scene
        workload = scene.follower.latest().workload
        if workload is None:
            raise GuardError(f"{scene.target} was deleted", help="nothing was decided")

        def acquire(wait: float) -> Lease:
            with scene.waiting_for_cluster():
                return Lease.acquire(
                    scene.cluster,
                    scene.target,
                    workload,
                    holder=scene.who,
                    duration=self._lease_seconds,
                    wait=wait,
                    clock=scene.clock,
                    on_lost=scene.lease_lost,
                )

        try:
            scene.lease = acquire(0.0)
        except Held as held:
            scene.tell("preflight", f"{held.message}: waiting until it is free or renewed")
            scene.lease = acquire(self._lease_seconds + 3 * margin(self._lease_seconds))
        if scene.lease.warning is not None:
            scene.tell("warning", f"{scene.lease.warning.text}; {scene.lease.warning.help}")

    def _set_state(self, left: Left | None) -> None:
        """Begin to judge; what is left of a watch that another guard began ends when that would."""
        now = self.scene.clock()
        self._started_at = now
        self._state = decide.begin(self.policy, started_at=now)
        if left is not None and left.stage is Stage.WATCHING:
            self._started_at = min(left.started_at, now)
            least = min(self.policy.watch.duration, AT_LEAST * self.policy.watch.interval)
            ends_at = max(self._started_at + self.policy.watch.duration, now + least)
            self._state = decide.begin(self.policy, started_at=now, ends_at=ends_at)

    def _note_watching(self, judged: str) -> None:
        """Leave word of this watch, for the next guard if this one dies."""
        if self.scene.lease is not None:
            with self.scene.waiting_for_cluster():
                self.scene.lease.note(watching(judged, started_at=self._started_at))

    def _go_on(self, begun: Begun) -> None:
        """Go on where a guard died that had condemned the candidate: roll back, or follow it."""
        left, scene = begun.left, self.scene
        if left is None:
            return
        now = scene.clock()
        decision = Decision(Verdict.REGRESSED, left.reason, now)
        begun.poller.start()
        if left.stage is Stage.CONDEMNED:
            self._conclude(decision, begun)
            return
        snapshot = scene.follower.latest()
        # The baseline is that from before the candidate, not the time in which it ran.
        scene.judged, scene.judged_since = left.candidate, began_at(snapshot, left.candidate)
        scene.target_revision = scene.candidate
        past = history(snapshot.revisions)
        taken = next((p for p in past if p.revision.template_hash == left.candidate), None)
        scene.candidate = taken.revision if taken is not None else None
        done = found_done(snapshot.workload or {}, at=left.rolled_back_at)
        self._prepared, self._in_place = None, left.in_place  # that was about what is live now
        self._changes = tuple(differences(taken.template, done.template)) if taken else ()
        self._decision, self._reason = decision, left.reason
        self._regressed_at = left.condemned_at
        scene.rolled_back_at = done.at
        self._note_verdict(decision)
        self._state = learn(scene, begun.poller, self._state)
        self._followed(follow(scene, self.policy.rollback, done), begun, left.accused)

    def _open_record(self, directory: Path, deployed_at: float) -> None:
        scene = self.scene
        header = Header(
            policy=self.policy,
            target=scene.target,
            candidate=scene.candidate,
            started_at=self._state.started_at,
            deployed_at=deployed_at,
            dry_run=scene.cluster.dry,
            ends_at=self._state.ends_at,
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
                for reading in (r for one in item.readings for r in self._confirmed(one, poller)):
                    decision = self._fold(reading)
                    if decision.verdict is not None:
                        break
                scene.tell_first_reading(item, self._state)
            elif isinstance(item, Changed):
                decision = self._fold(scene.look())
            now = scene.clock()
            if decision.verdict is None and now >= self._state.ends_at:
                decision = self._fold(scene.last_look())
            if decision.verdict is None:
                self._gating.step(scene, self._state, scene.look())
            scene.show(self._state)
        scene.record(decision)
        return decision

    def _confirmed(self, reading: Reading, poller: Poller) -> tuple[Reading, ...]:
        """Take a fresh look before a reading condemns that rests on what guard itself sees.

        A network that went silent a moment ago leaves an old view in which pods never get ready,
        and probes that fail because guard is cut off. Metrics count what users got.
        """
        value = reading.candidate if isinstance(reading, Sample) else None
        if not isinstance(value, Health | Probe):
            return (reading,)
        then = decide.decide(decide.observe(self._state, reading), reading.at)
        if then.verdict is not Verdict.REGRESSED:
            return (reading,)
        fresh = self.scene.last_look()
        if fresh.blind:
            return (NoData(reading.signal, reading.at, NoDataReason.UNREACHABLE, fresh.blind),)
        return (reading,) if isinstance(value, Probe) else poller.read_now(reading.signal, fresh)

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
        if decision.verdict is not Verdict.REGRESSED and not self._gating.takes_back(decision):
            self._note_verdict(decision)
            return
        self._takes_back = True
        self._regressed_at = scene.clock()
        bad = (begun.left.accused if begun.left is not None else ()) or accused(decision)
        self._note_condemned(decision, bad)

        def accepted() -> None:
            self._note_verdict(decision)
            scene.event("RegressionDetected", decision.reason, type="Warning")

        try:
            attempt = take_back(
                scene, self.policy.rollback, begun.prepared, decision, accepted=accepted
            )
        except Ended as ended:
            # The newer deploy's own rollback must not choose what was condemned here.
            if ended.action is Action.SUPERSEDED:
                self._note_verdict(decision)
            raise
        if attempt.done is None:
            accepted()
        self._followed(attempt, begun, bad)

    def _note_condemned(self, decision: Decision, bad: Iterable[str]) -> None:
        """Leave word of the verdict before anything is written, so that the next guard acts on it.

        Not of one that is not proven: that is judged again. The first write waits for it
        (`Scene.check_lease`), the questions before that do not.
        """
        scene = self.scene
        if scene.lease is None or decision.verdict is not Verdict.REGRESSED:
            return
        scene.lease.note_soon(
            condemned(
                scene.judged,
                started_at=self._started_at,
                at=decision.at,
                reason=decision.reason,
                accused=bad,
            )
        )

    def _followed(self, attempt: Attempt, begun: Begun, bad: Iterable[str]) -> None:
        """Take in how the rollback ended, and look at the signals again."""
        scene = self.scene
        self._action, self._restored_at = attempt.action, attempt.restored_at
        if attempt.reason:
            self._reason = f"{self._reason}; {attempt.reason}"
        self._restored_config = attempt.done is not None and attempt.done.restored_config
        if attempt.done is not None and attempt.restored_at is not None:
            self._recovered, self._state = verify(
                scene,
                begun.poller,
                self._state,
                attempt.done,
                bad=list(bad),
                seconds=self.policy.rollback.verify,
            )
            if self._recovered is Recovery.STILL_BAD and not self._in_place:
                # The candidate was not the cause: later rollbacks need not shun it.
                reason = f"still bad after the rollback; before it: {self._reason}"
                self._note(Verdict.INCONCLUSIVE, reason, at=scene.clock())

    def _note_verdict(self, decision: Decision) -> None:
        if decision.verdict is Verdict.REGRESSED and self._in_place:
            return
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
                workload=scene.follower.latest().workload,
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
            changes=self._changes,
            configuration=self._prepared.configuration if self._prepared is not None else (),
            configuration_restored=self._restored_config,
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
                prepared=self._prepared,
                restored=self._restored_config,
                owners=scene.owner_steps,
            ),
        )
