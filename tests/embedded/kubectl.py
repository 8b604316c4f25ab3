"""kubectl, pointed at an embedded cluster."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy_guard.embedded.cluster import EmbeddedCluster

KUBECTL = shutil.which("kubectl")
NEEDED = [
    pytest.mark.kubectl,
    pytest.mark.skipif(KUBECTL is None, reason="kubectl is not on the PATH"),
]


class Kubectl:
    """A cluster, and kubectl pointed at one namespace of it."""

    def __init__(self, cluster: EmbeddedCluster, folder: Path, namespace: str) -> None:
        self.cluster = cluster
        config = cluster.kubeconfig_file(folder / "config", namespace=namespace)
        self._environment = {**os.environ, "KUBECONFIG": str(config), "HOME": str(folder)}

    def kubectl(self, *words: str, code: int = 0) -> str:
        """Run kubectl and return all it printed; `code` is the exit code that is expected."""
        assert KUBECTL is not None
        done = subprocess.run(
            [KUBECTL, *words],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        text = done.stdout + done.stderr
        assert done.returncode == code, text
        return text
