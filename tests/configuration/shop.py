"""A workload that reads ConfigMaps and Secrets, on the embedded cluster, in one line each."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from cluster.scripted import connect
from deploy_guard.cluster.client import MERGE_PATCH, Cluster
from deploy_guard.cluster.snapshot import Json, take
from deploy_guard.cluster.target import workload_path
from deploy_guard.cluster.templates import hash_of, live_revision, template_of
from deploy_guard.configuration.clean_up import YOUNG
from deploy_guard.configuration.index import Index, index_of
from deploy_guard.configuration.objects import path_of
from deploy_guard.configuration.taking import Taken, take_snapshot
from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.manifests import toy_deployment
from deploy_guard.model import Target

WEB = Target("deployment", "shop", "web")
PASSWORD = "hunter2-is-the-password"
AT = 1_900_000_000.0


def encoded(text: str) -> str:
    """Return a text as a Secret's data has it."""
    return base64.b64encode(text.encode()).decode()


def config_map(name: str, **data: str) -> Json:
    """Return the manifest of a ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _named(name), "data": data}


def secret(name: str, **data: str) -> Json:
    """Return the manifest of a Secret."""
    values = {key: encoded(value) for key, value in data.items()}
    named = {"apiVersion": "v1", "kind": "Secret", "metadata": _named(name)}
    return named | {"type": "Opaque", "data": values}


def _named(name: str) -> Json:
    return {"name": name, "namespace": "shop"}


def reading(
    *, maps: tuple[str, ...] = (), secrets: tuple[str, ...] = (), files: tuple[str, ...] = ()
) -> Json:
    """Return the container's `envFrom` and the volumes of ConfigMaps."""
    sources = [{"configMapRef": {"name": name}} for name in maps]
    sources += [{"secretRef": {"name": name}} for name in secrets]
    volumes = [{"name": f"v-{n}", "configMap": {"name": name}} for n, name in enumerate(files)]
    return {"envFrom": sources, "volumes": volumes}


class Shop:
    """The Deployment `web` in namespace `shop`, with its configuration, and a client to it."""

    def __init__(self, embedded: EmbeddedCluster, folder: Path) -> None:
        self.embedded = embedded
        self.folder = folder
        self.cluster = connect(folder, embedded.url)

    def __enter__(self) -> Shop:
        return self

    def __exit__(self, *_: object) -> None:
        self.cluster.close()

    def release(self, tag: str = "1", *, limit: int = 10, **read: Any) -> None:
        """Deploy an image tag that reads what `reading` takes; keep `limit` old revisions."""
        manifest = toy_deployment(
            "web", "shop", f"web:{tag}", replicas=1, revisionHistoryLimit=limit
        )
        spec = manifest["spec"]["template"]["spec"]
        wanted = reading(**read)
        spec["containers"][0]["envFrom"] = wanted["envFrom"]
        spec["volumes"] = wanted["volumes"]
        self.embedded.apply(manifest)
        self.embedded.wait_complete("shop", "web")

    def apply(self, *manifests: Json) -> None:
        """Create or replace objects, as another client."""
        for manifest in manifests:
            self.embedded.apply(manifest)

    def workload(self) -> Json:
        """Read the Deployment."""
        return self.cluster.get(workload_path(WEB))

    def revision(self) -> Json:
        """Read the ReplicaSet of the live template."""
        found = take(self.cluster, WEB, pods=False)
        live = live_revision(found.workload or {}, found.revisions)
        assert live is not None
        return live

    def take(
        self,
        cluster: Cluster | None = None,
        *,
        at: float = AT,
        by: str = "ann@ws",
        young: float = YOUNG,
    ) -> Taken:
        """Take a snapshot of the live revision."""
        workload, revision = self.workload(), self.revision()
        return take_snapshot(
            cluster or self.cluster,
            WEB,
            workload,
            revision,
            template=template_of(workload),
            template_hash=hash_of(revision),
            at=at,
            by=by,
            young=young,
            sleep=lambda _: None,
        )

    def index(self) -> Index:
        """Return the newest snapshot of the live revision."""
        found = index_of(self.revision())
        assert found is not None
        return found

    def read(self, kind: str, name: str) -> Json:
        """Read one ConfigMap or Secret."""
        return self.cluster.get(path_of(WEB, kind, name))

    def copies(self, kind: str) -> list[Json]:
        """Return all copies that guard keeps, of one kind."""
        stored, _ = self.embedded.store.list_all(f"{kind.lower()}s", "shop")
        label = "app.kubernetes.io/managed-by"
        return [o for o in stored if (o["metadata"].get("labels") or {}).get(label)]

    def edit(self, kind: str, name: str, body: Json) -> Json:
        """Change one object by a merge patch, as another client."""
        return self.cluster.patch(path_of(WEB, kind, name), body, content_type=MERGE_PATCH)

    def everything(self) -> str:
        """Return all that is stored in the namespace, to compare before and after."""
        kinds = ("configmaps", "secrets", "deployments.apps", "replicasets.apps")
        return json.dumps([self.embedded.store.list_all(kind, "shop")[0] for kind in kinds])
