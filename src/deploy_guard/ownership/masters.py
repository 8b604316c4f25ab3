"""Who manages the object that is suspended, and may resume it: ApplicationSets, parents, Flux.

Decides by the same marks as for a workload. Server-side apply is exact: Flux takes back only the
fields that stand in its manifest, which managedFields tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from deploy_guard.cluster.snapshot import Json
from deploy_guard.ownership.gitops import KINDS
from deploy_guard.ownership.marks import ARGOCD_NAMESPACE, Owner, Tool, find_owners
from deploy_guard.problems import Problem, warning

APPLICATION_SET = "ApplicationSet"


def masters(obj: Json, owner: Owner) -> tuple[Problem, ...]:
    """Warn of everyone who may switch the object on again; `obj` is it, as it was read.

    One that manages itself, as Flux's first Kustomization does, is off with itself.
    """
    home = ARGOCD_NAMESPACE
    if owner.tool is Tool.ARGO_CD and not owner.qualified:
        home = owner.namespace
    found = find_owners(obj, kind=KINDS[owner.tool].kind, argocd_namespace=home)
    others = (m for m in found if (m.tool, m.what) != (owner.tool, owner.what))
    return tuple(_warnings(obj, owner, others))


def _warnings(obj: Json, owner: Owner, found: Iterable[Owner]) -> Iterator[Problem]:
    for master in found:
        if master.tool is Tool.OPERATOR and master.kind == APPLICATION_SET:
            help = (
                f"in ApplicationSet {master.name} set spec.ignoreApplicationDifferences: "
                "[{jsonPointers: [/spec/syncPolicy]}], and keep the resume command: it drops notes"
            )
            yield _warning(owner, f"ApplicationSet {master.name}", help)
        elif master.tool is Tool.OPERATOR:
            help = f"switch it off where {master.kind} {master.name} is written"
            yield _warning(owner, f"{master.kind} {master.name}", help)
        elif master.tool is Tool.ARGO_CD:
            help = f"argocd app set {master.argocd_name} --sync-policy none"
            yield _warning(owner, master.what, help)
        elif master.tool is Tool.FLUX_KUSTOMIZATION and _is_applied(obj, owner):
            field = ".".join(("spec", *KINDS[owner.tool].field))
            help = f"its manifest sets {field}; set it there, or suspend {master.what} as well"
            yield _warning(owner, master.what, help)


def _warning(owner: Owner, who: str, help: str) -> Problem:
    return warning("owner", f"{who} manages {owner.what} and may resume it", help)


def _is_applied(obj: Json, owner: Owner) -> bool:
    """Tell whether an applied manifest sets the field that suspends, or a part of it."""
    for entry in obj["metadata"].get("managedFields") or ():
        if entry.get("operation") == "Apply":
            fields = (entry.get("fieldsV1") or {}).get("f:spec") or {}
            for name in KINDS[owner.tool].field:
                fields = fields.get(f"f:{name}") if isinstance(fields, dict) else None
            if fields is not None:
                return True
    return False
