"""Custom resources: kinds that a cluster has because somebody installed them.

Decides what such a kind is registered with and which well-known ones are ready to be registered.
Does not check what is in their objects: as with `x-kubernetes-preserve-unknown-fields`, all is
kept. There are no controllers for them.
"""

from __future__ import annotations

from deploy_guard.embedded.resources import RESOURCES, Resource

BUILT_IN_KINDS = frozenset(resource.kind for resource in RESOURCES)


def custom_kind(
    group: str,
    version: str,
    kind: str,
    plural: str,
    *,
    short: tuple[str, ...] = (),
    namespaced: bool = True,
    status: bool = True,
) -> Resource:
    """Describe a kind as its CustomResourceDefinition does; `status` adds the subresource.

    Raises ValueError without a group, and for a kind that Kubernetes itself has: defaults are
    found by the kind's name alone.
    """
    if not group:
        raise ValueError(f"kind {kind!r}: a custom resource needs an API group")
    if kind in BUILT_IN_KINDS:
        raise ValueError(f"kind {kind!r}: Kubernetes has a kind of that name")
    return Resource(
        group,
        version,
        plural,
        kind,
        kind.lower(),
        short,
        namespaced=namespaced,
        subresources=("status",) if status else (),
        has_generation=True,
        unconditional_update=False,
        custom=True,
    )


APPLICATION = custom_kind(  # Argo CD writes the status like any other field
    "argoproj.io", "v1alpha1", "Application", "applications", short=("app", "apps"), status=False
)
ROLLOUT = custom_kind("argoproj.io", "v1alpha1", "Rollout", "rollouts", short=("ro",))
KUSTOMIZATION = custom_kind(
    "kustomize.toolkit.fluxcd.io", "v1", "Kustomization", "kustomizations", short=("ks",)
)
HELM_RELEASE = custom_kind(
    "helm.toolkit.fluxcd.io", "v2", "HelmRelease", "helmreleases", short=("hr",)
)

GITOPS_KINDS = (APPLICATION, ROLLOUT, KUSTOMIZATION, HELM_RELEASE)
