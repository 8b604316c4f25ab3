"""Credentials that expire midway: what was renewed is used, what was not is told."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from cluster.scripted import QUICK, ScriptedServer, answer, connect
from deploy_guard.cluster import errors
from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.connection import open_connection
from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.manifests import toy_deployment
from faults.cells import Played, Stage, play, together
from faults.proxy import FaultProxy, only_with
from watch.shop import FIRST, SECOND, policy

WEB = "/apis/apps/v1/namespaces/shop/deployments/web"
LABEL = [{"op": "add", "path": "/metadata/labels/a", "value": "b"}]
PLUGIN = """
import json, pathlib, sys
token, count = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
count.write_text(count.read_text() + "x" if count.exists() else "x")
if not token.exists():
    sys.exit("the session has ended, log in with: cloud login")
print(json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
                  "status": {"token": token.read_text()}}))
"""


def token_file(folder: Path) -> dict[str, Any]:
    """Log in by a file that is rotated."""
    return {"tokenFile": str(folder / "token")}


def plugin(folder: Path) -> dict[str, Any]:
    """Log in by a command that says nothing of when its token expires."""
    (folder / "plugin.py").write_text(PLUGIN)
    arguments = [str(folder / name) for name in ("plugin.py", "token", "count")]
    version = "client.authentication.k8s.io/v1"
    command = {"command": sys.executable, "args": arguments, "interactiveMode": "Never"}
    return {"exec": {"apiVersion": version, **command}}


ways = pytest.mark.parametrize("login", [token_file, plugin])
Login = Callable[[Path], dict[str, Any]]


@ways
def test_a_renewed_token_is_used(login: Login, tmp_path: Path) -> None:
    """After one refusal the new token is looked up: reads and writes go on, each done once."""
    (tmp_path / "token").write_text("one\n")
    with EmbeddedCluster(service=False) as embedded, FaultProxy(embedded.url) as proxy:
        embedded.apply(toy_deployment("web", "shop", FIRST))
        proxy.fail(only_with("one"))
        with connect(tmp_path, proxy.url, user=login(tmp_path)) as cluster:
            cluster.get(WEB)
            for token in ("two", "three"):
                (tmp_path / "token").write_text(token)
                rule = proxy.fail(only_with(token))
                cluster._renewed_at = None  # the pause between two renewals is over
                if token == "two":
                    cluster.get(WEB)
                else:
                    cluster.patch(WEB, LABEL)
                assert rule.hits == 2
        assert len(proxy.stored()) == 1


@ways
def test_refused_for_good(login: Login, tmp_path: Path) -> None:
    """Without a newer token it is one error that shows no token; nobody logs in all the time."""
    (tmp_path / "token").write_text("hunter2")
    refusal = {"kind": "Status", "code": 401, "reason": "Unauthorized", "message": "Unauthorized"}
    server = ScriptedServer(answer(401, refusal))
    with server, connect(tmp_path, server.url, user=login(tmp_path)) as cluster:
        for _ in range(3):
            with pytest.raises(errors.Unauthorized) as caught:
                cluster.get(WEB)
            assert "hunter2" not in f"{caught.value!r} {caught.value.help}"
        assert len(server.requests) == 3
    if (tmp_path / "count").exists():
        assert (tmp_path / "count").read_text() == "xx"


def test_a_plugin_that_fails_when_asked_again(tmp_path: Path) -> None:
    """What the credential plugin says is told, instead of a bare 401."""
    (tmp_path / "token").write_text("one")
    server = ScriptedServer(answer(401, "no"))
    with server, connect(tmp_path, server.url, user=plugin(tmp_path)) as cluster:
        (tmp_path / "token").unlink()
        with pytest.raises(errors.Unauthorized, match="the session has ended"):
            cluster.get(WEB)


def test_a_token_file_that_is_gone(tmp_path: Path) -> None:
    """The file is named."""
    (tmp_path / "token").write_text("one")
    server = ScriptedServer(answer(401, "no"))
    with server, connect(tmp_path, server.url, user=token_file(tmp_path)) as cluster:
        (tmp_path / "token").unlink()
        with pytest.raises(errors.Unauthorized, match="token, which kubeconfig"):
            cluster.get(WEB)


def test_the_account_of_a_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token that the kubelet rotates is read again when the old one is refused."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    (tmp_path / "token").write_text("one")
    (tmp_path / "namespace").write_text("shop")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    found = answer(200, {"kind": "Deployment"})
    with ScriptedServer(found, answer(401, "no"), found, tls=context) as server:
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.server_address[1]))
        opened = open_connection(account=tmp_path)
        with Cluster(opened.api, retries=QUICK, renew=opened.renew) as cluster:
            cluster.get(WEB)
            (tmp_path / "token").write_text("two")
            cluster.get(WEB)
    shown = [headers["authorization"] for _, _, headers, _ in server.requests]
    assert shown == ["bearer one", "bearer one", "bearer two"]


def test_a_token_that_is_renewed_during_a_watch(tmp_path: Path) -> None:
    """In whatever phase the token changes, the watch ends as if it had not."""

    def cell(phase: str, *, bad: bool) -> Played:
        folder = tmp_path / f"{phase} {bad}"
        token = tmp_path / f"token {phase} {bad}"
        token.write_text("one")

        def change(stage: Stage) -> None:
            token.write_text("two")
            stage.proxy.fail(only_with("two"), cut=True)

        user = {"tokenFile": str(token)}
        return play(folder, policy(watch={"for": 3.0}), change, phase=phase, bad=bad, user=user)

    phases = ("watching", "deciding", "waiting", "verifying")
    cells = {phase: lambda p=phase: cell(p, bad=True) for phase in phases}
    played = together(cells | {"good": lambda: cell("watching", bad=False)})
    good = played.pop("good")
    assert (good.code, good.rollbacks, good.image) == (0, 0, SECOND), good
    for phase, found in played.items():
        assert (found.code, found.rollbacks, found.image) == (10, 1, FIRST), f"{phase}: {found}"
