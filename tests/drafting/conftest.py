"""A cluster with the workload that policies are drafted for, and the command."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy_guard.cli.ending import run
from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.manifests import toy_deployment


@dataclass
class Checkout:
    """The workload checkout, with two pods, in the namespace shop of a cluster."""

    embedded: EmbeddedCluster
    kubeconfig: Path

    @property
    def pods(self) -> list[str]:
        """The names of its pods."""
        return [pod["metadata"]["name"] for pod in self.embedded.pods("shop", "checkout")]

    def init(self, folder: Path, *arguments: str, name: str = "checkout") -> int:
        """Run guard init in a folder and return its exit code."""
        where = ("--kubeconfig", str(self.kubeconfig))
        with contextlib.chdir(folder):
            return run(["init", f"deployment/{name}", *where, *arguments])


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """The workload, complete, each of whose pods has answered some requests."""
    folder = tmp_path_factory.mktemp("cluster")
    with EmbeddedCluster(start_up=0.05) as embedded:
        embedded.apply(toy_deployment("checkout", "shop", replicas=2))
        embedded.wait_complete("shop", "checkout")
        with embedded.load("shop", "checkout", rate=500) as load:
            embedded.wait_for(lambda: load.counts["200"] >= 300)
        kubeconfig = embedded.kubeconfig_file(folder / "kubeconfig", namespace="shop")
        yield Checkout(embedded, kubeconfig)
