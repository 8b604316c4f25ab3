"""A workload on the embedded cluster, policies for it, and servers that have its metrics."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy_guard.check import check
from deploy_guard.check_live import LiveReport, check_live
from deploy_guard.cluster.client import Cluster
from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.manifests import toy_deployment
from deploy_guard.model import Target
from signals.web_server import Reply, Request, WebServer

TARGET = Target("deployment", "shop", "web")
GUARD = [sys.executable, "-m", "deploy_guard", "check", "web.yaml"]
HEAD = "version: 1\nwatch: {interval: 250ms, warm_up: 0s}\n"
ERRORS = """\
signals:
  - name: errors
    provider: pods
    port: http
    limit: 20%
    ratio: {errors: 'http_requests_total{code=~"5.."}', requests: http_requests_total}
"""
FROM_PROMETHEUS = """\
signals:
  - name: errors
    provider: prometheus
    limit: 20%
    ratio:
      errors: 'sum by (pod) (http_requests_total{pod=~"{{ pods }}", code=~"5.."})'
      requests: sum by (pod) (http_requests_total{pod=~"{{ pods }}"})
"""


@dataclass
class Shop:
    """A cluster with the workload web, a policy file, and the check of both."""

    embedded: EmbeddedCluster
    cluster: Cluster
    kubeconfig: Path
    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    def release(self, version: int, **env: str) -> None:
        """Deploy a version and wait until it serves."""
        image = f"registry.example/web:{version}"
        self.embedded.apply(toy_deployment("web", "shop", image, env))
        self.embedded.wait_complete("shop", "web")

    def serve(self, requests: int) -> None:
        """Send requests until the live pods have answered so many."""
        self.embedded.load("shop", "web", rate=200)
        self.embedded.wait_for(lambda: self._answered() >= requests)

    def _answered(self) -> float:
        pods = [pod["metadata"]["name"] for pod in self.embedded.pods("shop", "web")]
        pages = [self.cluster.pod_get("shop", pod, "http", "/metrics", timeout=5) for pod in pods]
        found = re.findall(r"^http_requests_total\{.*\} (\d+)$", "\n".join(pages), re.MULTILINE)
        return sum(float(number) for number in found)

    def policy(self, text: str) -> Path:
        """Write a policy file."""
        file = self.folder / "web.yaml"
        file.write_text(HEAD + text)
        return file

    def check(self, text: str, tell: Callable[[str], object] = lambda _: None) -> LiveReport:
        """Check a policy on the workload."""
        report = check([self.policy(text)])
        assert report.files[0].policy is not None, report.files[0].problems
        return check_live(
            report.files[0].policy,
            self.cluster,
            TARGET,
            environ=self.environ,
            places=report.files[0].places,
            tell=tell,
        )

    def guard(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command on the policy file that was written last."""
        return subprocess.run(
            [*GUARD, *arguments, "--kubeconfig", str(self.kubeconfig)],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def at(server: WebServer) -> str:
    """Return the policy's connection to a server."""
    return f"prometheus: {{url: {server.url}}}\n"


def result(kind: str, *series: dict[str, Any]) -> Reply:
    """Answer as Prometheus does."""
    body = {"status": "success", "data": {"resultType": kind, "result": list(series)}}
    return Reply(body=json.dumps(body))


def refuse(said: str) -> Callable[[Request], Reply]:
    """Refuse queries that have a typing mistake, and answer others with no series."""
    body = {"status": "error", "errorType": "bad_data", "error": said}

    def answer(request: Request) -> Reply:
        if "summ" in request.body:
            return Reply(status=400, body=json.dumps(body))
        return result("matrix" if "query_range" in request.path else "vector")

    return answer
