"""What in the cluster has to do with metrics: Services of the workload, a Prometheus to suggest.

Decides what looks like a Prometheus. It is only ever suggested: where guard runs, the cluster's
own addresses usually lead nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.errors import ApiError
from deploy_guard.cluster.target import collection_path
from deploy_guard.model import Target

MOST = 500  # Services that are looked at
_PRODUCTS = {
    "prometheus": 9090,
    "thanos-query": 9090,
    "victoria-metrics-single": 8428,
    "vmsingle": 8428,
    "vmselect": 8481,
}
_NAMES = {"prometheus-operated": 9090, "prometheus-server": 80, "prometheus": 9090}


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A Service that looks like a Prometheus."""

    namespace: str
    name: str
    port: int

    @property
    def command(self) -> str:
        """The command that makes it reachable."""
        local = self.port if self.port > 1023 else 9090
        there = f"{local}:{self.port}" if local != self.port else str(local)
        return f"kubectl -n {self.namespace} port-forward service/{self.name} {there}"

    @property
    def url(self) -> str:
        """The URL by which it is reached then."""
        local = self.port if self.port > 1023 else 9090
        path = "/select/0/prometheus" if self.port == 8481 else ""
        return f"http://127.0.0.1:{local}{path}"


def services_of(cluster: Cluster, target: Target, labels: Mapping[str, str]) -> list[Any] | None:
    """Return the Services whose selector matches the pods' labels; None where that is not told."""
    try:
        found = cluster.get(collection_path(target, "services"), patient=False)["items"]
    except ApiError:
        return None
    return [
        service
        for service in found
        if (selector := service["spec"].get("selector"))
        and all(labels.get(key) == value for key, value in selector.items())
    ]


def find_prometheus(cluster: Cluster, target: Target) -> Suggestion | None:
    """Return the likeliest Prometheus of the cluster, None where none is seen.

    Looks in all namespaces, or in the target's own where that is not allowed.
    """
    services: list[Any] = []
    for path in ("/api/v1/services", collection_path(target, "services")):
        try:
            services = cluster.get(path, params={"limit": str(MOST)}, patient=False)["items"]
            break
        except ApiError:
            continue
    ranked = sorted(
        (rank, one.namespace, one.name, one)
        for rank, one in (_suggestion(service) for service in services)
        if one is not None
    )
    return ranked[0][3] if ranked else None


def _suggestion(service: Mapping[str, Any]) -> tuple[int, Suggestion | None]:
    """Return how likely a Service is a Prometheus (0 is best), and what it would be."""
    metadata = service["metadata"]
    ports = [int(port["port"]) for port in service["spec"].get("ports") or ()]
    labels = metadata.get("labels") or {}
    name = str(metadata["name"])
    product = _PRODUCTS.get(str(labels.get("app.kubernetes.io/name", "")))
    known = _NAMES.get(name)
    for rank, wanted in ((0, product), (1, known)):
        if wanted is not None and ports:
            port = wanted if wanted in ports else ports[0]
            return rank, Suggestion(str(metadata["namespace"]), name, port)
    likely = any(word in name for word in ("prometheus", "victoria", "vmsingle"))
    usual = [port for port in ports if port in (9090, 8428, 8481)]
    if likely and usual:
        return 2, Suggestion(str(metadata["namespace"]), name, usual[0])
    return 3, None
