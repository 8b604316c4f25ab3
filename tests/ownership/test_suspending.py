"""Suspending GitOps tools: what is written, what is kept, and what others may do meanwhile."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.scripted import QUICK, ScriptedServer, answer, connect, reset
from deploy_guard.cluster.client import Cluster
from deploy_guard.embedded.access import ADMIN, RoleAuthorizer, service_account
from deploy_guard.embedded.custom import GITOPS_KINDS
from deploy_guard.embedded.server import ApiServer
from deploy_guard.embedded.store import Store
from deploy_guard.ownership.gitops import path_of
from deploy_guard.ownership.masters import masters
from deploy_guard.ownership.resuming import NOTE
from deploy_guard.ownership.rules import Owner, Tool
from deploy_guard.ownership.suspending import ATTEMPTS, Suspended, suspend, suspension_rights
from ownership.shop import APPLICATION, HELM_RELEASE, KUSTOMIZATION, GitopsShop

Json = dict[str, Any]

AT = 1767225600.0
AUTOMATED = {"prune": True, "selfHeal": True, "allowEmpty": False, "enabled": True}
SPEC = {"project": "p", "syncPolicy": {"automated": AUTOMATED, "syncOptions": ["A=true"]}}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[GitopsShop]:
    with GitopsShop(tmp_path) as running:
        yield running


def pause(cluster: Cluster, owner: Owner) -> Suspended:
    return suspend(cluster, owner, by="ci@build", reason="error rate 12 %", at=AT)


def run_patch(shop: GitopsShop, owner: Owner, line: str) -> Json:
    """Do what a `kubectl patch` command line says."""
    words = shlex.split(line)
    assert words[:2] == ["kubectl", "patch"]
    assert words[3:6] == [owner.name, "-n", owner.namespace]
    return shop.change(owner, json.loads(words[words.index("-p") + 1]))


def test_argocd(shop: GitopsShop) -> None:
    """Automated sync is removed, the rest of the policy stays, the note keeps what was there."""
    before = shop.make(APPLICATION, SPEC, annotations={"team": "a"})
    ended = pause(shop.cluster, APPLICATION)
    assert (ended.done, ended.changed, ended.problems) == (True, True, ())
    after = shop.read(APPLICATION)
    assert after["spec"] == {"project": "p", "syncPolicy": {"syncOptions": ["A=true"]}}
    note = json.loads(after["metadata"]["annotations"].pop(NOTE))
    assert after["metadata"]["annotations"] == {"team": "a"}
    assert note == {
        "uid": before["metadata"]["uid"],
        "was": AUTOMATED,
        "at": "2026-01-01T00:00:00Z",
        "by": "ci@build",
        "reason": "error rate 12 %",
    }


@pytest.mark.parametrize("owner", [KUSTOMIZATION, HELM_RELEASE], ids=lambda o: o.tool)
@pytest.mark.parametrize("spec", [{"interval": "5m"}, {"interval": "5m", "suspend": False}])
def test_flux(shop: GitopsShop, owner: Owner, spec: Json) -> None:
    """Flux's objects get `suspend: true`, whether the field was absent or false."""
    shop.make(owner, spec)
    ended = pause(shop.cluster, owner)
    assert (ended.done, ended.changed, ended.problems) == (True, True, ())
    after = shop.read(owner)
    assert after["spec"] == {"interval": "5m", "suspend": True}
    assert json.loads(after["metadata"]["annotations"][NOTE])["was"] == spec.get("suspend")


@pytest.mark.parametrize(
    ("owner", "spec"),
    [
        pytest.param(APPLICATION, SPEC, id="argocd"),
        pytest.param(APPLICATION, {"syncPolicy": {"automated": {}}}, id="argocd, empty policy"),
        pytest.param(KUSTOMIZATION, {"interval": "5m"}, id="flux, absent"),
        pytest.param(HELM_RELEASE, {"suspend": False}, id="flux, false"),
    ],
)
def test_resume_is_exact(shop: GitopsShop, owner: Owner, spec: Json) -> None:
    """The `kubectl patch` that is told restores the object as it was, and removes the note."""
    before = shop.make(owner, spec)
    line = pause(shop.cluster, owner).resume[-1]
    after = run_patch(shop, owner, line)
    assert after["spec"] == before["spec"]
    assert NOTE not in (after["metadata"].get("annotations") or {})


def test_resume_by_the_tools_own_command(shop: GitopsShop) -> None:
    """The tool's own command carries the flags that were on, and no others."""
    shop.make(APPLICATION, SPEC)
    shop.make(KUSTOMIZATION, {})
    shop.make(HELM_RELEASE, {})
    assert pause(shop.cluster, APPLICATION).resume[0] == (
        "argocd app set shop --sync-policy automated --auto-prune --self-heal"
    )
    flux = pause(shop.cluster, KUSTOMIZATION).resume[0]
    assert flux == "flux resume kustomization apps -n flux-system"
    assert pause(shop.cluster, HELM_RELEASE).resume[0] == "flux resume helmrelease web -n shop"


@pytest.mark.parametrize(
    ("owner", "spec"), [(APPLICATION, SPEC), (KUSTOMIZATION, {"interval": "5m"})]
)
def test_twice_is_once(shop: GitopsShop, owner: Owner, spec: Json) -> None:
    """The second call writes nothing, and tells the same commands from the note."""
    shop.make(owner, spec)
    first = pause(shop.cluster, owner)
    between = shop.read(owner)
    second = suspend(shop.cluster, owner, by="other", reason="", at=AT + 60)
    assert (second.done, second.changed, second.resume) == (True, False, first.resume)
    assert shop.read(owner) == between


@pytest.mark.parametrize(
    ("owner", "spec"),
    [
        pytest.param(APPLICATION, {"project": "p"}, id="no policy"),
        pytest.param(APPLICATION, {"syncPolicy": {"automated": {"enabled": False}}}, id="off"),
        pytest.param(HELM_RELEASE, {"suspend": True}, id="flux"),
    ],
)
def test_suspended_by_others(shop: GitopsShop, owner: Owner, spec: Json) -> None:
    """What others have suspended is done, is left as it is, and is theirs to resume."""
    before = shop.make(owner, spec)
    ended = pause(shop.cluster, owner)
    assert (ended.done, ended.changed, ended.resume) == (True, False, ())
    assert "not by guard" in ended.problems[0].text
    assert shop.read(owner) == before


def test_stale_note(shop: GitopsShop) -> None:
    """A note on an object that runs again is not believed: what is there now is kept instead."""
    shop.make(APPLICATION, SPEC)
    pause(shop.cluster, APPLICATION)
    shop.change(APPLICATION, {"spec": {"syncPolicy": {"automated": {"prune": True}}}})
    ended = pause(shop.cluster, APPLICATION)
    assert ended.changed
    assert ended.resume[0] == "argocd app set shop --sync-policy automated --auto-prune"


def test_copied_note(shop: GitopsShop) -> None:
    """A note that was copied from another object is not believed."""
    note = json.dumps({"uid": "of another", "was": AUTOMATED})
    shop.make(APPLICATION, {"project": "p"}, annotations={NOTE: note})
    ended = pause(shop.cluster, APPLICATION)
    assert ended.resume == ()
    assert "not by guard" in ended.problems[0].text


def test_dry_run(shop: GitopsShop) -> None:
    """A dry run asks the server, tells the same and stores nothing."""
    before = shop.make(APPLICATION, SPEC)
    ended = pause(shop.cluster.dry_run(), APPLICATION)
    assert (ended.done, ended.changed) == (True, True)
    assert ended.resume
    assert shop.read(APPLICATION) == before


def test_one_write(tmp_path: Path) -> None:
    """Suspending is a single patch, so being killed leaves either all of it or nothing."""
    obj = application()
    with ScriptedServer(answer(200, obj), answer(200, without_sync(obj))) as server:
        with connect(tmp_path, server.url) as cluster:
            assert pause(cluster, APPLICATION).done
        assert [method for method, *_ in server.requests] == ["GET", "PATCH"]
        patch = json.loads(server.requests[1][3])
    tested = {one["path"]: one["value"] for one in patch if one["op"] == "test"}
    assert tested["/metadata/uid"] == "u1"
    assert tested["/spec/syncPolicy/automated"] == {"prune": True}
    assert "fieldManager=deploy-guard" in server.requests[1][1]


def application(**automated: bool) -> Json:
    """Return an Application as a server answers it."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": "shop", "namespace": "argocd", "uid": "u1", "resourceVersion": "1"},
        "spec": {"syncPolicy": {"automated": automated or {"prune": True}}},
    }


def without_sync(obj: Json, note: str = "") -> Json:
    """Return the object as it is once suspended."""
    metadata = {**obj["metadata"], "annotations": {NOTE: note}}
    return {**obj, "metadata": metadata, "spec": {"syncPolicy": {}}}


def status(code: int, reason: str, message: str) -> Json:
    head = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return {**head, "code": code, "reason": reason, "message": message}


TEST_FAILED = status(
    422, "Invalid", "the server rejected our request due to an error in our request"
)
CONFLICT = status(409, "Conflict", "the object has been modified")


@pytest.mark.parametrize("refused", [TEST_FAILED, CONFLICT], ids=["test failed", "conflict"])
def test_changed_meanwhile(tmp_path: Path, refused: Json) -> None:
    """When somebody else writes in between, it is read again, and the new values are kept."""
    first, second = application(prune=True), application(selfHeal=True)
    script = [
        answer(200, first),
        answer(int(refused["code"]), refused),
        answer(200, second),
        answer(200, without_sync(second)),
    ]
    with ScriptedServer(*script) as server, connect(tmp_path, server.url) as cluster:
        ended = pause(cluster, APPLICATION)
    assert (ended.done, ended.changed) == (True, True)
    assert ended.resume[0] == "argocd app set shop --sync-policy automated --self-heal"


def test_changed_again_and_again(tmp_path: Path) -> None:
    """After a few attempts it is told that the object keeps changing."""
    script = [answer(200, application()), answer(409, CONFLICT)] * ATTEMPTS
    with ScriptedServer(*script) as server, connect(tmp_path, server.url) as cluster:
        ended = pause(cluster, APPLICATION)
        assert len(server.requests) == 2 * ATTEMPTS
    assert not ended.done
    assert f"changed {ATTEMPTS} times" in ended.problems[0].help


def test_lost_answer(tmp_path: Path) -> None:
    """When the answer to the patch gets lost, the note on the object tells that it was written."""
    obj = application()
    note = {"uid": "u1", "was": {"prune": True}, "at": "2026-01-01T00:00:00Z", "by": "ci@build"}
    after = without_sync(obj, json.dumps(note))
    with (
        ScriptedServer(answer(200, obj), reset, answer(200, after)) as server,
        connect(tmp_path, server.url) as cluster,
    ):
        ended = pause(cluster, APPLICATION)
        assert [method for method, *_ in server.requests] == ["GET", "PATCH", "GET"]
    assert (ended.done, ended.changed) == (True, True)
    assert ended.resume[0] == "argocd app set shop --sync-policy automated --auto-prune"


def test_changed_back_by_a_webhook(tmp_path: Path) -> None:
    """A patch that the cluster takes and undoes at once is not called a success."""
    obj = application()
    with (
        ScriptedServer(answer(200, obj)) as server,
        connect(tmp_path, server.url) as cluster,
    ):
        ended = pause(cluster, APPLICATION)
    assert not ended.done
    assert "changed it back" in ended.problems[0].text


@pytest.mark.parametrize("verbs", [[], ["get"]], ids=["none", "get alone"])
def test_missing_right(tmp_path: Path, verbs: list[str]) -> None:
    """Without the rights it is told which are needed, and nothing is written."""
    store = Store()
    tokens = {"root": ADMIN, "guard": service_account("shop", "guard")}
    authorizer = RoleAuthorizer(store, tokens)
    with (
        ApiServer(store, authorizer=authorizer, kinds=GITOPS_KINDS) as server,
        connect(tmp_path, server.url, user={"token": "root"}) as root,
        connect(tmp_path, server.url, user={"token": "guard"}) as cluster,
    ):
        prepare(root, verbs)
        ended = pause(cluster, APPLICATION)
        after = root.get(path_of(APPLICATION))
    assert not ended.done
    assert ended.problems[0].help == (
        'the account needs "get" and "patch" on applications.argoproj.io in namespace argocd'
    )
    assert not ended.problems[0].blocks
    assert "automated" in after["spec"]["syncPolicy"]


def prepare(root: Cluster, verbs: list[str]) -> None:
    """Make the Application, and give the account `guard` these verbs on Applications."""
    root.create("/api/v1/namespaces", {"metadata": {"name": "argocd"}})
    root.create("/api/v1/namespaces", {"metadata": {"name": "shop"}})
    path = path_of(APPLICATION).rpartition("/")[0]
    root.create(path, {"metadata": {"name": "shop"}, "spec": SPEC})
    root.create("/api/v1/namespaces/shop/serviceaccounts", {"metadata": {"name": "guard"}})
    if not verbs:
        return
    rules = [{"apiGroups": ["argoproj.io"], "resources": ["applications"], "verbs": verbs}]
    rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/argocd"
    root.create(f"{rbac}/roles", {"metadata": {"name": "r"}, "rules": rules})
    subject = {"kind": "ServiceAccount", "name": "guard", "namespace": "shop"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}
    body = {"metadata": {"name": "r"}, "roleRef": role, "subjects": [subject]}
    root.create(f"{rbac}/rolebindings", body)


def test_the_rights_are_enough(tmp_path: Path) -> None:
    """An account with exactly the rights that are named can suspend."""
    verbs = [verb for verb, *_ in suspension_rights(APPLICATION)]
    assert suspension_rights(APPLICATION)[0] == ("get", "argoproj.io", "applications", "argocd")
    store = Store()
    tokens = {"root": ADMIN, "guard": service_account("shop", "guard")}
    authorizer = RoleAuthorizer(store, tokens)
    with ApiServer(store, authorizer=authorizer, kinds=GITOPS_KINDS) as server:
        with connect(tmp_path, server.url, user={"token": "root"}) as root:
            prepare(root, verbs)
        with connect(tmp_path, server.url, user={"token": "guard"}) as cluster:
            assert pause(cluster, APPLICATION).done


def test_no_such_object(shop: GitopsShop) -> None:
    """An Application that is not where it should be points to the policy."""
    ended = pause(shop.cluster, APPLICATION)
    assert not ended.done
    assert "argocd_namespace" in ended.problems[0].help


@pytest.mark.parametrize("owner", [APPLICATION, KUSTOMIZATION], ids=lambda o: o.tool)
def test_tool_in_another_cluster(tmp_path: Path, owner: Owner) -> None:
    """Without the tool's API it is told that the tool runs in another cluster."""
    with ApiServer(Store()) as server, connect(tmp_path, server.url) as cluster:
        ended = pause(cluster, owner)
    assert not ended.done
    assert ended.problems[0].help.startswith("suspend it where the tool runs")


def test_older_version_of_the_api(tmp_path: Path) -> None:
    """Where the tool is older its preferred version is used."""
    obj = {"metadata": {"name": "web", "namespace": "shop", "uid": "u1"}, "spec": {}}
    group = {
        "kind": "APIGroup",
        "versions": [{"version": "v2beta2"}],
        "preferredVersion": {"version": "v2beta2"},
    }
    missing = status(404, "NotFound", "the server could not find the requested resource")
    script = [
        answer(404, missing),
        answer(200, group),
        answer(200, obj),
        answer(200, {**obj, "spec": {"suspend": True}}),
    ]
    with ScriptedServer(*script) as server, connect(tmp_path, server.url) as cluster:
        assert pause(cluster, HELM_RELEASE).done
        assert "/v2beta2/namespaces/shop/helmreleases/web" in server.requests[-1][1]


def test_unreachable(tmp_path: Path) -> None:
    """A server that does not answer is a warning, not an exception: the rollback goes on."""
    with (
        ScriptedServer(answer(503, "busy")) as server,
        connect(tmp_path, server.url, retries=QUICK) as cluster,
    ):
        ended = pause(cluster, APPLICATION)
    assert not ended.done
    assert "may revert the rollback" in ended.problems[0].text


@pytest.mark.parametrize(
    "owner",
    [
        Owner(Tool.OPERATOR, "db", "shop", kind="Database"),
        Owner(Tool.HELM, "web", "shop"),
        Owner(Tool.ARGO_CD),
    ],
    ids=["operator", "helm", "unknown Application"],
)
def test_what_cannot_be_suspended(shop: GitopsShop, owner: Owner) -> None:
    """Operators, and tools whose object is not known, are told, and nothing is asked for."""
    ended = pause(shop.cluster, owner)
    assert not ended.done
    assert len(ended.problems) == 1
    assert suspension_rights(owner) == ()


# --- who may resume it -------------------------------------------------------------------------


def test_application_set(shop: GitopsShop) -> None:
    """An Application of an ApplicationSet is suspended, with the setting that makes it last."""
    owner = {"apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet", "name": "all"}
    reference = {**owner, "uid": "u9", "controller": True}
    shop.make(APPLICATION, SPEC, ownerReferences=[reference])
    ended = pause(shop.cluster, APPLICATION)
    assert ended.done
    assert ended.problems[0].text.startswith("ApplicationSet all manages")
    assert "ignoreApplicationDifferences" in ended.problems[0].help


def test_parent_application(shop: GitopsShop) -> None:
    """An Application that another one manages may be switched on again by it."""
    tracking = "root:argoproj.io/Application:argocd/shop"
    shop.make(APPLICATION, SPEC, annotations={"argocd.argoproj.io/tracking-id": tracking})
    ended = pause(shop.cluster, APPLICATION)
    assert ended.done
    assert "Argo CD Application argocd/root manages" in ended.problems[0].text
    assert ended.problems[0].help == "argocd app set root --sync-policy none"


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        pytest.param({"f:spec": {"f:interval": {}}}, 0, id="not in the manifest"),
        pytest.param({"f:spec": {"f:suspend": {}}}, 1, id="in the manifest"),
    ],
)
def test_helm_release_in_a_kustomization(fields: Json, count: int) -> None:
    """Flux takes back `suspend` only if the applied manifest sets it: managedFields tell."""
    labels = {"kustomize.toolkit.fluxcd.io/name": "apps"}
    labels["kustomize.toolkit.fluxcd.io/namespace"] = "flux-system"
    entry = {"manager": "kustomize-controller", "operation": "Apply", "fieldsV1": fields}
    metadata = {"name": "web", "namespace": "shop", "labels": labels, "managedFields": [entry]}
    found = masters({"metadata": metadata}, HELM_RELEASE)
    assert len(found) == count
    assert all("sets spec.suspend" in problem.help for problem in found)


def test_kustomization_that_manages_itself() -> None:
    """A Kustomization that applies itself is off with itself, so nobody is warned of."""
    labels = {"kustomize.toolkit.fluxcd.io/name": "apps"}
    labels["kustomize.toolkit.fluxcd.io/namespace"] = "flux-system"
    fields: Json = {"f:spec": {"f:suspend": {}}}
    entry = {"manager": "kustomize-controller", "operation": "Apply", "fieldsV1": fields}
    metadata = {"name": "apps", "namespace": "flux-system", "labels": labels}
    assert masters({"metadata": {**metadata, "managedFields": [entry]}}, KUSTOMIZATION) == ()


def test_sync_under_way(shop: GitopsShop) -> None:
    """A sync that runs is not stopped by suspending; the command that stops it is told."""
    shop.make(APPLICATION, SPEC, status={"operationState": {"phase": "Running"}})
    ended = pause(shop.cluster, APPLICATION)
    assert ended.done
    assert [problem.help for problem in ended.problems] == ["argocd app terminate-op shop"]


def test_reconciliation_under_way(shop: GitopsShop) -> None:
    """A reconciliation of Flux that has begun is told as well."""
    shop.make(KUSTOMIZATION, {})
    path = f"{path_of(KUSTOMIZATION)}/status"
    conditions = [{"type": "Reconciling", "status": "True"}]
    patch = [{"op": "add", "path": "/status", "value": {"conditions": conditions}}]
    shop.cluster.patch(path, patch)
    ended = pause(shop.cluster, KUSTOMIZATION)
    assert ended.done
    assert "at work right now" in ended.problems[0].text
