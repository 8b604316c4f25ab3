"""The status of a DaemonSet, counted from its pods by node.

Decides the counts; of several pods on a node the oldest one counts. Counts that may be left out
are, when they are 0. Source: kubernetes/pkg/controller/daemon/daemon_controller.go
(updateDaemonSetStatus).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deploy_guard.embedded.controllers.daemonset_update import IsUpdated, Pods, oldest_first
from deploy_guard.embedded.controllers.pod_state import is_available, is_ready
from deploy_guard.embedded.nodes import Node, fits
from deploy_guard.embedded.store import Object


def status_of(
    owner: Object,
    pods: Mapping[str, Pods],
    nodes: Sequence[Node],
    updated: IsUpdated,
    *,
    collisions: int,
) -> Object:
    """Return the status from the pods as they were before the sync moved something."""
    spec = owner["spec"]
    fitting = [node.name for node in nodes if fits(node, spec["template"]["spec"])]
    first = [oldest_first(pods[node], updated)[0] for node in fitting if pods.get(node)]
    ready = [pod for pod in first if is_ready(pod)]
    available = sum(is_available(pod, int(spec.get("minReadySeconds", 0))) for pod in ready)
    counts = {
        "updatedNumberScheduled": sum(updated(pod) for pod in first),
        "numberAvailable": available,
        "numberUnavailable": len(fitting) - available,
        "collisionCount": collisions,
    }
    elsewhere = [node.name for node in nodes if node.name not in fitting]
    return {
        "currentNumberScheduled": len(first),
        "numberMisscheduled": sum(bool(pods.get(node)) for node in elsewhere),
        "desiredNumberScheduled": len(fitting),
        "numberReady": len(ready),
        "observedGeneration": owner["metadata"]["generation"],
        **{field: count for field, count in counts.items() if count},
    }
