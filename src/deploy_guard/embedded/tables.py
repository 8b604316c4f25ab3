"""Tables: the columns that `kubectl get` prints.

Decides the cells of a row (kubernetes/pkg/printers/internalversion/printers.go). The client
chooses by Accept, and shows columns of priority 1 only with `-o wide`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from deploy_guard.embedded.event_views import TO_CORE, is_event_view
from deploy_guard.embedded.resources import Resource

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its title, how a cell is made, and whether it is for wide output only."""

    name: str
    cell: Callable[[Object], Any]
    type: str = "string"
    wide: bool = False


def columns_of(resource: Resource) -> Sequence[Column]:
    """Return the columns of a resource; name and age where it has none of its own."""
    return COLUMNS.get(resource.store_name, (NAME, AGE))


def definitions(resource: Resource) -> list[Object]:
    """Return the columns as a Table describes them."""
    return [
        {
            "name": column.name,
            "type": column.type,
            "format": "name" if column.name == "Name" else "",
            "description": column.name,
            "priority": int(column.wide),
        }
        for column in columns_of(resource)
    ]


def row(resource: Resource, obj: Object, shown: Object) -> Object:
    """Return the row of an object; `shown` is what the row carries with it."""
    if is_event_view(resource):
        obj = {TO_CORE.get(key, key): value for key, value in obj.items()}
    cells = [column.cell(obj) for column in columns_of(resource)]
    return {"cells": cells, "object": shown}


def human_age(seconds: float) -> str:
    """Return a duration in kubectl's short form (apimachinery/pkg/util/duration)."""
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if seconds < 0:
        return "<invalid>" if seconds < -1 else "0s"
    if seconds < 120:
        return f"{int(seconds)}s"
    if minutes < 10:
        rest = int(seconds) % 60
        return f"{minutes}m{rest}s" if rest else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    return f"{days}d"


def age_of(text: str | None) -> str:
    """Return the time since a timestamp of the API."""
    if not text:
        return "<unknown>"
    at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return human_age((datetime.now(UTC) - at).total_seconds())


def _spec(obj: Object) -> Object:
    return obj.get("spec") or {}


def _status(obj: Object) -> Object:
    return obj.get("status") or {}


def _containers(obj: Object) -> list[Object]:
    spec = _spec(obj)
    template = spec.get("template")
    return list((template or obj).get("spec", {}).get("containers") or [])


def _names(obj: Object) -> str:
    return ",".join(str(container.get("name")) for container in _containers(obj))


def _images(obj: Object) -> str:
    return ",".join(str(container.get("image")) for container in _containers(obj))


def selector_text(selector: Object | None) -> str:
    """Return a LabelSelector in the form of the command line."""
    selector = selector or {}
    terms = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for term in selector.get("matchExpressions") or []:
        operator, values = term["operator"], ",".join(sorted(term.get("values") or []))
        if operator in ("Exists", "DoesNotExist"):
            terms.append(term["key"] if operator == "Exists" else f"!{term['key']}")
        else:
            terms.append(f"{term['key']} {operator.lower()} ({values})")
    return ",".join(terms) or "<none>"


def _selector(obj: Object) -> str:
    return selector_text(_spec(obj).get("selector"))


def _of_status(field: str) -> Callable[[Object], Any]:
    return lambda obj: _status(obj).get(field, 0)


def _ready(obj: Object) -> str:
    return f"{_status(obj).get('readyReplicas', 0)}/{_spec(obj).get('replicas', 0)}"


def _pod_ready(obj: Object) -> str:
    statuses = _status(obj).get("containerStatuses") or []
    return f"{sum(bool(one.get('ready')) for one in statuses)}/{len(_containers(obj))}"


def _pod_status(obj: Object) -> str:
    """Return what kubectl shows of a pod: the reason that matters most, else the phase."""
    status = _status(obj)
    reason = status.get("reason") or status.get("phase") or "Unknown"
    for container in status.get("containerStatuses") or []:
        state = container.get("state") or {}
        waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
        if waiting.get("reason"):
            reason = waiting["reason"]
        elif ended:
            reason = ended.get("reason") or f"ExitCode:{ended.get('exitCode', 0)}"
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return str(reason)


def _restarts(obj: Object) -> str:
    statuses = _status(obj).get("containerStatuses") or []
    return str(sum(int(one.get("restartCount", 0)) for one in statuses))


def _or_none(value: Any) -> Any:
    return "<none>" if value in (None, "", []) else value


def _data(obj: Object) -> int:
    return len(obj.get("data") or {}) + len(obj.get("binaryData") or {})


def _seen(obj: Object) -> str:
    last = obj.get("lastTimestamp") or obj.get("eventTime") or obj["metadata"]["creationTimestamp"]
    return age_of(str(last))


def _about(obj: Object) -> str:
    involved = obj.get("involvedObject") or {}
    return f"{str(involved.get('kind', '')).lower()}/{involved.get('name', '')}"


def _ports(obj: Object) -> str:
    ports = _spec(obj).get("ports") or []
    return ",".join(f"{p.get('port')}/{p.get('protocol', 'TCP')}" for p in ports) or "<none>"


def _owner(obj: Object) -> str:
    for owner in obj["metadata"].get("ownerReferences") or []:
        if owner.get("controller"):
            group = owner["apiVersion"].rpartition("/")[0]
            kind = ".".join(filter(None, (owner["kind"].lower(), group)))
            return f"{kind}/{owner['name']}"
    return "<none>"


NAME = Column("Name", lambda obj: obj["metadata"]["name"])
AGE = Column("Age", lambda obj: age_of(obj["metadata"].get("creationTimestamp")))
CONTAINERS = Column("Containers", _names, wide=True)
IMAGES = Column("Images", _images, wide=True)
SELECTOR = Column("Selector", _selector, wide=True)

COLUMNS: dict[str, tuple[Column, ...]] = {
    "configmaps": (NAME, Column("Data", _data, "integer"), AGE),
    "controllerrevisions.apps": (
        NAME,
        Column("Controller", _owner),
        Column("Revision", lambda obj: obj.get("revision", 0), "integer"),
        AGE,
    ),
    "daemonsets.apps": (
        NAME,
        Column("Desired", _of_status("desiredNumberScheduled"), "integer"),
        Column("Current", _of_status("currentNumberScheduled"), "integer"),
        Column("Ready", _of_status("numberReady"), "integer"),
        Column("Up-to-date", _of_status("updatedNumberScheduled"), "integer"),
        Column("Available", _of_status("numberAvailable"), "integer"),
        AGE,
    ),
    "deployments.apps": (
        NAME,
        Column("Ready", _ready),
        Column("Up-to-date", _of_status("updatedReplicas")),
        Column("Available", _of_status("availableReplicas")),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    "events": (
        Column("Last Seen", _seen),
        Column("Type", lambda obj: obj.get("type", "")),
        Column("Reason", lambda obj: obj.get("reason", "")),
        Column("Object", _about),
        Column("Message", lambda obj: str(obj.get("message", "")).strip()),
        Column("Name", lambda obj: obj["metadata"]["name"], wide=True),
    ),
    "leases.coordination.k8s.io": (
        NAME,
        Column("Holder", lambda obj: _spec(obj).get("holderIdentity", "")),
        AGE,
    ),
    "namespaces": (NAME, Column("Status", lambda obj: _status(obj).get("phase", "")), AGE),
    "pods": (
        NAME,
        Column("Ready", _pod_ready),
        Column("Status", _pod_status),
        Column("Restarts", _restarts),
        AGE,
        Column("IP", lambda obj: _or_none(_status(obj).get("podIP")), wide=True),
        Column("Node", lambda obj: _or_none(_spec(obj).get("nodeName")), wide=True),
        Column(
            "Nominated Node",
            lambda obj: _or_none(_status(obj).get("nominatedNodeName")),
            wide=True,
        ),
        Column("Readiness Gates", lambda _: "<none>", wide=True),
    ),
    "replicasets.apps": (
        NAME,
        Column("Desired", lambda obj: _spec(obj).get("replicas", 0), "integer"),
        Column("Current", _of_status("replicas"), "integer"),
        Column("Ready", _of_status("readyReplicas"), "integer"),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    "secrets": (
        NAME,
        Column("Type", lambda obj: obj.get("type", "")),
        Column("Data", _data, "integer"),
        AGE,
    ),
    "services": (
        NAME,
        Column("Type", lambda obj: _spec(obj).get("type", "")),
        Column("Cluster-IP", lambda obj: _or_none(_spec(obj).get("clusterIP"))),
        Column("External-IP", lambda _: "<none>"),
        Column("Port(s)", _ports),
        AGE,
    ),
    "statefulsets.apps": (NAME, Column("Ready", _ready), AGE, CONTAINERS, IMAGES),
}
