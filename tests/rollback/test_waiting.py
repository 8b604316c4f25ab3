from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace

import pytest

from cluster.replay import snapshots
from deploy_guard.cluster.rollouts import conditions_of
from deploy_guard.cluster.snapshot import Blind, Json, Snapshot
from deploy_guard.cluster.templates import same_template, template_of
from deploy_guard.rollback.execution import Done, wait_restored
from embedded.recordings import Recording, load


class Recorded:
    """A follower that goes through recorded snapshots, and counts on its own clock."""

    def __init__(self, states: Iterator[Snapshot]) -> None:
        self._states = [replace(state, serial=i) for i, state in enumerate(states)]
        self.now = 0.0
        self.at = 0

    def latest(self) -> Snapshot:
        return self._states[self.at]

    def wait(self, serial: int, timeout: float) -> Snapshot:
        if self.at + 1 < len(self._states):
            self.at += 1
        else:
            self.now += timeout
        return self.latest()

    def clock(self) -> float:
        return self.now


def undo_of(recording: Recording) -> Json:
    """Return the Deployment as the recorded undo answered it."""
    return next(
        step.answer
        for step in recording.steps
        if step.method == "PATCH" and step.status == 200 and "dryRun" not in step.path
        if isinstance(step.body, list) and any(op["path"] == "/spec/template" for op in step.body)
    )


def done_by(answer: Json) -> Done:
    return Done(
        at=0.0,
        uid=answer["metadata"]["uid"],
        generation=answer["metadata"]["generation"],
        template=template_of(answer),
        conditions=conditions_of(answer),
        already=False,
        attempts=1,
        dry=False,
    )


def until_next_deploy(recording: Recording, done: Done) -> Iterator[Snapshot]:
    """Yield the recorded snapshots until a later change of the template."""
    for snapshot in snapshots(recording):
        deployment = snapshot.workload
        assert deployment is not None
        newer = deployment["metadata"]["generation"] > done.generation
        if newer and not same_template(template_of(deployment), done.template):
            return
        yield snapshot


@pytest.mark.parametrize("name", ["04-undo", "05-bad-image", "20e-undo-mid-rollout"])
def test_a_recorded_undo_is_followed_to_its_end(name: str) -> None:
    """The wait ends in a recorded moment in which all serve, neither before nor never.

    In 05 the failed condition of the condemned rollout is still there while the undo goes on.
    """
    recording = load(name)
    done = done_by(undo_of(recording))
    follower = Recorded(until_next_deploy(recording, done))
    restored = wait_restored(follower, done, timeout=60, clock=follower.clock)
    assert restored.serves, restored.failure
    deployment = follower.latest().workload
    assert deployment is not None
    status = deployment["status"]
    assert status["observedGeneration"] >= done.generation
    assert status["updatedReplicas"] == status["availableReplicas"] == status["replicas"]


def stale_moment(recording: Recording, done: Done) -> Snapshot:
    """Return the recorded state right after the undo, as the controller may leave it for a moment.

    It has seen the generation, the pods are on their way, the condition is the old one still.
    """
    states = [s for s in until_next_deploy(recording, done) if s.workload]
    moment = next(s for s in states if generation(s) == done.generation)
    deployment = copy.deepcopy(moment.workload)
    assert deployment is not None
    deployment["status"] |= {
        "observedGeneration": done.generation,
        "updatedReplicas": 2,
        "availableReplicas": 2,
    }
    return replace(moment, workload=deployment)


def generation(snapshot: Snapshot) -> int:
    assert snapshot.workload is not None
    return int(snapshot.workload["metadata"]["generation"])


def test_a_failed_condition_from_before_is_not_believed() -> None:
    """The condemned rollout's ProgressDeadlineExceeded does not end the wait; a new one would."""
    recording = load("05-bad-image")
    done = done_by(undo_of(recording))
    assert any(c.reason == "ProgressDeadlineExceeded" for c in done.conditions)
    states = [stale_moment(recording, done), *until_next_deploy(recording, done)]
    follower = Recorded(iter(states))
    assert wait_restored(follower, done, timeout=60, clock=follower.clock).serves
    follower = Recorded(iter(states))
    new = replace(done, conditions=tuple(replace(c, since=c.since - 1) for c in done.conditions))
    restored = wait_restored(follower, new, timeout=60, clock=follower.clock)
    assert "ProgressDeadlineExceeded" in restored.failure


def test_an_undo_that_others_replaced_is_superseded() -> None:
    """The second undo of the recording ends the wait for the first as superseded, if still open."""
    recording = load("20e-undo-mid-rollout")
    done = done_by(undo_of(recording))
    later = [
        s
        for s in snapshots(recording)
        if s.workload and s.workload["metadata"]["generation"] > done.generation
    ]
    follower = Recorded(iter(later))
    restored = wait_restored(follower, done, timeout=60, clock=follower.clock)
    assert restored.superseded


def test_blindness_is_told_when_time_is_over() -> None:
    """If the cluster cannot be seen, the failure says so and why, not numbers from before."""
    recording = load("04-undo")
    done = done_by(undo_of(recording))
    first = next(snapshots(recording))
    blind = replace(first, problems=(Blind("deployments", "no answer in time", 0.0),))
    follower = Recorded(iter([blind]))
    restored = wait_restored(follower, done, timeout=5, clock=follower.clock)
    assert "deployments cannot be seen: no answer in time" in restored.failure
