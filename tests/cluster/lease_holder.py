"""A guard that holds a lease, as a process of its own: acquire, two notes, release.

Arguments: kubeconfig, holder, uid of the workload, "stay" to hold it until killed.
"""

from __future__ import annotations

import sys
import time

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.lease import Lease
from deploy_guard.model import Target


def main(kubeconfig: str, holder: str, uid: str, mode: str) -> None:
    """Hold the lease."""
    target = Target("deployment", "shop", "web")
    with (
        Cluster.connect(kubeconfig=kubeconfig) as cluster,
        Lease.acquire(
            cluster, target, {"metadata": {"uid": uid}}, holder=holder, duration=1
        ) as lease,
    ):
        lease.note({"phase": "watching"})
        lease.note({"phase": "rolling back"})
        print("held", flush=True)  # noqa: T201 - the test waits for it
        while mode == "stay":
            time.sleep(0.1)


if __name__ == "__main__":
    main(*sys.argv[1:])
