"""Can I roll back? One list with everything, worst first, within a few seconds."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from cluster.scripted import ScriptedServer, answer, connect, silence
from deploy_guard.problems import Weight
from deploy_guard.rollback.planning import Plan, Way, plan
from deploy_guard.rollback.preflight import features
from deploy_guard.rollback.preflight.check import check
from rollback.roles import as_account, rules_of, without
from rollback.shop import WEB, Shop

PATH = "/apis/apps/v1/namespaces/shop/deployments/web"
STRATEGIC = "application/strategic-merge-patch+json"


def refer(shop: Shop, **spec: Any) -> None:
    """Release a template with these further fields."""
    body = {"spec": {"template": {"spec": spec}}}
    shop.cluster.patch(PATH, body, content_type=STRATEGIC)
    shop.settle()


def settings(name: str) -> dict[str, Any]:
    """Return the fields of a pod that takes its environment from a ConfigMap."""
    return {"containers": [{"name": "web", "envFrom": [{"configMapRef": {"name": name}}]}]}


def with_config(shop: Shop, name: str) -> None:
    metadata = {"name": name, "namespace": "shop"}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "b"}}
    shop.embedded.apply(config)


def quota(shop: Shop, hard: dict[str, str], used: dict[str, str]) -> None:
    """Make a quota that the controller has counted."""
    metadata = {"name": "team", "namespace": "shop"}
    content = {"metadata": metadata, "spec": {"hard": hard}, "status": {"used": used}}
    shop.embedded.store.create(
        "resourcequotas", {"apiVersion": "v1", "kind": "ResourceQuota", **content}
    )


def two_releases(shop: Shop, **spec: Any) -> Plan:
    """Release twice; return the plan of going back."""
    shop.release("1", **spec)
    shop.release("2", **spec)
    return plan(shop.look())


def test_a_healthy_cluster_has_nothing_against_it(shop: Shop, tmp_path: Path) -> None:
    """With the Role of the examples and everything in place the list is empty."""
    with_config(shop, "settings-1")
    shop.release("1")
    refer(shop, **settings("settings-1"))
    shop.release("2")
    with as_account(shop, tmp_path, rules_of("role.yaml")) as cluster:
        made = check(cluster, plan(shop.look()))
    assert made.problems == ()
    assert made.possible


def test_everything_is_told_at_once_and_the_worst_first(shop: Shop, tmp_path: Path) -> None:
    """What cannot be done comes before what would be a second outage, then warnings, then notes."""
    shop.release("1")
    with_config(shop, "settings-1")
    refer(shop, **settings("settings-1"), imagePullSecrets=[{"name": "registry"}])
    shop.release("2")
    shop.embedded.store.delete("configmaps", "shop", "settings-1")
    shop.patch({"spec": {"paused": True}})
    rules = without(rules_of("role.yaml", "role-config.yaml"), "list", "resourcequotas")
    with as_account(shop, tmp_path, rules) as cluster:
        made = check(cluster, plan(shop.look()))
    weights = [problem.weight for problem in made.problems]
    assert weights == sorted(weights, reverse=True)
    told = {problem.kind: problem.weight for problem in reversed(made.problems)}
    assert told == {
        "paused": Weight.BLOCKS,
        "reference": Weight.HARMS,
        "quota-unknown": Weight.NOTE,
    }
    assert Weight.WARNING in weights  # the pull secret
    assert not made.possible


def test_a_reference_that_is_gone_makes_the_plan_impossible(shop: Shop) -> None:
    """An old template that needs a ConfigMap that does not exist any more is a second outage."""
    with_config(shop, "settings-1")
    shop.release("1")
    refer(shop, **settings("settings-1"))
    shop.release("2")
    made = plan(shop.look())
    assert check(shop.cluster, made).possible
    shop.embedded.store.delete("configmaps", "shop", "settings-1")
    checked = check(shop.cluster, made)
    assert not checked.possible
    assert checked.blocking is not None
    assert 'ConfigMap "settings-1"' in checked.blocking.text
    assert "restore it first" in checked.blocking.help


def test_rights_that_are_missing_are_told_by_feature(shop: Shop, tmp_path: Path) -> None:
    """What the caller is going to do decides which rights are looked at."""
    made = two_releases(shop)
    with as_account(shop, tmp_path, rules_of("role.yaml")) as cluster:
        assert check(cluster, made).possible
        wanted = (*features.BASE, features.RESTORE.asked_for())
        restoring = check(cluster, made, wanted)
    assert not restoring.possible
    assert {p.kind for p in restoring.problems if p.blocks} == {"access"}


@pytest.mark.parametrize(("unavailable", "weights"), [(0, [Weight.BLOCKS]), (1, [Weight.WARNING])])
def test_a_full_quota_is_judged_by_the_strategy(
    shop: Shop, unavailable: int, weights: list[Weight]
) -> None:
    """It blocks only where no pod may go before another has come."""
    rolling = {"maxSurge": 1, "maxUnavailable": unavailable}
    made = two_releases(shop, strategy={"type": "RollingUpdate", "rollingUpdate": rolling})
    quota(shop, {"pods": "3"}, {"pods": "3"})
    found = [problem for problem in check(shop.cluster, made).problems if "quota" in problem.kind]
    assert [problem.weight for problem in found] == weights
    assert "3 of 3 pods used" in found[0].text


def test_a_fast_rollback_is_told_when_there_is_no_room_for_it(shop: Shop) -> None:
    """All pods at once need room for all of them; with less it is slower, not impossible."""
    shop.release("1")
    shop.release("2")
    quota(shop, {"pods": "5"}, {"pods": "3"})
    assert check(shop.cluster, plan(shop.look())).problems == ()
    (problem,) = check(shop.cluster, plan(shop.look(), way=Way(fast=True))).problems
    assert "room for 2 of 3 pods at first" in problem.text
    assert not problem.blocks


def test_quotas_that_may_not_be_read_are_a_note(shop: Shop, tmp_path: Path) -> None:
    """Most pipelines have no such right, and it is not worth a warning."""
    made = two_releases(shop)
    rules = without(rules_of("role.yaml"), "list", "resourcequotas")
    with as_account(shop, tmp_path, rules) as cluster:
        (problem,) = check(cluster, made).problems
    assert problem.weight is Weight.NOTE
    assert '"list" on resourcequotas' in problem.text


def test_a_quantity_that_cannot_be_read_is_a_note(shop: Shop, tmp_path: Path) -> None:
    """A quota of a form that guard does not know never breaks the main job."""
    made = two_releases(shop)
    quota(shop, {"count/pods": "many"}, {"count/pods": "3"})
    with as_account(shop, tmp_path, rules_of("role.yaml")) as cluster:
        (problem,) = check(cluster, made).problems
    assert problem.weight is Weight.NOTE


def test_a_pod_that_would_be_refused_is_told(shop: Shop, tmp_path: Path) -> None:
    """With the right to create pods, what the server says of an old pod is in the list."""
    made = two_releases(shop)
    assert made.template is not None
    made.template["spec"]["containers"][0]["ports"] = [{"containerPort": 0}]
    rules = rules_of("role.yaml", "role-pods.yaml")
    with as_account(shop, tmp_path, rules) as cluster:
        found = check(cluster, made).problems
    assert "pod-refused" in {problem.kind for problem in found if problem.blocks}


def test_what_admission_of_a_pod_has_settled_is_not_told(shop: Shop, tmp_path: Path) -> None:
    """A PriorityClass that may not be read is a note, unless a dry run of a pod found it."""
    name = {"metadata": {"name": "high"}}
    group = "scheduling.k8s.io/v1"
    shop.embedded.apply({"apiVersion": group, "kind": "PriorityClass", **name, "value": 5})
    shop.release("1")
    refer(shop, priorityClassName="high")
    shop.release("2")
    made = plan(shop.look())
    for folder, roles, kinds in (
        ("one", ["role.yaml"], ["class-unknown"]),
        ("two", ["role.yaml", "role-pods.yaml"], []),
    ):
        (tmp_path / folder).mkdir()
        with as_account(shop, tmp_path / folder, rules_of(*roles)) as cluster:
            assert [problem.kind for problem in check(cluster, made).problems] == kinds


def test_when_nothing_is_to_be_done_only_the_rights_are_asked_for(
    shop: Shop, tmp_path: Path
) -> None:
    """A rollback that is in place already is not checked for what it needs."""
    shop.release("1")
    made = plan(shop.look(), to_revision=1)
    assert made.nothing_to_do
    (tmp_path / "other").mkdir()
    with (
        ScriptedServer(answer(201, {"status": {"allowed": True}})) as server,
        connect(tmp_path / "other", server.url) as cluster,
    ):
        assert check(cluster, made).problems == made.problems
        assert {command for command, *_ in server.requests} == {"POST"}


def test_a_silent_server_costs_the_time_once(shop: Shop, tmp_path: Path) -> None:
    """Whatever is asked, nobody waits longer than the seconds for all; unknown is no refusal."""
    made = two_releases(shop)
    (tmp_path / "other").mkdir()
    with (
        ScriptedServer(silence) as server,
        connect(tmp_path / "other", server.url) as cluster,
    ):
        begun = time.monotonic()
        checked = check(cluster, made, seconds=0.3)
        took = time.monotonic() - begun
    assert took < 5
    assert checked.possible
    assert {problem.kind for problem in checked.problems} == {
        "access-unknown",
        "not-rehearsed",
        "quota-unknown",
    }
    assert checked.target == WEB
