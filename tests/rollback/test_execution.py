from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster.replay import listed
from cluster.scripted import Behaviour, ScriptedServer, answer, connect, reset
from deploy_guard.cluster import errors
from deploy_guard.cluster.converging import ATTEMPTS
from deploy_guard.cluster.follow import Follower
from deploy_guard.cluster.rollouts import live_hash
from deploy_guard.errors import ExitCode
from deploy_guard.problems import Refused, Superseded
from deploy_guard.rollback.execution import (
    RollbackFailed,
    execute,
    rehearse,
    wait_restored,
)
from deploy_guard.rollback.planning import Plan, Way, plan
from deploy_guard.rollback.revisions import ROLLBACK
from embedded.recordings import load
from faults.proxy import FaultProxy
from rollback.front import Front
from rollback.shop import PATH, WEB, Shop


def test_a_rollback_reuses_the_old_revision(shop: Shop) -> None:
    """The old template comes back exactly, so its ReplicaSet is used again, with a new number."""
    first = shop.release("1", cause="release 1")
    second = shop.release("2", cause="release 2")
    with Follower(shop.cluster, WEB) as follower:
        done = execute(shop.cluster, plan(follower.latest(), candidate_hash=second))
        restored = wait_restored(follower, done, timeout=20)
    assert restored.serves
    assert not done.already
    snapshot = shop.look()
    assert live_hash(snapshot) == first
    assert len(snapshot.revisions) == 2
    assert shop.image == "web:1"


def test_only_our_own_annotations_are_touched(shop: Shop) -> None:
    """Newer annotations stay, deleted ones stay away; the change-cause goes with the template."""
    shop.release("1", cause="release 1", notes={"team": "a", "old": "x"})
    shop.release("2", cause="release 2", notes={"team": "b", "pager": "on"})
    shop.patch({"metadata": {"annotations": {"old": None}}})
    before = shop.notes
    execute(shop.cluster, plan(shop.look()))
    after = shop.notes
    note = json.loads(after.pop(ROLLBACK))
    assert (after.pop("kubernetes.io/change-cause"), before.pop("kubernetes.io/change-cause")) == (
        "release 1",
        "release 2",
    )
    revision = "deployment.kubernetes.io/revision"
    assert {**after, revision: ""} == {**before, revision: ""}
    assert (note["from"]["revision"], note["to"]["revision"]) == (2, 3)


def test_a_change_cause_that_was_not_there_is_removed(shop: Shop) -> None:
    """The condemned release's change-cause does not become the restored revision's."""
    shop.release("1")
    shop.release("2", cause="release 2")
    execute(shop.cluster, plan(shop.look()))
    assert "kubernetes.io/change-cause" not in shop.notes


def test_lost_update(shop: Shop) -> None:
    """A newer deploy that landed between plan and patch is left alone, with exit code 13."""
    shop.release("1")
    second = shop.release("2")
    made = plan(shop.look(), candidate_hash=second)
    shop.release("3", wait=False)
    with pytest.raises(Superseded) as caught:
        execute(shop.cluster, made)
    assert caught.value.exit_code is ExitCode.SUPERSEDED
    assert shop.image == "web:3"


def test_lost_update_before_the_controller_has_seen_it(shop: Shop) -> None:
    """As in the recorded race: a patch right after the rival's is refused, not only a late one."""
    shop.release("1")
    shop.release("2")
    made = plan(shop.look())
    rival = {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "web:3"}]}}}}
    shop.cluster.patch(PATH, rival, content_type="application/strategic-merge-patch+json")
    with pytest.raises(Superseded):
        execute(shop.cluster, made)
    assert shop.image == "web:3"


def test_what_is_no_deploy_does_not_stop_a_rollback(shop: Shop) -> None:
    """Scaling and annotations between plan and patch raise the generation, and do not matter."""
    shop.release("1", replicas=2)
    shop.release("2", replicas=2)
    made = plan(shop.look())
    shop.patch({"spec": {"replicas": 4}, "metadata": {"annotations": {"x": "y"}}})
    execute(shop.cluster, made)
    snapshot = shop.settle()
    assert shop.image == "web:1"
    assert snapshot.workload is not None
    assert snapshot.workload["spec"]["replicas"] == 4
    assert shop.notes["x"] == "y"


def test_twice_is_once(shop: Shop) -> None:
    """The same rollback again finds what it wants in place, and does not go forward."""
    shop.release("1")
    second = shop.release("2")
    made = plan(shop.look(), candidate_hash=second)
    assert not execute(shop.cluster, made).already
    assert execute(shop.cluster, made).already
    shop.settle()
    assert execute(shop.cluster, made).already
    assert shop.image == "web:1"


def test_two_rollbacks_at_once(shop: Shop) -> None:
    """Two guards that act at the same moment agree: one does it, the other finds it done."""
    shop.release("1")
    second = shop.release("2")
    made = plan(shop.look(), candidate_hash=second)
    done = []
    threads = [
        threading.Thread(target=lambda: done.append(execute(shop.cluster, made).already))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [False, True]
    assert shop.image == "web:1"


def test_mid_rollout(shop: Shop) -> None:
    """A rollback in the middle of a rollout goes through at once, while old pods still serve."""
    shop.release("1", replicas=4)
    shop.release("nopull-2", replicas=4, wait=False)
    with Follower(shop.cluster, WEB) as follower:
        done = execute(shop.cluster, plan(shop.look()))
        assert wait_restored(follower, done, timeout=20).serves
    assert shop.image == "web:1"


def test_paused_and_resumed_in_one_patch(shop: Shop) -> None:
    """A paused Deployment is refused; with resume the same patch restores and resumes it."""
    shop.release("1")
    shop.release("2")
    shop.patch({"spec": {"paused": True}})
    with pytest.raises(Refused, match="paused") as caught:
        execute(shop.cluster, plan(shop.look()))
    assert "--resume" in caught.value.help
    assert shop.image == "web:2"
    execute(shop.cluster, plan(shop.look(), way=Way(resume=True)))
    shop.settle()
    assert shop.image == "web:1"
    assert "paused" not in shop.deployment()["spec"]


def test_paused_between_plan_and_patch(shop: Shop) -> None:
    """A pause that came after the plan is noticed: the server would accept and do nothing."""
    shop.release("1")
    shop.release("2")
    made = plan(shop.look())
    shop.patch({"spec": {"paused": True}})
    with pytest.raises(Refused, match="paused"):
        execute(shop.cluster, made)
    assert shop.image == "web:2"


def test_made_anew_between_plan_and_patch(shop: Shop) -> None:
    """Another Deployment of the same name is not the one that was condemned."""
    shop.release("1")
    shop.release("2")
    made = plan(shop.look())
    shop.embedded.store.delete("deployments.apps", "shop", "web")
    with pytest.raises(Superseded, match="does not exist"):
        execute(shop.cluster, made)
    shop.release("2")
    with pytest.raises(Superseded, match="made anew"):
        execute(shop.cluster, made)


def test_a_collected_revision_can_still_be_restored(shop: Shop) -> None:
    """With revisionHistoryLimit 0 a plan made during the rollout still knows the old template."""
    shop.release("1", revisionHistoryLimit=0)
    early = shop.look()
    shop.release("2", revisionHistoryLimit=0)
    shop.embedded.wait_for(lambda: len(shop.look().revisions) == 1)
    late = shop.look()
    during = replace(late, revisions=(*early.revisions, *late.revisions))
    assert any(problem.kind == "no-history" for problem in plan(during).problems)
    assert not plan(late).possible
    with Follower(shop.cluster, WEB) as follower:
        assert wait_restored(follower, execute(shop.cluster, plan(during)), timeout=20).serves
    assert shop.image == "web:1"


def test_fields_that_nobody_knows_survive(shop: Shop) -> None:
    """A field that is newer than a client comes back, so the old ReplicaSet is used again."""
    recorded = load("04b-undo-drops-fields").steps
    deployment = next(s.answer for s in recorded if s.answer.get("kind") == "Deployment")
    assert deployment["spec"]["template"]["spec"]["hostnameOverride"]
    template = deployment["spec"]["template"]["spec"]
    made = plan(listed(deployment, next(s.answer for s in recorded if "items" in s.answer)))
    assert made.template is not None
    assert made.template["spec"]["hostnameOverride"] == template["hostnameOverride"]


def test_a_rehearsal_changes_nothing(shop: Shop) -> None:
    """The dry run on the server finds nothing against the patch and stores nothing."""
    shop.release("1")
    shop.release("2")
    before = shop.deployment()
    made = plan(shop.look())
    assert rehearse(shop.cluster, made) == ()
    done = execute(shop.cluster.dry_run(), made)
    assert done.dry
    assert shop.deployment() == before


def never_ready(shop: Shop, **spec: Any) -> Plan:
    """Plan a rollback to a revision whose image cannot be pulled any more."""
    shop.release("nopull-1", wait=False, **spec)
    shop.release("2", **spec)
    return plan(shop.look())


def test_waiting_sees_a_newer_deploy(shop: Shop) -> None:
    """A deploy that lands during the wait ends it, and is told as such."""
    made = never_ready(shop)
    with Follower(shop.cluster, WEB) as follower:
        done = execute(shop.cluster, made)
        shop.release("3")
        restored = wait_restored(follower, done, timeout=20)
    assert restored.superseded
    assert not restored.serves


def test_waiting_ends_with_the_numbers(shop: Shop) -> None:
    """A target that does not become ready in time is not called restored."""
    made = never_ready(shop)
    with Follower(shop.cluster, WEB) as follower:
        restored = wait_restored(follower, execute(shop.cluster, made), timeout=0.3)
    assert not restored.serves
    assert "of 3 pods replaced" in restored.failure


def test_waiting_can_be_stopped(shop: Shop) -> None:
    """A wait ends soon when asked to, and says how far the rollout was."""
    made = never_ready(shop)
    with Follower(shop.cluster, WEB) as follower:
        done = execute(shop.cluster, made)
        restored = wait_restored(follower, done, timeout=600, stopped=lambda: True)
    assert restored.failure.startswith("interrupted")


def test_a_stale_deadline_is_not_ours(shop: Shop) -> None:
    """The failed condition of the condemned rollout survives the patch and does not count."""
    shop.release("1", progressDeadlineSeconds=1)
    shop.release("nopull-2", wait=False, progressDeadlineSeconds=1)
    shop.embedded.wait_for(lambda: stuck(shop))
    with Follower(shop.cluster, WEB) as follower:
        done = execute(shop.cluster, plan(shop.look()))
        assert any(c.reason == "ProgressDeadlineExceeded" for c in done.conditions)
        assert wait_restored(follower, done, timeout=20).serves


def test_a_new_deadline_ends_the_wait(shop: Shop) -> None:
    """If the target itself does not come up before its deadline, the wait ends with that."""
    made = never_ready(shop, progressDeadlineSeconds=1)
    with Follower(shop.cluster, WEB) as follower:
        restored = wait_restored(follower, execute(shop.cluster, made), timeout=20)
    assert "ProgressDeadlineExceeded" in restored.failure


def stuck(shop: Shop) -> bool:
    conditions = shop.deployment()["status"].get("conditions", [])
    return any(c.get("reason") == "ProgressDeadlineExceeded" for c in conditions)


REFUSED = {
    "kind": "Status",
    "code": 422,
    "reason": "Invalid",
    "message": "the server rejected our request due to an error in our request",
    "details": {},
}


@pytest.mark.parametrize(
    "failure",
    [
        answer(422, REFUSED),
        answer(409, {"kind": "Status", "code": 409, "reason": "Conflict", "message": "x"}),
        answer(429, "Too many requests", retry_after="0"),
        answer(503, "no"),
        reset,
    ],
    ids=["422", "409", "429", "503", "reset"],
)
def test_a_failed_patch_is_planned_anew(shop: Shop, tmp_path: Path, failure: Behaviour) -> None:
    """After a refusal or a break the object is read, and the patch is sent for what is live."""
    shop.release("1")
    shop.release("2")
    made = plan(shop.look())
    with ScriptedServer(Front(shop, failure)) as server, connect(tmp_path, server.url) as cluster:
        done = execute(cluster, made, sleep=lambda _: None)
    assert (done.attempts, done.already) == (2, False)
    assert [method for method, _, _, _ in server.requests] == ["PATCH", "GET", "PATCH"]
    assert shop.image == "web:1"


def test_an_answer_that_was_lost(shop: Shop, tmp_path: Path) -> None:
    """If the connection breaks after the server did it, reading shows so, and nothing is resent."""
    shop.release("1")
    shop.release("2")
    made = plan(shop.look())
    with (
        ScriptedServer(Front(shop, reset, apply=True)) as server,
        connect(tmp_path, server.url) as cluster,
    ):
        done = execute(cluster, made, sleep=lambda _: None)
    assert done.already
    assert [method for method, _, _, _ in server.requests] == ["PATCH", "GET"]
    assert shop.image == "web:1"


def test_a_server_that_never_accepts(shop: Shop, tmp_path: Path) -> None:
    """After a few refusals without a reason in sight the rollback is given up, and says so."""
    shop.release("1")
    shop.release("2")
    made = plan(shop.look())
    with (
        ScriptedServer(Front(shop, *[answer(422, REFUSED)] * 9)) as server,
        connect(tmp_path, server.url) as cluster,
        pytest.raises(RollbackFailed) as caught,
    ):
        execute(cluster, made, sleep=lambda _: None)
    assert [method for method, _, _, _ in server.requests].count("PATCH") == ATTEMPTS
    assert caught.value.exit_code is ExitCode.NOT_ROLLED_BACK
    assert shop.image == "web:2"


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (
            answer(
                422,
                {
                    "kind": "Status",
                    "code": 422,
                    "message": "denied: changes are frozen until Monday",
                    "details": {"causes": [{"field": "spec", "message": "x"}]},
                },
            ),
            errors.Invalid,
        ),
        (answer(403, {"kind": "Status", "code": 403, "message": "no"}), errors.Forbidden),
    ],
    ids=["policy", "rights"],
)
def test_a_refusal_for_good_is_final(
    shop: Shop, tmp_path: Path, failure: Behaviour, kind: type[errors.ApiError]
) -> None:
    """What a policy or missing rights refuse is not sent again."""
    shop.release("1")
    shop.release("2")
    made = plan(shop.look())
    with (
        ScriptedServer(Front(shop, failure)) as server,
        connect(tmp_path, server.url) as cluster,
        pytest.raises(kind),
    ):
        execute(cluster, made)
    assert [method for method, _, _, _ in server.requests] == ["PATCH"]


def rehearsed(shop: Shop, tmp_path: Path, failure: Behaviour) -> tuple[Plan, list[str]]:
    made = plan(shop.look())
    with ScriptedServer(Front(shop, failure)) as server, connect(tmp_path, server.url) as cluster:
        found = rehearse(cluster, made)
    return made, [f"{problem.kind}: {problem.text}" for problem in found if problem.blocks]


def test_the_rehearsal_tells_what_the_server_would_refuse(shop: Shop, tmp_path: Path) -> None:
    """Today's admission judges yesterday's template: its refusal is known before it is needed."""
    shop.release("1")
    shop.release("2")
    status = {"kind": "Status", "code": 403, "message": "exceeded quota: pods"}
    _, found = rehearsed(shop, tmp_path, answer(403, status))
    assert found == ["refused: the server refuses the rollback: exceeded quota: pods"]


def test_a_server_that_is_away_is_waited_for(tmp_path: Path, shop: Shop) -> None:
    """Cut off at the very moment of the rollback, guard goes on trying, and rolls back once."""
    shop.release("1")
    shop.release("2")
    made = plan(shop.look())
    folder = tmp_path / "away"
    folder.mkdir()
    with FaultProxy(shop.embedded.url) as proxy, connect(folder, proxy.url) as cluster:
        proxy.go_away()
        back = threading.Timer(1.5, proxy.come_back)
        back.start()
        done = execute(cluster, made, patience=60.0)
        back.join()
    assert not done.already
    assert done.attempts > 1
    assert shop.image == "web:1"


def test_waiting_for_a_server_can_be_stopped(tmp_path: Path, shop: Shop) -> None:
    """Whoever interrupts does not have to wait until the patience is over."""
    shop.release("1")
    shop.release("2")
    made = plan(shop.look())
    folder = tmp_path / "away"
    folder.mkdir()
    with FaultProxy(shop.embedded.url) as proxy, connect(folder, proxy.url) as cluster:
        proxy.go_away()
        with pytest.raises(RollbackFailed):
            execute(cluster, made, patience=600.0, stopped=lambda: True)
    assert shop.image == "web:2"
