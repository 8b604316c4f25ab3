"""Room for the old pods: quantities, what a pod takes, strategies and quotas; no cluster."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from deploy_guard.model import Target
from deploy_guard.problems import Problem
from deploy_guard.rollback.preflight.pod_needs import counts, needs, quantity
from deploy_guard.rollback.preflight.room import Pods, judge, limits, pods_of, scaled

WEB = Target("deployment", "shop", "web")


def container(
    cpu: str = "", memory: str = "", *, limit: dict[str, str] | None = None
) -> dict[str, Any]:
    requests = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value}
    return {"name": "c", "resources": {"requests": requests, "limits": limit or {}}}


def template(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"spec": {"containers": list(containers), **spec}}


def quota(hard: dict[str, str], used: dict[str, str], **spec: Any) -> dict[str, Any]:
    status = {"hard": hard, "used": used}
    return {"metadata": {"name": "team"}, "spec": {"hard": hard, **spec}, "status": status}


def deployment(total: int, **rolling: Any) -> dict[str, Any]:
    strategy = {"type": "RollingUpdate", "rollingUpdate": rolling}
    return {"spec": {"replicas": 4, "strategy": strategy}, "status": {"replicas": total}}


def ask(
    quotas: list[dict[str, Any]],
    workload: dict[str, Any],
    *,
    restored: int = 0,
    old: dict[str, Any] | None = None,
    new: dict[str, Any] | None = None,
) -> tuple[Problem, ...]:
    """Judge the rollback of a Deployment of four pods."""
    old = old or template(container("500m"))
    pods = pods_of(workload, WEB, restored=restored)
    return judge(limits(quotas, old, new or old, pods), pods, needs(old))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("500m", "0.5"),
        ("2", "2"),
        ("1Gi", "1073741824"),
        ("1e3", "1000"),
        ("2k", "2000"),
        ("0.5", "0.5"),
    ],
)
def test_quantities_are_read_as_kubernetes_does(text: str, value: str) -> None:
    """Suffixes are decimal, binary or exponents."""
    assert quantity(text) == Decimal(value)


def test_a_pod_takes_what_its_containers_ask_for_together() -> None:
    """Requests and limits are added up; a bare resource of a quota means requests."""
    found = needs(template(container("500m", "64Mi", limit={"cpu": "1"}), container("250m")))
    assert found["requests.cpu"] == found["cpu"] == Decimal("0.75")
    assert found["requests.memory"] == 64 * 2**20
    assert found["limits.cpu"] == 1
    assert found["pods"] == found["count/pods"] == 1


def test_a_limit_without_a_request_is_the_request() -> None:
    """The API server fills in a missing request from the limit."""
    assert needs(template(container(limit={"cpu": "2"})))["requests.cpu"] == 2


def test_a_large_init_container_counts_for_the_pod() -> None:
    """Init containers run one after the other, so the largest counts, with the sidecars so far."""
    sidecar = {**container("100m"), "restartPolicy": "Always"}
    found = needs(template(container("1"), initContainers=[sidecar, container("3")]))
    assert found["requests.cpu"] == Decimal("3.1")
    found = needs(template(container("1"), initContainers=[sidecar, container("200m")]))
    assert found["requests.cpu"] == Decimal("1.1")


def test_overhead_and_resources_of_the_pod_count() -> None:
    """What is given for the whole pod replaces the sum, and the runtime's overhead comes on top."""
    whole = {"requests": {"cpu": "2"}}
    found = needs(template(container("1"), resources=whole, overhead={"cpu": "250m"}))
    assert found["requests.cpu"] == Decimal("2.25")


@pytest.mark.parametrize(
    ("spec", "pod", "counted"),
    [
        ({}, {}, True),
        ({"scopes": ["NotTerminating"]}, {}, True),
        ({"scopes": ["Terminating"]}, {}, False),
        ({"scopes": ["Terminating"]}, {"activeDeadlineSeconds": 5}, True),
        ({"scopes": ["BestEffort"]}, {}, False),
        ({"scopes": ["BestEffort"]}, {"containers": [{"name": "c"}]}, True),
        ({"scopes": ["NotBestEffort"]}, {}, True),
        ({"scopes": ["PriorityClass"]}, {}, False),
        ({"scopes": ["PriorityClass"]}, {"priorityClassName": "high"}, True),
        ({"scopes": ["CrossNamespacePodAffinity"]}, {}, False),
    ],
)
def test_a_quota_counts_the_pods_in_its_scopes(
    spec: dict[str, Any], pod: dict[str, Any], counted: bool
) -> None:
    """A quota with scopes is no limit for other pods."""
    assert counts(quota({}, {}, **spec), template(**{"containers": [container("1")], **pod})) is (
        counted
    )


@pytest.mark.parametrize(
    ("operator", "values", "name", "counted"),
    [
        ("In", ["high"], "high", True),
        ("In", ["high"], "low", False),
        ("NotIn", ["high"], "low", True),
        ("NotIn", ["high"], "high", False),
        ("Exists", [], "low", True),
        ("DoesNotExist", [], "", True),
        ("DoesNotExist", [], "low", False),
    ],
)
def test_a_quota_of_a_priority_class_counts_its_pods(
    operator: str, values: list[str], name: str, counted: bool
) -> None:
    """The scope selector names classes."""
    rule = {"scopeName": "PriorityClass", "operator": operator, "values": values}
    found = quota({}, {}, scopeSelector={"matchExpressions": [rule]})
    assert counts(found, template(priorityClassName=name)) is counted


@pytest.mark.parametrize(
    ("value", "up", "number"), [(2, True, 2), ("25%", True, 2), ("25%", False, 1), ("0%", True, 0)]
)
def test_shares_are_rounded_as_the_controller_does(value: Any, up: bool, number: int) -> None:
    """Surge is rounded up, what may be unavailable down."""
    assert scaled(value, 5, up=up) == number


def test_the_defaults_of_each_kind_are_those_of_kubernetes() -> None:
    """A Deployment surges and gives back a quarter, the other kinds replace one after another."""
    web = {"spec": {"replicas": 4}, "status": {"replicas": 4}}
    assert pods_of(web, WEB, restored=1) == Pods(4, 4, 1, surge=1, least=3)
    db = Target("statefulset", "shop", "db")
    assert pods_of(web, db, restored=0) == Pods(4, 4, 0, surge=0, least=3)
    counts_ = {"desiredNumberScheduled": 3, "currentNumberScheduled": 3}
    agent = Target("daemonset", "shop", "agent")
    assert pods_of({"spec": {}, "status": counts_}, agent, restored=0) == Pods(
        3, 3, 0, surge=0, least=2
    )


def test_recreate_gives_everything_back_first() -> None:
    """With Recreate all pods go before the first one comes."""
    workload = {
        "spec": {"replicas": 4, "strategy": {"type": "Recreate"}},
        "status": {"replicas": 4},
    }
    pods = pods_of(workload, WEB, restored=0)
    assert (pods.first, pods.need_room) == (0, False)


def test_neither_surge_nor_unavailable_means_one_unavailable() -> None:
    """Both rounded to zero would stop every rollout, so the controller takes one away."""
    assert pods_of(deployment(4, maxSurge=0, maxUnavailable="1%"), WEB, restored=0).least == 3


FULL = quota({"pods": "4"}, {"pods": "4"})


def test_a_full_quota_blocks_when_nothing_may_go_first() -> None:
    """Without room for one pod, and with all pods needed, no pod can move: it is refused."""
    (problem,) = ask([FULL], deployment(4, maxSurge=1, maxUnavailable=0))
    assert problem.blocks
    assert problem.text == (
        'quota "team" has 4 of 4 pods used: no old pod can be made, and none may go before it'
    )


def test_a_full_quota_only_slows_a_rollback_that_may_take_pods_away() -> None:
    """With maxUnavailable the old pods take the places of those that go."""
    (problem,) = ask([FULL], deployment(4, maxSurge=1, maxUnavailable=1))
    assert not problem.blocks
    assert "room for 0 of 1 pods at first" in problem.text


def test_a_full_quota_is_no_problem_in_the_middle_of_a_rollout() -> None:
    """Surplus pods of the bad release go first: what they leave is enough."""
    full = quota({"pods": "5"}, {"pods": "5"})
    assert ask([full], deployment(5, maxSurge=1, maxUnavailable=0), restored=2) == ()


def test_a_full_quota_is_no_problem_while_all_old_pods_are_there() -> None:
    """Recorded: an undo that needs no new pod completes under a full quota."""
    assert ask([FULL], deployment(4, maxSurge=1, maxUnavailable=0), restored=4) == ()


def test_the_largest_shortage_is_told_in_numbers() -> None:
    """An old template that asks for more than the new one may not fit as a whole."""
    tight = quota({"requests.memory": "4Gi"}, {"requests.memory": "2Gi"})
    old, new = template(container(memory="1536Mi")), template(container(memory="512Mi"))
    (problem,) = ask([tight], deployment(4), old=old, new=new)
    assert not problem.blocks
    assert problem.text == (
        'quota "team" has 2Gi of 4Gi requests.memory used, each pod 1536Mi: '
        "room for 2 of 4 old pods"
    )


def test_room_enough_is_not_told() -> None:
    """A quota that leaves room says nothing, and one that is not counted yet neither."""
    roomy = quota({"pods": "10", "services": "0"}, {"pods": "4", "services": "0"})
    fresh = quota({"pods": "4"}, {})
    assert ask([roomy, fresh], deployment(4)) == ()


def test_a_full_quota_for_other_pods_is_no_problem() -> None:
    """A quota whose scope leaves these pods out does not limit them."""
    other = quota({"pods": "4"}, {"pods": "4"}, scopes=["Terminating"])
    assert ask([other], deployment(4, maxSurge=1, maxUnavailable=0)) == ()
