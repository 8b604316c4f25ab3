"""Pod templates as the controller compares them.

Decides when two templates are the same revision. What is merely *equivalent* for a rollback is
`rollback.revisions`' to say.
"""

from __future__ import annotations

from typing import Any

from deploy_guard.cluster.snapshot import Json

HASH_LABEL = "pod-template-hash"


def template_of(obj: Json) -> Json:
    """Return the pod template of a Deployment or ReplicaSet as it was read, without the hash label.

    Everything else is kept byte for byte: a field that this code does not know is still there.
    """
    template: Json = dict(obj["spec"]["template"])
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


def hash_of(replicaset: Json) -> str:
    """Return the pod-template-hash of a ReplicaSet, which names its revision in its pods."""
    return str((replicaset["metadata"].get("labels") or {}).get(HASH_LABEL, ""))


def live_replicaset(deployment: Json, replicasets: tuple[Json, ...]) -> Json | None:
    """Return the ReplicaSet of the Deployment's template, None before the controller made it.

    The oldest of equal ones, as the controller chooses (FindNewReplicaSet).
    """
    template = template_of(deployment)
    found = [rs for rs in replicasets if same_template(template_of(rs), template)]
    return min(found, key=_age, default=None)


def _age(replicaset: Json) -> tuple[str, str]:
    metadata = replicaset["metadata"]
    return (metadata["creationTimestamp"], metadata["name"])
