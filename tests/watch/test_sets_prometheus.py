"""StatefulSets and DaemonSets with a shipped policy and a real Prometheus that scrapes the pods."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from deploy_guard.cluster.client import Cluster
from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.model import Counts, Sample, Target
from deploy_guard.record import observations, read
from prometheus_server import PrometheusServer, needs_prometheus
from watch.scraping import POLICIES, TIMES, Guard, Scraper
from watch.sets import Sets

pytestmark = needs_prometheus


@pytest.fixture(scope="module")
def scraped() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(start_up=0.2, nodes=3) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def prometheus(
    scraped: EmbeddedCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrometheusServer]:
    """A Prometheus that scrapes every pod twice a second."""
    folder = tmp_path_factory.mktemp("prometheus")
    with PrometheusServer(folder, scrape_interval="500ms") as server:
        scraper = Scraper(scraped, server)
        yield server
        scraper.close()


def shipped(folder: Path) -> Path:
    """Copy the shipped policy of HTTP errors with short times."""
    made = yaml.safe_load((POLICIES / "http-errors.yaml").read_text())
    made["watch"] = {**made["watch"], **TIMES}
    for signal in made["signals"]:
        signal.pop("interval", None)
    made["rollback"] = {**made.get("rollback", {}), "timeout": "60s", "verify": "25s"}
    path = folder / "policy.yaml"
    path.write_text(yaml.safe_dump(made))
    return path


@pytest.mark.parametrize("kind", ["statefulset", "daemonset"])
def test_with_a_real_prometheus_a_bad_release_is_taken_back(
    scraped: EmbeddedCluster, prometheus: PrometheusServer, kind: str, tmp_path: Path
) -> None:
    """The shipped policy, untouched, tells old pods from new ones of the same name."""
    namespace = f"scraped-{kind}"
    kubeconfig = scraped.kubeconfig_file(tmp_path / "kubeconfig", namespace=namespace)
    target = Target(kind, namespace, "web")
    with Cluster.connect(kubeconfig=str(kubeconfig)) as cluster:
        sets = Sets(scraped, cluster, namespace)
        sets.open(target)
        counter = f'http_requests_total{{namespace="{namespace}"}}'
        prometheus.wait_for(f"sum(increase({counter}[15s])) > 100")
        sets.release(target, "2", {"ERROR_RATIO": "1"})
        arguments = ["-p", str(shipped(tmp_path)), "--prometheus-url", prometheus.url]
        report = tmp_path / "report"
        more = ["--report", str(report)]
        with Guard(kubeconfig, *arguments, *more, target=f"{kind}/web") as guard:
            ended = guard.end()
        assert ended.ending == (10, "regressed", "rolled_back", "recovered"), ended.told
        assert sets.tag(target) == "1"
    samples = [
        s for s in observations(read(report)) if isinstance(s, Sample) and s.signal == "http-errors"
    ]
    control = [s.control for s in samples if isinstance(s.control, Counts)]
    candidate = [s.candidate for s in samples if isinstance(s.candidate, Counts)]
    assert sum(c.errors for c in control) == 0, ended.told
    errors = sum(c.errors for c in candidate)
    assert 0 < errors <= sum(c.requests for c in candidate)
