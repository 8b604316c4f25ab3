"""A team's repository and its cluster, in which the commands of the examples are run."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy_guard.embedded.cluster import EmbeddedCluster

from .commands import EXAMPLES

QUICK = {"for: 10m": "for: 3s", "interval: 5s": "interval: 250ms\n  warm_up: 500ms"}


@dataclass
class Team:
    """A repository with k8s/ and policies/, a cluster that runs checkout 1.0.0 under load."""

    folder: Path
    cluster: EmbeddedCluster
    environment: dict[str, str] = field(default_factory=dict)

    def prepare(self, version: str, **env: str) -> None:
        """Change the manifest in k8s/ to another version, with environment variables."""
        manifest = self.manifest()
        container = manifest["spec"]["template"]["spec"]["containers"][0]
        container["image"] = f"registry.example/checkout:{version}"
        container["env"] = [{"name": name, "value": value} for name, value in env.items()]
        (self.folder / "k8s/deployment.yaml").write_text(yaml.safe_dump(manifest))

    def manifest(self) -> dict[str, Any]:
        """Return the manifest in k8s/."""
        found: dict[str, Any] = yaml.safe_load((self.folder / "k8s/deployment.yaml").read_text())
        return found

    def deploy(self) -> None:
        """Apply the manifest in k8s/ and wait until it serves."""
        self.cluster.apply(self.manifest())
        self.cluster.wait_complete("shop", "checkout")

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a step as a CI server does: bash, stop at the first error, no terminal."""
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        self._take_over_variables()
        return done

    def run_in_terminal(self, command: str, *, answer: bytes) -> tuple[int, str]:
        """Run a command in a terminal, type an answer, return exit code and what was shown."""
        ours, theirs = pty.openpty()
        with (
            os.fdopen(ours, "r+b", buffering=0) as terminal,
            subprocess.Popen(
                ["bash", "-c", command],
                cwd=self.folder,
                env=self.environment,
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                start_new_session=True,
            ) as process,
        ):
            os.close(theirs)
            terminal.write(answer)
            shown = b""
            try:
                with contextlib.suppress(OSError):  # the other side closed the terminal
                    while part := terminal.read(4096):
                        shown += part
                return process.wait(timeout=90), shown.decode()
            finally:
                process.kill()  # it has ended, unless the test fails

    def image(self) -> str:
        """Return the image that the Deployment asks for now."""
        found = self.cluster.store.get("deployments.apps", "shop", "checkout")
        return str(found["spec"]["template"]["spec"]["containers"][0]["image"])

    def _take_over_variables(self) -> None:
        """Set what a step wrote to the file $GITHUB_ENV, as GitHub does for the next step."""
        file = Path(self.environment["GITHUB_ENV"])
        if file.exists():
            lines = file.read_text().splitlines()
            self.environment |= dict(line.split("=", 1) for line in lines)


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    """Give the team, with version 1.0.0 deployed and 100 requests a second."""
    for part in ("k8s", "policies", "home", "runner"):
        (tmp_path / part).mkdir()
    manifest = (EXAMPLES / "manifests/deployment.yaml").read_text()
    (tmp_path / "k8s/deployment.yaml").write_text(manifest)
    policy = (EXAMPLES / "policies/checkout.yaml").read_text()
    for slow, quick in QUICK.items():
        assert policy.count(slow) == 1
        policy = policy.replace(slow, quick)
    (tmp_path / "policies/checkout.yaml").write_text(policy)
    with EmbeddedCluster(start_up=0.1) as cluster:
        kubeconfig = cluster.kubeconfig_file(tmp_path / "home/kubeconfig")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("GUARD_", "KUBE"))}
        programs = Path(sys.executable).parent
        team = Team(tmp_path, cluster)
        team.environment = {
            **kept,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(tmp_path / "home"),
            "CI": "true",
            "KUBECONFIG": str(kubeconfig),
            "KUBECONFIG_CONTENT": json.dumps(json.loads(kubeconfig.read_text())),
            "RUNNER_TEMP": str(tmp_path / "runner"),
            "GITHUB_ENV": str(tmp_path / "runner/env"),
            "GITHUB_STEP_SUMMARY": str(tmp_path / "runner/summary.md"),
        }
        team.deploy()
        cluster.load("shop", "checkout", rate=100)
        yield team
