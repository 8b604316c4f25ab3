"""`guard check --target`: real sockets, real controllers, and what a watch would say now."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from check_live.shop import ERRORS, FROM_PROMETHEUS, Shop, at, refuse, result
from deploy_guard.check import check
from deploy_guard.check_live import WHAT_TO_DO, LiveReport, check_live
from deploy_guard.check_live.show import show
from deploy_guard.cluster.errors import NotFound
from deploy_guard.errors import ExitCode
from deploy_guard.model import Counts, Finding, NoDataReason, Target, Verdict
from deploy_guard.policy.problems import Problem
from deploy_guard.policy.template import origin, render
from prometheus_server import PrometheusServer, needs_prometheus
from signals.web_server import Reply, Request, WebServer

DOCS = Path(__file__).parents[2] / "docs"


def test_a_good_workload_is_read_once_and_would_be_healthy(shop: Shop) -> None:
    """Every signal has what was read and its finding; a rollback is rehearsed; exit 0."""
    shop.serve(200)
    report = shop.check(ERRORS)
    cluster, errors = report.signals
    assert (cluster.summary.name, cluster.summary.finding) == ("kubernetes", Finding.GOOD)
    assert (errors.pods, errors.summary.finding) == (3, Finding.GOOD)
    assert [run.key for run in errors.queries] == ["ratio.errors", "ratio.requests"]
    assert report.decision.verdict is Verdict.HEALTHY, report.decision.reason
    assert report.found.prepared.plan.possible
    assert report.exit_code is ExitCode.OK


def test_a_bad_workload_would_be_a_regression_and_stays(shop: Shop) -> None:
    """The verdict is said and nothing is done about it; the exit code is about the policy."""
    shop.release(3, ERROR_RATIO="0.9")
    shop.serve(200)
    report = shop.check(ERRORS)
    assert report.decision.verdict is Verdict.REGRESSED, report.decision.reason
    assert report.exit_code is ExitCode.OK
    live = shop.embedded.store.get("deployments.apps", "shop", "web")
    image = live["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == "registry.example/web:3"


def test_nothing_is_written(shop: Shop) -> None:
    """The Deployment and its ReplicaSets are the same to the last field."""
    kinds = ("deployments.apps", "replicasets.apps")
    before = [shop.embedded.store.list_all(kind, "shop")[0] for kind in kinds]
    assert shop.check(ERRORS).found.prepared.plan.possible  # the rehearsal was sent
    assert [shop.embedded.store.list_all(kind, "shop")[0] for kind in kinds] == before


@pytest.mark.parametrize(
    ("optional", "code"), [("false", ExitCode.INCONCLUSIVE), ("true", ExitCode.OK)]
)
def test_a_signal_without_data(shop: Shop, optional: str, code: ExitCode) -> None:
    """Exit 12 with the reason and what to do, unless the signal is optional."""
    connection = "prometheus: {url: 'http://127.0.0.1:1'}\n"
    text = FROM_PROMETHEUS.replace("limit:", f"optional: {optional}\n    limit:")
    report = shop.check(connection + text)
    signal = report.signals[1]
    assert signal.summary.finding is Finding.NO_DATA
    assert signal.failure is not None
    assert signal.failure.reason is NoDataReason.UNREACHABLE
    assert signal.help in show(report)
    assert report.exit_code is code


def test_the_help_for_missing_data_is_that_of_the_page() -> None:
    """docs/signals.md and the command say the same, reason by reason."""
    page = (DOCS / "signals.md").read_text()
    rows = re.findall(r"^\| `([^`]+)` \| .* \| (.*) \|$", page, re.MULTILINE)
    said = {reason: " ".join(help.replace("`", "").split()) for reason, help in rows}
    for reason, help in WHAT_TO_DO.items():
        assert said[reason.value].startswith(help), reason
    assert set(WHAT_TO_DO) == set(NoDataReason)


def test_a_probe_that_fails_before_the_deploy_is_seen(shop: Shop) -> None:
    """The API is called once; its answer is told, and one failure is no regression."""
    with WebServer(lambda _: Reply(status=503)) as api:
        text = f"signals:\n  - {{name: api, provider: http, url: {api.url}/health}}\n"
        report = shop.check(text)
        assert len(api.requests) == 1
    probe = report.signals[1].probe
    assert probe is not None
    assert (probe.ok, probe.detail) == (False, "expected status 200, got 503")
    assert report.decision.verdict is not Verdict.REGRESSED
    assert "expected status 200, got 503" in show(report)
    assert report.exit_code is ExitCode.OK


def place_of(report: LiveReport) -> Problem:
    """Return the only problem of a report."""
    (problem,) = report.problems
    return problem


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        # behind a variable, whose value is longer than its name
        ('invalid parameter "query": 1:42: parse error: unknown function', "summ(y)'"),
        ("cannot parse: unknown function", 'sum(x{pod=~"{{ pods }}"})'),
    ],
)
def test_a_query_that_the_server_refuses(shop: Shop, said: str, meant: str) -> None:
    """Exit 3, at the character that the server names, else at the query as a whole."""
    bad = """errors: 'sum(x{pod=~"{{ pods }}"}) + summ(y)'"""
    text = re.sub("errors: 'sum.*", bad, FROM_PROMETHEUS)
    with WebServer(refuse(said)) as server:
        report = shop.check(at(server) + text)
    assert report.exit_code is ExitCode.INVALID_POLICY
    problem = place_of(report)
    file = shop.folder / "web.yaml"
    line = file.read_text().splitlines()[problem.line - 1]
    assert line[problem.column - 1 :].startswith(meant)
    assert problem.place == f"{file}:{problem.line}:{problem.column}"
    assert problem.code == "refused-query"
    assert problem.message.startswith("'errors': the server refuses it: ")
    assert "web-[a-z0-9]+-[a-z0-9]+" in problem.help
    assert problem.place in show(report)


def test_counters_without_a_past_are_read_twice_and_that_is_told(shop: Shop) -> None:
    """A sum over all pods has no increment at first: the second reading gives it."""
    asked = {"count": 0}

    def answer(request: Request) -> Reply:
        if "query_range" in request.path:
            return result("matrix")
        asked["count"] += 100
        return result("vector", {"metric": {}, "value": [0, str(asked["count"])]})

    told: list[str] = []
    text = re.sub(r"\{pod=~\"\{\{ pods \}\}\".*\}\)", ")", FROM_PROMETHEUS)
    text = text.replace("sum by (pod) ", "sum").replace("'", "")
    with WebServer(answer) as server:
        report = shop.check(at(server) + text, tell=told.append)
    assert told == ["counters need two readings: errors again in 250 ms"]
    assert report.signals[1].summary.samples == 1
    assert [run.series for run in report.signals[1].queries] == [1, 1]


def test_a_workload_that_does_not_exist(shop: Shop) -> None:
    """The cluster's answer is an error, which names the object."""
    policy = check([shop.policy(ERRORS)]).files[0].policy
    assert policy is not None
    with pytest.raises(NotFound, match='"wbe"'):
        check_live(policy, shop.cluster, Target("deployment", "shop", "wbe"), environ={})


def test_a_place_in_a_rendered_query_is_found_in_the_template() -> None:
    """Every character outside of a variable is found where it stands; inside, its name is."""
    template = 'a{n="{{ name }}", p=~"{{ pods }}"} + b'
    values = {"name": "x", "pods": "x-[a-z0-9]+"}
    rendered = render(template, values)
    for piece in ("a{n=", "p=~", "+ b"):
        assert origin(template, values, rendered.index(piece)) == template.index(piece)
    assert origin(template, values, rendered.index("x")) == template.index("name")
    assert origin(template, values, rendered.index("[a-z")) == template.index("pods")
    assert origin(template, values, len(rendered)) == len(template)


def test_the_command_prints_one_document(shop: Shop) -> None:
    """-o json has the live report next to the file's, and the exit code of both."""
    shop.policy("prometheus: {url: 'http://127.0.0.1:1'}\n" + FROM_PROMETHEUS)
    done = shop.guard("--target", "deployment/web", "-o", "json")
    document = json.loads(done.stdout)
    assert document["version"] == 1
    assert document["exit_code"] == done.returncode == 12, done.stderr
    live = document["files"][0]["live"]
    assert live["target"] == {"kind": "deployment", "namespace": "shop", "name": "web"}
    assert live["rollback"]["possible"] is True
    assert [s["no_data_reason"] for s in live["signals"]] == [None, "unreachable"]
    assert live["signals"][1]["queries"][0]["key"] == "ratio.errors"
    assert 'pod=~"web-[a-z0-9]+-[a-z0-9]+"' in live["signals"][1]["queries"][0]["query"]


def test_the_command_line_names_another_prometheus(shop: Shop) -> None:
    """--prometheus-url stands above the policy's, for the live part too."""
    shop.policy("prometheus: {url: 'http://127.0.0.1:1'}\n" + FROM_PROMETHEUS)
    with WebServer(refuse("")) as server:
        done = shop.guard("--target", "deploy/web", "--prometheus-url", server.url)
        assert server.requests
    assert done.returncode == 12
    assert "no series" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("no data from errors: ")


def test_an_invalid_policy_asks_nobody(shop: Shop) -> None:
    """A file with mistakes is exit 3 as without a cluster; its live report is null."""
    shop.policy("wacth: {}\n")
    done = shop.guard("--target", "deployment/nowhere", "-o", "json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["files"][0]["live"] is None


def test_a_cluster_that_cannot_be_asked(shop: Shop) -> None:
    """Exit 1, after the part that needs no cluster was printed."""
    shop.policy(ERRORS)
    done = shop.guard("--target", "deployment/nowhere")
    assert done.returncode == 1
    assert "✓ web.yaml" in done.stdout
    assert '"nowhere"' in done.stderr


class TestWithPrometheus:
    """The same with a real server."""

    pytestmark = needs_prometheus

    def test_queries_are_run_once_and_a_refused_one_is_shown_in_its_place(
        self, shop: Shop, tmp_path: Path
    ) -> None:
        """Series are counted; the server's own error points into the policy."""
        shop.serve(50)
        targets = {}
        for pod in shop.embedded.pods("shop", "web"):
            name = pod["metadata"]["name"]
            address = shop.embedded.kubelet.address("shop", name)
            assert address is not None
            targets["{}:{}".format(*address)] = {"pod": name}
        with PrometheusServer(tmp_path / "prometheus", targets=targets) as server:
            server.wait_for("count(http_requests_total) >= 3")
            connection = f"prometheus: {{url: {server.url}}}\n"
            report = shop.check(connection + FROM_PROMETHEUS)
            requests = report.signals[1].queries[1]
            assert (requests.series, requests.pods) == (3, 3)
            assert report.signals[1].summary.samples >= 1
            recent = report.signals[1].recent
            assert recent is not None
            assert recent.age is not None
            assert recent.age < 30
            assert isinstance(recent.numbers.now, Counts)
            assert report.signals[1].firing is not None
            assert report.exit_code is ExitCode.OK

            broken = FROM_PROMETHEUS.replace("requests: sum by (pod)", "requests: summ by (pod)")
            problem = place_of(shop.check(connection + broken))
        line = (shop.folder / "web.yaml").read_text().splitlines()[problem.line - 1]
        assert line[problem.column - 1 :].startswith(("summ", "by", "("))
        assert problem.message == "'requests': the server refuses it: parse error: unexpected <by>"
