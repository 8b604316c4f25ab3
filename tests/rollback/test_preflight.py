from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.scripted import ScriptedServer, answer, connect
from deploy_guard.cluster import errors
from deploy_guard.cluster.client import Cluster
from deploy_guard.embedded.access import RoleAuthorizer, service_account
from deploy_guard.embedded.server import ApiServer
from deploy_guard.errors import ExitCode
from deploy_guard.rollback.by_hand import rollback_by_hand
from deploy_guard.rollback.planning import plan
from deploy_guard.rollback.preflight import check, check_access, check_references, references
from rollback.shop import WEB, Shop

DOCS = Path(__file__).parents[2] / "docs" / "rollback.md"


def documented_role() -> dict[str, Any]:
    """Return the Role of the documentation."""
    block = DOCS.read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]
    role: dict[str, Any] = yaml.safe_load(block)
    role["metadata"]["namespace"] = "shop"
    return role


@contextmanager
def with_role(shop: Shop, folder: Path, role: dict[str, Any]) -> Iterator[Cluster]:
    """Connect as an account that has the Role and nothing else."""
    shop.embedded.apply(role)
    shop.embedded.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "robot", "namespace": "shop"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "Role",
                "name": role["metadata"]["name"],
            },
            "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": "shop"}],
        }
    )
    account = {"kind": "ServiceAccount", "apiVersion": "v1"}
    shop.embedded.apply({**account, "metadata": {"name": "robot", "namespace": "shop"}})
    store = shop.embedded.store
    access = RoleAuthorizer(store, {"robot-token": service_account("shop", "robot")})
    (folder / "robot").mkdir()
    with ApiServer(store, authorizer=access) as server:
        user = {"token": "robot-token"}
        with connect(folder / "robot", server.url, user=user) as cluster:
            yield cluster


def test_the_documented_role_is_enough(shop: Shop, tmp_path: Path) -> None:
    """With the Role of the documentation and no other right a rollback by hand succeeds."""
    shop.release("1")
    shop.release("2")
    told: list[str] = []
    with with_role(shop, tmp_path, documented_role()) as cluster:
        assert check_access(cluster, WEB) == ()
        result = rollback_by_hand(cluster, WEB, report=lambda event: told.append(event.text))
    assert result.exit_code is ExitCode.OK
    assert result.restored is not None
    assert result.restored.serves
    assert shop.image == "web:1"
    assert not [text for text in told if "could not be recorded" in text]


def rights() -> list[tuple[int, str]]:
    """Return all rights of the Role but the one that is missed only when a verdict is written."""
    rules = enumerate(documented_role()["rules"])
    found = [(index, rule, verb) for index, rule in rules for verb in rule["verbs"]]
    return [(i, v) for i, r, v in found if (r["resources"], v) != (["replicasets"], "patch")]


@pytest.mark.parametrize(("index", "verb"), rights())
def test_each_missing_right_is_named(shop: Shop, tmp_path: Path, index: int, verb: str) -> None:
    """Every right of the documented Role is checked, and a missing one is named with its object."""
    role = documented_role()
    rule = role["rules"][index]
    rule["verbs"].remove(verb)
    resource = rule["resources"][0]
    with with_role(shop, tmp_path, role) as cluster:
        found = check_access(cluster, WEB)
    assert [f'"{verb}" on {resource}' in problem.text for problem in found] == [True]
    needed = {("deployments", "get"), ("deployments", "patch"), ("replicasets", "list")}
    assert found[0].blocks is ((resource, verb) in needed)


def test_a_verdict_that_may_not_be_written_is_a_warning(shop: Shop, tmp_path: Path) -> None:
    """Without the right to patch ReplicaSets the rollback succeeds and says what is missing."""
    shop.release("1")
    shop.release("2")
    role = documented_role()
    role["rules"][1]["verbs"].remove("patch")
    told: list[str] = []
    with with_role(shop, tmp_path, role) as cluster:
        result = rollback_by_hand(cluster, WEB, report=lambda event: told.append(event.text))
    assert result.exit_code is ExitCode.OK
    assert [text for text in told if "could not be recorded" in text]


def test_without_the_right_to_patch_nothing_is_tried(shop: Shop, tmp_path: Path) -> None:
    """A rollback that would be forbidden is refused before the question, with the right's name."""
    shop.release("1")
    shop.release("2")
    role = documented_role()
    role["rules"][0]["verbs"].remove("patch")
    with with_role(shop, tmp_path, role) as cluster:
        result = rollback_by_hand(cluster, WEB, confirm=lambda *_: pytest.fail("was asked"))
    assert result.exit_code is ExitCode.NOT_ROLLED_BACK
    assert '"patch" on deployments.apps' in result.text
    assert "docs/rollback.md" in result.help


def test_without_any_right_the_first_one_is_named(shop: Shop, tmp_path: Path) -> None:
    """With no rights at all the very first read says what is missing."""
    shop.release("1")
    role = {**documented_role(), "rules": []}
    with with_role(shop, tmp_path, role) as cluster, pytest.raises(errors.Forbidden) as caught:
        rollback_by_hand(cluster, WEB)
    assert caught.value.missing_right.startswith('"get" on "deployments"')


TEMPLATE: dict[str, Any] = {
    "spec": {
        "serviceAccountName": "web",
        "imagePullSecrets": [{"name": "registry"}],
        "initContainers": [{"name": "i", "envFrom": [{"configMapRef": {"name": "init"}}]}],
        "containers": [
            {
                "name": "web",
                "env": [
                    {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "one", "key": "a"}}},
                    {
                        "name": "B",
                        "valueFrom": {
                            "secretKeyRef": {"name": "two", "key": "b", "optional": True}
                        },
                    },
                    {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                ],
                "envFrom": [{"secretRef": {"name": "three"}}],
            }
        ],
        "volumes": [
            {"name": "v", "configMap": {"name": "four"}},
            {"name": "s", "secret": {"secretName": "five", "optional": True}},
            {
                "name": "p",
                "projected": {
                    "sources": [{"configMap": {"name": "six"}}, {"secret": {"name": "two"}}]
                },
            },
            {"name": "e", "emptyDir": {}},
        ],
    }
}


def test_every_kind_of_reference_is_found() -> None:
    """References in env, envFrom, volumes, projected volumes, accounts and pull secrets count.

    An object that any mention needs is needed, even if another mention is optional.
    """
    found = references(TEMPLATE)
    assert {key for key, optional in found.items() if not optional} == {
        ("ServiceAccount", "web"),
        ("ConfigMap", "init"),
        ("ConfigMap", "one"),
        ("Secret", "three"),
        ("ConfigMap", "four"),
        ("ConfigMap", "six"),
        ("Secret", "two"),
    }
    assert {key for key, optional in found.items() if optional} == {
        ("Secret", "registry"),
        ("Secret", "five"),
    }


def with_config(shop: Shop, name: str) -> None:
    shop.embedded.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": "shop"},
            "data": {"a": "b"},
        }
    )


def refer(shop: Shop, name: str, *, optional: bool = False) -> None:
    """Release a template that takes its environment from a ConfigMap."""
    reference = {"configMapRef": {"name": name, **({"optional": True} if optional else {})}}
    container = {"name": "web", "envFrom": [reference]}
    patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
    shop.cluster.patch(
        "/apis/apps/v1/namespaces/shop/deployments/web",
        patch,
        content_type="application/strategic-merge-patch+json",
    )
    shop.settle()


def test_a_reference_that_is_gone_blocks(shop: Shop) -> None:
    """An old template that needs a ConfigMap that does not exist any more is a second outage."""
    with_config(shop, "settings-1")
    shop.release("1")
    refer(shop, "settings-1")
    shop.release("2")
    made = plan(shop.look())
    assert check_references(shop.cluster, made) == ()
    shop.embedded.store.delete("configmaps", "shop", "settings-1")
    (problem,) = check_references(shop.cluster, made)
    assert problem.blocks
    assert 'ConfigMap "settings-1"' in problem.text
    checked = check(shop.cluster, made)
    assert not checked.possible
    assert checked.blocking == problem


def test_an_optional_reference_that_is_gone_is_a_warning(shop: Shop) -> None:
    """What the template itself calls optional does not stand in the way."""
    shop.release("1")
    refer(shop, "settings-1", optional=True)
    shop.release("2")
    (problem,) = check_references(shop.cluster, plan(shop.look()))
    assert not problem.blocks


def test_references_that_may_not_be_read_are_a_warning(shop: Shop, tmp_path: Path) -> None:
    """Without rights on ConfigMaps the rollback is possible, and what is unknown is told."""
    with_config(shop, "settings-1")
    shop.release("1")
    refer(shop, "settings-1")
    shop.release("2")
    with with_role(shop, tmp_path, documented_role()) as cluster:
        made = check(cluster, plan(shop.look()))
    assert made.possible
    assert "ConfigMap settings-1" in json.dumps([problem.text for problem in made.problems])


def test_an_overloaded_server_is_not_asked_for_every_reference(shop: Shop, tmp_path: Path) -> None:
    """The rollback does not wait for each reference in turn while the server cannot answer."""
    with_config(shop, "settings-1")
    shop.release("1")
    refer(shop, "settings-1")
    shop.release("2")
    made = plan(shop.look())
    assert made.template is not None
    many = [{"configMapRef": {"name": f"settings-{i}"}} for i in range(5)]
    made.template["spec"]["containers"][0]["envFrom"] = many
    (tmp_path / "slow").mkdir()
    with (
        ScriptedServer(answer(503, "overloaded")) as server,
        connect(tmp_path / "slow", server.url) as cluster,
    ):
        (problem,) = check_references(cluster, made)
    assert not problem.blocks
    assert all(f"settings-{i}" in problem.text for i in range(5))
    assert len({path for _, path, _, _ in server.requests}) == 1
