"""Which tool writes a ConfigMap or Secret, and so may undo a restore.

Decides by labels, annotations and the controlling owner. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def writer_of(metadata: Mapping[str, Any]) -> str:
    """Return the tool that an object's metadata name; empty for none that is known."""
    labels = metadata.get("labels") or {}
    notes = metadata.get("annotations") or {}
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("controller"):
            return f"{owner.get('kind', '')} {owner.get('name', '')}"
    if "argocd.argoproj.io/tracking-id" in notes or "argocd.argoproj.io/instance" in labels:
        return "Argo CD"
    if "helm.toolkit.fluxcd.io/name" in labels or "kustomize.toolkit.fluxcd.io/name" in labels:
        return "Flux"
    if "cert-manager.io/certificate-name" in notes:
        return "cert-manager"
    if "reconcile.external-secrets.io/managed" in labels:
        return "external-secrets"
    if "meta.helm.sh/release-name" in notes:
        return f"Helm release {notes['meta.helm.sh/release-name']}"
    return ""
