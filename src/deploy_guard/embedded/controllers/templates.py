"""Pod templates, revisions and the annotations that tie a Deployment to its ReplicaSets.

Decides which ReplicaSet is the new one and what the controller writes on it. Does not write.
Source: kubernetes/pkg/controller/deployment/util/deployment_util.go. The hash is not
Kubernetes': that one is made from a Go value and cannot be reproduced from JSON.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence

from deploy_guard.embedded.controllers.rolling import max_surge
from deploy_guard.embedded.store import Object

HASH_LABEL = "pod-template-hash"
PREFIX = "deployment.kubernetes.io/"
REVISION = PREFIX + "revision"
REVISION_HISTORY = PREFIX + "revision-history"
DESIRED_REPLICAS = PREFIX + "desired-replicas"
MAX_REPLICAS = PREFIX + "max-replicas"
NOT_COPIED = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        "deprecated.deployment.rollback.to",
        REVISION,
        REVISION_HISTORY,
        DESIRED_REPLICAS,
        MAX_REPLICAS,
    }
)
SAFE_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # k8s.io/apimachinery/pkg/util/rand
HISTORY_LENGTH = 2000  # characters of the revision-history annotation


def template_hash(template: Object, collisions: int | None) -> str:
    """Return a short hash of the template in the alphabet of Kubernetes' names."""
    text = json.dumps(template, sort_keys=True, separators=(",", ":"))
    if collisions is not None:
        text += f"#{collisions}"
    value = 0x811C9DC5  # FNV-1a, 32 bits, as Kubernetes uses
    for byte in text.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return safe_encode(str(value))


def safe_encode(text: str) -> str:
    """Map each character into the alphabet that can spell no word."""
    return "".join(SAFE_LETTERS[ord(char) % len(SAFE_LETTERS)] for char in text)


def same_template(left: Object, right: Object) -> bool:
    """Tell whether two templates are equal but for the pod-template-hash label."""
    return _without_hash(left) == _without_hash(right)


def _without_hash(template: Object) -> Object:
    plain = copy.deepcopy(template)
    metadata = plain.get("metadata") or {}
    metadata.pop("creationTimestamp", None)
    (metadata.get("labels") or {}).pop(HASH_LABEL, None)
    return plain


def find_new(deployment: Object, replica_sets: Sequence[Object]) -> Object | None:
    """Return the oldest ReplicaSet that has the Deployment's template, or None."""
    wanted = deployment["spec"]["template"]
    for candidate in sorted(replica_sets, key=age_key):
        if same_template(candidate["spec"]["template"], wanted):
            return candidate
    return None


def age_key(obj: Object) -> tuple[str, str]:
    """Order objects oldest first; names decide between equal times."""
    metadata = obj["metadata"]
    return metadata["creationTimestamp"], metadata["name"]


def annotations_of(obj: Object) -> dict[str, str]:
    """Return the object's annotations (empty when it has none)."""
    return obj["metadata"].get("annotations") or {}


def revision_of(obj: Object) -> int:
    """Return the revision that the controller wrote on the object, 0 when there is none."""
    text = annotations_of(obj).get(REVISION, "")
    return int(text) if text.isdigit() else 0


def annotated_number(obj: Object, name: str) -> int | None:
    """Return an annotation as a number, or None."""
    text = annotations_of(obj).get(name, "")
    return int(text) if text.isdigit() else None


def replicas_annotations(spec: Object) -> dict[str, str]:
    """Return the annotations that later tell in which proportion to scale."""
    return {
        DESIRED_REPLICAS: str(spec["replicas"]),
        MAX_REPLICAS: str(spec["replicas"] + max_surge(spec)),
    }


def new_annotations(
    deployment: Object, replica_set: Object, revision: int, *, exists: bool
) -> dict[str, str]:
    """Return the annotations that the new ReplicaSet should have."""
    result = dict(annotations_of(replica_set))
    for key, value in annotations_of(deployment).items():
        if key not in NOT_COPIED:
            result[key] = value
    before = result.get(REVISION, "")
    if not before.isdigit() and before:
        return result
    if int(before or 0) < revision:
        result[REVISION] = str(revision)
        if before:
            result[REVISION_HISTORY] = _longer_history(result.get(REVISION_HISTORY, ""), before)
    if not exists:
        result.update(replicas_annotations(deployment["spec"]))
    return result


def _longer_history(history: str, revision: str) -> str:
    revisions = [*filter(None, history.split(",")), revision]
    while len(",".join(revisions)) > HISTORY_LENGTH and len(revisions) > 1:
        revisions.pop(0)
    return ",".join(revisions)
