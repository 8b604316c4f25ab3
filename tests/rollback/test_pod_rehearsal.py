"""A dry run of one old pod: how it looks, who may ask, what a refusal means."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from cluster.scripted import Handler, ScriptedServer, answer, connect
from deploy_guard.cluster.errors import ApiError
from deploy_guard.model import Revision, Target
from deploy_guard.problems import Weight
from deploy_guard.rollback.planning import Plan, plan
from deploy_guard.rollback.preflight.pod_rehearsal import (
    UNKNOWN,
    judge_refusal,
    pod_of,
    rehearse_pod,
)
from rollback.roles import as_account, rules_of
from rollback.shop import WEB, Shop

TEMPLATE = {
    "metadata": {"labels": {"app": "db"}, "annotations": {"team": "shop"}},
    "spec": {"containers": [{"name": "db", "image": "db:1"}]},
}
REVISION = Revision(1, "db-5d4f8c7b6", "uid-of-the-revision", "5d4f8c7b6", ("db:1",), 0.0)
QUOTA = (
    'pods "web-x" is forbidden: exceeded quota: pods, requested: pods=1, used: pods=3, '
    "limited: pods=3"
)
SECURITY = (
    'pods "web-x" is forbidden: violates PodSecurity "restricted:latest": '
    'runAsNonRoot != true (pod or container "web" must set securityContext.runAsNonRoot=true)'
)


def made(shop: Shop) -> Plan:
    shop.release("1")
    shop.release("2")
    return plan(shop.look())


def server_that(code: int, message: str, *, allows: bool = True, requests: list[Any]) -> Any:
    """Return the behaviour of a server that answers reviews, and POSTs of pods with an error."""

    def behave(handler: Handler) -> None:
        path = urlsplit(handler.path)
        if path.path.endswith("selfsubjectaccessreviews"):
            answer(201, {"kind": "Review", "status": {"allowed": allows}})(handler)
            return
        requests.append((handler.command, handler.path))
        status = {"kind": "Status", "message": message, "reason": "Forbidden", "code": code}
        answer(code, status)(handler)

    return behave


def ask(shop: Shop, folder: Path, code: int, message: str, **options: Any) -> ApiError | None:
    """Rehearse a pod on a server with that answer."""
    wanted = made(shop)
    (folder / "other").mkdir()
    requests: list[Any] = []
    with (
        ScriptedServer(server_that(code, message, requests=requests, **options)) as server,
        connect(folder / "other", server.url) as cluster,
    ):
        found = rehearse_pod(cluster, wanted)
    assert all("dryRun=All" in path for _, path in requests)
    assert not found.admitted
    return found.refusal


def test_a_pod_that_the_server_would_take_is_no_problem(shop: Shop) -> None:
    """A dry run makes no pod and leaves nothing behind."""
    wanted = made(shop)
    before = {pod["metadata"]["name"] for pod in shop.embedded.pods("shop", "web")}
    assert rehearse_pod(shop.cluster, wanted).admitted
    assert {pod["metadata"]["name"] for pod in shop.embedded.pods("shop", "web")} == before


def test_a_pod_that_is_not_valid_any_more_is_a_refusal(shop: Shop) -> None:
    """The real server's validation judges the pod."""
    wanted = made(shop)
    wanted = dataclasses.replace(wanted, template={**TEMPLATE, "spec": {"containers": []}})
    refusal = rehearse_pod(shop.cluster, wanted).refusal
    assert refusal is not None
    assert "spec.containers" in judge_refusal(refusal, need_room=True).text


def test_pod_security_is_heard_before_the_rollback(shop: Shop, tmp_path: Path) -> None:
    """What refuses the pods of a Deployment that itself is accepted would be a second outage."""
    refusal = ask(shop, tmp_path, 403, SECURITY)
    assert refusal is not None
    problem = judge_refusal(refusal, need_room=False)
    assert problem.weight is Weight.HARMS
    assert 'violates PodSecurity "restricted:latest"' in problem.text


@pytest.mark.parametrize(("need_room", "blocks"), [(True, True), (False, False)])
def test_a_full_quota_blocks_only_if_nothing_goes_first(
    shop: Shop, tmp_path: Path, need_room: bool, blocks: bool
) -> None:
    """A rollback that takes pods away first makes its own room."""
    refusal = ask(shop, tmp_path, 403, QUOTA)
    assert refusal is not None
    assert judge_refusal(refusal, need_room=need_room).blocks is blocks


def test_a_webhook_that_cannot_be_reached_is_a_refusal(shop: Shop, tmp_path: Path) -> None:
    """It would refuse the real pods as well."""
    message = 'Internal error occurred: failed calling webhook "pods.example": no endpoints'
    refusal = ask(shop, tmp_path, 500, message)
    assert refusal is not None
    assert "failed calling webhook" in judge_refusal(refusal, need_room=False).text


def test_a_name_that_is_taken_says_nothing(shop: Shop, tmp_path: Path) -> None:
    """An answer that is neither yes nor no is an error, which is not told as a refusal."""
    with pytest.raises(ApiError):
        ask(shop, tmp_path, 409, 'pods "web-x" already exists')


def test_without_the_right_to_create_pods_none_is_sent(shop: Shop, tmp_path: Path) -> None:
    """The account is asked for its right first, so the audit log shows no denied request."""
    assert ask(shop, tmp_path, 403, SECURITY, allows=False) is None


def test_the_right_of_the_example_is_enough(shop: Shop, tmp_path: Path) -> None:
    """With the Role for pods the dry run is sent and accepted."""
    wanted = dataclasses.replace(made(shop), template={"spec": {"containers": []}})
    with as_account(shop, tmp_path, rules_of("role-pods.yaml")) as cluster:
        assert rehearse_pod(cluster, wanted).refusal is not None
    (tmp_path / "none").mkdir()
    with as_account(shop, tmp_path / "none", rules_of("role.yaml")) as cluster:
        assert rehearse_pod(cluster, wanted) == UNKNOWN


def test_a_pod_of_a_deployment_belongs_to_its_replicaset() -> None:
    """Policies that look at owner, labels and name see what the controller would make."""
    pod = pod_of(WEB, "uid", REVISION, TEMPLATE, workload={})
    assert pod["metadata"]["generateName"] == "db-5d4f8c7b6-"
    assert pod["metadata"]["labels"] == {"app": "db", "pod-template-hash": "5d4f8c7b6"}
    assert pod["metadata"]["annotations"] == {"team": "shop"}
    (owner,) = pod["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["controller"]) == (
        "ReplicaSet",
        "db-5d4f8c7b6",
        True,
    )
    assert pod["spec"] == TEMPLATE["spec"]


def test_a_pod_of_a_statefulset_has_its_claims() -> None:
    """Volumes of the claim templates are in the pod: else its mounts would not be valid."""
    claims = [{"metadata": {"name": "data"}}]
    workload = {"spec": {"volumeClaimTemplates": claims}}
    target = Target("statefulset", "shop", "db")
    pod = pod_of(target, "uid-of-the-set", REVISION, TEMPLATE, workload=workload)
    assert pod["spec"]["volumes"] == [
        {"name": "data", "persistentVolumeClaim": {"claimName": "data-db-0"}}
    ]
    assert pod["metadata"]["labels"]["controller-revision-hash"] == "db-5d4f8c7b6"
    (owner,) = pod["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("StatefulSet", "uid-of-the-set")
    assert "volumes" not in json.dumps(TEMPLATE)  # the template was not changed
