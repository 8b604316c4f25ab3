"""`guard demo --serve`: a cluster to play with, until Ctrl-C."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from .test_stories import assert_ending, demo, lines_until

KUBECONFIG = "export KUBECONFIG="
HISTORY = ("history", "deployment/shop", "-o", "json")


def run(kubeconfig: str, home: Path, *command: str) -> str:
    """Run a command against the demo's cluster; return its stdout."""
    done = subprocess.run(
        command,
        env={"PATH": os.environ["PATH"], "KUBECONFIG": kubeconfig, "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_cluster_stays_up_until_ctrl_c(tmp_path: Path) -> None:
    """The printed kubeconfig is one for kubectl and guard; Ctrl-C ends the cluster with 0."""
    folder = tmp_path / "demo"
    folder.mkdir()
    with demo("outage", "--serve", "-o", "json", folder=folder) as process:
        told = lines_until(process, "guard rollback deployment/")
        kubeconfig = next(line for line in told if KUBECONFIG in line)
        kubeconfig = kubeconfig.partition(KUBECONFIG)[2].strip()
        if shutil.which("kubectl"):
            images = run(kubeconfig, tmp_path, "kubectl", "get", "deployment", "shop", "-o", "wide")
            assert "registry.example/shop:1.0" in images
        guard = (sys.executable, "-m", "deploy_guard")
        history = json.loads(run(kubeconfig, tmp_path, *guard, *HISTORY))
        verdicts = {r["images"][0]: r["verdict"] for r in history["revisions"]}
        assert verdicts["registry.example/shop:2.0"] == "regressed"
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 0, stderr
    assert_ending("outage", json.loads(stdout))
    assert "the cluster is gone" in stderr
    assert "Traceback" not in stderr
    assert not list(folder.iterdir())
