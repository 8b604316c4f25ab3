"""Manifests of the toy service, as a user would write them.

Decides labels, ports, probes and scrape annotations. Defaults are left to the API server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deploy_guard.embedded.store import Object

PORT = 8080
IMAGE = "registry.example/shop:1.0"


def toy_deployment(
    name: str,
    namespace: str,
    image: str = IMAGE,
    env: Mapping[str, str] | None = None,
    replicas: int = 3,
    **spec: Any,
) -> Object:
    """Return a Deployment of the toy service; `spec` adds fields to its spec.

    `env` becomes the container's environment; see `service` for the names it knows.
    """
    own = {"replicas": replicas, **spec}
    return _workload("Deployment", (namespace, name), image, env, own)


def toy_stateful_set(
    name: str,
    namespace: str,
    image: str = IMAGE,
    env: Mapping[str, str] | None = None,
    replicas: int = 3,
    **spec: Any,
) -> Object:
    """Return a StatefulSet of the toy service, as `toy_deployment` returns a Deployment."""
    own = {"serviceName": name, "replicas": replicas, **spec}
    return _workload("StatefulSet", (namespace, name), image, env, own)


def toy_daemon_set(
    name: str,
    namespace: str,
    image: str = IMAGE,
    env: Mapping[str, str] | None = None,
    **spec: Any,
) -> Object:
    """Return a DaemonSet of the toy service, as `toy_deployment` returns a Deployment."""
    return _workload("DaemonSet", (namespace, name), image, env, spec)


def _workload(
    kind: str,
    where: tuple[str, str],
    image: str,
    env: Mapping[str, str] | None,
    spec: Mapping[str, Any],
) -> Object:
    namespace, name = where
    container: Object = {
        "name": name,
        "image": image,
        "ports": [{"name": "http", "containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1},
    }
    if env:
        container["env"] = [{"name": key, "value": value} for key, value in env.items()]
    scrape = {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(PORT),
        "prometheus.io/path": "/metrics",
    }
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}, "annotations": scrape},
                "spec": {"containers": [container]},
            },
            **spec,
        },
    }
