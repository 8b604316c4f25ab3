"""Roles, bindings and tokens: what the recordings do not show."""

from __future__ import annotations

from typing import Any

import pytest

from deploy_guard.embedded.access import (
    ADMIN,
    Attributes,
    RoleAuthorizer,
    User,
    service_account,
)
from deploy_guard.embedded.statuses import ApiError
from deploy_guard.embedded.store import Store

Object = dict[str, Any]


def bind(store: Store, rule: Object, subject: Object, *, namespace: str = "default") -> None:
    """Make a Role with one rule and bind it to a subject."""
    metadata = {"name": "r", "namespace": namespace}
    store.create("roles.rbac.authorization.k8s.io", {"metadata": metadata, "rules": [rule]})
    binding = {"roleRef": {"kind": "Role", "name": "r"}, "subjects": [subject]}
    store.create("rolebindings.rbac.authorization.k8s.io", {"metadata": metadata, **binding})


def rule(*verbs: str, resources: tuple[str, ...] = ("pods",), **more: Any) -> Object:
    return {"verbs": list(verbs), "apiGroups": [""], "resources": list(resources), **more}


ROBOT = {"kind": "ServiceAccount", "name": "robot", "namespace": "default"}
WANTED = Attributes("get", "", "pods", namespace="default", name="a")


@pytest.mark.parametrize(
    ("subject", "user"),
    [
        pytest.param(ROBOT, service_account("default", "robot"), id="account"),
        pytest.param(
            {"kind": "ServiceAccount", "name": "robot"},
            service_account("default", "robot"),
            id="account of the binding's namespace",
        ),
        pytest.param({"kind": "User", "name": "ann"}, User("ann"), id="user"),
        pytest.param(
            {"kind": "Group", "name": "system:serviceaccounts:default"},
            service_account("default", "other"),
            id="group",
        ),
    ],
)
def test_bound_subject_is_allowed(store: Store, subject: Object, user: User) -> None:
    """A rule holds for whom it is bound to, and the decision says why."""
    bind(store, rule("get"), subject)
    decision = RoleAuthorizer(store).decide(user, WANTED)
    assert decision.allowed
    assert 'RoleBinding "r/default" of Role "r"' in decision.reason


@pytest.mark.parametrize(
    "granted",
    [
        pytest.param(rule("list"), id="another verb"),
        pytest.param(rule("get", resources=("secrets",)), id="another resource"),
        pytest.param(rule("get", resources=("pods/status",)), id="only a subresource"),
        pytest.param(rule("get", resourceNames=["b"]), id="another name"),
        pytest.param({**rule("get"), "apiGroups": ["apps"]}, id="another group"),
    ],
)
def test_rule_for_something_else_does_not_help(store: Store, granted: Object) -> None:
    """What no rule covers is refused."""
    bind(store, granted, ROBOT)
    assert not RoleAuthorizer(store).decide(service_account("default", "robot"), WANTED).allowed


def test_role_holds_in_its_namespace_only(store: Store) -> None:
    """A Role of another namespace gives no rights here."""
    bind(store, rule("*", resources=("*",)), ROBOT, namespace="other")
    assert not RoleAuthorizer(store).decide(service_account("default", "robot"), WANTED).allowed


def test_subresources_can_be_granted_for_all_resources(store: Store) -> None:
    """The form */scale covers the subresource of every resource."""
    bind(store, rule("get", resources=("*/log",)), ROBOT)
    wanted = Attributes("get", "", "pods", subresource="log", namespace="default")
    assert RoleAuthorizer(store).decide(service_account("default", "robot"), wanted).allowed


def test_token_dies_with_its_account(store: Store) -> None:
    """A token of a deleted account is refused, also when the account was made again."""
    authorizer = RoleAuthorizer(store, {"root": ADMIN})
    account = {"metadata": {"name": "robot", "namespace": "default"}}
    uid = store.create("serviceaccounts", account)["metadata"]["uid"]
    token = authorizer.issue("default", "robot", uid)
    assert authorizer.authenticate(f"Bearer {token}").uid == uid
    store.delete("serviceaccounts", "default", "robot")
    store.create("serviceaccounts", account)
    with pytest.raises(ApiError) as caught:
        authorizer.authenticate(f"Bearer {token}")
    assert caught.value.code == 401


@pytest.mark.parametrize("header", ["Bearer wrong", "Basic root", "root"])
def test_unknown_credentials_are_refused(store: Store, header: str) -> None:
    """What is not a known bearer token is 401, not anonymous."""
    with pytest.raises(ApiError) as caught:
        RoleAuthorizer(store, {"root": ADMIN}).authenticate(header)
    assert caught.value.code == 401
