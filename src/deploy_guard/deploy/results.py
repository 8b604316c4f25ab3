"""What the command did, told apart: result, exit code, words and next steps.

Pure: decides from what was seen before and after the command, how it ended, and the outcome of the
watch if there was one. A command that failed is never a success, whatever the watch says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from deploy_guard import text
from deploy_guard.cluster.snapshot import Json
from deploy_guard.deploy.command import how_it_ended, signal_name
from deploy_guard.deploy.contents import Changed
from deploy_guard.deploy.sight import Deployed, other_changes
from deploy_guard.errors import ExitCode
from deploy_guard.model import Action, Deploy, DeployResult, Outcome, Target, Verdict

KEPT = (ExitCode.ROLLED_BACK, ExitCode.NOT_ROLLED_BACK)  # whatever the command says


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known when the command has ended, or was left to itself.

    `code` is None while it runs, and the negative number of the signal that ended it. `before` and
    `after` are the target as it was read. `interrupted` says why guard was asked to stop.
    """

    target: Target
    policy: str
    command: str
    started_at: float  # of guard
    began_at: float  # of the command
    now: float
    pid: int = 0
    code: int | None = None
    ended_at: float | None = None
    before: Json | None = None
    after: Json | None = None
    others: tuple[str, ...] = ()
    others_ok: bool = False
    unseen: tuple[str, ...] = ()  # kinds of other workloads that may not be listed
    configuration: tuple[Changed, ...] = ()
    interrupted: str = ""
    rollback: str = ""  # what a watch that could not end in order has sent
    output: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether the command ended, and not with 0."""
        return self.code not in (None, 0)

    @property
    def changed(self) -> bool:
        """Whether another template is live, or another object."""
        after = Deployed.of(self.after)
        return after is not None and not after.same(Deployed.of(self.before))

    @property
    def ending(self) -> str:
        """How the command ended, after how long, in words."""
        if self.code is None:
            return f"still runs (pid {self.pid})"
        took = text.seconds((self.ended_at or self.now) - self.began_at)
        word = "failed with" if self.code > 0 else "was ended by" if self.code else "ended with"
        return f"{word} {how_it_ended(self.code)} after {took}"


def deploy_of(facts: Facts, result: DeployResult, *, watched: bool = False) -> Deploy:
    """Return what is told of the command in the outcome."""
    return Deploy(
        result,
        facts.command,
        exit_code=facts.code if facts.code is not None and facts.code >= 0 else None,
        signal=signal_name(facts.code),
        started_at=facts.began_at,
        ended_at=facts.ended_at,
        watched=watched,
        others=facts.others,
        configuration=tuple(str(changed) for changed in facts.configuration),
        output=facts.output,
    )


# --- without a watch --------------------------------------------------------------------------


def unwatched(facts: Facts) -> Outcome:
    """Return the outcome of a deploy that there was nothing to watch of, or no time."""
    result = _result(facts)
    return Outcome(
        target=facts.target,
        verdict=None,
        action=Action.INTERRUPTED if facts.interrupted else Action.NONE,
        reason=_reason(facts, result),
        exit_code=int(ExitCode.INTERRUPTED if facts.interrupted else _exit_code(facts, result)),
        started_at=facts.started_at,
        ended_at=facts.now,
        policy=facts.policy,
        next_steps=_next_steps(facts, result),
        deploy=deploy_of(facts, result),
    )


def _result(facts: Facts) -> DeployResult:
    if facts.code is None:
        return DeployResult.UNFINISHED
    if facts.changed:
        return DeployResult.FAILED_AFTER_CHANGE if facts.failed else DeployResult.CHANGED
    if facts.before is not None and Deployed.of(facts.after) is None:
        return DeployResult.DELETED
    if facts.failed:
        return DeployResult.FAILED
    if facts.configuration:
        return DeployResult.CONFIGURATION_ONLY
    if facts.others:
        return DeployResult.SOMETHING_ELSE
    return DeployResult.UNCHANGED if facts.before is not None else DeployResult.MISSING


def _exit_code(facts: Facts, result: DeployResult) -> ExitCode:
    if result is DeployResult.SOMETHING_ELSE and facts.others_ok and facts.before is not None:
        return ExitCode.OK
    return {
        DeployResult.UNCHANGED: ExitCode.OK,
        DeployResult.CONFIGURATION_ONLY: ExitCode.OK,
        DeployResult.SOMETHING_ELSE: ExitCode.USAGE,
        DeployResult.MISSING: ExitCode.USAGE,
    }.get(result, ExitCode.FAILED)


def _reason(facts: Facts, result: DeployResult) -> str:
    command = f"the command {facts.ending}"
    if facts.interrupted:
        command = f"{facts.interrupted}: {command}"
    parts = [command, facts.rollback] if facts.rollback else [command]
    match result:
        case DeployResult.UNFINISHED:
            live = "changed the target already" if facts.changed else "has not changed the target"
            parts.append(f"so far it {live}; it was left running")
        case DeployResult.CHANGED | DeployResult.FAILED_AFTER_CHANGE:
            parts.append(f"{facts.target} was changed and is not watched")
        case DeployResult.DELETED:
            parts.append(f"{facts.target} was there before it and is gone; nothing was decided")
        case DeployResult.MISSING:
            parts.append(f"there is no {facts.target} in namespace {facts.target.namespace}")
        case DeployResult.FAILED:
            parts.append(f"nothing of {_template(facts)} changed; nothing was decided")
        case DeployResult.CONFIGURATION_ONLY:
            parts += _configuration(facts)
        case DeployResult.SOMETHING_ELSE | DeployResult.UNCHANGED:
            parts.append(f"nothing was deployed: {_template(facts)} is what it was")
    if result in (DeployResult.UNCHANGED, DeployResult.FAILED, DeployResult.CONFIGURATION_ONLY):
        parts += _besides(facts)
    if facts.unseen and result is DeployResult.UNCHANGED:
        kinds = " or ".join(facts.unseen)
        parts.append(f"whether another {kinds} was is not known: the account may not list them")
    if facts.others and result is not DeployResult.UNFINISHED:
        parts.append(f"other workloads changed meanwhile: {', '.join(facts.others)}")
    return "; ".join(parts)


def _template(facts: Facts) -> str:
    return f"the template of {facts.target}" if facts.before is not None else str(facts.target)


def _configuration(facts: Facts) -> list[str]:
    first = f"the template of {facts.target} is what it was, what it reads changed"
    return [first, *(changed.words for changed in facts.configuration)]


def _besides(facts: Facts) -> list[str]:
    """Say what of the target changed besides its template."""
    if facts.before is None or facts.after is None:
        return []
    found = other_changes(facts.before, facts.after)
    return [f"of the rest changed: {', '.join(found)}"] if found else []


def _next_steps(facts: Facts, result: DeployResult) -> tuple[str, ...]:
    name = f"{facts.target} -n {facts.target.namespace}"
    match result:
        case DeployResult.CHANGED | DeployResult.FAILED_AFTER_CHANGE:
            return (f"watch what was deployed: guard watch {name} -p POLICY",)
        case DeployResult.UNFINISHED:
            return (f"when it has ended, watch what it deployed: guard watch {name} -p POLICY",)
        case DeployResult.SOMETHING_ELSE if not facts.others_ok:
            return (
                f"is TARGET right? the command left {facts.target} as it is",
                "if it may deploy other workloads alone: guard deploy --others-ok",
            )
        case DeployResult.MISSING:
            return ("is TARGET right? check its kind, its name, the namespace (-n), the context",)
        case DeployResult.FAILED:
            return ("see the command's own output above",)
        case DeployResult.CONFIGURATION_ONLY if any(c.needs_restart for c in facts.configuration):
            return (f"so that the pods see it: kubectl rollout restart {name}",)
        case DeployResult.UNCHANGED if facts.before is not None:
            return (f"if a change was expected: guard history {name} shows what is live",)
    return ()


# --- after a watch ----------------------------------------------------------------------------


def watched(outcome: Outcome, facts: Facts) -> Outcome:
    """Return the outcome of the watch with what the command makes of it."""
    result = DeployResult.FAILED_AFTER_CHANGE if facts.failed else DeployResult.CHANGED
    if facts.code is None:
        result = DeployResult.UNFINISHED
    outcome = replace(
        outcome,
        started_at=min(outcome.started_at, facts.started_at),
        ended_at=max(outcome.ended_at, facts.now),
        deploy=deploy_of(facts, result, watched=True),
    )
    command = f"the command {facts.ending}"
    if outcome.exit_code in KEPT:
        return replace(outcome, reason=f"{outcome.reason}; {command}") if facts.code else outcome
    if facts.interrupted or outcome.action is Action.INTERRUPTED:
        return _interrupted(outcome, facts)
    if not facts.failed:
        return outcome
    name = f"{facts.target} -n {facts.target.namespace}"
    steps = (
        "see the command's own output above, and run it again when it is mended",
        f"to take back what it deployed: guard rollback {name}",
    )
    return replace(
        outcome,
        exit_code=int(ExitCode.FAILED),
        reason=f"{command}, {_although(outcome)}: {outcome.reason}",
        next_steps=(*steps, *(step for step in outcome.next_steps if "guard rollback" not in step)),
    )


def _although(outcome: Outcome) -> str:
    if outcome.action is Action.SUPERSEDED:
        return "and what it deployed was replaced by a newer deploy"
    if outcome.verdict is Verdict.HEALTHY:
        return "although what it deployed looks healthy"
    return "and what it deployed is not proven healthy"


def _interrupted(outcome: Outcome, facts: Facts) -> Outcome:
    """Say of an interrupted deploy what the command did: that guard changed nothing is not all."""
    why = facts.interrupted or outcome.reason.partition(":")[0]
    verdict = f"; before that: {outcome.reason}" if outcome.verdict is not None else ""
    reason = f"{why}: the command {facts.ending}; what it deployed stays{verdict}"
    if outcome.rolled_back_at is not None or outcome.answer_lost:
        reason = f"{outcome.reason}; the command {facts.ending}"
    return replace(
        outcome,
        action=Action.INTERRUPTED,
        exit_code=int(ExitCode.INTERRUPTED),
        reason=reason,
    )
