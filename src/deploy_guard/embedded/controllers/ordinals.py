"""The pods of a StatefulSet as its controller sees them: numbered, with a revision each.

Decides a pod's name, labels and place in the order. Does not create or delete.
Source: kubernetes/pkg/controller/statefulset/stateful_set_utils.go.
"""

from __future__ import annotations

import re

from deploy_guard.embedded.controllers.claims import add_volumes
from deploy_guard.embedded.controllers.objects import is_terminating, private
from deploy_guard.embedded.controllers.pod_state import is_ready, phase
from deploy_guard.embedded.controllers.revisions import template_of
from deploy_guard.embedded.store import Object

REVISION_LABEL = "controller-revision-hash"
NAME_LABEL = "statefulset.kubernetes.io/pod-name"
INDEX_LABEL = "apps.kubernetes.io/pod-index"
NAME = re.compile(r"(.*)-([0-9]+)")


def ordinal_of(name: str, owner: str) -> int | None:
    """Return the number in a pod's name, None when the name is not one of the owner's pods."""
    match = NAME.fullmatch(name)
    return int(match[2]) if match and match[1] == owner else None


def ordinals(spec: Object) -> range:
    """Return the numbers that a StatefulSet's pods should have."""
    start = int((spec.get("ordinals") or {}).get("start", 0))
    return range(start, start + int(spec["replicas"]))


def pod_name(owner: Object, ordinal: int) -> str:
    """Return the name of the pod with that number."""
    return f"{owner['metadata']['name']}-{ordinal}"


def revision_of_pod(pod: Object) -> str:
    """Return the name of the ControllerRevision that the pod was made from, "" for none."""
    return str((pod["metadata"].get("labels") or {}).get(REVISION_LABEL, ""))


def runs_ready(pod: Object) -> bool:
    """Tell whether the pod runs and is ready, also while it terminates."""
    return phase(pod) == "Running" and is_ready(pod)


def is_healthy(pod: Object) -> bool:
    """Tell whether the pod runs, is ready and is not about to go."""
    return runs_ready(pod) and not is_terminating(pod)


def pod_template(owner: Object, revision: Object, ordinal: int) -> Object:
    """Return the template of the pod with that number, made from a revision."""
    name = pod_name(owner, ordinal)
    template = private(template_of(revision, owner))
    metadata = template.setdefault("metadata", {})
    metadata["labels"] = {
        **(metadata.get("labels") or {}),
        INDEX_LABEL: str(ordinal),
        REVISION_LABEL: revision["metadata"]["name"],
        NAME_LABEL: name,
    }
    template["spec"]["hostname"] = name
    if owner["spec"].get("serviceName"):
        template["spec"]["subdomain"] = owner["spec"]["serviceName"]
    add_volumes(template["spec"], owner, ordinal)
    return template
