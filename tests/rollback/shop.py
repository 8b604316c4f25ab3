"""A small shop on the embedded cluster: releases, patches, snapshots, in one line each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cluster.scripted import connect
from deploy_guard.cluster.client import MERGE_PATCH
from deploy_guard.cluster.rollouts import live_hash
from deploy_guard.cluster.snapshot import Json, Snapshot, take
from deploy_guard.cluster.target import workload_path
from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.manifests import toy_deployment
from deploy_guard.model import Target

WEB = Target("deployment", "shop", "web")
PATH = workload_path(WEB)


class Shop:
    """The Deployment `web` in namespace `shop`, and a client to it."""

    def __init__(self, embedded: EmbeddedCluster, folder: Path) -> None:
        self.embedded = embedded
        self.cluster = connect(folder, embedded.url)

    def __enter__(self) -> Shop:
        return self

    def __exit__(self, *_: object) -> None:
        self.cluster.close()

    def release(
        self,
        tag: str,
        *,
        env: dict[str, str] | None = None,
        cause: str = "",
        notes: dict[str, str] | None = None,
        wait: bool = True,
        **spec: Any,
    ) -> str:
        """Deploy an image tag; return the template hash of the new revision."""
        manifest = toy_deployment("web", "shop", f"web:{tag}", env, **spec)
        manifest["metadata"]["annotations"] = {
            **(notes or {}),
            **({"kubernetes.io/change-cause": cause} if cause else {}),
        }
        self.embedded.apply(manifest)
        if wait:
            self.embedded.wait_complete("shop", "web")
        else:
            self.embedded.wait_for(lambda: live_hash(self.look()) is not None)
        found = live_hash(self.look())
        assert found is not None
        return found

    def patch(self, body: Json) -> Json:
        """Change the Deployment by a merge patch, as another client."""
        return self.cluster.patch(PATH, body, content_type=MERGE_PATCH)

    def settle(self) -> Snapshot:
        """Wait until the rollout is complete; return a snapshot."""
        self.embedded.wait_complete("shop", "web")
        return self.look()

    def look(self) -> Snapshot:
        """Read everything, once the controller has seen the latest change."""
        self.embedded.wait_for(self._observed)
        return take(self.cluster, WEB)

    def _observed(self) -> bool:
        found = self.deployment()
        status = found.get("status") or {}
        return bool(status.get("observedGeneration", 0) >= found["metadata"]["generation"])

    def deployment(self) -> Json:
        """Read the Deployment."""
        return self.cluster.get(PATH)

    @property
    def image(self) -> str:
        """The image of the live template."""
        return image_of(self.deployment()["spec"]["template"])

    @property
    def notes(self) -> dict[str, str]:
        """The Deployment's annotations."""
        found: dict[str, str] = self.deployment()["metadata"].get("annotations") or {}
        return found


def image_of(template: Json) -> str:
    """Return the image of the template's first container."""
    return str(template["spec"]["containers"][0]["image"])
