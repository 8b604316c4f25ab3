"""What the cluster knows about a workload's owners beyond the marks on it; all of it best effort.

Decides whether an owner reverts by itself, which revision of a Helm release was the last good one,
and whether a Rollout or an Application stands behind a workload that carries no mark of it. What
may not be read stays unknown; nothing here is needed for a rollback. Reads only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import quote

from deploy_guard.cluster.client import METADATA_LIST, Cluster
from deploy_guard.cluster.errors import ApiError
from deploy_guard.cluster.snapshot import Json
from deploy_guard.cluster.workload import LAST_APPLIED
from deploy_guard.ownership import gitops
from deploy_guard.ownership.marks import (
    ARGOCD_NAMESPACE,
    INSTANCE,
    RELEASE,
    Owner,
    Tool,
    named,
)

KEPT = ("deployed", "superseded")  # a release that failed, or is pending, was never good


def look_closer(
    cluster: Cluster,
    workload: Json,
    owners: Iterable[Owner],
    *,
    argocd_namespace: str = ARGOCD_NAMESPACE,
    kind: str = "",
) -> tuple[Owner, ...]:
    """Return the owners with what can be read about them, and those that left no mark."""
    kind = str(workload.get("kind") or kind)
    found = [_closer(cluster, owner) for owner in owners]
    if not any(owner.tool is Tool.ARGO_CD for owner in found):
        application = _application(cluster, workload, kind, argocd_namespace)
        if application is not None:
            others = [owner for owner in found if owner.tool is not Tool.KUBECTL_APPLY]
            found = [application, *others]
    rollout = _rollout(cluster, workload, kind)
    return (rollout, *found) if rollout is not None else tuple(found)


def _closer(cluster: Cluster, owner: Owner) -> Owner:
    if owner.tool is Tool.HELM:
        return replace(owner, revision=_last_good(cluster, owner))
    if owner.tool not in gitops.KINDS or not owner.name or owner.reverts == "never":
        return owner
    try:
        obj, _ = gitops.read(cluster, owner, patient=False)
    except ApiError:
        return owner
    told = gitops.reverts(obj, owner.tool)
    is_milder = owner.reverts == "next release" and told == "any change"
    return owner if is_milder else replace(owner, reverts=told)


def _last_good(cluster: Cluster, owner: Owner) -> int:
    """Return the newest revision of a release before the last that had worked, 0 unknown.

    Helm keeps each revision in a Secret with the labels owner, name, status and version
    (helm/pkg/storage/driver/secrets.go); only these are read.
    """
    path = f"/api/v1/namespaces/{quote(owner.namespace, safe='')}/secrets"
    params = {"labelSelector": f"owner=helm,name={owner.name}"}
    try:
        listed = cluster.get(path, params=params, patient=False, accept=METADATA_LIST)
    except ApiError:
        return 0
    labels = [item["metadata"].get("labels") or {} for item in listed.get("items") or ()]
    versions = {
        int(one["version"]): one.get("status")
        for one in labels
        if one.get("version", "").isdecimal()
    }
    last = max(versions, default=0)
    return max((n for n, status in versions.items() if n < last and status in KEPT), default=0)


def _rollout(cluster: Cluster, workload: Json, kind: str) -> Owner | None:
    """Find the Rollout that takes the workload as its template (`spec.workloadRef`)."""
    metadata = workload["metadata"]
    if kind != "Deployment":
        return None  # Argo Rollouts also takes ReplicaSets and PodTemplates; guard does not
    path = f"/apis/{gitops.ARGO}/v1alpha1/namespaces/{quote(metadata['namespace'])}/rollouts"
    try:
        listed = cluster.get(path, patient=False)
    except ApiError:
        return None
    for item in listed.get("items") or ():
        reference = (item.get("spec") or {}).get("workloadRef") or {}
        if (reference.get("kind"), reference.get("name")) == (kind, metadata["name"]):
            name, namespace = item["metadata"]["name"], metadata["namespace"]
            return Owner(Tool.ARGO_ROLLOUTS, name, namespace, kind, metadata["name"], "Rollout")
    return None


def _application(cluster: Cluster, workload: Json, kind: str, namespace: str) -> Owner | None:
    """Find an Application that tracks by the label that Helm charts set as well.

    The label alone proves nothing: the Application of that name must list the workload. Argo CD
    applies as kubectl does unless told otherwise, so without that annotation nobody is asked.
    """
    metadata = workload["metadata"]
    notes, labels = metadata.get("annotations") or {}, metadata.get("labels") or {}
    name = named(labels.get(INSTANCE, ""))
    if not name or RELEASE in notes or LAST_APPLIED not in notes:
        return None
    owner = Owner(Tool.ARGO_CD, name, namespace, kind, metadata["name"])
    try:
        obj, _ = gitops.read(cluster, owner, patient=False)
    except ApiError:
        return None
    wanted = (kind, metadata.get("namespace", ""), metadata["name"])
    for listed in (obj.get("status") or {}).get("resources") or ():
        if (listed.get("kind"), listed.get("namespace"), listed.get("name")) == wanted:
            return replace(owner, reverts=gitops.reverts(obj, Tool.ARGO_CD))
    return None
