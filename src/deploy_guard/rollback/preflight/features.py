"""Which rights each feature of guard needs, as data.

Decides verbs and resources; nothing is asked here (`access`). The Roles in examples/manifests grant
exactly these. In a Right, `{workloads}`, `{revisions}`, `{kind}` and `{name}` stand for the target:
`deployments` and `replicasets` of a Deployment, `controllerrevisions` of the other kinds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from deploy_guard.cluster.target import revisions_of, workloads_of
from deploy_guard.model import Target

ROLE = "role.yaml"
ROLE_STATEFULSETS = "role-statefulsets.yaml"
ROLE_CONFIG = "role-config.yaml"
ROLE_OWNERS = "role-owners.yaml"
ROLE_PODS = "role-pods.yaml"


@dataclass(frozen=True, slots=True)
class Right:
    """One verb on one resource; empty `name`: on all, empty `namespace`: that of the target."""

    verb: str
    resource: str  # plural, with its subresource after a slash
    group: str = ""
    name: str = ""
    namespace: str = ""

    def of(self, target: Target) -> Right:
        """Return the right with the target's names filled in."""
        words = {
            "workloads": workloads_of(target),
            "revisions": revisions_of(target),
            "kind": target.kind,
            "name": target.name,
        }
        return replace(
            self,
            resource=self.resource.format(**words),
            name=self.name.format(**words),
            namespace=self.namespace or target.namespace,
        )

    @property
    def where(self) -> str:
        """The resource as error messages of Kubernetes name it, such as ``deployments.apps``."""
        resource, slash, sub = self.resource.partition("/")
        return (f"{resource}.{self.group}" if self.group else resource) + slash + sub


@dataclass(frozen=True, slots=True)
class Feature:
    """Something that guard can do. `asked`: somebody wants it, so a missing right blocks."""

    name: str  # a stable word
    without: str  # what happens without its rights
    rights: tuple[Right, ...]
    role: str = ROLE  # the file of examples/manifests that has the rights
    asked: bool = False

    def asked_for(self) -> Feature:
        """Return the feature as one without which the rollback must not be tried."""
        return replace(self, asked=True)


def role_of(feature: Feature, right: Right) -> str:
    """Return the file of examples/manifests that grants the right."""
    others = ("statefulsets", "daemonsets", "controllerrevisions")
    return ROLE_STATEFULSETS if right.resource in others else feature.role


def _rights(verbs: str, resource: str, group: str = "", name: str = "") -> tuple[Right, ...]:
    return tuple(Right(verb, resource, group, name) for verb in verbs.split())


ROLLBACK = Feature(
    "rollback",
    "nothing can be rolled back",
    (
        *_rights("get patch", "{workloads}", "apps", "{name}"),
        *_rights("list", "{revisions}", "apps"),
    ),
    asked=True,
)
FOLLOW = Feature(
    "follow",
    "the rollout cannot be followed",
    (
        *_rights("list watch", "{workloads}", "apps", "{name}"),
        *_rights("watch", "{revisions}", "apps"),
    ),
)
PODS = Feature("pods", "it is not seen why pods do not start", _rights("list watch", "pods"))
VERDICTS = Feature(
    "verdicts",
    "no verdict is remembered, so a later rollback may return to a bad revision",
    _rights("patch", "{revisions}", "apps"),
)
REFERENCES = Feature(
    "references",
    "whether the old template still has what it needs is not known",
    (
        *_rights("get", "configmaps"),
        *_rights("get", "serviceaccounts"),
        *_rights("get", "persistentvolumeclaims"),
        *_rights("list", "resourcequotas"),
    ),
)
SECRETS = Feature(
    "secrets", "whether Secrets still exist is not known", _rights("get", "secrets"), ROLE_CONFIG
)
POD_REHEARSAL = Feature(
    "pod-rehearsal",
    "Pod Security and other rules for pods are seen only after the rollback",
    _rights("create", "pods"),
    ROLE_PODS,
)
SIGNALS = Feature("signals", "signals of provider pods have no data", _rights("get", "pods/proxy"))
LEASE = Feature(
    "lease",
    "two guards may watch the same target",
    (
        *_rights("get patch", "leases", "coordination.k8s.io", "deploy-guard-{kind}-{name}"),
        *_rights("create", "leases", "coordination.k8s.io"),
    ),
)
EVENTS = Feature("events", "kubectl describe shows nothing of guard", _rights("create", "events"))
SNAPSHOTS = Feature(
    "snapshots",
    "ConfigMaps and Secrets are not kept as they should be",
    (
        *_rights("get list create delete", "configmaps"),
        *_rights("get list create delete", "secrets"),
        *_rights("list patch", "{revisions}", "apps"),
    ),
    ROLE_CONFIG,
)
RESTORE = Feature(
    "restore",
    "ConfigMaps and Secrets cannot all be put back",
    (
        *_rights("get create patch delete", "configmaps"),
        *_rights("get create patch delete", "secrets"),
    ),
    ROLE_CONFIG,
)
STUCK_PODS = Feature(
    "stuck-pods",
    "a broken pod of a StatefulSet stays until somebody deletes it",
    _rights("delete", "pods"),
    ROLE_PODS,
)

BASE = (ROLLBACK, FOLLOW, PODS, VERDICTS)
FEATURES = (
    *BASE,
    REFERENCES,
    SECRETS,
    POD_REHEARSAL,
    SIGNALS,
    LEASE,
    EVENTS,
    SNAPSHOTS,
    RESTORE,
    STUCK_PODS,
)


def suspending(group: str, resource: str, namespace: str, name: str) -> Feature:
    """Return the feature that suspends one GitOps object, such as an Argo CD Application."""
    rights = tuple(Right(verb, resource, group, name, namespace) for verb in ("get", "patch"))
    text = "the owner is not suspended and may revert the rollback"
    return Feature("suspend-owner", text, rights, ROLE_OWNERS)
