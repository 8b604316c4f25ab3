"""What else of the cluster is looked at: Services, readiness pages, metrics pages of pods."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.snapshot import Snapshot
from deploy_guard.drafting import draft
from deploy_guard.drafting.from_pods import MOST_PAGES, PageSource, Place, places
from deploy_guard.drafting.nearby import Suggestion, find_prometheus, services_of
from deploy_guard.drafting.probe import probe
from deploy_guard.drafting.sources import Pick, Scope
from deploy_guard.model import Target
from deploy_guard.signals.exposition import Page
from drafting.conftest import Checkout
from rollback.roles import as_account
from rollback.shop import Shop

TARGET = Target("deployment", "shop", "checkout")


def service(name: str, *ports: int, **metadata: Any) -> dict[str, Any]:
    """Return a Service."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "shop", **metadata},
        "spec": {"selector": {"app": name}, "ports": [{"port": port} for port in ports]},
    }


@pytest.mark.parametrize(
    ("made", "url"),
    [
        (service("prometheus-operated", 9090), "http://127.0.0.1:9090"),
        (service("prometheus-server", 80), "http://127.0.0.1:9090"),
        (service("my-victoria", 8428), "http://127.0.0.1:8428"),
        (
            service("vm", 8481, labels={"app.kubernetes.io/name": "vmselect"}),
            "http://127.0.0.1:8481/select/0/prometheus",
        ),
    ],
    ids=["operator", "chart", "by its port", "cluster of VictoriaMetrics"],
)
def test_a_service_that_looks_like_a_prometheus_is_found(
    checkout: Checkout, made: dict[str, Any], url: str
) -> None:
    """By the labels and names that charts and operators give."""
    checkout.embedded.apply(service("shop-web", 9090))
    checkout.embedded.apply(made)
    try:
        with Cluster.connect(kubeconfig=str(checkout.kubeconfig)) as cluster:
            found = find_prometheus(cluster, TARGET)
    finally:
        for name in ("shop-web", made["metadata"]["name"]):
            checkout.embedded.store.delete("services", "shop", name)
    assert found is not None
    assert (found.name, found.url) == (made["metadata"]["name"], url)


def test_the_command_of_a_suggestion_uses_a_port_that_anybody_may_open() -> None:
    """Below 1024 only root may listen."""
    found = Suggestion("monitoring", "prometheus-server", 80)
    assert found.command == "kubectl -n monitoring port-forward service/prometheus-server 9090:80"


def test_services_are_the_workloads_by_their_selector(checkout: Checkout) -> None:
    """One for other pods is not."""
    for name in ("checkout", "other"):
        checkout.embedded.apply(service(name, 80))
    try:
        with Cluster.connect(kubeconfig=str(checkout.kubeconfig)) as cluster:
            found = services_of(cluster, TARGET, {"app": "checkout", "version": "2"})
    finally:
        for name in ("checkout", "other"):
            checkout.embedded.store.delete("services", "shop", name)
    assert found is not None
    assert [one["metadata"]["name"] for one in found] == ["checkout"]


def test_what_the_account_may_not_see_is_told(checkout: Checkout, tmp_path: Path) -> None:
    """Without the rights to pages and Services the likeliest page's answer names the right."""
    verbs = {"apps": ("deployments", "replicasets"), "": ("pods",)}
    rules = [
        {"apiGroups": [group], "resources": [*resources], "verbs": ["get", "list"]}
        for group, resources in verbs.items()
    ]
    with (
        Shop(checkout.embedded, tmp_path) as shop,
        as_account(shop, tmp_path, rules) as cluster,
    ):
        assert services_of(cluster, TARGET, {"app": "checkout"}) is None
        found = draft(cluster, TARGET, prometheus_url=None, environ={})
    told = " ".join(found.notes)
    assert "status 403 from :http/metrics" in told
    assert 'cannot get resource "pods/proxy"' in told
    assert "cannot be listed: is the right missing?" in told


def snapshot(container: dict[str, Any]) -> Snapshot:
    """Return a workload with one container."""
    template = {"spec": {"containers": [container]}}
    return Snapshot(TARGET, {"spec": {"template": template}}, (), (), 0.0)


READY = {
    "ports": [{"name": "http", "containerPort": 8080}],
    "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
}


@pytest.mark.parametrize(
    ("container", "services", "why"),
    [
        ({}, [], "no container has a readiness probe over HTTP"),
        (READY, None, "cannot be listed"),
        (READY, [], "no Service leads to the port"),
        (READY, [service("checkout", 80)], "no Service leads to the port"),
        (READY, [service("checkout", 8080)], "checkout.shop.svc:8080/ready cannot be asked"),
    ],
    ids=["no probe", "not allowed", "no Service", "another port", "out of reach"],
)
def test_a_page_that_cannot_be_asked_is_no_signal(
    container: dict[str, Any], services: list[dict[str, Any]] | None, why: str
) -> None:
    """The reason is told instead."""
    found = probe(snapshot(container), services, environ={})
    assert isinstance(found, str)
    assert why in found


def pod(notes: dict[str, str], *ports: dict[str, Any]) -> dict[str, Any]:
    """Return a pod with annotations and the ports of its container."""
    return {"metadata": {"annotations": notes}, "spec": {"containers": [{"ports": list(ports)}]}}


@pytest.mark.parametrize(
    ("raw", "first"),
    [
        (pod({"prometheus.io/port": "9102"}), Place(9102, "/metrics")),
        (
            pod({"prometheus.io/port": "80", "prometheus.io/path": "/stats"},
                {"containerPort": 80, "name": "web"}),
            Place("web", "/stats"),
        ),
        (
            pod({}, {"containerPort": 80}, {"containerPort": 90, "name": "metrics"}),
            Place("metrics", "/metrics"),
        ),
        (pod({"prometheus.io/port": "x"}, {"containerPort": 80}), Place(80, "/metrics")),
    ],
    ids=["annotation", "named port", "port for metrics", "odd annotation"],
)  # fmt: skip
def test_a_metrics_page_is_looked_for_where_scrapers_look(
    raw: dict[str, Any], first: Place
) -> None:
    """By annotations, then by the names of ports, then everywhere; only so many are tried."""
    assert places(raw)[0] == first
    many = pod({}, *({"containerPort": 8000 + n} for n in range(50)))
    assert len(places(many)) == MOST_PAGES
    assert places(pod({}, {"containerPort": 53, "protocol": "UDP"})) == []


def test_a_page_answers_like_a_server() -> None:
    """Sums, buckets and the busiest peers, as rates since the pod counts, of all pods."""
    page = Page(
        "# TYPE api_client_requests_total counter\n"
        'api_client_requests_total{integration="a",code="200"} 600\n'
        'api_client_requests_total{integration="b",code="200"} 60\n'
        'api_client_requests_total{integration="a",code="500"} 6\n'
    )
    source = PageSource(page, now=1000.0, age=60.0, pods=2)
    pick = Pick("api_client_requests_total", Scope(page=True))
    assert source.rates(pick.where('code="500"')) == {1000.0: pytest.approx(0.2)}
    assert source.labels(pick) == {"integration", "code"}
    peers = source.peers(pick, "integration", 1)
    assert peers.count == 2
    (busiest,) = peers.busiest
    assert busiest.name == "a"
    assert busiest.rate == pytest.approx(20.2)
    assert source.rates(Pick("absent", Scope(page=True))) == {}
