"""When a rollout is paused half way, and what ends the pause: pure, from state and look.

Decides the next step of a gate, or of a pause on suspicion. Does not pause anything (`watch.gating`
does), and does not condemn: that a signal is bad is the verdict's, and its rollback ends the pause.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from deploy_guard import text
from deploy_guard.decide.fold import State, evidence_of, lacking
from deploy_guard.model import Evidence, Finding, OldPods, Pod, Workload
from deploy_guard.policy.models import Hold

MOST_SUSPICIONS = 3  # pauses on suspicion in one watch: a signal that flutters does not stop it
QUIET_POLLS = 2  # readings without suspicion that end it
GONE = ("Failed", "Succeeded")  # phases of pods that serve no more


class Step(StrEnum):
    """What is to be done now."""

    WAIT = "wait"  # nothing: the rollout goes on
    PAUSE = "pause"
    STAY = "stay"  # paused, and not to be ended yet
    RESUME = "resume"
    LATE = "late"  # too late for the gate: it is not tried again


@dataclass(frozen=True, slots=True)
class Course:
    """How far the gate is: the pause in force, and what is behind.

    `held_at` is Unix seconds. `suspects` are the signals that a pause on suspicion is about, none
    when that is not known; `quiet_since` is since when none of them is suspect.
    """

    held: Literal["", "gate", "suspicion"] = ""
    held_at: float = 0.0
    gate_over: bool = False
    suspicions: int = 0
    suspects: tuple[str, ...] = ()
    quiet_since: float | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """The next step, why (for a pause), in words, and the course as it is known now."""

    step: Step
    course: Course
    text: str = ""
    why: Literal["gate", "suspicion"] = "gate"
    unproven: bool = False  # resumed although nothing was proven
    at_gate: bool = False  # what is resumed has been held as a gate, too


def next_step(state: State, look: Workload, course: Course, now: float) -> Gate:
    """Return what is to be done about the rollout at `now`."""
    rules = state.hold
    if rules is None:
        return Gate(Step.RESUME if course.held else Step.WAIT, course, "the policy has no gate")
    evidence = evidence_of(state, now)
    if any(e.finding is Finding.BAD for e in evidence):
        return Gate(Step.STAY if course.held else Step.WAIT, course)
    if course.held:
        return _while_held(state, rules, look, course, evidence=evidence, now=now)
    if look.blind or look.rollout.paused:
        return Gate(Step.WAIT, course)
    return _before(rules, look, course, evidence)


def pods_at(share: float, desired: int) -> int:
    """Return how many new pods a share is: rounded down, at least one."""
    return max(1, int(share * desired + 1e-9))


def _before(rules: Hold, look: Workload, course: Course, evidence: tuple[Evidence, ...]) -> Gate:
    new, old, desired = _alive(look.candidates()), _alive(look.controls()), look.rollout.desired
    if rules.at is not None and not course.gate_over:
        wanted = pods_at(rules.at, desired)
        if new and not old:
            return Gate(Step.LATE, course, "no old pod is left: the gate came too late")
        if new >= wanted:
            words = _pods_words(new, desired)
            if new > wanted:
                words += f", more than the {wanted} of the gate (hold.at)"
            return Gate(Step.PAUSE, course, words)
    suspects = _suspects(evidence)
    many = course.suspicions >= MOST_SUSPICIONS
    if not rules.on_suspicion or not suspects or many or not (new and old):
        return Gate(Step.WAIT, course)
    first = suspects[0]
    words = f"{_pods_words(new, desired)}; {first.signal} is suspect: {first.text}"
    return Gate(Step.PAUSE, course, words, why="suspicion")


def _while_held(
    state: State,
    rules: Hold,
    look: Workload,
    course: Course,
    *,
    evidence: tuple[Evidence, ...],
    now: float,
) -> Gate:
    new, old, desired = _alive(look.candidates()), _alive(look.controls()), look.rollout.desired
    if not old and not look.blind:
        return Gate(Step.RESUME, course, "no old pod is left: there is nothing to hold back")
    at_gate = rules.at is not None and not course.gate_over and new >= pods_at(rules.at, desired)
    if course.held == "gate" or at_gate:
        lasted, missing = now - course.held_at, lacking(state, evidence)
        if lasted >= rules.duration and not missing:
            words = f"passed: every signal good for {text.seconds(lasted)}"
            words += f" with {_pods_words(new, desired)}"
            return Gate(Step.RESUME, course, words, at_gate=True)
    else:
        course, missing = _quieter(state, course, evidence, now)
        if not missing:
            return Gate(Step.RESUME, course, "the suspicion is gone")
    if now >= state.hold_is_over and rules.without_evidence == "resume":
        words = f"neither good nor bad is proven after {text.seconds(state.length)}: {missing}"
        return Gate(Step.RESUME, course, words, unproven=True, at_gate=at_gate)
    return Gate(Step.STAY, course, missing)


def _quieter(
    state: State, course: Course, evidence: tuple[Evidence, ...], now: float
) -> tuple[Course, str]:
    """Follow a suspicion; return the course, and why it is not gone yet, empty when it is."""
    known = {e.signal for e in _suspects(evidence)}
    unread = {e.signal for e in evidence if e.finding is Finding.NO_DATA}
    loud = sorted(known | unread & set(course.suspects))
    if loud:
        found = next(e for e in evidence if e.signal == loud[0])
        return _with_quiet(course, None), f"{found.signal}: {found.text}"
    since = now if course.quiet_since is None else course.quiet_since
    about = [w for w in state.signals if w.name in course.suspects] or list(state.signals)
    wanted = QUIET_POLLS * max((w.interval for w in about), default=0.0)
    left = "" if now - since >= wanted else f"not suspect for {text.seconds(now - since)}"
    return _with_quiet(course, since), left


def _with_quiet(course: Course, since: float | None) -> Course:
    return course if course.quiet_since == since else replace(course, quiet_since=since)


def suspects_of(state: State, now: float) -> tuple[str, ...]:
    """Return the names of the signals that a pause on suspicion would be about."""
    return tuple(e.signal for e in _suspects(evidence_of(state, now)))


def _suspects(evidence: Iterable[Evidence]) -> list[Evidence]:
    """Return what is suspect on the new pods and not known to be as bad on the old ones."""
    return [
        e for e in evidence if e.finding is Finding.SUSPECT and e.old_pods is not OldPods.AS_BAD
    ]


def _alive(pods: Iterable[Pod]) -> int:
    return sum(not pod.terminating and pod.phase not in GONE for pod in pods)


def _pods_words(new: int, desired: int) -> str:
    return f"{new} of {text.plural(desired, 'pod')} new"
