"""Events: one set of objects, seen through core/v1 and through events.k8s.io/v1.

Decides how an object of the one API reads in the other, and what each API refuses. The store
keeps the core form. Source: kubernetes/pkg/apis/core/validation/events.go and
pkg/apis/events/v1/conversion.go.
"""

from __future__ import annotations

from typing import Any

from deploy_guard.embedded.resources import EVENT_GROUP, Resource
from deploy_guard.embedded.statuses import Cause, bad_value, required
from deploy_guard.embedded.validation import QUALIFIED, QUALIFIED_TEXT

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
SHOWN_IF_EMPTY = ("eventTime", "source", "firstTimestamp", "lastTimestamp")
TYPES = ("Normal", "Warning")
MESSAGE_BYTES = 1024
FROZEN = (
    "involvedObject",
    "reason",
    "message",
    "type",
    "action",
    "reportingComponent",
    "eventTime",
)
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
    renamed = {
        FROM_CORE.get(key, key): value
        for key, value in obj.items()
        if value not in ("", None) or key in SHOWN_IF_EMPTY
    }
    return {**renamed, "apiVersion": resource.api_version}


def validate_event(resource: Resource, event: Object, before: Object | None) -> list[Cause]:
    """Return why an Event (in the core form) must be refused.

    An Event of the new kind, told by events.k8s.io or by its eventTime, is checked strictly; the
    old kind hardly at all.
    """
    causes = []
    involved, metadata = event.get("involvedObject") or {}, event["metadata"]
    where = involved.get("namespace", "")
    if where != metadata.get("namespace") and not (
        not where and metadata.get("namespace") == "default"
    ):
        text = "does not match event.namespace"
        causes.append(bad_value("involvedObject.namespace", where, text))
    is_new = is_event_view(resource)
    if is_new and not event.get("eventTime") and before is None:
        return [required("eventTime")]
    if event.get("eventTime"):
        causes += _new_kind(event, FROM_CORE["reportingComponent"] if is_new else "")
    if is_new and before is not None:
        causes += _frozen(event, before)
    return causes


def _new_kind(event: Object, component_name: str) -> list[Cause]:
    causes = []
    field = component_name or "reportingComponent"
    component = event.get("reportingComponent") or ""
    if not component:
        causes += [required(field), bad_value(field, component, "name part must be non-empty")]
    if not QUALIFIED.fullmatch(component.rpartition("/")[2]):
        causes.append(bad_value(field, component, QUALIFIED_TEXT))
    causes += [
        required(name) for name in ("reportingInstance", "action", "reason") if not event.get(name)
    ]
    if len(str(event.get("message") or "").encode()) > MESSAGE_BYTES:
        causes.append(bad_value("message", "", f"can have at most {MESSAGE_BYTES} characters"))
    if event.get("type") not in TYPES:
        causes.append(bad_value("type", "", f"has invalid value: {event.get('type', '')}"))
    series = event.get("series")
    if series and series.get("count", 0) < 2:
        causes.append(bad_value("series.count", "", "should be at least 2"))
    return causes


def _frozen(event: Object, before: Object) -> list[Cause]:
    return [
        bad_value(name, event.get(name), "field is immutable")
        for name in FROZEN
        if event.get(name) != before.get(name)
    ]
