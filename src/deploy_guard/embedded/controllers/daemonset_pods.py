"""The pods of a DaemonSet as its controller sees them: one per node, with a revision's hash.

Decides a pod's labels, tolerations and affinity, and on which node it counts.
Source: kubernetes/pkg/controller/daemon/util/daemonset_util.go.
"""

from __future__ import annotations

from collections.abc import Iterable

from deploy_guard.embedded.controllers.objects import is_terminating, private
from deploy_guard.embedded.controllers.ordinals import REVISION_LABEL
from deploy_guard.embedded.controllers.pod_state import FINISHED, phase
from deploy_guard.embedded.nodes import required_name, wanted_names
from deploy_guard.embedded.store import Object
from deploy_guard.embedded.template_generation import template_generation

GENERATION_LABEL = "pod-template-generation"
TOLERATED = (
    ("not-ready", "NoExecute"),
    ("unreachable", "NoExecute"),
    ("disk-pressure", "NoSchedule"),
    ("memory-pressure", "NoSchedule"),
    ("pid-pressure", "NoSchedule"),
    ("unschedulable", "NoSchedule"),
)


def by_node(pods: Iterable[Object]) -> dict[str, list[Object]]:
    """Return the pods by their node, also one that they are not bound to yet.

    Pods that have ended and are being deleted are left out.
    """
    found: dict[str, list[Object]] = {}
    for pod in pods:
        if is_terminating(pod) and phase(pod) in FINISHED:
            continue
        wanted = wanted_names(pod["spec"])
        node = pod["spec"].get("nodeName") or (wanted[0] if wanted else "")
        found.setdefault(node, []).append(pod)
    return found


def hash_of(pod: Object) -> str:
    """Return the hash of the revision that the pod was made from, "" for none."""
    return str((pod["metadata"].get("labels") or {}).get(REVISION_LABEL, ""))


def is_updated(pod: Object, revision_hash: str, generation: int) -> bool:
    """Tell whether the pod was made from the current template, by its hash or by its count."""
    labels = pod["metadata"].get("labels") or {}
    return hash_of(pod) == revision_hash or labels.get(GENERATION_LABEL) == str(generation)


def pod_template(owner: Object, node: str, revision_hash: str) -> Object:
    """Return the template of the pod on that node."""
    template = private(owner["spec"]["template"])
    metadata, spec = template.setdefault("metadata", {}), template["spec"]
    metadata["labels"] = {
        **(metadata.get("labels") or {}),
        REVISION_LABEL: revision_hash,
        GENERATION_LABEL: str(template_generation(owner)),
    }
    spec["tolerations"] = [*(spec.get("tolerations") or []), *_daemon_tolerations(spec)]
    affinity = spec.setdefault("affinity", {})
    affinity["nodeAffinity"] = {**affinity.get("nodeAffinity", {}), **required_name(node)}
    return template


def _daemon_tolerations(spec: Object) -> list[Object]:
    own_network = [("network-unavailable", "NoSchedule")] if spec.get("hostNetwork") else []
    return [
        {"key": f"node.kubernetes.io/{taint}", "operator": "Exists", "effect": effect}
        for taint, effect in [*TOLERATED, *own_network]
    ]
