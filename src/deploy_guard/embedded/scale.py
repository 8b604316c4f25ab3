"""The scale subresource: how many replicas, seen apart from the rest of the object.

Decides how a Scale is read from an object and written back.
"""

from __future__ import annotations

from typing import Any

from deploy_guard.embedded.statuses import bad_value, invalid
from deploy_guard.embedded.tables import selector_text

Object = dict[str, Any]

SHOWN_METADATA = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def read_scale(obj: Object) -> Object:
    """Return the Scale of a Deployment, ReplicaSet or StatefulSet."""
    metadata = {key: obj["metadata"][key] for key in SHOWN_METADATA if key in obj["metadata"]}
    replicas = obj["spec"].get("replicas", 1)
    selector = selector_text(obj["spec"].get("selector"))
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {"replicas": replicas} if replicas else {},
        "status": {"replicas": (obj.get("status") or {}).get("replicas", 0), "selector": selector},
    }


def write_scale(obj: Object, scale: Object) -> Object:
    """Return the object with the replicas (and the resourceVersion) that a Scale asks for.

    Raises ApiError (422).
    """
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if replicas < 0:
        name = obj["metadata"]["name"]
        cause = bad_value("spec.replicas", replicas, "must be greater than or equal to 0")
        raise invalid("Scale", name, [cause], group="autoscaling")
    version = (scale.get("metadata") or {}).get("resourceVersion")
    metadata = {**obj["metadata"], "resourceVersion": version}
    return {**obj, "metadata": metadata, "spec": {**obj["spec"], "replicas": replicas}}
