"""The status of a StatefulSet, counted from its pods.

Decides the counts and when the update revision becomes the current one. Counts that are 0 are
left out, as Go's omitempty does, but for replicas and availableReplicas.
Source: kubernetes/pkg/controller/statefulset/stateful_set_control.go (updateStatus,
completeRollingUpdate).
"""

from __future__ import annotations

from collections.abc import Sequence

from deploy_guard.embedded.controllers.objects import is_terminating
from deploy_guard.embedded.controllers.ordinals import revision_of_pod, runs_ready
from deploy_guard.embedded.controllers.pod_state import is_available
from deploy_guard.embedded.store import Object


def status_of(
    owner: Object,
    pods: Sequence[Object],
    *,
    current: str,
    update: str,
    taken: int,
    collisions: int,
) -> Object:
    """Return the status from the pods as they were before the sync moved something.

    `current` and `update` are names of revisions; `taken` is how many pods the sync has just
    deleted for the update, which no longer count as current; `collisions` those of hashes.
    """
    spec = owner["spec"]
    ready = [pod for pod in pods if runs_ready(pod)]
    made_of = [revision_of_pod(pod) for pod in pods if not is_terminating(pod)]
    counts = {
        "replicas": len(pods),
        "readyReplicas": len(ready),
        "currentReplicas": max(0, made_of.count(current) - taken),
        "updatedReplicas": made_of.count(update),
    }
    rolling = spec["updateStrategy"]["type"] == "RollingUpdate"
    done = ("replicas", "readyReplicas", "updatedReplicas")
    if rolling and all(counts[field] == spec["replicas"] for field in done):
        current, counts["currentReplicas"] = update, counts["updatedReplicas"]
    min_ready = int(spec.get("minReadySeconds", 0))
    return {
        "observedGeneration": owner["metadata"]["generation"],
        **{field: n for field, n in counts.items() if n or field == "replicas"},
        "currentRevision": current,
        "updateRevision": update,
        "collisionCount": collisions,
        "availableReplicas": sum(is_available(pod, min_ready) for pod in ready),
    }
