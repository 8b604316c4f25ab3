"""From a policy to its signals: which class reads what, and what is imported for it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from deploy_guard.errors import UsageError
from deploy_guard.policy.models import Policy
from deploy_guard.signals import open_signals, workload_variables
from signals.workloads import NEW, NEW_POD, OLD, OLD_POD, pod, workload

RATIO = {"ratio": {"errors": "http_errors_total", "requests": "http_requests_total"}, "limit": "5%"}
SIGNALS: dict[str, dict[str, Any]] = {
    "prometheus": {"name": "a", "provider": "prometheus", **RATIO},
    "pods": {"name": "b", "provider": "pods", "port": 8080, **RATIO},
    "http": {"name": "c", "provider": "http", "url": "http://127.0.0.1/", "interval": "3s"},
}


class NoCluster:
    """A cluster that nobody may ask: opening signals reads nothing."""

    def pod_get(
        self, namespace: str, pod: str, port: int | str, path: str, *, timeout: float
    ) -> str:
        raise AssertionError("nothing is read when signals are opened")


def policy(*signals: dict[str, Any], **more: Any) -> Policy:
    return Policy.model_validate({"version": 1, "signals": list(signals), **more})


def test_the_clusters_own_signal_always_comes_first() -> None:
    """A policy without signals still has the cluster's own."""
    (only,) = open_signals(policy(), cluster=NoCluster())
    assert only.name == "kubernetes"


def test_every_provider_is_opened_with_its_interval() -> None:
    """Signals keep the order and the names of the policy; an interval of their own wins."""
    found = open_signals(
        policy(*SIGNALS.values(), prometheus={"url": "http://127.0.0.1:1"}), cluster=NoCluster()
    )
    assert [(signal.name, signal.interval) for signal in found] == [
        ("kubernetes", 5.0), ("a", 15.0), ("b", 15.0), ("c", 3.0),
    ]  # fmt: skip


def test_a_named_port_cannot_be_read_straight() -> None:
    """An IP address has no port names; the error says what to do."""
    by_name = {**SIGNALS["pods"], "port": "http", "via": "ip"}
    with pytest.raises(UsageError, match="needs the port's number, got 'http'"):
        open_signals(policy(by_name), cluster=NoCluster())


def test_prometheus_without_an_address_is_an_error() -> None:
    """A prometheus signal needs the connection of the policy."""
    with pytest.raises(UsageError, match="where Prometheus is"):
        open_signals(policy(SIGNALS["prometheus"]), cluster=NoCluster())


def test_requests_is_loaded_only_by_providers_that_call_http() -> None:
    """A policy that reads pods through the API server does not pay for requests."""
    code = (
        "import sys\n"
        "from deploy_guard.policy.models import Policy\n"
        "from deploy_guard.signals import open_signals\n"
        f"open_signals(Policy.model_validate({{'version': 1, 'signals': [{SIGNALS['pods']!r}]}}),"
        " cluster=None)\n"
        "print([m for m in ('requests', 'kubernetes', 'rich', 'numpy') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_template_variables_follow_the_workload() -> None:
    """The candidate's hash and those of all other pods are what queries are rendered with."""
    found = workload_variables(workload(pod(NEW_POD), pod(OLD_POD)))
    assert (found["candidate_hash"], found["baseline_hash"]) == (NEW, OLD)
    assert (found["namespace"], found["name"]) == ("shop", "web")
