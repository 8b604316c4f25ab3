"""A cluster with the kinds of Argo CD, Argo Rollouts and Flux, and objects of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cluster.scripted import connect
from deploy_guard.cluster.client import MERGE_PATCH, Cluster
from deploy_guard.embedded.access import Authorizer
from deploy_guard.embedded.custom import GITOPS_KINDS
from deploy_guard.embedded.server import ApiServer
from deploy_guard.embedded.store import Store
from deploy_guard.ownership.gitops import path_of
from deploy_guard.ownership.rules import Owner, Tool

Json = dict[str, Any]

APPLICATION = Owner(Tool.ARGO_CD, "shop", "argocd", "Deployment", "web")
KUSTOMIZATION = Owner(Tool.FLUX_KUSTOMIZATION, "apps", "flux-system", "Deployment", "web")
HELM_RELEASE = Owner(Tool.FLUX_HELM_RELEASE, "web", "shop", "Deployment", "web")
API_VERSIONS = {
    Tool.ARGO_CD: ("argoproj.io/v1alpha1", "Application"),
    Tool.FLUX_KUSTOMIZATION: ("kustomize.toolkit.fluxcd.io/v1", "Kustomization"),
    Tool.FLUX_HELM_RELEASE: ("helm.toolkit.fluxcd.io/v2", "HelmRelease"),
    Tool.ARGO_ROLLOUTS: ("argoproj.io/v1alpha1", "Rollout"),
}


class GitopsShop:
    """An API server without controllers, and an administrator's client to it."""

    def __init__(self, folder: Path, *, authorizer: Authorizer | None = None) -> None:
        self.store = Store()
        self.server = ApiServer(self.store, authorizer=authorizer, kinds=GITOPS_KINDS)
        self.server.start()
        self.cluster: Cluster = connect(folder, self.server.url)
        for name in ("argocd", "flux-system", "shop"):
            self.cluster.create("/api/v1/namespaces", {"metadata": {"name": name}})

    def __enter__(self) -> GitopsShop:
        return self

    def __exit__(self, *_: object) -> None:
        self.cluster.close()
        self.server.close()

    def make(self, owner: Owner, spec: Json, **more: Any) -> Json:
        """Create the owner's object; `more` are further members of its metadata, or status."""
        version, kind = API_VERSIONS[owner.tool]
        status = {"status": more.pop("status")} if "status" in more else {}
        body = {
            "apiVersion": version,
            "kind": kind,
            "metadata": {"name": owner.name, **more},
            "spec": spec,
            **status,
        }
        return self.cluster.create(path_of(owner).rpartition("/")[0], body)

    def read(self, owner: Owner) -> Json:
        """Read the owner's object."""
        return self.cluster.get(path_of(owner))

    def change(self, owner: Owner, body: Json) -> Json:
        """Change the owner's object by a merge patch, as another client."""
        return self.cluster.patch(path_of(owner), body, content_type=MERGE_PATCH)
