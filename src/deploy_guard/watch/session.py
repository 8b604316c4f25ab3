"""One watch from second 0 to its outcome: pre-flight, watch, roll back, verify.

Decides the order of things and what ends a watch. Does not judge (`decide`), does not know how a
rollback is done (`rollback`), how signals are read (`signals`) or how anything looks (`outputs`).
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from deploy_guard import decide, text
from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.errors import ApiError
from deploy_guard.cluster.follow import Follower
from deploy_guard.cluster.snapshot import Snapshot
from deploy_guard.cluster.workload import began_at, live_hash, look
from deploy_guard.errors import GuardError
from deploy_guard.model import (
    Action,
    Decision,
    Event,
    Finding,
    Outcome,
    Phase,
    Progress,
    Recovery,
    Revision,
    Rollout,
    Target,
    Tick,
    Verdict,
    Workload,
)
from deploy_guard.outputs.base import Output
from deploy_guard.policy.models import Policy
from deploy_guard.record import Entry, Header, Recorder
from deploy_guard.rollback.execution import Done, RollbackFailed, execute, wait_restored
from deploy_guard.rollback.planning import Plan, again, plan
from deploy_guard.rollback.preflight import check_references
from deploy_guard.rollback.problems import Refused, Superseded
from deploy_guard.rollback.verdicts import record_verdict
from deploy_guard.signals import open_signals
from deploy_guard.watch import second_zero, telling
from deploy_guard.watch.polling import Broken, Poller, Read

WITHOUT_EVIDENCE = (Finding.NO_DATA, Finding.LITTLE)
BREATH = 0.5  # seconds between two looks at the clock, and two updates of a live view


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A human or the pipeline asked guard to stop."""

    why: str


@dataclass(frozen=True, slots=True)
class Changed:
    """The cluster's state changed; the follower has the newest."""


class Ended(Exception):
    """The watch ends here, whatever it was about to do."""

    def __init__(self, action: Action, reason: str) -> None:
        super().__init__(reason)
        self.action = action
        self.reason = reason


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
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.cluster = cluster
        self.target = target
        self.policy = policy
        self.recorder: Recorder | None = None
        self._output = output
        self._environ = environ
        self._report = report
        self._clock = clock
        self._items: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._timeline: list[Event] = []
        self._follower = Follower(cluster, target, on_change=lambda: self._items.put(Changed()))
        self._poller: Poller | None = None
        self._phase = Phase.PREFLIGHT
        self._state: decide.State | None = None
        self._judged = ""  # the pod-template-hash that samples are about
        self._expected = ""  # the hash of the live template; another one is a newer deploy
        self._plan: Plan | None = None  # of second 0
        self._told: dict[str, str] = {}  # what was last said of the rollout and of each signal
        self._progress_at = 0.0
        self._ends_at = 0.0

        self._started_at = clock()
        self._deployed_at: float | None = None
        self._judged_since: float | None = None  # deployed_at of the judged revision
        self._candidate: Revision | None = None
        self._target_revision: Revision | None = None
        self._verdict: Verdict | None = None
        self._action = Action.NONE
        self._reason = ""
        self._recovered: Recovery | None = None
        self._decision: Decision | None = None
        self._regressed_at: float | None = None
        self._rolled_back_at: float | None = None
        self._restored_at: float | None = None

    def interrupt(self, why: str) -> None:
        """Ask the watch to end; safe to call from a signal handler and from any thread."""
        self._items.put(Interrupted(why))

    def run(self) -> Outcome:
        """Watch until the verdict and act on it.

        Raises GuardError when guard cannot do its work; nothing was decided then.
        """
        try:
            self._prepare()
            decision = self._watch()
            self._conclude(decision)
        except Ended as ended:
            self._action, self._reason = ended.action, ended.reason
        finally:
            if self._poller is not None:
                self._poller.stop()
            self._follower.stop()
        return self._outcome()

    # --- second 0 -------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Find out who is who, whether a rollback is possible, and whether signals can be read."""
        self._follower.start()
        snapshot, judged = second_zero.wait_for_candidate(self._follower.latest, self._pause)
        self._judged, self._expected = judged, judged
        self._deployed_at = self._judged_since = began_at(snapshot, judged)
        found = second_zero.inspect(self.cluster, snapshot, judged, deployed_at=self._deployed_at)
        self._plan, self._candidate = found.plan, found.plan.candidate
        self._target_revision = found.plan.revision
        self._state = decide.begin(self.policy, started_at=self._clock())
        self._open_record(self._state.started_at)
        for line in found.lines:
            self.tell("preflight", line)
        for line in found.warnings:
            self.tell("warning", line)
        signals = open_signals(self.policy, cluster=self.cluster, environ=self._environ)
        self._poller = Poller(signals, self._look, self._items, clock=self._clock)

    def _pause(self, seconds: float) -> None:
        """Wait, but let an interruption end the watch."""
        until = self._clock() + seconds
        while (left := until - self._clock()) > 0:
            self._next(left)

    def _open_record(self, started_at: float) -> None:
        if self._report is None:
            return
        header = Header(
            policy=self.policy,
            target=self.target,
            candidate=self._candidate,
            started_at=started_at,
            deployed_at=self._deployed_at or started_at,
            dry_run=self.cluster.dry,
        )
        self.recorder = Recorder(
            self._report, header, warn=lambda problem: self.tell("warning", problem)
        )
        if self.recorder.directory != self._report:
            self.tell("warning", f"{self._report} holds a record: using {self.recorder.directory}")

    # --- the watch ------------------------------------------------------------------------

    def _watch(self) -> Decision:
        """Read signals and fold them until there is a verdict."""
        assert self._poller is not None and self._state is not None  # noqa: S101
        self._phase, self._ends_at = Phase.WATCHING, self._state.ends_at
        words = f"watching for {text.seconds(self.policy.watch.duration)}"
        if self.cluster.dry:
            words += ", dry run: nothing will be written"
        self.tell("preflight", words)
        self._fold(self._look())
        self._poller.start()
        while True:
            item = self._next()
            decision = None
            if isinstance(item, Read) and item.round == self._poller.round:
                for reading in item.readings:
                    decision = self._fold(reading)
                    if decision.verdict is not None:
                        break
            elif isinstance(item, Changed):
                decision = self._fold(self._look())
            now = self._clock()
            if (decision is None or decision.verdict is None) and now >= self._state.ends_at:
                self._record(Tick(now))
                decision = decide.decide(self._state, now)
            if decision is not None and decision.verdict is not None:
                self._record(decision)
                return decision
            self._show()

    def _fold(self, item: decide.Observation) -> Decision:
        """Record one observation, fold it into the state, tell what it changed, and decide."""
        assert self._state is not None  # noqa: S101
        self._record(item)
        self._state = decide.observe(self._state, item)
        at = item.seen_at if isinstance(item, Workload) else item.at
        decision = decide.decide(self._state, at)
        self._tell_findings(decision)
        return decision

    def _conclude(self, decision: Decision) -> None:
        self._decision, self._verdict = decision, decision.verdict
        self._reason = decision.reason
        assert decision.verdict is not None  # noqa: S101 - _watch returned
        self.tell("verdict", f"{decision.verdict.replace('_', ' ')}: {decision.reason}")
        if decision.verdict is Verdict.REGRESSED:
            self._regressed_at = self._clock()
            self._roll_back(decision)
        self._note_verdict(decision)

    # --- the rollback ---------------------------------------------------------------------

    def _roll_back(self, decision: Decision) -> None:
        """Take the candidate back if that is allowed, possible and safe; verify the recovery."""
        if not self.policy.rollback.enabled:
            self._action = Action.WOULD_ROLL_BACK
            self.tell("rollback", "the policy forbids it (rollback.enabled: false)")
            return
        self._phase = Phase.ROLLING_BACK
        self._ends_at = self._clock() + self.policy.rollback.timeout
        try:
            done = self._send(self._fresh_plan(decision.reason))
        except Refused as refused:
            self._action, self._reason = Action.REFUSED, f"{self._reason}; refused: {refused}"
            self.tell("rollback", f"refused: {refused.message}; {refused.help}".rstrip("; "))
            return
        except Superseded as superseded:
            raise Ended(Action.SUPERSEDED, superseded.message) from superseded
        except (RollbackFailed, ApiError) as error:
            self._action = Action.ROLLBACK_FAILED
            self._reason = f"{self._reason}; the rollback failed: {error.message}"
            self.tell("rollback", f"failed: {error.message}; {error.help}".rstrip("; "))
            return
        if done.dry:
            self._action = Action.WOULD_ROLL_BACK
            self.tell("rollback", "dry run: the server would accept it; nothing was changed")
            return
        self._rolled_back_at = done.at
        how = "it was in place already" if done.already else "accepted by the cluster"
        self.tell("rollback", f"to {telling.revision_words(self._target_revision)}: {how}")
        self._follow_rollback(done, decision)

    def _fresh_plan(self, reason: str) -> Plan:
        """Plan anew from what is live now; the plan of second 0 still knows a collected target."""
        assert self._plan is not None  # noqa: S101 - _prepare made it
        snapshot = self._follower.latest()
        fresh = plan(snapshot, candidate_hash=self._judged, reason=reason)
        if fresh.template is None and self._plan.template is not None and snapshot.deployment:
            fresh = again(replace(self._plan, reason=fresh.reason), snapshot.deployment)
        self._target_revision = fresh.revision
        return fresh.with_problems(check_references(self.cluster, fresh))

    def _send(self, fresh: Plan) -> Done:
        """Send the patch in a thread, so that an interruption is heard while it is under way."""
        answers: queue.SimpleQueue[Done | BaseException] = queue.SimpleQueue()

        def work() -> None:
            try:
                answers.put(execute(self.cluster, fresh, clock=self._clock))
            except BaseException as error:  # handed over to the main thread, which raises it
                answers.put(error)

        threading.Thread(target=work, name="rollback", daemon=True).start()
        while True:
            try:
                answer = answers.get(timeout=0.05)
            except queue.Empty:
                if (why := self._heed()) is None:
                    continue
                answer = self._last_word(answers, why)
            if isinstance(answer, BaseException):
                raise answer
            return answer

    def _last_word(
        self, answers: queue.SimpleQueue[Done | BaseException], why: str
    ) -> Done | BaseException:
        """Give a patch that is under way a moment to be answered before guard ends."""
        try:
            answer = answers.get(timeout=0.5)
        except queue.Empty:
            reason = f"{why}: the rollback was sent, the answer is not known; see guard history"
            raise Ended(Action.INTERRUPTED, reason) from None
        if isinstance(answer, Done) and not answer.dry:
            self._rolled_back_at = answer.at
            raise Ended(Action.INTERRUPTED, telling.interrupted(why, answer.at))
        return answer

    def _follow_rollback(self, done: Done, decision: Decision) -> None:
        interrupted: list[str] = []

        def stopped() -> bool:
            if (why := self._heed()) is not None:
                interrupted.append(why)
            self._show()
            return bool(interrupted)

        restored = wait_restored(
            self._follower,
            done,
            timeout=self.policy.rollback.timeout,
            report=self._tell_restoring,
            clock=self._clock,
            stopped=stopped,
        )
        if interrupted and not restored.serves:
            raise Ended(
                Action.INTERRUPTED, telling.interrupted(interrupted[0], self._rolled_back_at)
            )
        if restored.serves:
            self._action = Action.ROLLED_BACK
            self._restored_at = restored.at
            self.tell("rollback", f"{telling.revision_words(self._target_revision)} serves again")
            self._verify(done, decision)
            return
        self._action = Action.ROLLED_BACK if restored.superseded else Action.ROLLBACK_FAILED
        self._reason = f"{self._reason}; after the rollback: {restored.failure}"
        self.tell("rollback", restored.failure)

    def _tell_restoring(self, rollout: Rollout) -> None:
        words = telling.restoring_words(rollout)
        if rollout.observed and self._told.get("restoring") != words:
            self._told["restoring"] = words
            self.tell("rollout", words)

    def _verify(self, done: Done, decision: Decision) -> None:
        """Look at the same signals again, now on the pods of the target revision."""
        assert self._poller is not None and self._state is not None  # noqa: S101
        live = live_hash(self._follower.latest())
        self._judged = self._expected = live or self._judged
        self._judged_since = done.at
        self._told.clear()
        self._poller.next_round()
        duration = self.policy.rollback.verify
        bad = [e.signal for e in decision.evidence if e.finding is Finding.BAD]
        second = decide.verifying(self._state, at=self._clock(), duration=duration, accused=bad)
        self._phase, self._ends_at = Phase.VERIFYING, second.state.ends_at
        recovery = None
        try:
            while recovery is None:
                item = self._next()
                if isinstance(item, Read) and item.round == self._poller.round:
                    for reading in item.readings:
                        self._record(reading)
                        second = second.observe(reading)
                elif isinstance(item, Changed):
                    second = second.observe(self._look())
                self._state = second.state
                recovery = second.recovery(self._clock())
                self._show()
        except Ended as ended:
            if ended.action is not Action.SUPERSEDED:
                raise
            self.tell("warning", f"the recovery cannot be verified: {ended.reason}")
            recovery = Recovery.UNKNOWN
        self._recovered = recovery
        words = telling.recovery_words(recovery, decide.evidence_of(second.state, self._clock()))
        self.tell("recovery", words)

    def _heed(self) -> str | None:
        """Take in what happened while something else is waited for; return why to stop, if so."""
        while True:
            try:
                item = self._items.get_nowait()
            except queue.Empty:
                return None
            if isinstance(item, Interrupted):
                return item.why

    def _note_verdict(self, decision: Decision) -> None:
        """Remember the verdict where the next rollback finds it; a failure is only told."""
        if decision.verdict not in (Verdict.HEALTHY, Verdict.REGRESSED) or self._candidate is None:
            return
        problem = record_verdict(
            self.cluster,
            self.target,
            self._candidate,
            decision.verdict,
            reason=decision.reason,
            at=decision.at,
        )
        if problem is not None:
            self.tell("warning", f"{problem.text}; {problem.help}")

    # --- what all phases share ------------------------------------------------------------

    def _next(self, timeout: float = BREATH) -> object | None:
        """Return the next item, None after `timeout` seconds; see to what ends any phase.

        Raises Ended when the watch was interrupted or a newer deploy arrived, GuardError when
        the workload is gone or a signal's code is broken.
        """
        try:
            item = self._items.get(timeout=timeout)
        except queue.Empty:
            return None
        if isinstance(item, Interrupted):
            raise Ended(Action.INTERRUPTED, telling.interrupted(item.why, self._rolled_back_at))
        if isinstance(item, Broken):
            raise GuardError(
                f"the signal {item.signal} broke: {type(item.error).__name__}: {item.error}",
                help="this is a bug in guard; nothing was decided",
            ) from item.error
        if isinstance(item, Changed):
            self._see(self._follower.latest())
        return item

    def _see(self, snapshot: Snapshot) -> None:
        """Look whether the workload is still the one under watch, and tell its progress."""
        if snapshot.deployment is None:
            raise GuardError(
                f"{self.target} was deleted during the watch", help="nothing was decided"
            )
        self._tell_blindness(snapshot)
        live = live_hash(snapshot)
        if live is not None and self._expected not in ("", live):
            raise Ended(Action.SUPERSEDED, telling.superseded(snapshot, live))
        words = telling.rollout_words(self._look())
        if self._phase is Phase.WATCHING and self._told.get("rollout") != words:
            self._told["rollout"] = words
            self.tell("rollout", words)

    def _tell_blindness(self, snapshot: Snapshot) -> None:
        blind = "; ".join(f"{p.what}: {p.reason}" for p in snapshot.problems)
        if self._told.get("blind", "") != blind:
            self._told["blind"] = blind
            self.tell(
                "warning",
                f"the cluster cannot be seen: {blind}" if blind else "the cluster is seen again",
            )

    def _tell_findings(self, decision: Decision) -> None:
        """Tell each signal whose finding changed, and each that begins or ceases to be read."""
        assert self._state is not None  # noqa: S101
        for evidence, watched in zip(decision.evidence, self._state.signals, strict=True):
            problem = f"problem of {evidence.signal}"
            if self._told.get(problem, "") != watched.problem:
                self._told[problem] = watched.problem
                words = watched.problem or "is read again"
                self.tell("no-data", f"{evidence.signal}: {words}")
            before = self._told.get(evidence.signal)
            if before == evidence.finding:
                continue
            self._told[evidence.signal] = evidence.finding
            # Every signal begins without evidence: that says nothing yet.
            if evidence.finding not in WITHOUT_EVIDENCE or before not in (None, *WITHOUT_EVIDENCE):
                self.tell("signal", f"{evidence.signal}: {evidence.finding}: {evidence.text}")

    def _show(self) -> None:
        """Show how the watch stands, at most every `BREATH` seconds."""
        now = self._clock()
        if now - self._progress_at < BREATH:
            return
        self._progress_at = now
        signals = decide.summaries(self._state, now) if self._state is not None else ()
        self._output.show(
            Progress(
                at=now,
                phase=self._phase,
                started_at=self._started_at,
                ends_at=self._ends_at,
                workload=self._look(),
                candidate=self._candidate,
                target_revision=self._target_revision,
                signals=signals,
                dry_run=self.cluster.dry,
            )
        )

    def _outcome(self) -> Outcome:
        now = self._clock()
        state = self._state
        evidence = self._decision.evidence if self._decision is not None else ()
        if not evidence and state is not None:
            evidence = decide.evidence_of(state, now)
        return Outcome(
            target=self.target,
            verdict=self._verdict,
            action=self._action,
            reason=self._reason,
            exit_code=int(telling.exit_code(self._verdict, self._action)),
            started_at=self._started_at,
            ended_at=now,
            deployed_at=self._deployed_at,
            regressed_at=self._regressed_at,
            rolled_back_at=self._rolled_back_at,
            restored_at=self._restored_at,
            candidate=self._candidate,
            target_revision=self._target_revision,
            recovered=self._recovered,
            dry_run=self.cluster.dry,
            policy=self.policy.name,
            signals=decide.summaries(state, now) if state is not None else (),
            evidence=evidence,
            timeline=tuple(self._timeline),
            next_steps=telling.next_steps(
                self.target,
                verdict=self._verdict,
                action=self._action,
                recovered=self._recovered,
                candidate=self._candidate,
                target_revision=self._target_revision,
            ),
        )

    def tell(self, kind: str, words: str, **data: object) -> None:
        """Put an event on the timeline, into the record and before the reader's eyes."""
        event = Event(self._clock(), kind, words, data)
        self._timeline.append(event)
        self._record(event)
        self._output.show(event)

    def _record(self, item: Entry) -> None:
        if self.recorder is not None:
            self.recorder.write(item)

    def _look(self) -> Workload:
        """Return the newest look at the workload, with the judged revision as the candidate."""
        return look(
            self._follower.latest(), candidate_hash=self._judged, deployed_at=self._judged_since
        )
