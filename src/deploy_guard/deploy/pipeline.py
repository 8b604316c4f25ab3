"""One deploy from the first look at the target to its outcome: run, watch, roll back if need be.

Decides the order of things: what is looked at before the command, when a watch begins and ends,
and that guard waits for the command, which it never kills. What the results mean is in `results`;
judging and rolling back is the watch's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from deploy_guard import text
from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.clock import Clock
from deploy_guard.cluster.errors import ApiError
from deploy_guard.cluster.rollouts import live_hash
from deploy_guard.cluster.snapshot import Json, take
from deploy_guard.deploy import results
from deploy_guard.deploy.before import Before, look_after, look_before
from deploy_guard.deploy.command import Command, signal_name
from deploy_guard.deploy.contents import Changed
from deploy_guard.deploy.redaction import redacted_command, redacted_lines
from deploy_guard.deploy.sight import Deployed, Sight
from deploy_guard.deploy.story import Story
from deploy_guard.deploy.talk import Talk
from deploy_guard.errors import ExitCode, GuardError
from deploy_guard.model import Action, DeployResult, Outcome, Target
from deploy_guard.policy.models import Policy
from deploy_guard.record import Header
from deploy_guard.rollback.trail import who
from deploy_guard.watch.session import Watch

BREATH = 0.2  # seconds between two looks at the clock


class Abandoned(KeyboardInterrupt):
    """An interruption at which guard ends at once: the second one, or one before the command."""


class Interrupted(GuardError):
    """Guard was interrupted before it ran the command."""

    exit_code = ExitCode.INTERRUPTED


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be done. `settle` is how many seconds a change may come after the command."""

    target: Target
    policy: Policy
    command: tuple[str, ...]
    settle: float = 10.0
    others_ok: bool = False
    report: Path | None = None


class Pipeline:
    """Runs one deploy; `run` blocks until its outcome."""

    def __init__(
        self,
        cluster: Cluster,
        request: Request,
        *,
        talk: Talk,
        environ: Mapping[str, str],
        clock: Clock,
    ) -> None:
        self._cluster = cluster
        self._request = request
        self._story = Story(talk)
        self._tell = self._story.tell
        self._environ = environ
        self._clock = clock
        self._wake = threading.Event()
        self._sight = Sight(cluster, request.target, changed=self._wake.set)
        self._command: Command | None = None
        self._watch: Watch | None = None  # the one that runs
        self._latest: Watch | None = None
        self._begun = False  # whether there is a command to hand signals on to
        self._to_forward = 0
        self._interrupted = ""
        self._told_waiting = self._told_settling = False
        self._last: Outcome | None = None  # of the watch that counts
        self._shown = redacted_command(request.command, environ=environ)
        self._started_at = self._began_at = clock()
        self._ended_at: float | None = None
        self._before = Before()
        self._after: Json | None = None
        self._looked_again = False
        self._changed_others: tuple[str, ...] = ()
        self._changed_contents: tuple[Changed, ...] = ()

    def run(self) -> Outcome:
        """Do all of it. Raises GuardError when guard cannot do its work; nothing was decided."""
        try:
            try:
                self._look()
            except GuardError as error:
                error.message += "; the command was not run"
                raise
            except Abandoned:
                raise Interrupted("interrupted: the command was not run") from None
            if self._cluster.dry:
                return self._finished(self._not_run())
            with suppress(Abandoned):
                self._start()
                self._follow()
                self._look_again()
            return self._finished(self._outcome())
        finally:
            self._sight.stop()
            if self._command is not None:
                self._command.leave()
            self._story.close()

    def interrupt(self, why: str, number: int, *, forward: bool) -> None:
        """Ask to end, from a signal handler; `forward`: the command has not got the signal yet.

        The second time, or before the command, it raises Abandoned.
        """
        if self._interrupted or not self._begun:
            raise Abandoned
        self._interrupted = why
        self._to_forward = number if forward else 0
        self._forward()
        if (watch := self._watch) is not None:
            if watch.scene.waits_for_cluster:
                raise watch.scene.interrupted(why)
            watch.interrupt(why)

    # --- before the command -------------------------------------------------------------------

    def _look(self) -> None:
        """Look at everything that the command may change, as it is now."""
        target = self._request.target
        self._tell("preflight", f"{target} in {target.namespace}: before the deploy")
        self._before = look_before(
            self._cluster,
            target,
            self._sight.start(),
            tell=self._tell,
            at=self._clock(),
            by=who(self._environ),
        )

    def _not_run(self) -> Outcome:
        """Return the outcome of a dry run: what would stand in the way of a rollback counts."""
        self._tell("deploy", f"not run: {self._shown}")
        facts = self._facts()
        return replace(
            results.unwatched(facts),
            reason="nothing was done but to look; the command was not run"
            + ("; nothing could be rolled back, see above" if self._before.obstacles else ""),
            exit_code=int(ExitCode.INCONCLUSIVE if self._before.obstacles else ExitCode.OK),
            dry_run=True,
            next_steps=(),
            deploy=replace(results.deploy_of(facts, DeployResult.NOT_RUN), started_at=None),
        )

    # --- the command and the watch ------------------------------------------------------------

    def _start(self) -> None:
        self._tell("deploy", f"runs: {self._shown}")
        self._began_at, self._begun = self._clock(), True
        self._command = Command(
            self._request.command,
            show=self._story.talk.output,
            ended=self._on_end,
            environ=self._environ,
        )
        self._forward()  # what came while it was started

    def _forward(self) -> None:
        """Hand a signal on to the command, once."""
        if self._to_forward and self._command is not None:
            number, self._to_forward = self._to_forward, 0
            self._command.send(number)

    def _on_end(self, command: Command) -> None:
        """Tell that the command has ended, whatever else is going on."""
        self._command, self._ended_at = command, self._clock()
        facts = self._facts()
        self._tell(
            "deploy",
            f"the command {facts.ending}",
            command=facts.command,
            exit_code=facts.code,
            signal=signal_name(facts.code),
            seconds=round(self._ended_at - self._began_at, 3),
            output=list(facts.output),
        )
        self._story.talk.begin_live()
        self._wake.set()

    def _follow(self) -> None:
        """Watch each template that the command makes live, until it has ended."""
        handled = Deployed.of(self._before.workload)
        while (found := self._next(handled)) is not None:
            words = "made anew" if handled and found.uid != handled.uid else "changed"
            if handled is None:
                words = "made" if self._last is None else "changed again"
            self._tell("deploy", f"{self._request.target} was {words}: the watch begins")
            try:
                outcome = self._watched()
            except GuardError as error:
                self._wait_for_command()
                if self._is_gone():
                    return
                error.message += f"; the command {self._facts().ending}"
                raise
            if self._last is None or self._last.exit_code not in results.KEPT:
                self._last = outcome
            if outcome.action is Action.INTERRUPTED or not self._may_change():
                break
            handled = self._live_after(outcome)
        self._wait_for_command()

    def _next(self, handled: Deployed | None) -> Deployed | None:
        """Wait until another template is live, at most until the command has ended.

        The first change may come some time after the command.
        """
        while not self._interrupted:
            self._wake.clear()
            live = Deployed.of(self._sight.workload())
            if live is not None and not live.same(handled):
                return live
            if self._running():
                if self._last is not None:
                    self._tell_waiting()
            elif self._last is not None or not self._may_change():
                live = self._certainly_live()
                return live if live is not None and not live.same(handled) else None
            else:
                self._tell_settling()
            self._wake.wait(BREATH)
        return None

    def _certainly_live(self) -> Deployed | None:
        """Ask the cluster what is live: what was last seen may be stale. Raises GuardError."""
        try:
            return Deployed.of(self._sight.ask())
        except ApiError as error:
            raise GuardError(
                f"the command {self._facts().ending}; whether it changed "
                f"{self._request.target} is not known: {error.detail}",
                help=error.help,
            ) from error

    def _watched(self) -> Outcome:
        """Run one watch. A watch that cannot go on is no reason to leave the command alone."""
        self._watch = self._latest = watch = Watch(
            self._cluster,
            self._request.target,
            self._request.policy,
            output=self._story,
            environ=self._environ,
            report=self._request.report,
            clock=self._clock,
        )
        self._story.begin(watch)
        try:
            return watch.run()
        finally:
            self._story.end()
            self._watch = None

    def _live_after(self, outcome: Outcome) -> Deployed | None:
        """Return what the watch has dealt with, None if something else is live already."""
        judged = outcome.candidate if outcome.rolled_back_at is None else outcome.target_revision
        if outcome.action is Action.SUPERSEDED or judged is None:
            return None
        try:
            snapshot = take(self._cluster, self._request.target, pods=False)
        except ApiError:
            return Deployed.of(self._sight.workload())
        if live_hash(snapshot) != judged.template_hash:
            return None
        return Deployed.of(snapshot.workload)

    def _is_gone(self) -> bool:
        """Tell whether the target does not exist any more, as far as is known."""
        try:
            return Deployed.of(self._sight.ask()) is None
        except ApiError:
            return False

    def _wait_for_command(self) -> None:
        """Wait until the command has ended, however long that takes."""
        if self._running():
            self._tell_waiting()
        while self._running():
            self._wake.wait(BREATH)
            self._wake.clear()

    def _tell_settling(self) -> None:
        if not self._told_settling:
            self._told_settling = True
            seconds = text.seconds(self._request.settle)
            words = (
                f"{self._request.target} has not changed so far; a change may come for {seconds}"
            )
            self._tell("deploy", words)

    def _tell_waiting(self) -> None:
        if not self._told_waiting:
            self._told_waiting = True
            self._tell("deploy", "the command still runs: guard waits for it and never kills it")

    def _running(self) -> bool:
        return self._command is not None and self._command.running

    def _command_ended(self) -> float:
        ended = self._command.ended_at if self._command is not None else None
        return ended if ended is not None else time.monotonic()

    def _may_change(self) -> bool:
        """Tell whether what comes now is still of this command, not of a newer deploy."""
        return self._running() or time.monotonic() - self._command_ended() < self._request.settle

    # --- the end ------------------------------------------------------------------------------

    def _look_again(self) -> None:
        """Look at all that was looked at before the command, as it is after it."""
        try:
            self._after = self._sight.ask()
        except ApiError as error:
            self._after = self._sight.workload()
            self._tell("warning", f"the target cannot be read any more: {error.detail}")
        self._looked_again = True
        self._changed_others, self._changed_contents = look_after(
            self._cluster, self._request.target, self._before
        )

    def _outcome(self) -> Outcome:
        facts = self._facts()
        if self._last is not None:
            return results.watched(self._last, facts)
        return results.unwatched(facts)

    def _facts(self) -> results.Facts:
        """Return what is known now."""
        request, command = self._request, self._command
        words = command.last_lines if command is not None else ()
        return results.Facts(
            target=request.target,
            policy=request.policy.name,
            command=self._shown,
            started_at=self._started_at,
            began_at=self._began_at,
            now=self._clock(),
            pid=command.pid if command is not None else 0,
            code=command.code if command is not None else None,
            ended_at=self._ended_at,
            before=self._before.workload,
            after=self._after if self._looked_again else self._sight.workload(),
            others=self._changed_others,
            others_ok=request.others_ok,
            unseen=self._before.others.unseen,
            configuration=self._changed_contents,
            interrupted=self._interrupted,
            rollback=self._rollback_words(),
            output=redacted_lines(words, words=request.command, environ=self._environ),
        )

    def _rollback_words(self) -> str:
        """Say what was sent by a watch that could not end in order."""
        scene = self._latest.scene if self._latest is not None else None
        if scene is None or not (scene.answer_lost or scene.rolled_back_at):
            return ""
        return "a rollback was sent" + ("" if scene.answer_lost else " and accepted")

    def _finished(self, outcome: Outcome) -> Outcome:
        header = Header(  # of a deploy without a watch
            policy=self._request.policy,
            target=self._request.target,
            candidate=None,
            started_at=self._started_at,
            deployed_at=self._began_at,
            dry_run=self._cluster.dry,
        )
        return self._story.finish(outcome, directory=self._request.report, header=header)
