"""A case in virtual time: what is read, folded as a watch folds it, up to the first verdict.

Decides the order of observations and when to ask for a decision; the judging is `decide`'s. What a
signal's readings make of its judge does not depend on other signals, so cases that share a signal's
story share that work: a `Runner` remembers it for the cases of one policy.

A gate (`hold`) is not simulated: nobody pauses the rollout of a case.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from deploy_guard import decide
from deploy_guard.decide.fold import evidence_of_one
from deploy_guard.decide.judge import Watched
from deploy_guard.decide.latency import LatencyJudge
from deploy_guard.decide.ratio import RatioJudge
from deploy_guard.model import (
    KUBERNETES,
    Decision,
    Finding,
    NoData,
    Reading,
    Sample,
    Verdict,
    Workload,
)
from deploy_guard.policy.models import HttpSignal, Policy
from deploy_guard.policy_tests.models import Case, Setting
from deploy_guard.policy_tests.polls import ProbeReadings, moments
from deploy_guard.policy_tests.readings import MetricReadings, Story
from deploy_guard.policy_tests.scene import Scene, scene_of
from deploy_guard.policy_tests.world import DEPLOYED_AT, World
from deploy_guard.signals import KUBERNETES_INTERVAL
from deploy_guard.signals.kubernetes import KubernetesSignal

_REMEMBERED = 100  # worlds, and stories of signals: most cases of a file share theirs


@dataclass(frozen=True, slots=True)
class Step:
    """One reading of a signal: when it was folded, what it brought, and the signal after it."""

    at: float  # seconds after the deploy: when the reading ended, its numbers are of its begin
    readings: tuple[Reading, ...]
    watched: Watched
    bad: bool


@dataclass(frozen=True)
class Ran:
    """How a case ended. `at` is seconds after the deploy; `accused` are the signals that are bad.

    `state` is all that was known then, `steps` what was read until then, oldest first.
    """

    scene: Scene
    decision: Decision
    at: float
    state: decide.State
    steps: tuple[Step, ...]

    @property
    def verdict(self) -> Verdict:
        """The verdict; a watch always ends with one."""
        return self.decision.verdict or Verdict.INCONCLUSIVE

    @property
    def accused(self) -> tuple[str, ...]:
        """The signals that are held against the deploy."""
        return tuple(e.signal for e in self.decision.evidence if e.finding is Finding.BAD)

    def observations(self) -> Iterator[Reading | Workload]:
        """Yield all that was observed in its order: `decide.replay` of it gives the decision."""
        looks = [(at, look) for at, look in self.scene.world.looks if at <= self.at]
        for step in self.steps:
            while looks and looks[0][0] <= step.at:
                yield looks.pop(0)[1]
            yield from step.readings
        yield from (look for _, look in looks)
        if self.at >= self.scene.world.length:
            yield self.scene.world.look(self.scene.world.length)


class _Reads(Protocol):
    """Reads a signal of a case."""

    def read(self, moment: float) -> list[Reading]:
        """Return what is read at a moment, seconds after the deploy."""
        ...


class _Cluster:
    """The cluster's own signs, read by the signal of a real watch."""

    def __init__(self, policy: Policy, world: World, interval: float) -> None:
        self._signal = KubernetesSignal(policy.kubernetes, interval=interval)
        self._world = world

    def read(self, moment: float) -> list[Reading]:
        """Read the newest look at the workload."""
        return self._signal.read(self._world.latest(moment), DEPLOYED_AT + moment)


class _Track:
    """The steps of one signal, worked out as far as they were asked for."""

    def __init__(self, steps: Iterator[Step]) -> None:
        self._known: list[Step] = []
        self._more = steps

    def __iter__(self) -> Iterator[Step]:
        number = 0
        while True:
            if number == len(self._known):
                step = next(self._more, None)
                if step is None:
                    return
                self._known.append(step)
            yield self._known[number]
            number += 1


class Runner:
    """Runs cases of one policy."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._begun = decide.begin(policy, started_at=DEPLOYED_AT)
        self._tracks: dict[object, _Track] = {}
        self._worlds: dict[World, World] = {}  # equal ones share what was worked out
        self._learned: dict[object, tuple[tuple[Sample, ...], Watched]] = {}

    def run(self, case: Case, defaults: Setting | None = None) -> Ran:
        """Return how a case ends."""
        scene = scene_of(case, defaults or Setting(), self._policy)
        _keep_few(self._worlds)
        scene = replace(scene, world=self._worlds.setdefault(scene.world, scene.world))
        names = [watched.name for watched in self._begun.signals]
        tracks = [self._track(name, scene) for name in names]
        current = list(self._begun.signals)
        steps: list[Step] = []
        merged = heapq.merge(
            *(_numbered(track, number) for number, track in enumerate(tracks)),
            key=lambda found: found[:2],
        )
        accused: set[int] = set()
        for at, number, step in merged:
            current[number] = step.watched
            steps.append(step)
            accused = accused | {number} if step.bad else accused - {number}
            if accused:
                state = self._state(current, scene.world.latest(at))
                read_at = step.readings[-1].at if step.readings else DEPLOYED_AT + at
                decision = decide.decide(state, read_at)  # as a watch does
                if decision.verdict is not None:
                    return Ran(scene, decision, at, state, tuple(steps))
        end = scene.world.length
        state = self._state(current, scene.world.look(end))
        decision = decide.decide(state, DEPLOYED_AT + end)
        return Ran(scene, decision, end, state, tuple(steps))

    def _state(self, signals: Sequence[Watched], look: Workload) -> decide.State:
        return replace(decide.observe(self._begun, look), signals=tuple(signals))

    def _track(self, name: str, scene: Scene) -> _Track:
        """Return the steps of a signal; those of an equal story are worked out only once."""
        gaps, slow = scene.gaps(name), scene.slowness(name)
        given = scene.inputs.get(name)
        key = (
            name,
            scene.world,
            gaps,
            slow,
            repr(given),
            scene.baseline,
            scene.interval,
            scene.seed,
        )
        if key not in self._tracks:
            _keep_few(self._tracks)
            self._tracks[key] = _Track(self._steps(name, scene))
        return self._tracks[key]

    def _steps(self, name: str, scene: Scene) -> Iterator[Step]:
        watched = next(w for w in self._begun.signals if w.name == name)
        world, gaps = scene.world, scene.gaps(name)
        reads: _Reads
        if name == KUBERNETES:
            interval = min(self._policy.watch.interval, KUBERNETES_INTERVAL)
            reads = _Cluster(self._policy, world, interval)
        else:
            spec = next(s for s in self._policy.signals if s.name == name)
            interval = spec.interval or self._policy.watch.interval
            given = scene.inputs.get(name)
            if isinstance(spec, HttpSignal):
                reads = ProbeReadings(spec, given, world, gaps)
            else:
                per_value = interval if scene.interval is None else scene.interval
                story = Story(world, per_value, scene.baseline, gaps, scene.seed)
                reads = MetricReadings(spec, self._policy, given, story)
        for moment, ended in moments(interval, world.length, scene.slowness(name)):
            history: tuple[Sample, ...] = ()
            if isinstance(reads, MetricReadings) and reads.history_is_read(moment):
                history, watched = self._with_history(reads, watched)
            found = reads.read(moment)
            for reading in found:
                watched = watched.take(reading)
            bad = _is_bad(watched, moment)
            yield Step(ended, (*history, *found), watched, bad)

    def _with_history(
        self, reads: MetricReadings, watched: Watched
    ) -> tuple[tuple[Sample, ...], Watched]:
        """Return the history, and the signal that has learned it: the same for many cases."""
        if watched.samples or watched.no_data:
            samples = tuple(reads.baseline())
            for sample in samples:
                watched = watched.take(sample)
            return samples, watched
        key = reads.history_key
        if key not in self._learned:
            samples = tuple(reads.baseline())
            for sample in samples:
                watched = watched.take(sample)
            self._learned[key] = samples, watched
        return self._learned[key]


def _keep_few(known: dict[Any, Any]) -> None:
    """Forget the oldest entries, so that there is room for one more."""
    while len(known) >= _REMEMBERED:
        del known[next(iter(known))]


def _is_bad(watched: Watched, moment: float) -> bool:
    """Whether a signal is bad; words are only asked for where a detector says so, which is rare."""
    judge = watched.judge
    if isinstance(judge, RatioJudge) and not judge.state.judgement.bad:
        return False
    if isinstance(judge, LatencyJudge) and not any(s.judgement.bad for _, s in judge.detectors):
        return False
    return evidence_of_one(watched, DEPLOYED_AT + moment).finding is Finding.BAD


def _numbered(track: _Track, number: int) -> Iterator[tuple[float, int, Step]]:
    return ((step.at, number, step) for step in track)


def values_of(ran: Ran, name: str) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Return what a signal's judge shows of new and of old pods, by seconds after the deploy."""
    new: list[tuple[float, float]] = []
    old: list[tuple[float, float]] = []
    for step in ran.steps:
        if step.watched.name != name:
            continue
        for reading in step.readings:
            if isinstance(reading, NoData):
                continue
            at = reading.at - DEPLOYED_AT
            judge = step.watched.judge
            if (value := judge.value(reading)) is not None:
                new.append((at, value))
            as_new = replace(reading, candidate=reading.control)
            if reading.control is not None and (value := judge.value(as_new)) is not None:
                old.append((at, value))
    return new, old
