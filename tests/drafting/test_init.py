"""`guard init`: the file, the exit codes, and servers that do not answer as they should."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from deploy_guard.embedded.manifests import toy_deployment
from deploy_guard.policy.load import inspect, load_file
from drafting.conftest import Checkout
from signals.web_server import Reply, Request, WebServer


def nothing(_: Request) -> Reply:
    """Answer as a Prometheus without any series."""
    return Reply(body=json.dumps({"status": "success", "data": []}))


def test_the_policy_is_written_where_policies_are_kept(
    checkout: Checkout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The default is policies/NAME.yaml; the file is valid, and nothing else is left there."""
    assert checkout.init(tmp_path) == 0
    file = tmp_path / "policies" / "checkout.yaml"
    loaded = inspect([file])
    assert loaded.problems == ()
    assert loaded.policy is not None
    assert [signal.name for signal in loaded.policy.signals] == ["http-errors", "http-latency"]
    assert capsys.readouterr().out == (
        "policies/checkout.yaml is written: http-errors, http-latency\n"
    )
    assert [path.name for path in file.parent.iterdir()] == ["checkout.yaml"]


def test_a_file_that_is_there_is_kept_unless_force(
    checkout: Checkout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2 before anybody is asked; --force replaces the file."""
    file = tmp_path / "mine.yaml"
    file.write_text("mine")
    assert checkout.init(tmp_path, "-o", "mine.yaml", name="nowhere") == 2
    assert file.read_text() == "mine"
    assert "mine.yaml exists already" in capsys.readouterr().err
    assert checkout.init(tmp_path, "-o", "mine.yaml", "--force") == 0
    assert load_file(file).name == "checkout"


def test_a_link_that_leads_nowhere_is_a_file_too(checkout: Checkout, tmp_path: Path) -> None:
    """What would be replaced is not only what can be read."""
    (tmp_path / "link.yaml").symlink_to(tmp_path / "gone.yaml")
    assert checkout.init(tmp_path, "-o", "link.yaml") == 2
    assert (tmp_path / "link.yaml").is_symlink()


def test_standard_output_gets_the_policy_and_nothing_else(
    checkout: Checkout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With -o - the talk is on stderr, the policy on stdout, and no file is written."""
    assert checkout.init(tmp_path, "-o", "-") == 0
    told = capsys.readouterr()
    (tmp_path / "p.yaml").write_text(told.out)
    assert load_file(tmp_path / "p.yaml").signals
    assert "no Prometheus was named" in told.err
    assert [path.name for path in tmp_path.iterdir()] == ["p.yaml"]


def test_a_file_that_cannot_be_written_is_an_error(
    checkout: Checkout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1 with path and reason, before anybody is asked; a directory as FILE is exit 2."""
    (tmp_path / "file").write_text("")
    assert checkout.init(tmp_path, "-o", "file/deep/p.yaml", name="nowhere") == 1
    told = capsys.readouterr().err
    assert "file/deep/p.yaml cannot be written: file is not a directory" in told
    assert checkout.init(tmp_path, "-o", str(tmp_path)) == 2


def test_a_policy_is_not_written_under_the_name_of_tests(
    checkout: Checkout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """guard check would leave the file out: exit 2 with a name that fits."""
    assert checkout.init(tmp_path, "-o", "p.test.yaml", name="nowhere") == 2
    assert "name it p.yaml" in capsys.readouterr().err


def test_a_number_of_days_is_a_number(
    checkout: Checkout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2 for what no range leaves out, and for what the range does."""
    for days in ("nan", "0", "3650"):
        assert checkout.init(tmp_path, "--days", days, name="nowhere") == 2
        assert "--days" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["http://user:secret@127.0.0.1:1", "prometheus:9090", ""])
def test_a_url_that_cannot_be_one_is_refused(
    checkout: Checkout, tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2; a password in it is not shown."""
    assert checkout.init(tmp_path, "--prometheus-url", url) == 2
    assert "secret" not in capsys.readouterr().err


def test_a_server_that_nobody_hears_is_exit_1(
    checkout: Checkout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The address is named with what to do, and no file is written."""
    assert checkout.init(tmp_path, "--prometheus-url", "http://127.0.0.1:1") == 1
    told = capsys.readouterr().err
    assert "Prometheus cannot be asked: " in told
    assert "port-forward" in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(401), "set $PROMETHEUS_TOKEN"),
        (Reply(404, "not here", "text/plain"), "check the URL's path"),
        (Reply(200, "<html>", "text/html"), "is it a login page?"),
        (Reply(200, '{"status": "success", "data": [1]}'), "unknown form"),
        (Reply(500), "answers 500"),
    ],
    ids=["unauthorized", "wrong path", "login page", "odd list", "broken"],
)
def test_a_server_that_is_no_prometheus(
    checkout: Checkout,
    tmp_path: Path,
    reply: Reply,
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit 1 with what the server answered, and no file is written."""
    with WebServer(lambda _: reply) as server:
        assert checkout.init(tmp_path, "--prometheus-url", server.url) == 1
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_token_of_the_environment_is_sent_and_never_written(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The policy refers to $PROMETHEUS_TOKEN where that is set."""
    monkeypatch.setenv("PROMETHEUS_TOKEN", "very-secret")

    def answer(request: Request) -> Reply:
        data: object = ["http_requests_total"] if "__name__" in request.path else ["code"]
        if "/label/code/" in request.path:
            data = ["200"]
        if "/query" in request.path:
            kind = "matrix" if "query_range" in request.path else "vector"
            data = {"resultType": kind, "result": []}
        return Reply(body=json.dumps({"status": "success", "data": data}))

    with WebServer(answer) as server:
        assert checkout.init(tmp_path, "--prometheus-url", server.url, "-o", "p.yaml") == 0
        sent = {request.headers.get("authorization") for request in server.requests}
    assert sent == {"Bearer very-secret"}
    text = (tmp_path / "p.yaml").read_text()
    assert "bearer: {env: PROMETHEUS_TOKEN}" in text
    assert "very-secret" not in text


def test_an_empty_prometheus_leads_to_the_pods_own_pages(
    checkout: Checkout, tmp_path: Path
) -> None:
    """What is missing is said in the file; the signals read the pods."""
    with WebServer(nothing) as server:
        assert checkout.init(tmp_path, "--prometheus-url", server.url, "-o", "p.yaml") == 0
    policy = load_file(tmp_path / "p.yaml")
    assert {signal.provider for signal in policy.signals} == {"pods"}
    assert policy.prometheus is None
    text = re.sub(r"\n# *", " ", (tmp_path / "p.yaml").read_text())
    assert "Prometheus has no metric of these pods that is known here" in text


def test_a_workload_without_metrics_is_told_what_is_missing(
    checkout: Checkout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only the cluster's signs are left; the file says why, and that is a warning."""
    bare = toy_deployment("bare", "shop", replicas=1)
    template = bare["spec"]["template"]
    template["metadata"].pop("annotations")
    template["spec"]["containers"][0].pop("ports")
    template["spec"]["containers"][0].pop("readinessProbe")
    checkout.embedded.apply(bare)
    checkout.embedded.wait_complete("shop", "bare")
    assert checkout.init(tmp_path, "-o", "bare.yaml", name="bare") == 0
    assert load_file(tmp_path / "bare.yaml").signals == []
    text = (tmp_path / "bare.yaml").read_text()
    assert "no metrics were found: the pod has no port" in text
    assert "no container has a readiness probe" in text
    assert "bare.yaml:" in capsys.readouterr().err


def test_a_page_that_has_counted_nothing_yet_is_told(
    checkout: Checkout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Metrics that are known but have no samples yet are not called unknown."""
    checkout.embedded.apply(toy_deployment("idle", "shop", replicas=1))
    checkout.embedded.wait_complete("shop", "idle")
    assert checkout.init(tmp_path, "-o", "idle.yaml", name="idle") == 0
    told = capsys.readouterr().err
    assert "http_requests_total is declared and has counted nothing yet" in told
    assert "has no metric that is known here" not in told


def test_a_prometheus_of_the_cluster_is_only_suggested(
    checkout: Checkout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A Service that looks like one is named with the command that makes it reachable."""
    made = checkout.embedded.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": "metrics",
                "namespace": "shop",
                "labels": {"app.kubernetes.io/name": "prometheus"},
            },
            "spec": {"ports": [{"port": 9090}]},
        }
    )
    assert made["kind"] == "Service"
    assert checkout.init(tmp_path, "-o", "-") == 0
    told = capsys.readouterr().err
    assert "kubectl -n shop port-forward service/metrics 9090" in told
    assert "--prometheus-url http://127.0.0.1:9090" in told
    checkout.embedded.store.delete("services", "shop", "metrics")


def test_a_workload_that_does_not_exist(
    checkout: Checkout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1 with the cluster's own words."""
    assert checkout.init(tmp_path, name="nowhere") == 1
    assert '"nowhere"' in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
