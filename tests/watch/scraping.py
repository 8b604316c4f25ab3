"""Shops on one embedded cluster, each in a namespace of its own, scraped by one real Prometheus."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.controllers.objects import PODS
from deploy_guard.embedded.load import Load
from deploy_guard.embedded.manifests import toy_deployment
from prometheus_server import PrometheusServer

NAME = "web"
FIRST, SECOND = "registry.example/web:1.0", "registry.example/web:2.0"
POLICIES = Path(__file__).parents[2] / "policies"
TIMES = {"for": "14s", "interval": "500ms", "baseline": "20s", "warm_up": "1s"}
RATE = 60.0  # requests a second of each shop
_numbers = itertools.count(1)


class Scraper:
    """Keeps the targets of a Prometheus equal to the pods that run, as service discovery does."""

    def __init__(self, embedded: EmbeddedCluster, prometheus: PrometheusServer) -> None:
        self._embedded, self._prometheus = embedded, prometheus
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()

    def close(self) -> None:
        """Leave the targets as they are."""
        self._stopping.set()
        self._embedded.store.wake()
        self._thread.join()

    def _follow(self) -> None:
        version, known = -1, None
        while not self._stopping.is_set():
            version = self._embedded.store.wait(version, timeout=0.5, until=self._stopping.is_set)
            targets = self._targets()
            if targets != known:
                self._prometheus.set_targets(targets)
                known = targets

    def _targets(self) -> dict[str, dict[str, str]]:
        targets = {}
        for pod in self._embedded.store.list_all(PODS)[0]:
            namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
            if address := self._embedded.kubelet.address(namespace, name):
                targets[f"{address[0]}:{address[1]}"] = {"namespace": namespace, "pod": name}
        return targets


@dataclass(frozen=True, slots=True)
class Finished:
    """How a guard process ended: exit code, its JSON document, and what it told."""

    code: int
    document: dict[str, Any]
    told: str

    @property
    def ending(self) -> tuple[int, str | None, str, str | None]:
        """Exit code, verdict, action and recovery: what every test looks at first."""
        found = self.document
        return self.code, found["verdict"], found["action"], found["recovered"]

    def signal(self, name: str) -> dict[str, Any]:
        """Return one signal of the document."""
        return next(s for s in self.document["signals"] if s["name"] == name)

    def evidence(self, name: str) -> dict[str, Any]:
        """Return the evidence of one signal."""
        return next(e for e in self.document["evidence"] if e["signal"] == name)


class Guard:
    """A running `guard watch -o json`; killed at the end of the context if it still runs."""

    def __init__(
        self,
        kubeconfig: Path,
        *arguments: str,
        target: str = f"deployment/{NAME}",
        **environment: str,
    ) -> None:
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "deploy_guard", "watch", target),
                *("-o", "json", *arguments),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"PATH": os.environ["PATH"], "KUBECONFIG": str(kubeconfig), **environment},
        )
        self._heard: list[str] = []

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def wait_for(self, part: str) -> None:
        """Read what is told until a line has this part."""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._heard.append(line)
            if part in line:
                return
        raise AssertionError(f"never told: {part!r}; told was:\n{''.join(self._heard)}")

    def end(self) -> Finished:
        """Wait for the end."""
        stdout, stderr = self._process.communicate(timeout=120)
        told = "".join(self._heard) + stderr
        assert stdout, told
        return Finished(self._process.returncode, json.loads(stdout), told)


class Shop:
    """One shop, in a fresh namespace."""

    def __init__(
        self,
        embedded: EmbeddedCluster,
        prometheus: PrometheusServer,
        folder: Path,
        *,
        namespace: str = "",
    ) -> None:
        self.embedded, self.prometheus, self.folder = embedded, prometheus, folder
        self.namespace = namespace or f"shop-{next(_numbers)}"
        self.kubeconfig = folder / "kubeconfig"
        self._loads: list[Load] = []

    def release(
        self, image: str = FIRST, env: Mapping[str, str] | None = None, **spec: Any
    ) -> None:
        """Deploy a version."""
        made = toy_deployment(NAME, self.namespace, image, env, **{"replicas": 2, **spec})
        self.embedded.apply(made)
        self.embedded.kubeconfig_file(self.kubeconfig, namespace=self.namespace)

    def complete(self) -> None:
        """Wait until the rollout is complete."""
        self.embedded.wait_complete(self.namespace, NAME)

    def visit(self) -> None:
        """Send users; they stay until the end."""
        self._loads.append(self.embedded.load(self.namespace, NAME, RATE))

    def close(self) -> None:
        """Send the users home and delete the Deployment."""
        for load in self._loads:
            load.close()
        self.embedded.store.delete("deployments.apps", self.namespace, NAME)

    def open(self, env: Mapping[str, str] | None = None, **spec: Any) -> None:
        """Deploy the first version, and wait until Prometheus has a little history of it."""
        self.release(FIRST, env, **spec)
        self.complete()
        self.visit()
        counter = f'http_requests_total{{namespace="{self.namespace}"}}'
        self.prometheus.wait_for(f"sum(increase({counter}[15s])) > 100")

    def image(self) -> str:
        """The image that the Deployment asks for now."""
        found = self.embedded.store.get("deployments.apps", self.namespace, NAME)
        return str(found["spec"]["template"]["spec"]["containers"][0]["image"])

    def policy(self, name: str, **watch: str) -> Path:
        """Copy a shipped policy, its queries untouched, with short times."""
        policy = yaml.safe_load((POLICIES / f"{name}.yaml").read_text())
        policy["watch"] = {**policy["watch"], **TIMES, **watch}
        policy["kubernetes"] = {**policy.get("kubernetes", {}), "unready": "3s"}
        for signal in policy["signals"]:
            signal.pop("interval", None)
        policy["rollback"] = {**policy.get("rollback", {}), "timeout": "60s", "verify": "25s"}
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(policy))
        return path

    def guard(self, policy: Path, *arguments: str, url: str = "", **environment: str) -> Guard:
        """Start guard with this policy and this shop's Prometheus, or another one's URL."""
        url = url or self.prometheus.url
        chosen = ["-p", str(policy), "--prometheus-url", url]
        return Guard(self.kubeconfig, *chosen, *arguments, **environment)
