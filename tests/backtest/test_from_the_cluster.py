"""`guard backtest` of the deploys that a cluster lists, against the metrics of those days.

The cluster is the embedded one: four rollouts happen in it, and then its objects are as old as the
history. Prometheus and VictoriaMetrics are real.
"""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from backtest.service_history import BEGIN, HOUR, Release, history
from cli.conftest import GUARD, clean_environment
from deploy_guard.backtest.deploys import deploys_in
from deploy_guard.cluster.snapshot import take
from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.model import Verdict
from deploy_guard.rollback.verdicts import record_verdict
from prometheus_server import PrometheusServer, needs_prometheus
from rollback.shop import WEB, Shop
from victoria_server import VictoriaServer, needs_victoria

END = BEGIN + 24 * HOUR
FIRST, GOOD, BAD, BACK = BEGIN - HOUR, BEGIN + 6 * HOUR + 7, BEGIN + 12 * HOUR + 20, 600
DEPLOYMENTS, REPLICA_SETS = "deployments.apps", "replicasets.apps"
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
  - provider: prometheus
    name: new-errors
    ratio:
      errors: sum(http_requests_total{{pod=~"{{{{ candidate_pods }}}}", code=~"5.."}})
      requests: sum(http_requests_total{{pod=~"{{{{ candidate_pods }}}}"}})
    limit: 5%
"""


def aged(obj: dict[str, Any], created: float) -> dict[str, Any]:
    """Return the object as if it had been created then."""
    found = copy.deepcopy(obj)
    text = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    found["metadata"]["creationTimestamp"] = text
    return found


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, tuple[Release, ...]]]:
    """Give a kubeconfig, and what was deployed: a first version, a good one, a bad one, back.

    Guard has judged two of them, and the return to the good one moved its number.
    """
    folder = tmp_path_factory.mktemp("cluster")
    with EmbeddedCluster(start_up=0.02, service=False) as live, Shop(live, folder) as shop:
        first, good, bad = (shop.release(tag) for tag in ("1", "2", "3"))
        verdicts = {good: Verdict.HEALTHY, bad: Verdict.REGRESSED}
        for deploy in deploys_in(take(shop.cluster, WEB)):
            assert deploy.revision is not None
            if verdict := verdicts.get(deploy.revision.template_hash):
                record_verdict(shop.cluster, WEB, deploy.revision, verdict, reason="", at=deploy.at)
        assert shop.release("2") == good
        found = {name: live.store.list_all(name)[0] for name in (DEPLOYMENTS, REPLICA_SETS)}
    # before it starts: its controller would make ReplicaSets of its own meanwhile
    embedded = EmbeddedCluster(start_up=0.02, service=False)
    embedded.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    created = {first: FIRST, good: GOOD, bad: BAD}
    for deployment in found[DEPLOYMENTS]:
        embedded.store.create(DEPLOYMENTS, aged(deployment, FIRST))
    for each in found[REPLICA_SETS]:
        at = created[each["metadata"]["labels"]["pod-template-hash"]]
        embedded.store.create(REPLICA_SETS, aged(each, at))
    with embedded:
        kubeconfig = embedded.kubeconfig_file(folder / "aged", namespace="shop")
        yield (
            str(kubeconfig),
            (
                Release(FIRST, first),
                Release(GOOD, good),
                Release(BAD, bad, errors=0.25),
                Release(BAD + BACK, good),
            ),
        )


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(PrometheusServer, marks=needs_prometheus, id="prometheus"),
        pytest.param(VictoriaServer, marks=needs_victoria, id="victoria"),
    ],
)
def url(
    request: pytest.FixtureRequest,
    past: tuple[str, tuple[Release, ...]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """Run a server that has the metrics of that day."""
    folder = tmp_path_factory.mktemp("server")
    with request.param(folder, history=history(past[1], end=END)) as server:
        yield server.url


def backtested(
    folder: Path, kubeconfig: str, url: str, *more: str
) -> subprocess.CompletedProcess[str]:
    """Run guard backtest over that day, without a list of deploys."""
    (folder / "policy.yaml").write_text(POLICY.format(url=url))
    when = ["--since", "24h", "--until", str(END)]
    where = ["deploy/web", "--kubeconfig", kubeconfig, "-p", "policy.yaml", *when]
    return subprocess.run(
        [*GUARD, "backtest", *where, *more],
        env=clean_environment(HOME=str(folder)),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def test_the_deploys_of_a_cluster_are_judged_on_the_metrics_of_their_time(
    past: tuple[str, tuple[Release, ...]], url: str, tmp_path: Path
) -> None:
    """The one that guard took back is caught again, the good one and ordinary days are healthy."""
    done = backtested(tmp_path, past[0], url, "--ordinary", "8", "-o", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    real = [d for d in found["deploys"] if not d["ordinary"]]
    assert [(d["label"], d["bad"], d["verdict"]) for d in real] == [
        ("revision 2 (now 4)", False, "healthy"),
        ("revision 3", True, "regressed"),
    ]
    assert (found["caught"]["count"], found["caught"]["of"]) == (1, 1)
    assert (found["wronged"]["count"], found["wronged"]["of"]) == (0, 1)
    assert real[1]["seconds"] <= 240
    assert real[1]["revision"]["template_hash"] == past[1][2].hash
    assert (found["false_rollbacks"]["count"], found["false_rollbacks"]["of"]) == (0, 8)
    assert found["deploys_per_month"] == pytest.approx(60)
    # Nothing but the signal of the pods is left out: a sum over the new ones has their hash.
    assert [m["signal"] for m in found["missing"]] == ["kubernetes"]
    assert found["notes"] and not any("knows of no deploy" in note for note in found["notes"])


def test_what_is_asked_is_said_before_it_is_asked(
    past: tuple[str, tuple[Release, ...]], url: str, tmp_path: Path
) -> None:
    """Also without a terminal: the survey and the reading, each first, and both in the result."""
    done = backtested(tmp_path, past[0], url, "--ordinary", "3")
    to_find, to_read = done.stderr.splitlines()[:2]
    assert to_find.startswith("Prometheus is asked 2 range queries of about ")
    assert to_find.endswith("to find ordinary days")
    assert to_read.endswith("to read 5 deploys, 3 of them ordinary days")
    found = [int(line.split(" range")[0].split()[-1]) for line in (to_find, to_read)]
    assert f"the load on Prometheus: {sum(found)} range queries" in done.stdout
    assert "kubernetes: only pods that have samples are seen" in done.stdout
    assert "kubernetes is left out" not in done.stdout
