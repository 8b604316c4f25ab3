"""Who else writes an object, by the marks that they leave on it.

Decides by labels, annotations, field managers and owner references which tool, and which object of
that tool, an object belongs to. Values that cannot be names in Kubernetes are not believed: they
end up in paths and command lines. Reads nothing; what an owner means for a rollback is in `owners`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from deploy_guard.cluster.snapshot import Json
from deploy_guard.cluster.target import NAME
from deploy_guard.cluster.workload import LAST_APPLIED

ARGOCD_NAMESPACE = "argocd"  # where its own installation guide puts Argo CD
TRACKING = "argocd.argoproj.io/tracking-id"
ARGOCD_INSTANCE = "argocd.argoproj.io/instance"
INSTANCE = "app.kubernetes.io/instance"  # Argo CD's default label up to 2.x; Helm charts set it too
ARGOCD_MANAGERS = ("argocd-controller", "argocd-application-controller")
KUSTOMIZE = "kustomize.toolkit.fluxcd.io"
HELM = "helm.toolkit.fluxcd.io"
RELEASE = "meta.helm.sh/release-name"
RELEASE_NAMESPACE = "meta.helm.sh/release-namespace"

Reverts = Literal["unknown", "any change", "next release", "never"]


class Tool(StrEnum):
    """What writes the object besides people."""

    ARGO_CD = "Argo CD"
    FLUX_KUSTOMIZATION = "Flux Kustomization"
    FLUX_HELM_RELEASE = "Flux HelmRelease"
    HELM = "Helm"
    OPERATOR = "operator"
    ARGO_ROLLOUTS = "Argo Rollouts"
    KUBECTL_APPLY = "kubectl apply"


@dataclass(frozen=True, slots=True)
class Owner:
    """Who else writes an object. Empty `name`: the marks do not say which object of the tool.

    `namespace` is where the tool's object lives; `owned` the kind and `owned_name` the name of what
    it owns. `reverts`: what a change made by others lasts until. `qualified`: the name of an Argo
    CD Application needs its namespace. `revision`: the Helm revision to return to, 0 unknown.
    """

    tool: Tool
    name: str = ""
    namespace: str = ""
    owned: str = "workload"
    owned_name: str = ""
    kind: str = ""  # of an operator's object
    reverts: Reverts = "unknown"
    qualified: bool = False
    revision: int = 0

    @property
    def what(self) -> str:
        """The tool's object, such as ``Argo CD Application argocd/shop``."""
        kind = {
            Tool.ARGO_CD: "Argo CD Application",
            Tool.ARGO_ROLLOUTS: "Rollout",
            Tool.HELM: "Helm release",
            Tool.OPERATOR: self.kind,
        }.get(self.tool, str(self.tool))
        return f"{kind} {self.namespace}/{self.name}" if self.name else kind

    @property
    def argocd_name(self) -> str:
        """The Application's name as Argo CD's own command takes it."""
        return f"{self.namespace}/{self.name}" if self.qualified else self.name or "APP"


def find_owners(
    workload: Json, *, argocd_namespace: str = ARGOCD_NAMESPACE, kind: str = ""
) -> tuple[Owner, ...]:
    """Return who else writes the object; `kind` is its kind where the JSON has none, as in lists.

    `kubectl apply` counts only where nobody else is found: Argo CD, too, leaves its annotation.
    """
    metadata = workload["metadata"]
    marks = _Marks(
        kind=str(workload.get("kind") or kind),
        name=metadata["name"],
        namespace=metadata.get("namespace", ""),
        labels=metadata.get("labels") or {},
        notes=metadata.get("annotations") or {},
        managers=frozenset(
            (str(field.get("manager", "")), str(field.get("operation", "")))
            for field in metadata.get("managedFields") or ()
        ),
    )
    found = [*_argocd(marks, argocd_namespace), *_flux(marks), *_helm(marks)]
    found += _operators(marks, metadata.get("ownerReferences") or ())
    if not found and (LAST_APPLIED in marks.notes or ("kubectl", "Apply") in marks.managers):
        found.append(marks.owner(Tool.KUBECTL_APPLY))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Marks:
    kind: str
    name: str
    namespace: str
    labels: Json
    notes: Json
    managers: frozenset[tuple[str, str]]

    def managed_by(self, *names: str) -> bool:
        return any(manager in names for manager, _ in self.managers)

    def owner(
        self,
        tool: Tool,
        name: str = "",
        namespace: str = "",
        *,
        kind: str = "",
        qualified: bool = False,
        reverts: Reverts = "unknown",
    ) -> Owner:
        return Owner(
            tool,
            name,
            namespace,
            owned=self.kind or "workload",
            owned_name=self.name,
            kind=kind,
            qualified=qualified,
            reverts=reverts,
        )


def _argocd(marks: _Marks, home: str) -> Iterator[Owner]:
    """Find the Application: ``APP:GROUP/KIND:NAMESPACE/NAME``, or the name in a label.

    Argo CD itself ignores a tracking id that is about another object: it was copied. An app outside
    of Argo CD's namespace is called NAMESPACE_APP (docs/operator-manual/app-any-namespace).
    """
    is_ours = marks.managed_by(*ARGOCD_MANAGERS)
    parts = str(marks.notes.get(TRACKING, "")).split(":", 2)
    label = marks.labels.get(ARGOCD_INSTANCE, "")
    if parts[0] and _is_about(marks, parts):
        text = parts[0]
    elif label:
        text = label
    elif is_ours:
        text = marks.labels.get(INSTANCE, "")
    else:
        return
    space, apart, app = text.partition("_") if "_" in text else (home, "", text)
    name, namespace = named(app), named(space)
    known = bool(name and namespace)
    yield marks.owner(
        Tool.ARGO_CD,
        name if known else "",
        namespace if known else "",
        qualified=known and bool(apart),
    )


def _is_about(marks: _Marks, parts: list[str]) -> bool:
    if len(parts) < 3:
        return True
    kind = parts[1].rpartition("/")[2]
    namespace, _, name = parts[2].rpartition("/")
    same = name == marks.name and namespace in ("", marks.namespace)
    return same and kind in ("", marks.kind or kind)


def _flux(marks: _Marks) -> Iterator[Owner]:
    for tool, prefix, manager in (
        (Tool.FLUX_KUSTOMIZATION, KUSTOMIZE, "kustomize-controller"),
        (Tool.FLUX_HELM_RELEASE, HELM, "helm-controller"),
    ):
        name = named(marks.labels.get(f"{prefix}/name", ""))
        namespace = named(marks.labels.get(f"{prefix}/namespace", "")) or marks.namespace
        if name or marks.managed_by(manager):
            yield marks.owner(tool, name, namespace if name else "", reverts=_left_alone(marks))


def _left_alone(marks: _Marks) -> Reverts:
    """Read the annotations that tell Flux to leave an object as it is in the cluster."""
    if marks.notes.get(f"{KUSTOMIZE}/reconcile", "").lower() == "disabled":
        return "never"
    if marks.notes.get(f"{KUSTOMIZE}/ssa", "").lower() in ("ignore", "ifnotpresent"):
        return "never"
    if marks.notes.get(f"{HELM}/driftDetection", "").lower() == "disabled":
        return "next release"
    return "unknown"


def _helm(marks: _Marks) -> Iterator[Owner]:
    """Find a release that is managed by hand: a HelmRelease of Flux leaves the same annotations."""
    name = named(marks.notes.get(RELEASE, ""))
    if name and not marks.labels.get(f"{HELM}/name") and not marks.managed_by("helm-controller"):
        space = named(marks.notes.get(RELEASE_NAMESPACE, "")) or marks.namespace
        yield marks.owner(Tool.HELM, name, space)


def _operators(marks: _Marks, references: Iterable[Json]) -> Iterator[Owner]:
    for reference in references:
        if reference.get("controller"):
            yield marks.owner(
                Tool.OPERATOR, reference["name"], marks.namespace, kind=reference["kind"]
            )


def named(text: object) -> str:
    """Return the text if it can be a name in Kubernetes, else an empty one."""
    return str(text) if len(str(text)) <= 253 and NAME.fullmatch(str(text)) else ""
