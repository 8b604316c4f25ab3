"""The main job with the shipped policies and a real Prometheus that scrapes the pods."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from deploy_guard.embedded.cluster import EmbeddedCluster
from prometheus_server import PrometheusServer, needs_prometheus
from signals.web_server import Reply, WebServer
from watch.scraping import FIRST, SECOND, Scraper, Shop

pytestmark = needs_prometheus

BAD = {"ERROR_RATIO": "0.8"}
ROLLED_BACK = (10, "regressed", "rolled_back", "recovered")
HEALTHY = (0, "healthy", "none", None)
NO_DATA = (12, "no_data", "none", None)


def with_connection(policy: Path, **settings: object) -> Path:
    """Add settings of the connection to a policy's file."""
    found = yaml.safe_load(policy.read_text())
    found["prometheus"] = {**found["prometheus"], **settings}
    policy.write_text(yaml.safe_dump(found))
    return policy


def without_limit(policy: Path) -> Path:
    """Leave only the comparison with the baseline in a policy's file."""
    found = yaml.safe_load(policy.read_text())
    for spec in found["signals"]:
        del spec["limit"]
    policy.write_text(yaml.safe_dump(found))
    return policy


def twenty_minutes(namespace: str) -> str:
    """Return the past of a pod with 10 requests a second, of which 1 % fail."""
    now = int(time.time())
    series = {"200": 99, "500": 1}
    labels = f'namespace="{namespace}",pod="web-5d4f8c7b9d-x2x4z"'
    lines = ["# TYPE http_requests counter"]
    for code, each in series.items():
        for step in range(121):
            at = now - 1201 + 10 * step
            lines.append(f'http_requests_total{{{labels},code="{code}"}} {each * step} {at}')
    return "\n".join([*lines, "# EOF", ""])


def wait_until_read(record: Path, *, timeout: float = 60.0) -> None:
    """Wait until the record of a watch has a sample of the new pods."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        whole = record.read_text().rpartition("\n")[0] if record.exists() else ""
        samples = [json.loads(line).get("sample") or {} for line in whole.splitlines()]
        if any(s.get("signal") == "http-errors" and s.get("candidate") for s in samples):
            return
        time.sleep(0.05)
    raise AssertionError(f"no sample in {record}")


@pytest.fixture(scope="module")
def embedded() -> Iterator[EmbeddedCluster]:
    """A cluster with quick pods."""
    with EmbeddedCluster(start_up=0.2) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def prometheus(
    embedded: EmbeddedCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrometheusServer]:
    """A Prometheus that scrapes every pod of the cluster twice a second."""
    folder = tmp_path_factory.mktemp("prometheus")
    with PrometheusServer(folder, scrape_interval="500ms") as server:
        scraper = Scraper(embedded, server)
        yield server
        scraper.close()


@pytest.fixture
def shop(embedded: EmbeddedCluster, prometheus: PrometheusServer, tmp_path: Path) -> Iterator[Shop]:
    """A shop in a namespace of its own."""
    found = Shop(embedded, prometheus, tmp_path)
    yield found
    found.close()


@pytest.fixture
def web() -> Iterator[WebServer]:
    """What stands in the place of Prometheus and does not answer as it should."""
    with WebServer(lambda _request: Reply(500)) as server:
        yield server


@pytest.mark.parametrize(
    ("name", "env", "accused"),
    [
        ("http-errors", BAD, "http-errors"),
        ("latency", {"LATENCY_MS": "700"}, "latency"),
        ("api-integrations", {"PAYMENTS_URL": "wrong"}, "payments-errors"),
    ],
)
def test_each_policy_takes_back_what_it_is_made_for(
    shop: Shop, name: str, env: dict[str, str], accused: str
) -> None:
    """A bad deploy is rolled back by the shipped policy, whose own signal says why."""
    payments = shop.embedded.payments
    env = {key: value.replace("wrong", payments.base_url) for key, value in env.items()}
    shop.open({"PAYMENTS_URL": payments.url})
    shop.release(SECOND, {"PAYMENTS_URL": payments.url, **env})
    with shop.guard(shop.policy(name)) as guard:
        ended = guard.end()
    assert ended.ending == ROLLED_BACK, ended.told
    assert ended.evidence(accused)["finding"] == "bad"
    assert shop.image() == FIRST


def test_a_good_deploy_passes(shop: Shop) -> None:
    """With all signals of the combined policy good, the new version stays: exit 0."""
    shop.open({"PAYMENTS_URL": shop.embedded.payments.url})
    shop.release(SECOND, {"PAYMENTS_URL": shop.embedded.payments.url})
    # New pods are scraped a few seconds late; most of the polls need data all the same.
    with shop.guard(shop.policy("combined", **{"for": "18s"})) as guard:
        ended = guard.end()
    assert ended.ending == HEALTHY, ended.told
    assert {s["finding"] for s in ended.document["signals"]} == {"good"}
    assert shop.image() == SECOND


def test_the_baseline_comes_from_before_the_deploy(
    embedded: EmbeddedCluster, tmp_path: Path
) -> None:
    """When no old pod is left to compare with, Prometheus' own past condemns the new version."""
    history = twenty_minutes("shop-with-a-past")
    folder = tmp_path / "prometheus"
    with PrometheusServer(folder, scrape_interval="500ms", history=history) as server:
        shop = Shop(embedded, server, tmp_path, namespace="shop-with-a-past")
        scraper = Scraper(embedded, server)
        shop.release()
        shop.complete()
        shop.release(SECOND, {"ERROR_RATIO": "0.25"}, strategy={"type": "Recreate"})
        shop.complete()
        shop.visit()
        policy = without_limit(shop.policy("http-errors", baseline="20m"))
        with shop.guard(policy) as guard:
            ended = guard.end()
        scraper.close()
        shop.close()
    assert ended.ending[:3] == ROLLED_BACK[:3], ended.told
    evidence = ended.evidence("http-errors")
    assert evidence["rule"] == "comparison"
    assert evidence["baseline"] == pytest.approx(0.01, rel=0.1)
    assert evidence["numbers"]["baseline_requests"] == pytest.approx(12_000, rel=0.1)


def test_queries_without_the_label_pod_compare_before_and_after(shop: Shop) -> None:
    """A sum over all pods is the old version before the deploy and the new one after it."""
    shop.open()
    shop.release(SECOND, BAD)
    policy = shop.policy("http-errors")
    policy.write_text(policy.read_text().replace("sum by (pod)", "sum"))
    with shop.guard(policy) as guard:
        ended = guard.end()
    assert ended.ending[:3] == ROLLED_BACK[:3], ended.told
    assert shop.image() == FIRST


@pytest.mark.parametrize("case", ["nobody listens", "hangs", "refuses the credentials"])
def test_without_an_answer_nothing_is_decided(shop: Shop, web: WebServer, case: str) -> None:
    """A Prometheus that cannot be read gives exit 12 and no rollback, however bad the deploy."""
    shop.release()
    shop.complete()
    shop.release(SECOND, BAD)
    shop.complete()
    web.answer = lambda _request: Reply(hang=True) if case == "hangs" else Reply(401)
    if case == "nobody listens":
        web.close()
    policy = shop.policy("http-errors", **{"for": "4s"})
    with_connection(policy, timeout="500ms", bearer={"env": "PROMETHEUS_TOKEN"})
    with shop.guard(policy, url=web.url, PROMETHEUS_TOKEN="hunter2-hunter2") as guard:
        ended = guard.end()
    assert ended.ending == NO_DATA, ended.told
    words = {"nobody listens": "refuses", "hangs": "timeout", "refuses the credentials": "401"}
    assert words[case] in ended.document["reason"]
    assert "hunter2" not in ended.told + str(ended.document)
    assert shop.image() == SECOND


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hangs"])
def test_a_prometheus_that_dies_during_the_watch(
    embedded: EmbeddedCluster, tmp_path: Path, number: signal.Signals
) -> None:
    """What happens after Prometheus died is not seen: exit 12, no rollback, the reason told."""
    with PrometheusServer(tmp_path / "prometheus", scrape_interval="500ms") as server:
        shop = Shop(embedded, server, tmp_path)
        scraper = Scraper(embedded, server)
        shop.open()
        shop.release(SECOND, {"PAYMENTS_URL": embedded.payments.url})
        policy = with_connection(shop.policy("http-errors"), timeout="1s")
        with shop.guard(policy, "--report", str(tmp_path / "report")) as guard:
            wait_until_read(tmp_path / "report" / "record.jsonl")
            os.kill(server.pid, number)
            guard.wait_for("no-data")
            embedded.payments.fail = True  # from here on the new pods answer with errors
            ended = guard.end()
        embedded.payments.fail = False
        os.kill(server.pid, signal.SIGCONT)
        scraper.close()
    assert ended.code == 12, ended.told
    assert ended.document["action"] == "none"
    assert ended.signal("http-errors")["samples"] > 0
    assert ended.signal("http-errors")["no_data"] > 0
    assert shop.image() == SECOND
    shop.close()
