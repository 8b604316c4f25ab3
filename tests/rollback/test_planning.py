from __future__ import annotations

import copy
from typing import Any

import pytest

from cluster.replay import listed
from deploy_guard.cluster.rollouts import live_hash
from deploy_guard.cluster.snapshot import Json, Snapshot
from deploy_guard.embedded.json_patch import PatchFailedError, apply_json_patch
from deploy_guard.problems import Superseded
from deploy_guard.rollback.planning import NOTHING, Plan, Way, again, plan
from embedded.recordings import load


def at_race(name: str) -> Snapshot:
    """Return what A had read in the recorded race, before B's release."""
    steps = {s.name: s.answer for s in load("19-race").steps}
    return listed(
        steps[f"{name}: A reads the deployment"], steps[f"{name}: A reads the replicasets"]
    )


def race() -> tuple[Snapshot, Json]:
    """Return what A had read, and the Deployment as it was right after B's release."""
    steps = {s.name: s.answer for s in load("19-race").steps}
    return at_race("bygen"), steps["bygen: B releases 3.0"]


def changed(snapshot: Snapshot, **change: Any) -> Snapshot:
    """Return the snapshot with one part of the Deployment changed, dots in names as `__`."""
    deployment: Any = copy.deepcopy(snapshot.workload)
    for name, value in change.items():
        *path, last = name.split("__")
        inner = deployment
        for key in path:
            inner = inner.setdefault(key, {})
        inner[last] = value
    return Snapshot(
        snapshot.target, deployment, snapshot.revisions, snapshot.pods, snapshot.seen_at
    )


def kinds(made: Plan, *, blocking: bool = True) -> list[str]:
    return [p.kind for p in made.problems if p.blocks is blocking]


def test_the_patch_restores_the_old_template_exactly() -> None:
    """Applied to what was read, the patch gives the template that the recorded undo sends."""
    snapshot, _ = race()
    undo = next(s for s in load("19-race").steps if s.name.startswith("bygen: A undoes"))
    wanted = next(op["value"] for op in undo.body if op["path"] == "/spec/template")
    wanted["metadata"].pop("creationTimestamp", None)
    made = plan(snapshot)
    assert made.possible
    assert snapshot.workload is not None
    after = apply_json_patch(snapshot.workload, list(made.operations))
    assert after["spec"]["template"] == wanted
    assert {**after["spec"], "template": 0} == {**snapshot.workload["spec"], "template": 0}


def test_the_patch_is_refused_by_a_newer_release() -> None:
    """In the recorded race the patch fails on the Deployment as B left it, annotation or not."""
    snapshot, after = race()
    revision = "deployment.kubernetes.io/revision"
    assert snapshot.workload is not None
    notes = snapshot.workload["metadata"]["annotations"]
    assert after["metadata"]["annotations"][revision] == notes[revision]
    with pytest.raises(PatchFailedError):
        apply_json_patch(after, list(plan(snapshot).operations))


def test_tests_come_first_and_pin_what_was_read() -> None:
    """The patch tests the uid, the template as read and the absence of a pause, then changes."""
    snapshot, _ = race()
    made = plan(snapshot)
    assert snapshot.workload is not None
    tests = [op for op in made.operations if op["op"] == "test"]
    assert list(made.operations[:3]) == tests
    assert {op["path"]: op["value"] for op in tests} == {
        "/metadata/uid": snapshot.workload["metadata"]["uid"],
        "/spec/template": snapshot.workload["spec"]["template"],
        "/spec/paused": None,
    }
    written = {op["path"] for op in made.operations[3:]}
    assert written <= {
        "/spec/template",
        "/metadata/annotations/deploy-guard~1rollback",
        "/metadata/annotations/kubernetes.io~1change-cause",
    }


def test_a_pinned_candidate_that_is_not_live_is_superseded() -> None:
    """A plan for a judged revision is refused when another template is live."""
    snapshot, after = race()
    candidate = live_hash(snapshot)
    assert plan(snapshot, candidate_hash=candidate).possible
    newer = Snapshot(snapshot.target, after, snapshot.revisions, (), 0.0)
    with pytest.raises(Superseded):
        plan(newer, candidate_hash=candidate)
    with pytest.raises(Superseded):
        plan(Snapshot(snapshot.target, None, (), (), 0.0), candidate_hash=candidate)


def test_a_plan_is_pinned_anew_only_to_the_condemned_template() -> None:
    """Another generation is no matter, another template or another uid is."""
    snapshot, after = race()
    made = plan(snapshot)
    scaled = changed(snapshot, spec__replicas=7, metadata__generation=9).workload
    assert scaled is not None
    assert again(made, scaled).possible
    with pytest.raises(Superseded, match="another template"):
        again(made, after)
    other = changed(snapshot, metadata__uid="other").workload
    assert other is not None
    with pytest.raises(Superseded, match="made anew"):
        again(made, other)


@pytest.mark.parametrize(
    ("change", "kind", "word"),
    [
        ({"spec__paused": True}, "paused", "--resume"),
        ({"metadata__deletionTimestamp": "2026-11-23T12:00:00Z"}, "deleting", ""),
        ({"metadata__generation": 99}, "unobserved", "try again"),
    ],
)
def test_what_stands_in_the_way(change: dict[str, Any], kind: str, word: str) -> None:
    """Each state in which a patch would do nothing, or something else, blocks and says why."""
    snapshot, _ = race()
    made = plan(changed(snapshot, **change))
    assert kinds(made) == [kind]
    assert not made.possible
    assert made.blocking is not None
    assert word in made.blocking.help


def test_a_judged_candidate_does_not_wait_for_numbers() -> None:
    """What is pinned by its template needs no numbers, so an unseen change is no matter."""
    snapshot, _ = race()
    candidate = live_hash(snapshot)
    made = plan(changed(snapshot, metadata__generation=99), candidate_hash=candidate)
    assert made.possible


def test_resume_is_in_the_same_patch() -> None:
    """With resume a paused Deployment is tested to be paused and resumed by the rollback itself."""
    snapshot, _ = race()
    made = plan(changed(snapshot, spec__paused=True), way=Way(resume=True))
    assert made.possible
    assert {"op": "test", "path": "/spec/paused", "value": True} in made.operations
    assert {"op": "remove", "path": "/spec/paused"} in made.operations


def test_no_history_is_said_with_what_to_do() -> None:
    """With revisionHistoryLimit 0 and nothing left the help names the setting."""
    snapshot, _ = race()
    live = [rs for rs in snapshot.revisions if live_hash(snapshot) in rs["metadata"]["name"]]
    alone = Snapshot(snapshot.target, snapshot.workload, tuple(live), (), 0.0)
    made = plan(changed(alone, spec__revisionHistoryLimit=0))
    assert kinds(made) == ["no-history"]
    assert made.blocking is not None
    assert "revisionHistoryLimit" in made.blocking.help
    assert kinds(plan(alone)) == ["no-target"]


def test_a_revision_by_its_number() -> None:
    """A number that is named is used; one that does not exist, or is live, is told."""
    snapshot, _ = race()
    assert kinds(plan(snapshot, to_revision=9)) == ["no-such-revision"]
    made = plan(snapshot, to_revision=1)
    assert made.revision is not None
    assert made.revision.number == 1
    live = plan(snapshot, to_revision=2)
    assert live.nothing_to_do
    assert kinds(live) == [NOTHING]
    assert live.operations == ()


def test_problems_are_told_worst_first() -> None:
    """What blocks comes before what is only to be known."""
    snapshot, _ = race()
    made = plan(changed(snapshot, spec__replicas=0, spec__paused=True))
    weights = [problem.weight for problem in made.problems]
    assert weights == sorted(weights, reverse=True)
    assert {"paused", "no-replicas"} <= {problem.kind for problem in made.problems}
