"""Pod templates as the controller compares them.

Decides when two templates are the same revision. What is merely *equivalent* for a rollback is
`rollback.revisions`' to say.
"""

from __future__ import annotations

from typing import Any

from deploy_guard.cluster.snapshot import Json

HASH_LABEL = "pod-template-hash"  # of a Deployment's pods and ReplicaSets
REVISION_LABEL = "controller-revision-hash"  # of the other kinds' pods


def template_of(obj: Json) -> Json:
    """Return the pod template of a workload or of a revision as it was read.

    Left out are the label pod-template-hash of a ReplicaSet and the directive ``$patch`` of a
    ControllerRevision. Everything else is kept byte for byte: a field that this code does not know
    is still there.
    """
    spec = obj["data"]["spec"] if "data" in obj else obj["spec"]
    template: Json = {key: value for key, value in spec["template"].items() if key != "$patch"}
    metadata = dict(template.get("metadata") or {})
    labels = {k: v for k, v in (metadata.get("labels") or {}).items() if k != HASH_LABEL}
    if "labels" in metadata:
        metadata["labels"] = labels
    if "metadata" in template:
        template["metadata"] = metadata
    return template


def same_template(one: Json, other: Json) -> bool:
    """Tell whether two templates (without hash label) are the same revision.

    The rule of the controller's EqualIgnoreHash: semantic equality, in which absent, null and
    empty are one (k8s.io/kubernetes/pkg/controller/deployment/util).
    """
    return bool(pruned(one) == pruned(other))


def pruned(value: Any) -> Any:
    """Leave out null, empty objects and empty lists from members, all the way down."""
    if isinstance(value, dict):
        items = ((key, pruned(member)) for key, member in value.items())
        return {key: member for key, member in items if member not in (None, {}, [])}
    if isinstance(value, list):
        return [pruned(member) for member in value]
    return value


def hash_of(obj: Json) -> str:
    """Return what names a revision in its pods, of the revision or of a pod; empty without any.

    The label pod-template-hash of a Deployment's; else the label controller-revision-hash, in which
    a StatefulSet's pods carry the name of the ControllerRevision and a DaemonSet's its hash.
    """
    metadata = obj["metadata"]
    labels = metadata.get("labels") or {}
    if "data" in obj:
        return str(labels.get(REVISION_LABEL) or metadata["name"])
    return str(labels.get(HASH_LABEL) or labels.get(REVISION_LABEL) or "")


def live_revision(workload: Json, revisions: tuple[Json, ...]) -> Json | None:
    """Return the revision of the workload's template, None before the controller made it.

    The oldest of equal ones, as the Deployment controller chooses (FindNewReplicaSet).
    """
    template = template_of(workload)
    found = [revision for revision in revisions if same_template(template_of(revision), template)]
    return min(found, key=_age, default=None)


def _age(revision: Json) -> tuple[str, str]:
    metadata = revision["metadata"]
    return (metadata["creationTimestamp"], metadata["name"])
