"""Events: one set of objects, seen through core/v1 and through events.k8s.io/v1.

Decides how an object of the one API reads in the other. The store keeps the core form.
Source: kubernetes/pkg/apis/events/v1/conversion.go.
"""

from __future__ import annotations

from typing import Any

from deploy_guard.embedded.resources import EVENT_GROUP, Resource

Object = dict[str, Any]

TO_CORE = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
FROM_CORE = {core: new for new, core in TO_CORE.items()}


def is_event_view(resource: Resource) -> bool:
    """Tell whether the resource shows Events in the form of events.k8s.io."""
    return resource.group == EVENT_GROUP


def to_stored(resource: Resource, obj: Object) -> Object:
    """Return the object in the form the store keeps."""
    if not is_event_view(resource):
        return obj
    renamed = {TO_CORE.get(key, key): value for key, value in obj.items()}
    return {**renamed, "apiVersion": "v1"}


def to_view(resource: Resource, obj: Object) -> Object:
    """Return a stored object in the form of the resource."""
    if not is_event_view(resource):
        return obj
    renamed = {FROM_CORE.get(key, key): value for key, value in obj.items()}
    return {**renamed, "apiVersion": resource.api_version}
