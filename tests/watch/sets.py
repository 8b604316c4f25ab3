"""A StatefulSet or a DaemonSet on the embedded cluster, to be deployed and watched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.target import workload_path
from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.manifests import toy_daemon_set, toy_stateful_set
from deploy_guard.embedded.store import Object
from deploy_guard.model import Outcome, Target
from deploy_guard.watch.session import Watch
from watch.shop import Heard, policy

KINDS: dict[str, tuple[str, Callable[..., Object]]] = {
    "statefulset": ("StatefulSet", toy_stateful_set),
    "daemonset": ("DaemonSet", toy_daemon_set),
}


class Sets:
    """One StatefulSet or DaemonSet `web` of three pods, its users, and a client."""

    def __init__(self, embedded: EmbeddedCluster, cluster: Cluster, namespace: str) -> None:
        self.embedded, self.cluster, self.namespace = embedded, cluster, namespace

    def release(
        self,
        target: Target,
        tag: str,
        env: Mapping[str, str] | None = None,
        *,
        wait: bool = False,
        **spec: Any,
    ) -> None:
        """Deploy an image tag."""
        kind, make = KINDS[target.kind]
        self.embedded.apply(make("web", self.namespace, f"web:{tag}", env, **spec))
        if wait:
            self.embedded.wait_complete(self.namespace, "web", kind=kind)

    def open(self, target: Target, **spec: Any) -> None:
        """Deploy version 1, wait, and send users."""
        self.release(target, "1", wait=True, **spec)
        kind, _ = KINDS[target.kind]
        self.embedded.load(self.namespace, "web", 60.0, kind=kind)

    def tag(self, target: Target) -> str:
        """The image tag that the workload asks for now."""
        found = self.cluster.get(workload_path(target))
        image: str = found["spec"]["template"]["spec"]["containers"][0]["image"]
        return image.partition(":")[2]

    def watch(self, target: Target, **changes: Any) -> tuple[Outcome, Heard]:
        """Watch to the end."""
        heard = Heard()
        report = changes.pop("report", None)
        made = policy(**changes)
        watch = Watch(self.cluster, target, made, output=heard, environ={}, report=report)
        try:
            return watch.run(), heard
        finally:
            if watch.scene.recorder is not None:
                watch.scene.recorder.close()
