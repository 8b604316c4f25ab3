"""A small cluster whose Deployment guards lock, and clients to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster.scripted import connect
from deploy_guard.cluster.client import MERGE_PATCH, Cluster
from deploy_guard.cluster.lease import Lease
from deploy_guard.cluster.lease_record import (
    PROCESS_NOTE,
    WATCH_NOTE,
    lease_name,
    lease_path,
    leases_path,
    micro_time,
)
from deploy_guard.cluster.retry import NO_RETRIES
from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.manifests import toy_deployment
from deploy_guard.model import Target
from embedded.recordings import load

WEB = Target("deployment", "shop", "web")
PATH = lease_path(WEB)
RECORDED = {step.name: step for step in load("11-lease").steps}
Json = dict[str, Any]


class Room:
    """A cluster with the Deployment `web`, and clients to it."""

    def __init__(self, embedded: EmbeddedCluster, folder: Path) -> None:
        self.embedded = embedded
        self.folder = folder
        self.workload = embedded.apply(toy_deployment("web", "shop", "web:1"))
        self.url = embedded.url
        self.cluster = connect(folder, embedded.url)

    def acquire(self, holder: str, **options: Any) -> Lease:
        """Acquire the lease on `web`."""
        options = {"cluster": self.cluster, "duration": 1, **options}
        return Lease.acquire(options.pop("cluster"), WEB, self.workload, holder=holder, **options)

    def lease(self) -> Json:
        """Read the Lease."""
        return self.cluster.get(PATH)

    def touch(self, **body: Any) -> Json:
        """Change the Lease without regard to its version, as a person does."""
        return self.cluster.patch(PATH, body, content_type=MERGE_PATCH)

    def somebody(self, *, renewed: float, duration: int = 1, process: str = "") -> None:
        """Leave the Lease of another guard, renewed so many seconds from now."""
        at = micro_time(time.time() + renewed)
        notes = {WATCH_NOTE: '{"phase":"watching"}', PROCESS_NOTE: process}
        spec = {
            **{"holderIdentity": "somebody@there_12345678", "leaseDurationSeconds": duration},
            **{"acquireTime": at, "renewTime": at, "leaseTransitions": 0},
        }
        body = {
            **{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"},
            **{"metadata": {"name": lease_name(WEB), "annotations": notes}, "spec": spec},
        }
        self.cluster.create(leases_path(WEB), body)


@contextmanager
def through(url: str, folder: Path) -> Iterator[Cluster]:
    """Give a client of a proxy, which takes the first answer."""
    folder.mkdir(exist_ok=True)
    with connect(folder, url, retries=NO_RETRIES) as cluster:
        cluster.timeout = 1.0
        yield cluster


def wait_until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to hold"
        time.sleep(0.01)
