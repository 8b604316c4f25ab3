"""The objects by which GitOps tools are told what to do: where they are, and whether they are off.

Decides paths, versions of the API and how each kind says that it is suspended. Writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.errors import NotFound
from deploy_guard.cluster.snapshot import Json
from deploy_guard.ownership.marks import HELM, KUSTOMIZE, Owner, Reverts, Tool

ARGO = "argoproj.io"
SKIP_RECONCILE = "argocd.argoproj.io/skip-reconcile"


@dataclass(frozen=True, slots=True)
class GitopsKind:
    """One kind of custom resource: its place in the API, and the field that pauses it."""

    group: str
    version: str  # the one asked for first
    resource: str
    kind: str
    field: tuple[str, ...]  # under spec

    @property
    def qualified(self) -> str:
        """The resource as kubectl takes it, such as ``applications.argoproj.io``."""
        return f"{self.resource}.{self.group}"


KINDS = {
    Tool.ARGO_CD: GitopsKind(
        ARGO, "v1alpha1", "applications", "Application", ("syncPolicy", "automated")
    ),
    Tool.FLUX_KUSTOMIZATION: GitopsKind(
        KUSTOMIZE, "v1", "kustomizations", "Kustomization", ("suspend",)
    ),
    Tool.FLUX_HELM_RELEASE: GitopsKind(HELM, "v2", "helmreleases", "HelmRelease", ("suspend",)),
}


class NoSuchApi(NotFound):
    """The cluster does not have the tool's kind at all: the tool may run in another cluster."""


def path_of(owner: Owner, version: str = "") -> str:
    """Return the API path of the owner's object; it must have a name."""
    kind = KINDS[owner.tool]
    return (
        f"/apis/{kind.group}/{version or kind.version}/namespaces/"
        f"{quote(owner.namespace, safe='')}/{kind.resource}/{quote(owner.name, safe='')}"
    )


def read(cluster: Cluster, owner: Owner, *, patient: bool = True) -> tuple[Json, str]:
    """Read the owner's object; return it and its path. Raises ApiError.

    An older release of the tool serves another version: the group's preferred one is tried then.
    Without the group it is NoSuchApi.
    """
    kind, path = KINDS[owner.tool], path_of(owner)
    try:
        return cluster.get(path, patient=patient), path
    except NotFound as error:
        version = _preferred(cluster, kind, error, patient=patient)
        if version == kind.version:
            raise
        path = path_of(owner, version)
        return cluster.get(path, patient=patient), path


def _preferred(cluster: Cluster, kind: GitopsKind, error: NotFound, *, patient: bool) -> str:
    """Return the version to ask for: the usual one where the server has it."""
    try:
        group = cluster.get(f"/apis/{kind.group}", patient=patient)
    except NotFound:
        raise NoSuchApi(error.call, f"there is no API group {kind.group}", code=404) from error
    versions = [str(version["version"]) for version in group.get("versions") or ()]
    preferred = str((group.get("preferredVersion") or {}).get("version") or "")
    return kind.version if kind.version in versions or not preferred else preferred


def field_of(obj: Json, tool: Tool) -> Any:
    """Return the value of the field that pauses the object, None where it is absent."""
    value: Any = obj.get("spec")
    for name in KINDS[tool].field:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def is_suspended(obj: Json, tool: Tool) -> bool:
    """Tell whether the tool leaves its cluster alone until somebody acts.

    Argo CD takes an automated policy whose `enabled` is absent as switched on
    (docs/user-guide/auto_sync.md).
    """
    value = field_of(obj, tool)
    if tool is Tool.ARGO_CD:
        return not isinstance(value, dict) or value.get("enabled") is False
    return value is True


def reverts(obj: Json, tool: Tool) -> Reverts:
    """Tell what brings the condemned version back, by the object's own settings."""
    notes = obj["metadata"].get("annotations") or {}
    if is_suspended(obj, tool) or notes.get(SKIP_RECONCILE) == "true":
        return "never"
    if tool is Tool.ARGO_CD:
        return "any change" if field_of(obj, tool).get("selfHeal") else "next release"
    if tool is Tool.FLUX_HELM_RELEASE:
        mode = ((obj.get("spec") or {}).get("driftDetection") or {}).get("mode")
        return "any change" if mode == "enabled" else "next release"
    return "any change"
