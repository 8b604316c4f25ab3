from __future__ import annotations

import copy
import itertools
import json
from dataclasses import replace
from typing import Any

import pytest

from cluster.replay import listed, pods, snapshots
from deploy_guard.cluster.rollouts import live_hash, rollout_of
from deploy_guard.cluster.snapshot import Snapshot, assemble, selector_text
from deploy_guard.cluster.templates import live_revision, same_template, template_of
from deploy_guard.cluster.times import seconds
from deploy_guard.cluster.workload import VERDICT, look, pod_of, revision_of
from deploy_guard.model import Target, Verdict
from embedded.recordings import load

ROLLOUTS = [
    "02-deployment-create",
    "03-image-change",
    "04-undo",
    "20a-recreate",
    "20b-rolling-default",
    "20c-rolling-no-surge",
    "20d-rolling-all-at-once",
    "20e-undo-mid-rollout",
]


def image(snapshot: Snapshot) -> str:
    assert snapshot.workload is not None
    return str(snapshot.workload["spec"]["template"]["spec"]["containers"][0]["image"])


def all_serve(snapshot: Snapshot) -> bool:
    """Judge by the ReplicaSets alone: all wanted pods are of the live template and available."""
    deployment = snapshot.workload
    assert deployment is not None
    live = live_revision(deployment, snapshot.revisions)
    if live is None:
        return False
    desired = deployment["spec"]["replicas"]
    others = [rs for rs in snapshot.revisions if rs is not live]
    return bool(
        live["status"].get("availableReplicas", 0) == desired
        and all(rs["status"].get("replicas", 0) == 0 for rs in others)
    )


@pytest.mark.parametrize("name", ROLLOUTS)
def test_complete_is_never_said_too_early(name: str) -> None:
    """In no recorded moment is a rollout called complete while other pods than its own are left."""
    complete = 0
    for snapshot in snapshots(load(name)):
        rollout = rollout_of(snapshot, live_hash(snapshot) or "")
        if rollout.complete:
            complete += 1
            assert all_serve(snapshot), image(snapshot)
            assert rollout.old == 0
    assert complete > 0


@pytest.mark.parametrize("name", ROLLOUTS)
def test_each_rollout_ends_complete(name: str) -> None:
    """The last recorded state of each rollout is complete."""
    *_, last = snapshots(load(name))
    assert rollout_of(last, live_hash(last) or "").complete


def test_right_after_a_patch_nothing_is_complete() -> None:
    """The status still counts for the old template: the rule waits for its observation."""
    changes = 0
    found = list(snapshots(load("04-undo")))
    for before, after in itertools.pairwise(found):
        if image(before) != image(after):
            changes += 1
            assert after.workload is not None
            status = after.workload["status"]
            assert status["updatedReplicas"] == status["replicas"] == 3
            rollout = rollout_of(after, live_hash(after) or "")
            assert not rollout.observed
            assert not rollout.complete
            assert (rollout.updated, rollout.old) == (0, 3)
    assert changes == 2


def test_what_the_controller_has_not_seen_is_not_complete() -> None:
    """With all counts as wanted, a generation that was not observed yet may still change them."""
    *_, last = snapshots(load("04-undo"))
    unseen = copy.deepcopy(last.workload)
    assert unseen is not None
    unseen["metadata"]["generation"] += 1
    rollout = rollout_of(replace(last, workload=unseen), live_hash(last) or "")
    assert (rollout.updated, rollout.available, rollout.old) == (3, 3, 0)
    assert not rollout.complete


def test_a_stale_deadline_does_not_hide_success() -> None:
    """ProgressDeadlineExceeded of the bad rollout survives the undo; counts decide."""
    stale = [
        s
        for s in snapshots(load("05-bad-image"))
        if image(s).endswith(":1.0")
        and any(c.reason == "ProgressDeadlineExceeded" for c in rollout_of(s, "").conditions)
    ]
    assert stale
    *_, last = snapshots(load("05-bad-image"))
    assert rollout_of(last, live_hash(last) or "").complete


def test_a_paused_deployment_is_not_complete_after_a_change() -> None:
    """Paused after a change: no ReplicaSet of the new template, so nothing is complete."""
    paused = [
        s
        for s in snapshots(load("07-paused"))
        if s.workload and s.workload["spec"].get("paused") and image(s).endswith(":3.0")
    ]
    assert paused
    for snapshot in paused:
        rollout = rollout_of(snapshot, live_hash(snapshot) or "")
        assert rollout.paused
        assert not rollout.complete


def test_the_candidate_is_judged_even_when_it_is_not_live_any_more() -> None:
    """A revision that was replaced is never complete, and its own pods are counted."""
    *_, last = snapshots(load("04-undo"))
    other = next(rs for rs in last.revisions if rs["spec"]["replicas"] == 0)
    hash_of_other = other["metadata"]["labels"]["pod-template-hash"]
    rollout = rollout_of(last, hash_of_other)
    assert not rollout.observed
    assert not rollout.complete
    assert rollout.updated == 0


def test_pods_are_told_apart_by_revision() -> None:
    """Mid-rollout, candidates are the new pods and controls the old ones."""
    seen = []
    for snapshot in snapshots(load("03-image-change")):
        if image(snapshot).endswith(":2.0") and live_hash(snapshot):
            workload = look(snapshot, candidate_hash=live_hash(snapshot) or "")
            seen.append((len(workload.candidates()), len(workload.controls())))
    assert any(new > 0 and old > 0 for new, old in seen)
    assert seen[-1] == (3, 0)


def test_the_deploy_began_with_its_replicaset() -> None:
    """deployed_at is when the rollout began, though nodes were drained and all pods are younger."""
    *_, last = snapshots(load("03-image-change"))
    candidate = live_hash(last) or ""
    workload = look(last, candidate_hash=candidate)
    began = min(p.created for p in workload.candidates())
    assert workload.deployed_at == began
    moved = copy.deepcopy(last.pods)
    for each in moved:
        each["metadata"]["creationTimestamp"] = "2036-11-23T12:00:00Z"
    assert look(replace(last, pods=moved), candidate_hash=candidate).deployed_at == began


def test_a_reused_replicaset_does_not_make_a_deploy_old() -> None:
    """Going back to a ReplicaSet that has no pods yet began just now, whatever its age."""
    *_, last = snapshots(load("04-undo"))
    candidate = live_hash(last) or ""
    live = next(r for r in last.revisions if candidate in r["metadata"]["name"])
    created = seconds(live["metadata"]["creationTimestamp"])
    for age in (60.0, 86400.0):
        empty = Snapshot(last.target, last.workload, last.revisions, (), seen_at=created + age)
        assert look(empty, candidate_hash=candidate).deployed_at == created + age


def test_a_pod_that_cannot_pull_its_image() -> None:
    """The kubelet's reason and message are kept, and the pod is not ready."""
    found = [pod_of(pod) for s in snapshots(load("05-bad-image")) for pod in s.pods]
    waiting = [p for p in found if p.containers and p.containers[0].waiting == "ImagePullBackOff"]
    assert waiting
    assert not waiting[0].ready
    assert waiting[0].ready_since is None


def test_a_pod_in_a_crash_loop() -> None:
    """Restarts, the reason of the last end and the exit code are read."""
    found = [pod_of(pod) for pod in pods(load("05b-crashloop"))]
    crashed = [c for p in found for c in p.containers if c.waiting == "CrashLoopBackOff"]
    assert max(c.restarts for c in crashed) == 5
    assert any(c.exit_code for c in crashed)


def test_a_pod_without_a_node() -> None:
    """The scheduler's own message says why a pod has no node."""
    pod = pod_of(
        {
            "metadata": {"name": "p", "creationTimestamp": "2026-11-23T11:50:23Z"},
            "status": {
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/3 nodes are available",
                    }
                ]
            },
        }
    )
    assert pod.unschedulable == "0/3 nodes are available"
    assert pod.phase == "Pending"


def test_numbers_of_a_reused_revision() -> None:
    """A revision that an undo came back to has its old number among the former ones."""
    step = next(s for s in load("04-undo").steps if s.name == "replicasets after the first undo")
    numbers = {
        revision_of(rs).number: revision_of(rs).former_numbers for rs in step.answer["items"]
    }
    assert numbers == {1: (), 3: (), 4: (2,)}


def verdict_on(rs: dict[str, Any], **note: Any) -> Any:
    changed = copy.deepcopy(rs)
    text = json.dumps(note) if note else "not JSON"
    changed["metadata"].setdefault("annotations", {})[VERDICT] = text
    return revision_of(changed).verdict


def test_a_verdict_counts_only_for_its_own_template() -> None:
    """A note that undo or the controller copied to another revision is not believed."""
    step = next(s for s in load("04-undo").steps if s.name == "replicasets after the first undo")
    rs = step.answer["items"][0]
    own = rs["metadata"]["labels"]["pod-template-hash"]
    at = "2026-11-23T11:50:23Z"
    assert verdict_on(rs, verdict="regressed", template=own, at=at) is Verdict.REGRESSED
    assert verdict_on(rs, verdict="regressed", template="another", at=at) is None
    assert verdict_on(rs, verdict="splendid", template=own, at=at) is None
    assert verdict_on(rs, verdict="regressed", template=own) is None
    assert verdict_on(rs) is None


def test_a_selector_takes_in_what_another_deployment_owns() -> None:
    """Overlapping selectors return both Deployments' ReplicaSets; each keeps its own."""
    recording = load("08-undo-edges")
    lists = [
        s
        for s in recording.steps
        if isinstance(s.answer, dict)
        and s.answer.get("kind") == "ReplicaSetList"
        and len({r["metadata"]["ownerReferences"][0]["name"] for r in s.answer["items"]}) > 1
    ]
    assert lists
    items = lists[0].answer["items"]
    for name in {r["metadata"]["ownerReferences"][0]["name"] for r in items}:
        uid = next(
            r["metadata"]["ownerReferences"][0]["uid"]
            for r in items
            if r["metadata"]["ownerReferences"][0]["name"] == name
        )
        deployment = {"metadata": {"name": name, "namespace": "n", "uid": uid}}
        own = assemble(Target("deployment", "n", name), deployment, items, (), seen_at=0)
        owners = {r["metadata"]["ownerReferences"][0]["name"] for r in own.revisions}
        assert owners == {name}


def test_templates_are_equal_as_the_controller_sees_them() -> None:
    """Absent, null and empty are one; the hash label does not count; anything else does."""
    deployment = load("04-undo").steps[0].answer
    template = template_of(deployment)
    padded = copy.deepcopy(template)
    padded["metadata"] |= {"creationTimestamp": None, "annotations": {}}
    padded["spec"]["volumes"] = []
    assert same_template(template, padded)
    padded["spec"]["hostnameOverride"] = "x"
    assert not same_template(template, padded)


def test_the_live_replicaset_is_found_by_template() -> None:
    """The ReplicaSet of the live template is found before its annotations are written."""
    steps = load("19-race").steps
    snapshot = listed(steps[0].answer, steps[1].answer)
    assert live_hash(snapshot)
    newer = listed(steps[2].answer, steps[1].answer)
    assert live_hash(newer) is None


def rule(operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": "a", "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        ({"matchLabels": {"a": "1", "b": "2"}}, "a=1,b=2"),
        (
            {"matchExpressions": [{"key": "a", "operator": "In", "values": ["x", "y"]}]},
            "a in (x,y)",
        ),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["x"]}]}, "a notin (x)"),
        (rule("Exists"), "a"),
        (rule("DoesNotExist"), "!a"),
    ],
)
def test_selectors_as_query(selector: dict[str, Any], text: str) -> None:
    """Every form of a selector is written as the API's labelSelector."""
    assert selector_text({"spec": {"selector": selector}}) == text
