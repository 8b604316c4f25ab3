"""The resources that the embedded API server offers: their names, verbs and subresources.

Decides: what discovery lists and which paths exist. Does not decide what a verb does (`api`)
nor what an object of the kind must look like (`defaults`, `validation`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of one API version, as discovery describes it."""

    group: str
    version: str
    plural: str
    kind: str
    singular: str
    short: tuple[str, ...] = ()
    namespaced: bool = True
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    has_generation: bool = False
    unconditional_update: bool = True  # PUT without resourceVersion: the last writer wins
    whole_delete: bool = False  # DELETE answers with the object instead of a Status
    stored_as: str = ""  # the store's name when two resources are views of the same objects
    custom: bool = False  # defined by a user: no types, no strategic merge patch

    @property
    def store_name(self) -> str:
        """The name under which the store keeps the objects: as in RBAC with the group."""
        return self.stored_as or self.qualified

    @property
    def qualified(self) -> str:
        """The name that messages use: ``deployments.apps``, ``pods``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def qualified_kind(self) -> str:
        """The kind as messages use it: ``Deployment.apps``, ``Pod``."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @property
    def api_version(self) -> str:
        """The apiVersion of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version


CREATE_ONLY = ("create",)
AUTHORIZATION = "authorization.k8s.io"
RBAC = "rbac.authorization.k8s.io"
EVENT_GROUP = "events.k8s.io"

RESOURCES: tuple[Resource, ...] = (
    Resource("", "v1", "configmaps", "ConfigMap", "configmap", ("cm",)),
    Resource("", "v1", "endpoints", "Endpoints", "endpoints", ("ep",)),
    Resource("", "v1", "events", "Event", "event", ("ev",)),
    Resource(
        "",
        "v1",
        "namespaces",
        "Namespace",
        "namespace",
        ("ns",),
        namespaced=False,
        verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
        subresources=("status",),
        whole_delete=True,
    ),
    Resource(
        "",
        "v1",
        "persistentvolumeclaims",
        "PersistentVolumeClaim",
        "persistentvolumeclaim",
        ("pvc",),
        subresources=("status",),
        whole_delete=True,
    ),
    Resource(
        "",
        "v1",
        "pods",
        "Pod",
        "pod",
        ("po",),
        subresources=("status", "proxy"),
        categories=("all",),
        has_generation=True,
        whole_delete=True,
    ),
    Resource(
        "",
        "v1",
        "resourcequotas",
        "ResourceQuota",
        "resourcequota",
        ("quota",),
        subresources=("status",),
        whole_delete=True,
    ),
    Resource("", "v1", "secrets", "Secret", "secret"),
    Resource(
        "",
        "v1",
        "serviceaccounts",
        "ServiceAccount",
        "serviceaccount",
        ("sa",),
        subresources=("token",),
        whole_delete=True,
    ),
    Resource(
        "",
        "v1",
        "services",
        "Service",
        "service",
        ("svc",),
        subresources=("status",),
        categories=("all",),
        whole_delete=True,
    ),
    Resource("apps", "v1", "controllerrevisions", "ControllerRevision", "controllerrevision"),
    Resource(
        "apps",
        "v1",
        "daemonsets",
        "DaemonSet",
        "daemonset",
        ("ds",),
        subresources=("status",),
        categories=("all",),
        has_generation=True,
    ),
    Resource(
        "apps",
        "v1",
        "deployments",
        "Deployment",
        "deployment",
        ("deploy",),
        subresources=("status", "scale"),
        categories=("all",),
        has_generation=True,
    ),
    Resource(
        "apps",
        "v1",
        "replicasets",
        "ReplicaSet",
        "replicaset",
        ("rs",),
        subresources=("status", "scale"),
        categories=("all",),
        has_generation=True,
    ),
    Resource(
        "apps",
        "v1",
        "statefulsets",
        "StatefulSet",
        "statefulset",
        ("sts",),
        subresources=("status", "scale"),
        categories=("all",),
        has_generation=True,
    ),
    Resource(EVENT_GROUP, "v1", "events", "Event", "event", ("ev",), stored_as="events"),
    Resource("coordination.k8s.io", "v1", "leases", "Lease", "lease", unconditional_update=False),
    Resource(RBAC, "v1", "rolebindings", "RoleBinding", "rolebinding"),
    Resource(RBAC, "v1", "roles", "Role", "role"),
    Resource(
        "scheduling.k8s.io",
        "v1",
        "priorityclasses",
        "PriorityClass",
        "priorityclass",
        ("pc",),
        namespaced=False,
    ),
    Resource(
        "authentication.k8s.io",
        "v1",
        "selfsubjectreviews",
        "SelfSubjectReview",
        "selfsubjectreview",
        namespaced=False,
        verbs=CREATE_ONLY,
    ),
    Resource(
        AUTHORIZATION,
        "v1",
        "selfsubjectaccessreviews",
        "SelfSubjectAccessReview",
        "selfsubjectaccessreview",
        namespaced=False,
        verbs=CREATE_ONLY,
    ),
    Resource(
        AUTHORIZATION,
        "v1",
        "selfsubjectrulesreviews",
        "SelfSubjectRulesReview",
        "selfsubjectrulesreview",
        namespaced=False,
        verbs=CREATE_ONLY,
    ),
)


class Catalogue:
    """The resources of one API server: those of Kubernetes and the registered custom ones."""

    def __init__(self, custom: Iterable[Resource] = ()) -> None:
        self.resources = (*RESOURCES, *custom)
        self._by_path = {(r.group, r.version, r.plural): r for r in self.resources}
        if len(self._by_path) != len(self.resources):
            raise ValueError("custom kinds: two have the same group, version and plural")
        self.group_versions = sorted({(r.group, r.version) for r in self.resources})
        self.groups = sorted({group for group, _ in self.group_versions if group})

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """Return the resource at that path of the API, or None."""
        return self._by_path.get((group, version, plural))

    def of(self, group: str, version: str) -> list[Resource]:
        """Return the resources of one version of a group."""
        return [r for r in self.resources if (r.group, r.version) == (group, version)]

    def versions(self, group: str) -> list[str]:
        """Return the versions of a group."""
        return [version for found, version in self.group_versions if found == group]


KUBERNETES = Catalogue()


def find_resource(group: str, version: str, plural: str) -> Resource | None:
    """Return Kubernetes' own resource at that path of the API, or None."""
    return KUBERNETES.find(group, version, plural)


def reference(resource: Resource, name: str) -> dict[str, Any]:
    """Return the `details` of a Status about an object of that name (empty: the collection)."""
    details = {"name": name, "group": resource.group, "kind": resource.plural}
    return {key: value for key, value in details.items() if value}
