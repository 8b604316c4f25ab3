"""A cluster with one Deployment of two revisions, and guard as its users run it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.manifests import toy_deployment

Guard = Callable[..., subprocess.CompletedProcess[str]]
GUARD = [sys.executable, "-m", "deploy_guard"]


def clean_environment(**extra: str) -> dict[str, str]:
    """Return the environment without what would change guard's answers."""
    ours = ("GUARD_", "KUBE", "NO_COLOR", "PYTHONUNBUFFERED")  # unbuffered, nothing waits to fail
    kept = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    return {**kept, "COLUMNS": "80", **extra}


@pytest.fixture
def guard(tmp_path: Path) -> Guard:
    """Run guard in an empty directory, without a terminal."""

    def run(*arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*GUARD, *arguments],
            env=clean_environment(HOME=str(tmp_path), **extra),
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def release(cluster: EmbeddedCluster, version: int, **env: str) -> None:
    """Deploy a version of checkout and wait until it serves."""
    image = f"registry.example/checkout:{version}"
    cluster.apply(toy_deployment("checkout", "shop", image=image, env=env, replicas=2))
    cluster.wait_complete("shop", "checkout")


@pytest.fixture
def cluster() -> Iterator[EmbeddedCluster]:
    """Give a cluster where version 2 of checkout in shop replaced version 1."""
    with EmbeddedCluster(start_up=0.05, service=False) as embedded:
        release(embedded, 1, PAYMENTS_URL="http://payments/v1", API_KEY="first-key-value")
        release(embedded, 2, PAYMENTS_URL="http://payments/wrong", API_KEY="other-key-value")
        yield embedded


@pytest.fixture
def kubeconfig(cluster: EmbeddedCluster, tmp_path: Path) -> str:
    """Give the kubeconfig of the cluster, with shop as its namespace."""
    return str(cluster.kubeconfig_file(tmp_path / "kubeconfig", namespace="shop"))
