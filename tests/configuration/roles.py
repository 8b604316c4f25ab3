"""Accounts with exactly the rights that a test names, on the shop's API server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.scripted import connect
from configuration.shop import Shop
from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.snapshot import Json
from deploy_guard.embedded.access import RoleAuthorizer, service_account
from deploy_guard.embedded.server import ApiServer

TOKEN = "token-of-the-account"
Rule = tuple[str, str, str]  # verbs, API group, resources
READ_WORKLOAD = (
    ("get list patch", "apps", "deployments"),
    ("list patch", "apps", "replicasets"),
)


@contextmanager
def account(shop: Shop, folder: Path, rules: Iterable[Rule]) -> Iterator[Cluster]:
    """Give a client of an account in namespace `shop` that may do what the rules say."""
    metadata = {"name": "guard", "namespace": "shop"}
    granted: list[Json] = [
        {"verbs": verbs.split(), "apiGroups": [group], "resources": resources.split()}
        for verbs, group, resources in rules
    ]
    rbac = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": metadata}
    subject = {"kind": "ServiceAccount", **metadata}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "guard"}
    shop.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        rbac | {"kind": "Role", "rules": granted},
        rbac | {"kind": "RoleBinding", "roleRef": role, "subjects": [subject]},
    )
    found = shop.embedded.store.get("serviceaccounts", "shop", "guard")
    user = service_account("shop", "guard", found["metadata"]["uid"])
    authorizer = RoleAuthorizer(shop.embedded.store, {TOKEN: user})
    folder.mkdir(exist_ok=True)
    with (
        ApiServer(shop.embedded.store, authorizer=authorizer) as server,
        connect(folder, server.url, user={"token": TOKEN}) as cluster,
    ):
        yield cluster
