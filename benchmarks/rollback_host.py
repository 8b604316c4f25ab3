"""The cluster of `benchmarks.rollback`: deploys what is to be taken back, and says when it is back.

Started as `python -m benchmarks.rollback_host`; one Deployment with all that its rollback is about.
Lines of its input: `full` and `half` deploy the next candidate until all or half of the pods run
it, `await` answers when the first version serves again. Ends with its input.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.delay import Wire
from benchmarks.host import NAME, NAMESPACE
from deploy_guard.cluster.client import Cluster
from deploy_guard.configuration.command import snapshot
from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.custom import GITOPS_KINDS
from deploy_guard.embedded.manifests import toy_deployment
from deploy_guard.embedded.store import Object
from deploy_guard.model import Target
from deploy_guard.ownership.marks import TRACKING

TARGET = Target("deployment", NAMESPACE, NAME)
OLD = "registry.example/web:1"
LONG = 600.0  # seconds that anything may take
AT_ONCE = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}}


class Shop:
    """The Deployment under the options, and its configuration.

    `config` is the number of ConfigMaps and Secrets that its pods read, by turns; `argo` makes it
    belong to an Argo CD Application.
    """

    def __init__(self, cluster: EmbeddedCluster, options: argparse.Namespace) -> None:
        self._cluster = cluster
        self._replicas: int = options.replicas
        self._warm_up: float = options.warm_up
        self._strategy: Object = json.loads(options.strategy)
        self._config: int = options.config
        self._argo: bool = options.argo
        self._version = 1

    def begin(self) -> None:
        """Deploy the first version."""
        self._configure("first")
        self._all_at_once(OLD, self._warm_up)

    def full(self) -> None:
        """Deploy the next candidate to all pods."""
        image = self._next()
        self._all_at_once(image, 0.0)

    def half(self) -> None:
        """Deploy the next candidate until half of the pods are ready with it."""
        image = self._next()
        self._apply(image, self._warm_up, self._strategy)
        self._cluster.wait_for(lambda: self._ready(image) * 2 >= self._replicas, timeout=LONG)

    def is_back(self) -> bool:
        """Tell whether the first version is rolled out, by the rule of `kubectl rollout status`."""
        live = self._cluster.store.get("deployments.apps", NAMESPACE, NAME)
        status, wanted = live["status"], live["spec"]["replicas"]
        return (
            _image(live) == OLD
            and status.get("observedGeneration", 0) >= live["metadata"]["generation"]
            and status.get("updatedReplicas", 0) == wanted
            and status.get("replicas", 0) == wanted
            and status.get("availableReplicas", 0) == wanted
        )

    def _next(self) -> str:
        self._version += 1
        self._configure(f"candidate {self._version}", changed=2)
        return OLD.replace(":1", f":{self._version}")

    def _all_at_once(self, image: str, warm_up: float) -> None:
        self._apply(image, warm_up, AT_ONCE)
        self._cluster.wait_complete(NAMESPACE, NAME, timeout=LONG)
        self._apply(image, warm_up, self._strategy)
        self._cluster.wait_complete(NAMESPACE, NAME, timeout=LONG)

    def _apply(self, image: str, warm_up: float, strategy: Object) -> None:
        env = {"WARMUP_SECONDS": f"{warm_up:g}"}
        made = toy_deployment(NAME, NAMESPACE, image, env, self._replicas, strategy=strategy)
        container = made["spec"]["template"]["spec"]["containers"][0]
        if self._config:
            sources = [("configMapRef", "secretRef")[n % 2] for n in range(self._config)]
            container["envFrom"] = [
                {source: {"name": f"config-{n}"}} for n, source in enumerate(sources)
            ]
        if self._argo:
            tracking = f"shop:apps/Deployment:{NAMESPACE}/{NAME}"
            made["metadata"]["annotations"] = {TRACKING: tracking}
        self._cluster.apply(made)

    def _configure(self, words: str, *, changed: int | None = None) -> None:
        """Write the configuration, or change the first objects of it; resume Argo CD."""
        for n in range(self._config if changed is None else min(changed, self._config)):
            kind, field = (("ConfigMap", "data"), ("Secret", "stringData"))[n % 2]
            metadata = {"name": f"config-{n}", "namespace": NAMESPACE}
            body = {"apiVersion": "v1", "kind": kind, "metadata": metadata}
            self._cluster.apply({**body, field: {f"KEY_{n}": words}})
        if self._argo:
            self._cluster.apply(
                {
                    "apiVersion": "argoproj.io/v1alpha1",
                    "kind": "Application",
                    "metadata": {"name": "shop", "namespace": "argocd"},
                    "spec": {"syncPolicy": {"automated": {"selfHeal": True}}},
                }
            )

    def _ready(self, image: str) -> int:
        sets, _ = self._cluster.store.list_all("replicasets.apps", NAMESPACE)
        return sum(
            (s.get("status") or {}).get("readyReplicas", 0) for s in sets if _image(s) == image
        )


def _image(workload: Object) -> str:
    return str(workload["spec"]["template"]["spec"]["containers"][0]["image"])


def main() -> None:
    """Run until the input ends."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rollback_host")
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--warm-up", type=float, default=0.0, help="seconds until a pod is ready")
    parser.add_argument("--strategy", default="{}", help="of the Deployment, as JSON")
    parser.add_argument("--config", type=int, default=0, help="ConfigMaps and Secrets it reads")
    parser.add_argument("--argo", action="store_true", help="an Argo CD Application owns it")
    parser.add_argument("--round-trip", type=float, default=0.0, help="seconds to the API server")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedCluster(start_up=0.01, service=False, kinds=GITOPS_KINDS) as cluster,
        Wire(urlsplit(cluster.url).port or 0, round_trip=options.round_trip) as wire,
    ):
        kubeconfig = cluster.kubeconfig_file(Path(folder, "kubeconfig"), namespace=NAMESPACE)
        shop = Shop(cluster, options)
        shop.begin()
        if options.config:
            with Cluster.connect(kubeconfig=str(kubeconfig)) as client:
                snapshot(client, TARGET, at=time.time(), by="benchmark")
        if options.round_trip:
            kubeconfig.write_text(kubeconfig.read_text().replace(cluster.url, wire.url))
        _say({"kubeconfig": str(kubeconfig)})
        for line in sys.stdin:
            _say(_done(cluster, shop, line.strip()))


def _done(cluster: EmbeddedCluster, shop: Shop, order: str) -> dict[str, Any]:
    """Carry out one line of the input; `at` is when it was so, in Unix seconds."""
    if order == "await":
        cluster.wait_for(shop.is_back, timeout=LONG)
    else:
        {"full": shop.full, "half": shop.half}[order]()
    return {"at": time.time()}


def _say(document: dict[str, Any]) -> None:
    print(json.dumps(document), flush=True)


if __name__ == "__main__":
    main()
