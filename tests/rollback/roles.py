"""Accounts with exactly the rights that a test names, on a real API server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from cluster.scripted import connect
from deploy_guard.cluster.client import Cluster
from deploy_guard.embedded.access import RoleAuthorizer, service_account
from deploy_guard.embedded.server import ApiServer
from deploy_guard.rollback.preflight.features import Right
from rollback.shop import Shop

MANIFESTS = Path(__file__).parents[2] / "examples/manifests"
ROLES = sorted(path.name for path in MANIFESTS.glob("role*.yaml"))


def rules_of(*files: str) -> list[dict[str, Any]]:
    """Return the rules of all Roles in files of the examples."""
    texts = [(MANIFESTS / file).read_text(encoding="utf-8") for file in files]
    manifests = [manifest for text in texts for manifest in yaml.safe_load_all(text)]
    return [rule for m in manifests if m["kind"] == "Role" for rule in m["rules"]]


def verbs_of(rules: Iterable[dict[str, Any]]) -> set[tuple[str, str, str]]:
    """Return each (verb, group, resource) that rules grant."""
    return {
        (verb, group, resource)
        for rule in rules
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def without(rules: list[dict[str, Any]], verb: str, resource: str) -> list[dict[str, Any]]:
    """Return rules that grant the same but one verb on one resource."""
    left = []
    for rule in rules:
        for one in rule["resources"]:
            verbs = [v for v in rule["verbs"] if (v, one) != (verb, resource)]
            left += [{**rule, "resources": [one], "verbs": verbs}] if verbs else []
    return left


def exactly(rights: Iterable[Right]) -> list[dict[str, Any]]:
    """Return rules that grant these rights, by name where they are limited to one object."""
    return [
        {
            "apiGroups": [right.group],
            "resources": [right.resource],
            "verbs": [right.verb],
            **({"resourceNames": [right.name]} if right.name else {}),
        }
        for right in rights
    ]


@contextmanager
def as_account(shop: Shop, folder: Path, rules: list[dict[str, Any]]) -> Iterator[Cluster]:
    """Connect as an account that has one Role with these rules and nothing else."""
    rbac = {"apiVersion": "rbac.authorization.k8s.io/v1"}
    metadata = {"name": "robot", "namespace": "shop"}
    shop.embedded.apply({**rbac, "kind": "Role", "metadata": metadata, "rules": rules})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "robot"}
    subject = {"kind": "ServiceAccount", **metadata}
    bound = {"metadata": metadata, "roleRef": role, "subjects": [subject]}
    shop.embedded.apply({**rbac, "kind": "RoleBinding", **bound})
    shop.embedded.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    store = shop.embedded.store
    access = RoleAuthorizer(store, {"robot-token": service_account("shop", "robot")})
    (folder / "robot").mkdir()
    with ApiServer(store, authorizer=access) as server:
        user = {"token": "robot-token"}
        with connect(folder / "robot", server.url, user=user) as cluster:
            yield cluster
