"""The nodes that the embedded cluster pretends to have.

Decides their names and labels, and which pods fit on which. They are no objects of the API: no
controller needs one and the toy service runs in this process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deploy_guard.embedded.store import Object

HOSTNAME = "kubernetes.io/hostname"
LABELS = {"kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux"}


@dataclass(frozen=True, slots=True)
class Node:
    """One fake node."""

    name: str

    @property
    def labels(self) -> dict[str, str]:
        """The labels that a node selector is compared with."""
        return {**LABELS, HOSTNAME: self.name}


def fake_nodes(count: int) -> tuple[Node, ...]:
    """Return the nodes ``fake-0``, ``fake-1``, …; raises ValueError below one."""
    if count < 1:
        raise ValueError(f"nodes: expected at least 1, got {count}")
    return tuple(Node(f"fake-{number}") for number in range(count))


ONE_NODE = fake_nodes(1)


def fits(node: Node, spec: Object) -> bool:
    """Tell whether a pod of that spec may run on the node: nodeSelector and the node's name.

    Of the affinity only the required name counts, which the DaemonSet controller writes.
    """
    wanted = spec.get("nodeSelector") or {}
    names = wanted_names(spec)
    return wanted.items() <= node.labels.items() and (not names or node.name in names)


def wanted_names(spec: Object) -> Sequence[str]:
    """Return the node names that a pod's affinity requires, none: any node."""
    affinity = ((spec.get("affinity") or {}).get("nodeAffinity")) or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    return [
        name
        for term in required.get("nodeSelectorTerms") or []
        for field in term.get("matchFields") or []
        if (field["key"], field["operator"]) == ("metadata.name", "In")
        for name in field["values"]
    ]


def required_name(name: str) -> Object:
    """Return the node affinity that binds a DaemonSet's pod to its node."""
    field = {"key": "metadata.name", "operator": "In", "values": [name]}
    terms = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    return {"requiredDuringSchedulingIgnoredDuringExecution": terms}
