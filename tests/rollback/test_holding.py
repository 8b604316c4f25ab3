"""A rollout that guard pauses: whose pause it is, and that it always ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cluster.scripted import Behaviour, ScriptedServer, answer, connect, reset
from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.errors import ApiError, Forbidden
from deploy_guard.cluster.snapshot import Json
from deploy_guard.problems import Refused, Superseded
from deploy_guard.rollback.holding import (
    HELD,
    cannot_hold,
    hold,
    hold_patch,
    read_hold,
    release,
    release_patch,
    stale_hold,
)
from rollback.front import Front
from rollback.shop import PATH, WEB, Shop

AT = 1_790_000_000.0


def held(shop: Shop, cluster: Cluster | None = None, *, live: Json | None = None) -> Any:
    """Hold what is live, as a gate."""
    return hold(
        cluster or shop.cluster,
        WEB,
        live or shop.deployment(),
        template_hash="abc",
        why="gate",
        by="me@here",
        clock=lambda: AT,
        sleep=lambda _: None,
    )


@pytest.fixture
def rolling(shop: Shop) -> Shop:
    """The shop in the middle of a rollout that does not end by itself."""
    shop.release("1", replicas=4)
    shop.release("nopull-2", replicas=4, wait=False)
    return shop


def test_a_hold_pauses_and_says_so_in_one_patch(rolling: Shop) -> None:
    """The Deployment is paused with a note of which template, why, since when and by whom."""
    settled = held(rolling)
    found = read_hold(rolling.deployment(), "abc")
    assert settled.changed and found is not None
    assert (found.template, found.why, found.at, found.by) == ("abc", "gate", AT, "me@here")
    assert rolling.deployment()["spec"]["paused"] is True


def test_a_release_resumes_and_removes_the_note(rolling: Shop) -> None:
    """Afterwards nothing of the hold is left, and everything else is as it was."""
    before = rolling.deployment()
    held(rolling)
    assert release(rolling.cluster, WEB).changed
    after = rolling.deployment()
    assert "paused" not in after["spec"] and HELD not in rolling.notes
    assert after["spec"] == before["spec"]


def test_twice_is_once(rolling: Shop) -> None:
    """A second hold, and a second release, find it done and write nothing."""
    held(rolling)
    generation = rolling.deployment()["metadata"]["generation"]
    assert not held(rolling).changed
    assert rolling.deployment()["metadata"]["generation"] == generation
    assert release(rolling.cluster, WEB).changed
    assert not release(rolling.cluster, WEB).changed


def test_a_pause_of_a_human_is_never_ended(rolling: Shop) -> None:
    """Without guard's note nothing is released, and there is nothing to hold."""
    rolling.patch({"spec": {"paused": True}})
    assert not release(rolling.cluster, WEB).changed
    with pytest.raises(Refused, match="paused by somebody else"):
        held(rolling)
    assert rolling.deployment()["spec"]["paused"] is True


def test_a_human_who_resumes_wins(rolling: Shop) -> None:
    """After kubectl rollout resume the note is stale: it goes, and nothing is paused again."""
    held(rolling)
    rolling.patch({"spec": {"paused": None}})
    assert read_hold(rolling.deployment()) is None and stale_hold(rolling.deployment())
    assert release(rolling.cluster, WEB).changed
    assert HELD not in rolling.notes and "paused" not in rolling.deployment()["spec"]


def test_a_pause_that_somebody_else_set_since_is_theirs(rolling: Shop) -> None:
    """The field managers tell a human's pause from guard's, whatever old note is still there."""
    held(rolling)
    live = rolling.deployment()
    fields: Json = {"f:spec": {"f:paused": {}}}
    live["metadata"]["managedFields"] = [{"manager": "deploy-guard", "fieldsV1": fields}]
    assert read_hold(live) is not None
    live["metadata"]["managedFields"] = [
        {"manager": "deploy-guard", "fieldsV1": {"f:spec": {"f:template": {}}}},
        {"manager": "kubectl-rollout", "fieldsV1": fields},
    ]
    assert read_hold(live) is None
    assert [o["op"] for o in release_patch(live)] == ["test", "test", "remove"]


def test_a_newer_deploy_before_the_hold_is_respected(rolling: Shop) -> None:
    """What was to be held is not live any more: nothing is paused."""
    early = rolling.deployment()
    rolling.release("3", replicas=4)
    with pytest.raises(Superseded, match="another template"):
        held(rolling, live=early)
    assert "paused" not in rolling.deployment()["spec"]


def test_a_deployment_made_anew_before_the_hold_is_respected(rolling: Shop) -> None:
    """Another Deployment of the same name is left alone, and so is none at all."""
    early = rolling.deployment()
    rolling.embedded.store.delete("deployments.apps", "shop", "web")
    with pytest.raises(Superseded, match="does not exist"):
        held(rolling, live=early)
    rolling.release("nopull-2", replicas=4, wait=False)
    with pytest.raises(Superseded, match="made anew"):
        held(rolling, live=early)
    assert not release(rolling.cluster, WEB, uid=early["metadata"]["uid"]).changed


def test_a_newer_deploy_during_the_hold_is_not_left_paused(rolling: Shop) -> None:
    """A deploy keeps the pause of the one before: the release lets it roll out."""
    held(rolling)
    rolling.patch({"spec": {"template": {"metadata": {"annotations": {"new": "yes"}}}}})
    found = rolling.deployment()
    assert found["spec"]["paused"] and read_hold(found, "other") is None
    assert read_hold(found) is not None
    release(rolling.cluster, WEB)
    assert "paused" not in rolling.deployment()["spec"]


def test_scaling_between_look_and_hold_does_not_matter(rolling: Shop) -> None:
    """What is no deploy does not stop a hold."""
    early = rolling.deployment()
    rolling.patch({"spec": {"replicas": 6}, "metadata": {"annotations": {"x": "y"}}})
    assert held(rolling, live=early).changed
    assert (rolling.deployment()["spec"]["replicas"], rolling.notes["x"]) == (6, "y")


def test_a_dry_run_changes_nothing(rolling: Shop) -> None:
    """The server checks the pause and stores nothing."""
    before = rolling.deployment()["spec"]
    assert held(rolling, rolling.cluster.dry_run()).dry
    assert rolling.deployment()["spec"] == before


@pytest.mark.parametrize("applied", [True, False], ids=["arrived", "lost"])
@pytest.mark.parametrize("failure", [reset, answer(503, "no")], ids=["reset", "503"])
def test_a_lost_answer_is_looked_up(
    rolling: Shop, tmp_path: Path, failure: Behaviour, applied: bool
) -> None:
    """Whether the patch arrived or not, the rollout is held once, and released once."""
    with (
        ScriptedServer(Front(rolling, failure, apply=applied)) as server,
        connect(tmp_path, server.url) as cluster,
    ):
        assert held(rolling, cluster).changed
        assert read_hold(rolling.deployment(), "abc") is not None
        sent = [r for r in server.requests if r[0] == "PATCH"]
        assert len(sent) == (1 if applied else 2)
    with (
        ScriptedServer(Front(rolling, failure, apply=applied)) as server,
        connect(tmp_path, server.url) as cluster,
    ):
        assert release(cluster, WEB, sleep=lambda _: None).changed
    assert "paused" not in rolling.deployment()["spec"]


def test_a_resume_that_overtakes_the_lost_answer_wins(rolling: Shop, tmp_path: Path) -> None:
    """Guard's patch arrived, its answer did not, and a human resumed in between."""

    def resumed(handler: Any) -> None:
        rolling.patch({"spec": {"paused": None}})
        reset(handler)

    with (
        ScriptedServer(Front(rolling, resumed, apply=True)) as server,
        connect(tmp_path, server.url) as cluster,
        pytest.raises(Refused, match="resumed by somebody else"),
    ):
        held(rolling, cluster)
    assert "paused" not in rolling.deployment()["spec"]


def test_a_refusal_for_good_is_an_error(rolling: Shop, tmp_path: Path) -> None:
    """A missing right is not tried again, and names the verb."""
    no = answer(403, {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "no"})
    with (
        ScriptedServer(Front(rolling, no, no)) as server,
        connect(tmp_path, server.url) as cluster,
        pytest.raises(Forbidden, match="patch"),
    ):
        held(rolling, cluster)


def test_a_server_that_never_takes_it_is_an_error_in_the_end(rolling: Shop, tmp_path: Path) -> None:
    """Five patches at most, each planned from what was live."""
    with (
        ScriptedServer(Front(rolling, *[answer(503, "no")] * 9)) as server,
        connect(tmp_path, server.url) as cluster,
    ):
        with pytest.raises(ApiError):
            held(rolling, cluster)
        assert len([r for r in server.requests if r[0] == "PATCH"]) == 5


@pytest.mark.parametrize("change", [{"paused": True}, {"template": {"metadata": {"labels": None}}}])
def test_the_patch_is_refused_by_the_server_when_something_changed(
    rolling: Shop, change: Json
) -> None:
    """The tests are the server's to check: pause and template as they were read."""
    patch = hold_patch(rolling.deployment(), template_hash="a", why="gate", at=AT, by="")
    if "template" in change:
        change = {"template": {"metadata": {"annotations": {"a": "b"}}}}
    rolling.patch({"spec": change})
    with pytest.raises(ApiError) as refused:
        rolling.cluster.patch(PATH, list(patch))
    assert refused.value.code == 422


@pytest.mark.parametrize("note", ["", "no json", "[]", '{"template": "a"}', "null"])
def test_a_note_that_cannot_be_read_proves_nothing(rolling: Shop, note: str) -> None:
    """Whoever wrote it, it does not end a pause; the next release removes it."""
    rolling.patch({"spec": {"paused": True}, "metadata": {"annotations": {HELD: note}}})
    assert read_hold(rolling.deployment()) is None
    assert release(rolling.cluster, WEB).changed
    assert rolling.deployment()["spec"]["paused"] is True and HELD not in rolling.notes


def test_only_deployments_can_be_held() -> None:
    """A StatefulSet or DaemonSet has no pause: said before anything is sent."""
    other: Json = {"spec": {"updateStrategy": {}}, "metadata": {}}
    problem = cannot_hold(other)
    assert problem is not None and "only Deployments" in problem.text
    with pytest.raises(Refused):
        hold(None, WEB, other, template_hash="", why="gate")  # type: ignore[arg-type]
    assert cannot_hold({"spec": {}, "metadata": {}}) is None


def test_a_long_name_is_cut(rolling: Shop) -> None:
    """The note stays small whatever the pipeline calls itself."""
    live = rolling.deployment()
    patch = hold_patch(live, template_hash="a", why="suspicion", at=AT, by="x" * 5000)
    assert len(patch[-1]["value"]) < 400
    assert json.loads(patch[-1]["value"])["why"] == "suspicion"
