"""What all phases of a watch share: the workload under watch, what comes in, and telling.

Decides what ends any phase (an interruption, a newer deploy, a deletion) and when something is
worth telling. Does not decide what the phases do.
"""

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from deploy_guard import decide, text
from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.clock import Clock
from deploy_guard.cluster.errors import ApiError, Call, Unreachable
from deploy_guard.cluster.follow import Follower
from deploy_guard.cluster.lease import Lease, Lost
from deploy_guard.cluster.lease_record import lease_path
from deploy_guard.cluster.rollouts import live_hash
from deploy_guard.cluster.snapshot import Snapshot, take
from deploy_guard.cluster.workload import look
from deploy_guard.errors import GuardError
from deploy_guard.model import (
    KUBERNETES,
    Action,
    Decision,
    Event,
    Finding,
    NoData,
    Phase,
    Progress,
    Reading,
    Revision,
    Target,
    Workload,
)
from deploy_guard.outputs.base import Output
from deploy_guard.problems import Problem
from deploy_guard.record import Entry, Recorder
from deploy_guard.rollback import trail
from deploy_guard.watch import telling
from deploy_guard.watch.polling import Broken, Read

BREATH = 0.5  # seconds between two looks at the clock, and two updates of a live view
_DURATIONS = re.compile(r"\b[\d.]+ (?:ms|[smhd])\b")
WITHOUT_EVIDENCE = (Finding.NO_DATA, Finding.LITTLE)


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A human or the pipeline asked guard to stop."""

    why: str


@dataclass(frozen=True, slots=True)
class TakenOver:
    """Another guard has the lease now, or it cannot be known that none has."""

    why: str


@dataclass(frozen=True, slots=True)
class Said:
    """Something to be told, from another thread."""

    kind: str
    words: str


@dataclass(frozen=True, slots=True)
class Changed:
    """The cluster's state changed; the follower has the newest."""


class Ended(BaseException):
    """The watch ends here, whatever it was about to do.

    As with KeyboardInterrupt nobody catches it by accident: a signal handler raises it in the
    middle of a request, where a credential plugin's errors of any kind are explained.
    """

    def __init__(self, action: Action, reason: str) -> None:
        super().__init__(reason)
        self.action = action
        self.reason = reason


class Scene:
    """The state that the phases hand on to each other.

    `uid` is the workload's; `judged` is the hash of the revision that samples are about,
    `judged_since` when its rollout began; `expected` the hash of the template that should be live:
    another one is a newer deploy.
    """

    def __init__(
        self,
        cluster: Cluster,
        target: Target,
        output: Output,
        clock: Callable[[], float],
        *,
        who: str = "",
    ) -> None:
        self.cluster = cluster
        self.target = target
        self.who = who
        self.lease: Lease | None = None
        self.clock = clock
        self.items: queue.SimpleQueue[object] = queue.SimpleQueue()
        self.follower = Follower(cluster, target, on_change=self._on_change, clock=clock)
        self.timeline: list[Event] = []
        self.recorder: Recorder | None = None
        self.phase = Phase.PREFLIGHT
        self.started_at = clock()
        self.ends_at = self.started_at
        self.uid = ""
        self.judged = ""
        self.judged_since: float | None = None
        self.expected = ""
        self.candidate: Revision | None = None
        self.target_revision: Revision | None = None
        self.rolled_back_at: float | None = None
        self.owner_steps: list[str] = []  # how to resume who was suspended
        self.answer_lost = False  # a rollback was sent, whether it was accepted is not known
        self.abandoned = False  # the watch has ended: what is under way must not write any more
        self.waits_for_cluster = False  # the main thread is blocked in a request
        self._output = output
        self._told: dict[str, str] = {}  # what was last said of each thing
        self._shown_at = 0.0
        self._change_waits = threading.Event()
        self._looked: tuple[tuple[int, str, float | None], Workload] | None = None

    def set_clock(self) -> None:
        """Take over the time of the API server, whose timestamps pods carry, if ours is wrong."""
        if not isinstance(self.clock, Clock):
            return
        ahead = self.clock.agree(self.cluster.server_time.now())
        if ahead:
            self.started_at -= ahead
            words = f"{text.seconds(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'}"
            self.tell("warning", f"this machine's clock is {words} the cluster's, which is used")

    def interrupted(self, why: str) -> Ended:
        """Return how the watch ends when it is interrupted now."""
        return Ended(Action.INTERRUPTED, telling.interrupted(why, self.rolled_back_at))

    @contextmanager
    def waiting_for_cluster(self) -> Iterator[None]:
        """Mark a request that may block: an interruption need not wait for its answer."""
        self.waits_for_cluster = True
        try:
            yield
        finally:
            self.waits_for_cluster = False

    def look(self) -> Workload:
        """Return the newest look at the workload, with the judged revision as the candidate.

        Objects are interpreted once per change, however often they are looked at.
        """
        snapshot = self.follower.latest()
        key = (snapshot.serial, self.judged, self.judged_since)
        known = self._looked  # one assignment, for other threads look as well
        if known is None or known[0] != key:
            found = look(snapshot, candidate_hash=self.judged, deployed_at=self.judged_since)
            self._looked = known = (key, found)
        return replace(known[1], seen_at=snapshot.seen_at)

    def last_look(self) -> Workload:
        """Ask the cluster once more: a silent network leaves an old view that looks current.

        Raises as `next` does when the workload is not the one under watch any more.
        """
        known = self.look()
        if known.blind:
            return known
        try:
            with self.waiting_for_cluster():
                snapshot = take(self.cluster, self.target)
        except ApiError as error:
            return replace(known, blind=error.detail, seen_at=self.clock())
        self._identify(snapshot)
        fresh = look(snapshot, candidate_hash=self.judged, deployed_at=self.judged_since)
        return replace(fresh, seen_at=self.clock())

    def next(self, timeout: float = BREATH) -> object | None:
        """Return the next item, None after `timeout` seconds; see to what ends any phase.

        Raises Ended when the watch was interrupted or a newer deploy arrived, GuardError when
        the workload is gone or a signal's code is broken.
        """
        try:
            item = self.items.get(timeout=timeout)
        except queue.Empty:
            return None
        if isinstance(item, Interrupted):
            raise self.interrupted(item.why)
        if isinstance(item, TakenOver):
            raise Ended(Action.SUPERSEDED, f"{item.why}: left alone")
        if isinstance(item, Broken):
            raise GuardError(
                f"the signal {item.signal} broke: {type(item.error).__name__}: {item.error}",
                help="this is a bug in guard; nothing was decided",
            ) from item.error
        if isinstance(item, Changed):
            self._change_waits.clear()
            self._see(self.follower.latest())
        if isinstance(item, Read) and item.warnings:
            words = f"{item.signal}: {'; '.join(item.warnings)}"
            self.tell_change(f"warnings of {item.signal}", "warning", words)
        return item

    def heed(self) -> str | None:
        """Take in what happened while something else is waited for; return why to stop, if so."""
        while True:
            try:
                item = self.items.get_nowait()
            except queue.Empty:
                return None
            if isinstance(item, Changed):
                self._change_waits.clear()
            if isinstance(item, Said) and item.kind == "next-step":
                self.owner_steps.append(item.words)
            elif isinstance(item, Said):
                self.tell(item.kind, item.words)
            if isinstance(item, Interrupted):
                return item.why

    def lease_lost(self, why: str) -> None:
        """End the watch: another guard is at work. Safe to call from any thread."""
        self.items.put(TakenOver(why))

    def check_lease(self, patience: float = 0.0) -> None:
        """Make sure before a write that no other guard is at work.

        A server that is away, so that nobody knows, is waited for `patience` seconds. Raises Ended
        when another guard has the lease or the watch was left; Unreachable when it is still away.
        """
        until = time.monotonic() + patience
        while True:
            if self.abandoned:
                raise Ended(Action.INTERRUPTED, "interrupted: nothing more is written")
            if self.lease is None:
                return
            try:
                self.lease.check()
            except Lost as lost:
                if self.lease.lost:
                    raise Ended(Action.SUPERSEDED, f"{lost.message}: left alone") from lost
                if time.monotonic() >= until:
                    call = Call.of("patch", lease_path(self.target))
                    raise Unreachable(call, lost.message, help=lost.help) from lost
            else:
                return
            time.sleep(BREATH)

    def event(
        self, reason: trail.Reason, words: str, *, type: Literal["Normal", "Warning"] = "Normal"
    ) -> None:
        """Write an Event on the workload, for `kubectl describe`; a failure is told once."""
        workload = self.follower.latest().workload
        if self.cluster.dry or workload is None or self.look().blind:
            return  # nobody is kept waiting for a server that does not answer
        with self.waiting_for_cluster():
            problem = trail.write_event(
                self.cluster,
                self.target,
                workload,
                reason=reason,
                text=words,
                type=type,
                at=self.clock(),
            )
        if problem is not None:
            self.tell_change("events", "warning", f"{problem.text}; {problem.help}")

    def pause(self, seconds: float) -> None:
        """Wait, but let an interruption end the watch."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.next(left)

    def record(self, item: Entry) -> None:
        """Put something into the record, if there is one."""
        if self.recorder is not None:
            self.recorder.write(item)

    def tell(self, kind: str, words: str) -> None:
        """Put an event on the timeline, into the record and before the reader's eyes."""
        event = Event(self.clock(), kind, words)
        self.timeline.append(event)
        self.record(event)
        self._output.show(event)

    def tell_problem(self, problem: Problem) -> None:
        """Tell something that did not stand in the way, with what to do about it."""
        self.tell("warning", f"{problem.text}; {problem.help}".rstrip("; "))

    def tell_change(self, what: str, kind: str, words: str) -> None:
        """Tell it if it is not what was last said of `what`, however long that lasts."""
        news = _DURATIONS.sub("", words)
        if self._told.get(what, "") != news:
            self._told[what] = news
            self.tell(kind, words)

    def tell_first_reading(self, read: Read, state: decide.State) -> None:
        """Tell that a provider answers, and what is known from before; problems tell themselves."""
        key = f"first reading of {read.signal}"
        if (
            read.signal == KUBERNETES
            or key in self._told
            or any(isinstance(r, NoData) for r in read.readings)
        ):
            return
        self._told[key] = read.signal
        summaries = decide.summaries(state, self.clock())
        signal = next(s for s in summaries if s.name == read.signal)
        words = f"{read.signal} ({signal.provider}): can be read"
        if signal.baseline is not None:
            words += f", {text.quantity(signal.baseline, signal.unit)} before the deploy"
        self.tell("preflight", words)

    def tell_problem_of(self, reading: Reading) -> None:
        """Tell that a signal cannot be read, or is read again, where findings are not told."""
        key = f"problem of {reading.signal}"
        if isinstance(reading, NoData):
            words = f"{reading.signal}: {reading.reason.value}: {reading.detail}"
            self.tell_change(key, "no-data", words)
        elif key in self._told:
            self.tell_change(key, "no-data", f"{reading.signal}: is read again")

    def tell_findings(self, state: decide.State, decision: Decision) -> None:
        """Tell each signal whose finding changed, and each that begins or ceases to be read."""
        for evidence, watched in zip(decision.evidence, state.signals, strict=True):
            name = evidence.signal
            if watched.problem or f"problem of {name}" in self._told:
                problem = watched.problem or "is read again"
                self.tell_change(f"problem of {name}", "no-data", f"{name}: {problem}")
            before = self._told.get(name)
            if before == evidence.finding:
                continue
            self._told[name] = evidence.finding
            # Every signal begins without evidence: that says nothing yet.
            if evidence.finding not in WITHOUT_EVIDENCE or before not in (None, *WITHOUT_EVIDENCE):
                self.tell("signal", f"{name}: {evidence.finding}: {evidence.text}")

    def show(self, state: decide.State | None) -> None:
        """Show how the watch stands, at most every `BREATH` seconds."""
        now = self.clock()
        if now - self._shown_at < BREATH:
            return
        self._shown_at = now
        self._output.show(
            Progress(
                at=now,
                phase=self.phase,
                started_at=self.started_at,
                ends_at=self.ends_at,
                workload=self.look(),
                candidate=self.candidate,
                target_revision=self.target_revision,
                signals=decide.summaries(state, now) if state is not None else (),
                dry_run=self.cluster.dry,
            )
        )

    def _on_change(self) -> None:
        """Wake the watch; changes that come before it looks are one."""
        if not self._change_waits.is_set():
            self._change_waits.set()
            self.items.put(Changed())

    def _see(self, snapshot: Snapshot) -> None:
        """Look whether the workload is still the one under watch, and tell its progress."""
        blind = self.look().blind
        was_blind = "cannot" in self._told.get("blind", "")
        if bool(blind) != was_blind:  # once for each outage, not for each of its resources
            words = f"the cluster cannot be seen: {blind}" if blind else "the cluster is seen again"
            self.tell_change("blind", "warning", words)
        self._identify(snapshot)
        if self.phase is Phase.WATCHING:
            self.tell_change("rollout", "rollout", telling.rollout_words(self.look()))

    def _identify(self, snapshot: Snapshot) -> None:
        """End the watch when the workload is gone, or another template is live."""
        workload = snapshot.workload
        if workload is None:
            raise GuardError(
                f"{self.target} was deleted during the watch", help="nothing was decided"
            )
        if self.uid not in ("", workload["metadata"]["uid"]):
            raise Ended(Action.SUPERSEDED, f"{self.target} was deleted and made anew")
        live = live_hash(snapshot)
        if live is not None and self.expected not in ("", live):
            raise Ended(Action.SUPERSEDED, telling.superseded(snapshot, live))
