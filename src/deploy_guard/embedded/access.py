"""Who sends a request and what they may do: bearer tokens, ServiceAccounts, Roles.

Decides 401 and 403 and the answers of the access reviews, all from the same rules. Without
tokens (`AllowAll`) everybody is a cluster administrator. Only Role and RoleBinding count:
ClusterRoles do not exist in the embedded cluster, groups in subjects do.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from deploy_guard.embedded.resources import AUTHORIZATION
from deploy_guard.embedded.statuses import ApiError, unauthorized
from deploy_guard.embedded.store import Store

Object = dict[str, Any]

MASTERS = "system:masters"
AUTHENTICATED = "system:authenticated"
REVIEW_RULES: tuple[Object, ...] = (
    {
        "verbs": ["create"],
        "apiGroups": [AUTHORIZATION],
        "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
    },
    {
        "verbs": ["create"],
        "apiGroups": ["authentication.k8s.io"],
        "resources": ["selfsubjectreviews"],
    },
)


@dataclass(frozen=True, slots=True)
class User:
    """Who sends a request, as SelfSubjectReview shows it."""

    name: str
    groups: tuple[str, ...] = (AUTHENTICATED,)
    uid: str = ""


ADMIN = User("admin", (MASTERS, AUTHENTICATED))
ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a request wants to do, in RBAC's words; `namespace` is "" for all namespaces."""

    verb: str
    group: str
    resource: str
    subresource: str = ""
    namespace: str = ""
    name: str = ""

    @property
    def full_resource(self) -> str:
        """The resource with its subresource, as rules name it."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a request is allowed, and by what."""

    allowed: bool
    reason: str = ""


class Authorizer(Protocol):
    """Tells users by their bearer token and decides what they may do."""

    def authenticate(self, authorization: str | None) -> User:
        """Return the sender of a request with that header. Raises ApiError (401)."""

    def decide(self, user: User, wanted: Attributes) -> Decision:
        """Tell whether the user may do it."""

    def rules(self, user: User, namespace: str) -> list[Object]:
        """Return the rules that hold for the user in the namespace."""

    def issue(self, namespace: str, account: str, uid: str) -> str:
        """Return a new bearer token of the ServiceAccount."""


class AllowAll:
    """Everybody is a cluster administrator."""

    def authenticate(self, authorization: str | None) -> User:  # noqa: ARG002
        """Return the administrator."""
        return ADMIN

    def decide(self, user: User, wanted: Attributes) -> Decision:  # noqa: ARG002
        """Allow it."""
        return Decision(True)

    def rules(self, user: User, namespace: str) -> list[Object]:  # noqa: ARG002
        """Return the rule that allows everything."""
        return [*REVIEW_RULES, {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]

    def issue(self, namespace: str, account: str, uid: str) -> str:  # noqa: ARG002
        """Return a token that nobody will look at."""
        return secrets.token_urlsafe(24)


@dataclass
class RoleAuthorizer:
    """Tokens of administrators and ServiceAccounts; rights from the Roles in the store.

    `tokens` maps a bearer token to its user: use `ADMIN` for an administrator and
    `service_account` for an account. A ServiceAccount's token holds while the account exists.
    """

    store: Store
    tokens: Mapping[str, User] = field(default_factory=dict)
    _issued: dict[str, User] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def authenticate(self, authorization: str | None) -> User:
        """Return the owner of the bearer token. Raises ApiError (401)."""
        if not authorization:
            return ANONYMOUS
        scheme, _, token = authorization.partition(" ")
        with self._lock:
            user = self.tokens.get(token.strip()) or self._issued.get(token.strip())
        if scheme.lower() != "bearer" or user is None:
            raise unauthorized()
        return self._current(user)

    def decide(self, user: User, wanted: Attributes) -> Decision:
        """Tell whether a Role bound to the user allows it, and which."""
        if MASTERS in user.groups:
            return Decision(True)
        if AUTHENTICATED in user.groups and any(_covers(r, wanted) for r in REVIEW_RULES):
            return Decision(True)
        if not wanted.namespace:
            return Decision(False)
        for rule, reason in self._bound(user, wanted.namespace):
            if _covers(rule, wanted):
                return Decision(True, reason)
        return Decision(False)

    def rules(self, user: User, namespace: str) -> list[Object]:
        """Return the rules that hold for the user in the namespace."""
        own = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
        if MASTERS not in user.groups:
            own = [rule for rule, _ in self._bound(user, namespace)]
        return [*REVIEW_RULES, *own]

    def issue(self, namespace: str, account: str, uid: str) -> str:
        """Return a new bearer token of the ServiceAccount."""
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._issued[token] = service_account(namespace, account, uid)
        return token

    def _current(self, user: User) -> User:
        """Return the user with the uid of its ServiceAccount. Raises ApiError if that is gone."""
        if not user.name.startswith("system:serviceaccount:"):
            return user
        _, _, namespace, name = user.name.split(":", 3)
        account = self.store.find("serviceaccounts", namespace, name)
        if account is None or user.uid not in ("", account["metadata"]["uid"]):
            raise unauthorized()
        return replace(user, uid=account["metadata"]["uid"])

    def _bound(self, user: User, namespace: str) -> Iterator[tuple[Object, str]]:
        bindings, _ = self.store.list_all("rolebindings.rbac.authorization.k8s.io", namespace)
        for binding in bindings:
            subject = _subject(binding, user)
            role_name = binding["roleRef"]["name"]
            role = self.store.find("roles.rbac.authorization.k8s.io", namespace, role_name)
            if subject is None or role is None or binding["roleRef"]["kind"] != "Role":
                continue
            reason = (
                f'RBAC: allowed by RoleBinding "{binding["metadata"]["name"]}/{namespace}" of '
                f'Role "{role_name}" to {subject}'
            )
            for rule in role.get("rules") or []:
                yield rule, reason


def service_account(namespace: str, name: str, uid: str = "") -> User:
    """Return the user that a ServiceAccount's token stands for."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
    return User(f"system:serviceaccount:{namespace}:{name}", groups, uid)


def forbidden(user: User, wanted: Attributes) -> ApiError:
    """Return the 403."""
    qualified = f"{wanted.resource}.{wanted.group}" if wanted.group else wanted.resource
    named = f' "{wanted.name}"' if wanted.name else ""
    scope = f'in the namespace "{wanted.namespace}"' if wanted.namespace else "at the cluster scope"
    message = (
        f'{qualified}{named} is forbidden: User "{user.name}" cannot {wanted.verb} resource '
        f'"{wanted.full_resource}" in API group "{wanted.group}" {scope}'
    )
    details = {"name": wanted.name, "group": wanted.group, "kind": wanted.resource}
    details = {key: value for key, value in details.items() if value}
    return ApiError(403, "Forbidden", message, details=details)


def _covers(rule: Mapping[str, Any], wanted: Attributes) -> bool:
    names = rule.get("resourceNames")
    return (
        _has(rule.get("verbs"), wanted.verb)
        and _has(rule.get("apiGroups"), wanted.group)
        and (
            _has(rule.get("resources"), wanted.full_resource)
            or (wanted.subresource != "" and f"*/{wanted.subresource}" in rule["resources"])
        )
        and (not names or wanted.name in names)
    )


def _has(values: Any, wanted: str) -> bool:
    return bool(values) and ("*" in values or wanted in values)


def _subject(binding: Object, user: User) -> str | None:
    for subject in binding.get("subjects") or []:
        kind, name = subject.get("kind"), subject.get("name")
        if kind == "ServiceAccount":
            namespace = subject.get("namespace") or binding["metadata"]["namespace"]
            if user.name == f"system:serviceaccount:{namespace}:{name}":
                return f'ServiceAccount "{name}/{namespace}"'
        elif kind == "User" and user.name == name:
            return f'User "{name}"'
        elif kind == "Group" and name in user.groups:
            return f'Group "{name}"'
    return None
