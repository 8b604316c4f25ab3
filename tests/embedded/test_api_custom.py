"""Custom resources: kinds that are registered are served like any other, others do not exist."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from deploy_guard.embedded.access import ADMIN, RoleAuthorizer
from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.custom import GITOPS_KINDS, custom_kind
from deploy_guard.embedded.server import ApiServer
from deploy_guard.embedded.store import Store
from embedded.http_client import JSON_PATCH, STRATEGIC_PATCH, ApiClient

Object = dict[str, Any]

ARGO = "/apis/argoproj.io/v1alpha1"
APPS = f"{ARGO}/namespaces/default/applications"
RELEASES = "/apis/helm.toolkit.fluxcd.io/v2/namespaces/default/helmreleases"
APPLICATION = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Application",
    "metadata": {"name": "shop"},
    "spec": {"project": "default", "syncPolicy": {"automated": {"prune": True}}},
}
RELEASE = {
    "apiVersion": "helm.toolkit.fluxcd.io/v2",
    "kind": "HelmRelease",
    "metadata": {"name": "shop"},
    "spec": {"interval": "5m"},
    "status": {"conditions": []},
}


@pytest.fixture
def gitops(store: Store) -> Iterator[ApiClient]:
    """A client of a server that has the kinds of Argo CD, Argo Rollouts and Flux."""
    with ApiServer(store, bookmark_seconds=0.05, kinds=GITOPS_KINDS) as running:
        yield ApiClient(running.url)


def test_every_verb(gitops: ApiClient) -> None:
    """An object of a registered kind is created, read, listed, patched, replaced and deleted."""
    made = gitops.create(APPS, APPLICATION)
    assert made["spec"] == APPLICATION["spec"]
    assert made["metadata"]["generation"] == 1
    assert [item["metadata"]["name"] for item in gitops.get(APPS)["items"]] == ["shop"]
    assert gitops.get(APPS)["kind"] == "ApplicationList"
    patched = gitops.patch(f"{APPS}/shop", {"spec": {"syncPolicy": {"automated": None}}})
    assert patched["spec"]["syncPolicy"] == {}
    assert patched["metadata"]["generation"] == 2
    replaced = gitops.call("PUT", f"{APPS}/shop", {**patched, "spec": {"anything": [1, {"a": 2}]}})
    assert replaced.status == 200
    assert gitops.get(f"{APPS}/shop")["spec"] == {"anything": [1, {"a": 2}]}
    assert gitops.call("DELETE", f"{APPS}/shop").body["status"] == "Success"
    assert gitops.call("GET", f"{APPS}/shop").status == 404


def test_watch(gitops: ApiClient) -> None:
    """A change of a custom object arrives at a watch."""
    with gitops.watch(f"{APPS}?watch=1") as events:
        gitops.create(APPS, APPLICATION)
        event = next(event for event in events if event["type"] == "ADDED")
    assert event["object"]["kind"] == "Application"


def test_status_is_a_subresource(gitops: ApiClient) -> None:
    """The status of a kind with that subresource is written at /status only."""
    assert "status" not in gitops.create(RELEASES, RELEASE)
    changed = gitops.patch(f"{RELEASES}/shop/status", {"status": {"observedGeneration": 1}})
    assert changed["status"] == {"observedGeneration": 1}
    assert gitops.call("GET", f"{APPS}/shop/status").status == 404


def test_json_patch_tests_hold(gitops: ApiClient) -> None:
    """A JSON Patch whose test fails is refused and changes nothing."""
    made = gitops.create(APPS, APPLICATION)
    patch = [
        {"op": "test", "path": "/metadata/uid", "value": "another"},
        {"op": "remove", "path": "/spec/syncPolicy/automated"},
    ]
    answer = gitops.call("PATCH", f"{APPS}/shop", patch, kind=JSON_PATCH)
    assert answer.status == 422
    assert gitops.get(f"{APPS}/shop") == made


def test_no_strategic_merge(gitops: ApiClient) -> None:
    """A strategic merge patch of a custom object is refused, since its lists have no keys."""
    gitops.create(APPS, APPLICATION)
    answer = gitops.call("PATCH", f"{APPS}/shop", {"spec": {}}, kind=STRATEGIC_PATCH)
    assert answer.status == 415


def test_update_needs_a_version(gitops: ApiClient) -> None:
    """A PUT without a resourceVersion is refused: custom resources have no blind updates."""
    gitops.create(APPS, APPLICATION)
    assert gitops.call("PUT", f"{APPS}/shop", APPLICATION).status == 422


def test_discovery(gitops: ApiClient) -> None:
    """Discovery lists the registered groups, versions and kinds."""
    names = {group["name"] for group in gitops.get("/apis")["groups"]}
    assert {"argoproj.io", "kustomize.toolkit.fluxcd.io", "helm.toolkit.fluxcd.io"} <= names
    listed = {entry["name"]: entry["kind"] for entry in gitops.get(ARGO)["resources"]}
    assert listed == {
        "applications": "Application",
        "rollouts": "Rollout",
        "rollouts/status": "Rollout",
    }
    assert gitops.get("/apis/argoproj.io")["preferredVersion"]["version"] == "v1alpha1"


def test_unknown_group(api: ApiClient) -> None:
    """A group that nobody registered is the plain text 404 of a real server."""
    answer = api.call("GET", APPS)
    assert (answer.status, answer.body) == (404, "404 page not found\n")


def test_unknown_version(gitops: ApiClient) -> None:
    """Another version of a registered group is a Status that names no object."""
    answer = gitops.call("GET", "/apis/helm.toolkit.fluxcd.io/v2beta1/helmreleases")
    assert answer.status == 404
    assert answer.body["message"] == "the server could not find the requested resource"
    assert answer.body["details"] == {}


def test_rights(store: Store) -> None:
    """Custom resources are subject to RBAC under their group and plural name."""
    authorizer = RoleAuthorizer(store, {"root": ADMIN})
    with ApiServer(store, authorizer=authorizer, kinds=GITOPS_KINDS) as running:
        admin = ApiClient(running.url, "root")
        accounts = "/api/v1/namespaces/default/serviceaccounts"
        admin.create(accounts, {"metadata": {"name": "robot"}})
        token = admin.create(f"{accounts}/robot/token", {"spec": {}})["status"]["token"]
        admin.create(APPS, APPLICATION)
        robot = ApiClient(running.url, token)
        refused = robot.call("GET", f"{APPS}/shop")
        assert refused.status == 403
        assert 'resource "applications" in API group "argoproj.io"' in refused.body["message"]
        rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
        rules = [{"apiGroups": ["argoproj.io"], "resources": ["applications"], "verbs": ["get"]}]
        admin.create(f"{rbac}/roles", {"metadata": {"name": "r"}, "rules": rules})
        subject = {"kind": "ServiceAccount", "name": "robot", "namespace": "default"}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}
        binding = {"metadata": {"name": "r"}, "roleRef": role, "subjects": [subject]}
        admin.create(f"{rbac}/rolebindings", binding)
        assert robot.get(f"{APPS}/shop")["metadata"]["name"] == "shop"
        assert robot.call("DELETE", f"{APPS}/shop").status == 403


def test_whole_cluster_applies_custom_objects() -> None:
    """The embedded cluster applies objects of the kinds that it was given."""
    with EmbeddedCluster(service=False, kinds=GITOPS_KINDS) as cluster:
        cluster.apply({**APPLICATION, "metadata": {"name": "shop", "namespace": "argocd"}})
        path = f"{ARGO}/namespaces/argocd/applications/shop"
        assert ApiClient(cluster.url).get(path)["spec"] == APPLICATION["spec"]


@pytest.mark.parametrize(
    ("group", "kind"),
    [pytest.param("", "Widget", id="no group"), pytest.param("serving.dev", "Service", id="taken")],
)
def test_impossible_kinds(group: str, kind: str) -> None:
    """A kind without a group, or with the name of a built-in kind, cannot be registered."""
    with pytest.raises(ValueError, match="kind '"):
        custom_kind(group, "v1", kind, f"{kind.lower()}s")


def test_kind_registered_twice(store: Store) -> None:
    """Two registrations of one path are refused."""
    with pytest.raises(ValueError, match="same group"):
        ApiServer(store, kinds=[*GITOPS_KINDS, GITOPS_KINDS[0]])
