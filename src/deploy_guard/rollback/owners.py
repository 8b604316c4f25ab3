"""Who else writes the Deployment: GitOps tools and Helm, which may undo a rollback.

Decides by labels, annotations and field managers, and names the command that makes a rollback
last. Pausing those tools is not done here.
"""

from __future__ import annotations

from deploy_guard.cluster.snapshot import Json
from deploy_guard.rollback.problems import Problem, warning

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def owner_warnings(deployment: Json) -> list[Problem]:
    """Warn of every tool that is known to bring the condemned version back."""
    metadata = deployment["metadata"]
    labels, notes = metadata.get("labels") or {}, metadata.get("annotations") or {}
    managers = {str(f.get("manager", "")) for f in metadata.get("managedFields") or ()}
    name, namespace = metadata["name"], metadata.get("namespace", "")
    found = []
    application = notes.get("argocd.argoproj.io/tracking-id", "").partition(":")[0] or labels.get(
        "argocd.argoproj.io/instance", ""
    )
    if application or "argocd-controller" in managers:
        found.append(
            warning(
                "owner",
                "Argo CD owns this Deployment: with self-heal it reverts a rollback in seconds",
                f"revert the commit, or: argocd app set {application or 'APP'} --sync-policy none",
            )
        )
    kustomization = labels.get("kustomize.toolkit.fluxcd.io/name", "")
    release = labels.get("helm.toolkit.fluxcd.io/name", "")
    if kustomization or release or "kustomize-controller" in managers:
        kind, item = ("helmrelease", release) if release else ("kustomization", kustomization)
        found.append(
            warning(
                "owner",
                "Flux owns this Deployment: it reverts a rollback at its next reconcile",
                f"revert the commit, or: flux suspend {kind} {item or 'NAME'}",
            )
        )
    chart = notes.get("meta.helm.sh/release-name", "")
    if chart and not release:
        space = notes.get("meta.helm.sh/release-namespace", namespace)
        found.append(
            warning(
                "owner",
                f"Helm release {chart} owns this Deployment and will not know of the rollback",
                f"afterwards: helm rollback {chart} -n {space}",
            )
        )
    for reference in metadata.get("ownerReferences") or ():
        if reference.get("controller"):
            text = f"{reference['kind']} {reference['name']} owns this Deployment and may revert it"
            found.append(warning("owner", text, "roll back where its operator reads the version"))
    if LAST_APPLIED in notes and not found:
        found.append(
            warning(
                "owner",
                f"the next kubectl apply of the same manifest deploys {name} as it is now again",
                "revert the change where the manifest comes from",
            )
        )
    return found
