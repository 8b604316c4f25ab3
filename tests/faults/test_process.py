"""A real guard process under faults: exit codes, and what a pipeline's log shows."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy_guard.cluster.client import Cluster
from deploy_guard.embedded.cluster import EmbeddedCluster
from faults.cells import BAD, begin, kubeconfig_for
from faults.proxy import Exchange, FaultProxy, Reset, only_with, reset
from faults.test_credentials import plugin
from watch.scraping import Guard
from watch.shop import FIRST, SECOND, Shop

POLICY: dict[str, Any] = {
    "version": 1,
    "watch": {"for": "5s", "interval": "250ms", "warm_up": "500ms"},
    "rollback": {"timeout": "20s", "verify": "8s"},
    "signals": [
        {
            "name": "errors",
            "provider": "pods",
            "port": "http",
            "ratio": {
                "errors": 'http_requests_total{code=~"5.."}',
                "requests": "http_requests_total",
            },
            "limit": "20%",
            "min_requests": 20,
        }
    ],
}


@contextmanager
def deployed(
    folder: Path, env: dict[str, str], user: dict[str, Any] | None = None
) -> Iterator[tuple[FaultProxy, Guard, Shop]]:
    """Deploy a second version and start guard behind a proxy."""
    with EmbeddedCluster(start_up=0.1) as embedded, FaultProxy(embedded.url) as proxy:
        kubeconfig = kubeconfig_for(proxy.url, folder, user)
        with Cluster.connect(kubeconfig=str(kubeconfig)) as cluster:
            shop = Shop(embedded, cluster, kubeconfig)
            begin(shop)
            shop.release(SECOND, env)
            (folder / "policy.yaml").write_text(yaml.safe_dump(POLICY))
            with Guard(kubeconfig, "-p", str(folder / "policy.yaml")) as guard:
                yield proxy, guard, shop


def test_a_rollback_whose_answer_is_lost_in_an_outage(tmp_path: Path) -> None:
    """It was done, its answer never came, and nobody could be asked: found out, not done twice."""

    def lost_in_an_outage(exchange: Exchange) -> None:
        exchange.forward()
        proxy.fail(reset, seconds=1.0, cut=True)
        raise Reset

    with deployed(tmp_path, BAD) as (proxy, guard, shop):
        guard.wait_for("can be read")
        proxy.fail(lost_in_an_outage, "write", path="/deployments/web$", first=1)
        ended = guard.end()
        assert (ended.code, proxy.rollbacks(), shop.image()) == (10, 1, FIRST), ended.told


def test_a_network_that_is_cut_during_a_good_deploy(tmp_path: Path) -> None:
    """Connections are refused for a moment: told, survived, exit 0."""
    with deployed(tmp_path, {}) as (proxy, guard, shop):
        guard.wait_for("can be read")
        proxy.go_away()
        guard.wait_for("cannot be seen")
        proxy.come_back()
        ended = guard.end()
        assert (ended.code, proxy.rollbacks(), shop.image()) == (0, 0, SECOND), ended.told
    assert "the cluster is seen again" in ended.told


def test_a_session_that_ends_midway(tmp_path: Path) -> None:
    """The credential plugin is asked again, and the bad deploy is taken back: exit 10."""
    (tmp_path / "token").write_text("one")
    with deployed(tmp_path, BAD, plugin(tmp_path)) as (proxy, guard, shop):
        guard.wait_for("watching for")
        (tmp_path / "token").write_text("two")
        proxy.fail(only_with("two"), cut=True)
        ended = guard.end()
        assert (ended.code, proxy.rollbacks(), shop.image()) == (10, 1, FIRST), ended.told


@pytest.mark.skipif(sys.platform != "linux", reason="other systems word it otherwise")
def test_a_server_whose_name_does_not_exist(tmp_path: Path) -> None:
    """The error says that it is the name; nothing was decided: exit 1."""
    import subprocess

    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(POLICY))
    kubeconfig = kubeconfig_for("https://api.shop.invalid:6443", tmp_path)
    command = ["watch", "deployment/web", "--kubeconfig", str(kubeconfig)]
    guard = [sys.executable, "-m", "deploy_guard", *command, "-p", str(tmp_path / "policy.yaml")]
    ended = subprocess.run(guard, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1, ended.stderr
    assert "the server cannot be reached: name or service not known" in ended.stderr
