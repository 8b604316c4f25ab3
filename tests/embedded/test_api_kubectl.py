"""The real kubectl works against the embedded API server (what needs no controllers)."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from deploy_guard.embedded.access import ADMIN, RoleAuthorizer, service_account
from deploy_guard.embedded.server import ApiServer, Tls
from deploy_guard.embedded.store import Store
from embedded.http_client import ApiClient, deployment

KUBECTL = shutil.which("kubectl")
Kubectl = Callable[..., str]

pytestmark = [
    pytest.mark.kubectl,
    pytest.mark.skipif(KUBECTL is None, reason="kubectl is not on the PATH"),
]


def runner(server: ApiServer, folder: Path, token: str | None = None) -> Kubectl:
    """Return a function that runs kubectl with a home of its own; it fails when kubectl does."""
    config = folder / f"kubeconfig-{token or 'admin'}"
    config.write_text(json.dumps(server.kubeconfig(token=token)), encoding="utf-8")
    environment = {**os.environ, "KUBECONFIG": str(config), "HOME": str(folder)}

    def run(*arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [str(KUBECTL), *arguments],
            env=environment,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        return done.stdout + done.stderr

    return run


@pytest.fixture
def kubectl(server: ApiServer, tmp_path: Path) -> Kubectl:
    """Return a kubectl for the server, with a manifest web.json in its folder."""
    (tmp_path / "web.json").write_text(json.dumps(deployment()), encoding="utf-8")
    return runner(server, tmp_path)


def test_version_and_discovery(kubectl: Kubectl) -> None:
    """kubectl reads the version, the health paths and the list of resources."""
    assert "v1.36" in kubectl("version")
    assert kubectl("get", "--raw", "/readyz") == "ok"
    listed = kubectl("api-resources", "-o", "name").split()
    assert {"deployments.apps", "pods", "leases.coordination.k8s.io"} <= set(listed)


def test_apply_create_replace_with_validation(kubectl: Kubectl, tmp_path: Path) -> None:
    """Manifests are taken with kubectl's own validation on; a mistake is told."""
    assert "created" in kubectl("create", "-f", "web.json", "--dry-run=server")
    assert "created" in kubectl("apply", "-f", "web.json")
    assert "unchanged" in kubectl("apply", "-f", "web.json")
    changed = deployment(image="registry.example/web:2.0")
    (tmp_path / "web.json").write_text(json.dumps(changed), encoding="utf-8")
    assert "configured" in kubectl("apply", "-f", "web.json")
    assert "replaced" in kubectl("replace", "-f", "web.json")
    changed["spec"]["replica"] = 3
    (tmp_path / "web.json").write_text(json.dumps(changed), encoding="utf-8")
    assert "spec.replica" in kubectl("apply", "-f", "web.json", code=1)
    assert "deleted" in kubectl("delete", "-f", "web.json")


@pytest.mark.parametrize(
    "arguments",
    [
        ("deployment", "made", "--image=registry.example/web:1.0", "--replicas=2"),
        ("configmap", "made", "--from-literal=a=b"),
        ("secret", "generic", "made", "--from-literal=a=b"),
        ("namespace", "made"),
        ("serviceaccount", "made"),
        ("quota", "made", "--hard=pods=3"),
        ("role", "made", "--verb=get,list", "--resource=pods,deployments.apps"),
        ("rolebinding", "made", "--role=made", "--serviceaccount=default:made"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_create_by_words(kubectl: Kubectl, arguments: tuple[str, ...]) -> None:
    """`kubectl create KIND` works; newer versions send protobuf."""
    assert "created" in kubectl("create", *arguments)
    assert "made" in kubectl("get", arguments[0], "made")


def test_ways_to_change_a_deployment(kubectl: Kubectl) -> None:
    """Every everyday change reaches the object."""
    kubectl("create", "-f", "web.json")
    kubectl("set", "image", "deployment/web", "web=registry.example/web:2.0")
    kubectl("set", "env", "deployment/web", "MODE=fast")
    kubectl("scale", "deployment/web", "--replicas=5")
    kubectl("annotate", "deployment/web", "kubernetes.io/change-cause=by hand")
    kubectl("label", "deployment/web", "tier=front")
    kubectl("rollout", "restart", "deployment/web")
    kubectl("rollout", "pause", "deployment/web")
    kubectl("patch", "deployment", "web", "-p", '{"spec":{"minReadySeconds":3}}')
    kubectl("patch", "deployment", "web", "--type=merge", "-p", '{"spec":{"paused":null}}')
    test = '[{"op":"test","path":"/spec/minReadySeconds","value":3}]'
    kubectl("patch", "deployment", "web", "--type=json", "-p", test)
    web = json.loads(kubectl("get", "deployment", "web", "-o", "json"))
    container = web["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "registry.example/web:2.0"
    assert container["env"] == [{"name": "MODE", "value": "fast"}]
    assert (web["spec"]["replicas"], "paused" in web["spec"]) == (5, False)
    assert web["metadata"]["labels"]["tier"] == "front"
    assert "kubectl.kubernetes.io/restartedAt" in web["spec"]["template"]["metadata"]["annotations"]


def test_pause_and_resume(kubectl: Kubectl) -> None:
    """Pausing twice is refused by kubectl, which reads what it wrote."""
    kubectl("create", "-f", "web.json")
    assert "paused" in kubectl("rollout", "pause", "deployment/web")
    assert "already paused" in kubectl("rollout", "pause", "deployment/web", code=1)
    assert "resumed" in kubectl("rollout", "resume", "deployment/web")


def test_output_forms(kubectl: Kubectl) -> None:
    """Tables, wide tables, YAML, names, selectors and descriptions can be read."""
    kubectl("create", "-f", "web.json")
    assert kubectl("get", "deploy").split()[:5] == [
        "NAME",
        "READY",
        "UP-TO-DATE",
        "AVAILABLE",
        "AGE",
    ]
    assert "registry.example/web:1.0" in kubectl("get", "deploy", "-o", "wide")
    assert "kind: Deployment" in kubectl("get", "deploy", "web", "-o", "yaml")
    assert kubectl("get", "deploy", "-l", "app=web", "-o", "name") == "deployment.apps/web\n"
    assert "No resources found" in kubectl("get", "deploy", "-l", "app=db")
    assert "NAMESPACE" in kubectl("get", "deploy", "-A")
    assert "deployment.apps/web" in kubectl("get", "all")
    assert "registry.example/web:1.0" in kubectl("describe", "deployment", "web")
    assert "No resources found" in kubectl("get", "events")


def test_watch_shows_changes(kubectl: Kubectl, api: ApiClient, tmp_path: Path) -> None:
    """`kubectl get -w` prints a line for each change."""
    kubectl("create", "configmap", "seen", "--from-literal=a=b")
    environment = {
        **os.environ,
        "KUBECONFIG": str(tmp_path / "kubeconfig-admin"),
        "HOME": str(tmp_path),
    }
    arguments = [str(KUBECTL), "get", "configmaps", "-w", "--no-headers"]
    process = subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline().split()[:2] == ["seen", "1"]
        api.patch("/api/v1/namespaces/default/configmaps/seen", {"data": {"c": "d"}})
        assert process.stdout.readline().split()[:2] == ["seen", "2"]
    finally:
        process.terminate()
        process.communicate()


def test_delete_waits_until_it_is_gone(kubectl: Kubectl) -> None:
    """kubectl delete returns when the objects are gone."""
    kubectl("create", "-f", "web.json")
    assert 'deployment.apps "web" deleted' in kubectl("delete", "deployment", "--all")
    assert "NotFound" in kubectl("get", "deployment", "web", code=1)


def test_rights_of_a_service_account(store: Store, tmp_path: Path) -> None:
    """`auth can-i` and refusals follow the Roles; kubectl sends its token over TLS only."""
    tokens = {"root": ADMIN, "robot": service_account("default", "robot")}
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    tls = Tls(context, authority.cert_pem.bytes())
    with ApiServer(store, authorizer=RoleAuthorizer(store, tokens), tls=tls) as server:
        root, robot = (runner(server, tmp_path, token) for token in tokens)
        root("create", "serviceaccount", "robot")
        root("create", "role", "reader", "--verb=get,list", "--resource=deployments.apps")
        root("create", "rolebinding", "b", "--role=reader", "--serviceaccount=default:robot")
        assert robot("auth", "can-i", "list", "deployments.apps").strip() == "yes"
        assert robot("auth", "can-i", "patch", "deployments.apps", code=1).strip() == "no"
        assert "deployments.apps" in robot("auth", "can-i", "--list")
        assert "No resources found" in robot("get", "deployments")
        refused = robot("get", "pods", code=1)
        assert 'User "system:serviceaccount:default:robot" cannot list resource "pods"' in refused
        assert "Unauthorized" in runner(server, tmp_path, "wrong")("get", "pods", code=1)
