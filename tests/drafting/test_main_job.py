"""A drafted policy at work: a real regression is caught and taken back with it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.policy.load import inspect, load_file
from prometheus_server import PrometheusServer, needs_prometheus
from watch.scraping import FIRST, SECOND, Scraper, Shop

pytestmark = needs_prometheus
QUICK = "version: 1\nrollback: {timeout: 60s, verify: 5s}\n"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop with users, scraped every second."""
    with (
        EmbeddedCluster(start_up=0.2) as embedded,
        PrometheusServer(tmp_path / "prometheus") as prometheus,
    ):
        scraper = Scraper(embedded, prometheus)
        found = Shop(embedded, prometheus, tmp_path)
        found.open()
        yield found
        found.close()
        scraper.close()


def drafted(shop: Shop, *arguments: str) -> Path:
    """Run guard init on the shop and return the file."""
    file = shop.folder / "drafted.yaml"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "deploy_guard", "init", "deployment/web", "-o", str(file)),
            *("--kubeconfig", str(shop.kubeconfig), *arguments),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return file


@pytest.mark.parametrize("provider", ["prometheus", "pods"])
def test_a_regression_is_caught_with_the_draft_as_it_is(shop: Shop, provider: str) -> None:
    """Exit 10, the errors are accused, and the first version serves again."""
    url = ("--prometheus-url", shop.prometheus.url) if provider == "prometheus" else ()
    file = drafted(shop, *url)
    assert inspect([file]).problems == ()
    assert {signal.provider for signal in load_file(file).signals} == {provider}
    (shop.folder / "quick.yaml").write_text(QUICK)
    shop.release(SECOND, {"ERROR_RATIO": "0.8"})
    with shop.guard(file, "-p", str(shop.folder / "quick.yaml")) as guard:
        ended = guard.end()
    assert (ended.code, ended.document["verdict"]) == (10, "regressed"), json.dumps(ended.document)
    assert ended.evidence("http-errors")["finding"] == "bad"
    assert shop.image() == FIRST
