"""Clusters for the cluster tests: the embedded one always, a real one when a kubeconfig is given.

GUARD_TEST_KUBECONFIG names the kubeconfig of a cluster that the tests may use: they make a
namespace of their own and delete it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy_guard.cluster.client import MERGE_PATCH, Cluster
from deploy_guard.embedded.cluster import EmbeddedCluster

REAL = os.environ.get("GUARD_TEST_KUBECONFIG", "")
GOOD = "registry.k8s.io/pause:3.10"
BETTER = "registry.k8s.io/pause:3.9"
BAD = "registry.k8s.io/nopull:0"  # does not exist; the embedded kubelet knows the name, too
NAME = "idle"
Json = dict[str, Any]


@dataclass
class Room:
    """A namespace of its own in some cluster, with one Deployment in it."""

    cluster: Cluster
    kubeconfig: str
    namespace: str
    patience: float  # seconds for a rollout

    @property
    def path(self) -> str:
        """The API path of the Deployment."""
        return f"{self.deployments}/{NAME}"

    @property
    def deployments(self) -> str:
        """The API path of the namespace's Deployments."""
        return f"/apis/apps/v1/namespaces/{self.namespace}/deployments"

    def create(self) -> None:
        """Make the Deployment and wait until it serves."""
        labels = {"app": NAME}
        container = {"name": "main", "image": GOOD}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
        spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
        body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": NAME}}
        self.cluster.create(self.deployments, {**body, "spec": spec})
        self.wait_until(lambda: self.serves(GOOD))

    def set_image(self, image: str) -> None:
        """Deploy another image."""
        live = self.cluster.get(self.path)
        (container,) = live["spec"]["template"]["spec"]["containers"]
        containers = [{**container, "image": image}]
        body = {"spec": {"template": {"spec": {"containers": containers}}}}
        self.cluster.patch(self.path, body, content_type=MERGE_PATCH)

    def image(self) -> str:
        """Return the image that the Deployment asks for."""
        template = self.cluster.get(self.path)["spec"]["template"]
        return str(template["spec"]["containers"][0]["image"])

    def serves(self, image: str) -> bool:
        """Tell whether all pods run the image and are available."""
        live = self.cluster.get(self.path)
        status, wanted = live.get("status") or {}, live["spec"]["replicas"]
        return (
            self.image() == image
            and status.get("observedGeneration", 0) >= live["metadata"]["generation"]
            and status.get("replicas") == wanted
            and status.get("updatedReplicas") == wanted
            and status.get("availableReplicas") == wanted
        )

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds."""
        end = time.monotonic() + self.patience
        while not condition():
            assert time.monotonic() < end, "the cluster did not get there in time"
            time.sleep(0.05 if self.patience < 60 else 0.5)

    def guard(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run guard on this namespace, without a terminal."""
        where = ("-n", self.namespace, "--kubeconfig", self.kubeconfig)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("GUARD_")}
        return subprocess.run(
            [sys.executable, "-m", "deploy_guard", *arguments, *where],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=170,
            check=False,
        )


@contextlib.contextmanager
def embedded_room(folder: Path) -> Iterator[Room]:
    """Give a room in an embedded cluster."""
    with EmbeddedCluster(start_up=0.1, service=False) as embedded:
        file = str(embedded.kubeconfig_file(folder / "kubeconfig"))
        with Cluster.connect(kubeconfig=file, namespace="default") as cluster:
            yield Room(cluster, file, "default", 30.0)


@contextlib.contextmanager
def real_room() -> Iterator[Room]:
    """Give a room in the real cluster; its namespace is deleted afterwards."""
    namespace = f"guard-test-{uuid.uuid4().hex[:8]}"
    with Cluster.connect(kubeconfig=REAL, namespace=namespace) as cluster:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        cluster.create("/api/v1/namespaces", body)
        try:
            yield Room(cluster, REAL, namespace, 120.0)
        finally:
            delete_namespace(namespace)


def delete_namespace(name: str) -> None:
    """Delete a namespace of the real cluster; guard's own client never deletes anything."""
    command = ["kubectl", "--kubeconfig", REAL, "delete", "namespace", name, "--wait=false"]
    subprocess.run(command, check=False, capture_output=True)


@pytest.fixture(
    params=[
        "embedded",
        pytest.param(
            "real",
            marks=pytest.mark.skipif(
                not REAL,
                reason="NOT TESTED on a real cluster: GUARD_TEST_KUBECONFIG names no kubeconfig",
            ),
        ),
    ]
)
def room(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Room]:
    """Give a namespace with a Deployment of two pods that serve."""
    with real_room() if request.param == "real" else embedded_room(tmp_path) as made:
        made.create()
        yield made
