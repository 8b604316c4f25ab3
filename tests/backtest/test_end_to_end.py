"""The whole command against a real Prometheus that is filled with a day of a service."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from backtest.service_history import BEGIN, HOUR, RELEASES, history
from cli.conftest import GUARD, clean_environment, release
from deploy_guard.embedded.cluster import EmbeddedCluster
from prometheus_server import PrometheusServer, needs_prometheus

pytestmark = needs_prometheus
END = BEGIN + 24 * HOUR
WHEN = ["--since", "24h", "--until", str(END)]
POLICY = """\
version: 1
name: web
prometheus: {{url: {url}}}
signals:
  - provider: prometheus
    name: http-errors
    ratio:
      errors: sum by (pod) (http_requests_total{{pod=~"{{{{ pods }}}}", code=~"5.."}})
      requests: sum by (pod) (http_requests_total{{pod=~"{{{{ pods }}}}"}})
  - provider: http
    name: payments
    url: http://payments.example/healthz
"""


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    """Run a Prometheus that knows a day with three deploys, one of them bad."""
    folder = tmp_path_factory.mktemp("prometheus")
    with PrometheusServer(folder, history=history(end=END)) as server:
        yield server


@pytest.fixture
def policy(prometheus: PrometheusServer, tmp_path: Path) -> str:
    """Return the path of a policy with one signal in that Prometheus, and one of an API."""
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY.format(url=prometheus.url))
    return str(file)


def guard(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run guard backtest."""
    return subprocess.run(
        [*GUARD, "backtest", *arguments],
        env=clean_environment(HOME=str(folder)),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def test_past_deploys_and_ordinary_days_are_judged(policy: str, tmp_path: Path) -> None:
    """The bad deploy is caught, the good one and the ordinary days are not rolled back."""
    good, bad = RELEASES[1], RELEASES[2]
    at = ["--at", f"{good.at}=good", "--at", f"{bad.at}=bad"]
    done = guard(
        tmp_path,
        "deploy/web",
        "-n",
        "shop",
        "-p",
        policy,
        *at,
        *WHEN,
        "--ordinary",
        "12",
        "-o",
        "json",
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["caught"]["count"] == found["caught"]["of"] == 1
    assert (found["wronged"]["count"], found["wronged"]["of"]) == (0, 1)
    assert (found["false_rollbacks"]["count"], found["false_rollbacks"]["of"]) == (0, 12)
    assert {m["signal"] for m in found["missing"]} == {"kubernetes", "payments"}
    assert any("range queries" in note for note in found["notes"])
    [caught] = [d for d in found["deploys"] if d["bad"]]
    assert caught["accused"] == "http-errors"
    assert caught["seconds"] <= 240
    assert (
        "payments is left out"
        in guard(
            tmp_path, "deploy/web", "-n", "shop", "-p", policy, *at, *WHEN, "--ordinary", "0"
        ).stdout
    )


def test_the_cluster_says_which_deploys_there_were(policy: str, tmp_path: Path) -> None:
    """Without --at the cluster is asked; it knows none of that day, the days are tried anyway."""
    with EmbeddedCluster(start_up=0.05, service=False) as embedded:
        release(embedded, 1)
        kubeconfig = str(embedded.kubeconfig_file(tmp_path / "kubeconfig", namespace="shop"))
        done = guard(tmp_path, "deploy/checkout", "--kubeconfig", kubeconfig, "-p", policy, *WHEN)
    assert done.returncode == 12, done.stderr  # of checkout there is no history
    assert "knows of no deploy of deployment/checkout" in done.stdout


def test_a_prometheus_that_is_not_there_is_told(policy: str, tmp_path: Path) -> None:
    """Nothing can be read: that is no result but an error."""
    url = ["--prometheus-url", "http://127.0.0.1:9"]
    at = ["--at", str(RELEASES[1].at), "--ordinary", "0"]
    done = guard(tmp_path, "deploy/web", "-n", "shop", "-p", policy, *url, *at)
    assert done.returncode == 1
    assert "guard: error:" in done.stderr
