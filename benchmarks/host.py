"""The other side of a benchmark: an embedded cluster, and canned metrics of its pods.

Started as `python -m benchmarks.host`; says as JSON lines where it is, deploys the next version for
each line `release` on its input, and ends with its input. Pods have no real sockets here: their
metrics are computed from the time that is asked for, so that virtual time is as good as real time.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from benchmarks.canned import CannedMetrics
from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.manifests import toy_deployment
from deploy_guard.embedded.store import Object

NAMESPACE, NAME = "shop", "web"


def main() -> None:
    """Run until the input ends."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.host")
    parser.add_argument("--pods", type=int, default=3)
    parser.add_argument("--step", type=float, default=2.0, help="seconds between reads of a pod")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedCluster(start_up=0.01, service=False) as cluster,
    ):
        kubeconfig = cluster.kubeconfig_file(Path(folder, "kubeconfig"), namespace=NAMESPACE)
        old = _release(cluster, 1, options.pods)
        new = _release(cluster, 2, options.pods)
        with CannedMetrics(old=old, new=new, step=options.step) as metrics:
            proxy = metrics.kubeconfig_file(Path(folder, "pods"), kubeconfig)
            _say(
                {
                    "kubeconfig": str(kubeconfig),
                    "pods_kubeconfig": str(proxy),
                    "metrics": metrics.url,
                    "began": metrics.began,
                }
            )
            version = 2
            for line in sys.stdin:
                if line.strip() == "release":
                    version += 1
                    _release(cluster, version, options.pods)
                    _say({"version": version})


def _release(cluster: EmbeddedCluster, version: int, pods: int) -> list[str]:
    """Deploy a version, wait until it serves, and return its pods."""
    manifest: Object = toy_deployment(
        NAME, NAMESPACE, f"registry.example/web:{version}", {"VERSION": str(version)}, pods
    )
    cluster.apply(manifest)
    cluster.wait_complete(NAMESPACE, NAME, timeout=120)
    return [pod["metadata"]["name"] for pod in cluster.pods(NAMESPACE, NAME)]


def _say(document: dict[str, object]) -> None:
    print(json.dumps(document), flush=True)


if __name__ == "__main__":
    main()
