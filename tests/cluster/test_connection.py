from __future__ import annotations

import json
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme

from cluster.scripted import ScriptedServer, answer, connect, kubeconfig, stream
from deploy_guard.cluster import errors
from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.connection import ConfigError
from deploy_guard.cluster.retry import NO_RETRIES

POD = "/api/v1/namespaces/shop/pods/p"
FOUND = answer(200, {"kind": "Pod"})


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a home and an environment without any cluster."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_the_file_asked_for_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--kubeconfig comes before $KUBECONFIG, which comes before ~/.kube/config."""
    (tmp_path / ".kube").mkdir()
    for name, port in ((".kube/config", 1), ("env", 2), ("asked", 3)):
        kubeconfig(tmp_path / name, f"http://127.0.0.1:{port}")
    hosts = []
    with Cluster.connect() as cluster:
        hosts.append(cluster.api.configuration.host)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "env"))
    with Cluster.connect() as cluster:
        hosts.append(cluster.api.configuration.host)
    with Cluster.connect(kubeconfig=str(tmp_path / "asked")) as cluster:
        hosts.append(cluster.api.configuration.host)
    assert hosts == [f"http://127.0.0.1:{port}" for port in (1, 2, 3)]


def test_the_namespace_is_the_contexts_unless_asked_for(tmp_path: Path) -> None:
    """The context's namespace is meant, another one only when asked for."""
    path = kubeconfig(tmp_path / "k", "http://127.0.0.1:1")
    with Cluster.connect(kubeconfig=str(path)) as cluster:
        assert (cluster.namespace, cluster.context) == ("shop", "here")
    with Cluster.connect(kubeconfig=str(path), namespace="other") as cluster:
        assert cluster.namespace == "other"


def test_without_any_configuration() -> None:
    """No file and no pod account is one sentence, with where to name a file."""
    with pytest.raises(ConfigError, match="does not exist") as caught:
        Cluster.connect()
    assert "--kubeconfig" in caught.value.help


def test_an_unknown_context_gets_a_suggestion(tmp_path: Path) -> None:
    """A misspelt context is an error that names the close one."""
    path = kubeconfig(tmp_path / "k", "http://127.0.0.1:1")
    with pytest.raises(ConfigError, match="'her' is not in") as caught:
        Cluster.connect(kubeconfig=str(path), context="her")
    assert caught.value.help == "did you mean here?"
    with pytest.raises(ConfigError) as caught:
        Cluster.connect(kubeconfig=str(path), context="production")
    assert caught.value.help == "known contexts: here"


BROKEN = {
    "not YAML": ("users: [{token: hunter2}", r":1:\d+ is not valid YAML|:2:1 is not valid YAML"),
    "a list": ("- token: hunter2\n", "does not have a kubeconfig's form"),
    "empty": ("", "is not usable|does not have"),
    "no context": ("users: [{user: {token: hunter2}}]", "has no current context"),
    "a context without a cluster": (
        "{current-context: x, contexts: [{name: x, context: {user: u}}], clusters: [],"
        " users: [{name: u, user: {token: hunter2}}]}",
        "is not usable",
    ),
    "a user of another form": (
        "{current-context: x, contexts: [{name: x, context: {user: u, cluster: c}}],"
        " clusters: [{name: c, cluster: {server: 'https://h'}}],"
        " users: [{name: u, token: hunter2}]}",
        "is not usable|does not have",
    ),
    "no server": (
        "{current-context: x, contexts: [{name: x, context: {cluster: c}}],"
        " clusters: [{name: c, cluster: {}}], users: []}",
        "has no server",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_explained_and_not_quoted(tmp_path: Path, name: str) -> None:
    """Each way to break a kubeconfig is one sentence that shows no credential."""
    text, expected = BROKEN[name]
    path = tmp_path / "k"
    path.write_text(text)
    with pytest.raises(ConfigError, match=expected) as caught:
        Cluster.connect(kubeconfig=str(path))
    assert "hunter2" not in f"{caught.value} {caught.value.help}"
    assert "hunter2" not in f"{caught.value.__cause__}"


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    """A binary file is said to be none that can be read."""
    path = tmp_path / "k"
    path.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ConfigError, match="is not"):
        Cluster.connect(kubeconfig=str(path))


def plugin(folder: Path, script: str) -> dict[str, object]:
    """Make a credential plugin: a Python script that kubeconfigs run."""
    file = folder / "plugin.py"
    file.write_text(script)
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": sys.executable,
            "args": [str(file)],
            "interactiveMode": "Never",
        }
    }


def test_a_credential_plugin_is_run_again_when_its_token_expires(tmp_path: Path) -> None:
    """A token with an expiry in the past is asked for anew at the next request."""
    script = f"""
import json, pathlib
count = pathlib.Path({str(tmp_path / "count")!r})
n = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(n))
status = {{"token": f"t{{n}}", "expirationTimestamp": "2020-01-01T00:00:00Z"}}
print(json.dumps({{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
                  "status": status}}))
"""
    server = ScriptedServer(FOUND)
    with server, connect(tmp_path, server.url, user=plugin(tmp_path, script)) as cluster:
        cluster.get(POD)
        cluster.get(POD)
    tokens = [headers["authorization"] for _, _, headers, _ in server.requests]
    assert len(set(tokens)) == 2


def test_a_failing_credential_plugin_is_named(tmp_path: Path) -> None:
    """What a credential plugin says when it fails is told, instead of a 401 later."""
    script = "import sys; sys.exit('session expired, run the login')"
    with pytest.raises(ConfigError, match="session expired"):
        connect(tmp_path, "http://127.0.0.1:1", user=plugin(tmp_path, script))


def test_a_missing_credential_plugin_is_named(tmp_path: Path) -> None:
    """A plugin that is not installed is told by its name."""
    user: dict[str, Any] = plugin(tmp_path, "")
    user["exec"]["command"] = "no-such-login"
    with pytest.raises(ConfigError, match=r"no credentials: .*no-such-login"):
        connect(tmp_path, "http://127.0.0.1:1", user=user)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def test_a_certificate_of_the_named_authority_is_trusted(
    tmp_path: Path, authority: trustme.CA
) -> None:
    """The kubeconfig's authority is the one that counts, for reads and for watches."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    settings = {"certificate-authority": str(tmp_path / "ca.pem")}
    server = ScriptedServer(
        FOUND, stream({"type": "ADDED", "object": {}}, hang=True), tls=tls(authority)
    )
    with server, connect(tmp_path, server.url, cluster=settings) as cluster:
        assert cluster.get(POD) == {"kind": "Pod"}
        watch = cluster.watch(POD, {})
        events = iter(watch)
        assert next(events)["type"] == "ADDED"
        watch.close()
        assert list(events) == []


def test_an_untrusted_certificate(tmp_path: Path, authority: trustme.CA) -> None:
    """Another authority's certificate is an error of its own, and is not tried again."""
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    settings = {"certificate-authority": str(tmp_path / "other.pem")}
    with (
        ScriptedServer(FOUND, tls=tls(authority)) as server,
        connect(tmp_path, server.url, cluster=settings) as cluster,
        pytest.raises(errors.Untrusted, match="certificate is not trusted") as caught,
    ):
        cluster.get(POD)
    assert "certificate-authority" in caught.value.help
    assert server.requests == []


def test_verification_can_be_switched_off_in_the_kubeconfig(
    tmp_path: Path, authority: trustme.CA
) -> None:
    """insecure-skip-tls-verify is obeyed, without a warning at each request."""
    settings = {"insecure-skip-tls-verify": True}
    with (
        ScriptedServer(FOUND, tls=tls(authority)) as server,
        connect(tmp_path, server.url, cluster=settings) as cluster,
    ):
        assert cluster.get(POD) == {"kind": "Pod"}


def test_expired_credentials(tmp_path: Path) -> None:
    """A 401 says that one has to log in again."""
    status = {"kind": "Status", "code": 401, "reason": "Unauthorized", "message": "Unauthorized"}
    server = ScriptedServer(answer(401, status))
    with (
        server,
        connect(tmp_path, server.url, retries=NO_RETRIES) as cluster,
        pytest.raises(errors.Unauthorized) as caught,
    ):
        cluster.get(POD)
    assert "log in again" in caught.value.help


def test_nothing_heavy_is_loaded_before_a_connection() -> None:
    """The rollback's modules load neither the kubernetes package nor urllib3 by themselves."""
    import subprocess

    code = (
        "import sys, json, deploy_guard.rollback.by_hand, deploy_guard.history;"
        "print(json.dumps(sorted(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    loaded = set(json.loads(out.stdout))
    assert not loaded & {"kubernetes", "urllib3", "requests", "pydantic", "tenacity", "yaml"}
