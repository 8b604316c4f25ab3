"""One look at a workload with its revisions and pods, as raw JSON.

Decides what belongs to the workload: a label selector also returns what others own, so owner
references decide. Does not interpret anything (`workload`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.target import collection_path, revisions_of, workload_path
from deploy_guard.model import Target

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Blind:
    """Something of the cluster that cannot be seen: what, why, and since when."""

    what: str  # the resource, such as "deployments", "replicasets" or "pods"
    reason: str
    since: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A workload, the revisions that it owns and their pods, as read; None when it is gone.

    Revisions are ReplicaSets of a Deployment, ControllerRevisions of the other kinds. `problems`
    says what of it is stale because it cannot be seen. `serial` grows with each change.
    """

    target: Target
    workload: Json | None
    revisions: tuple[Json, ...]
    pods: tuple[Json, ...]
    seen_at: float
    problems: tuple[Blind, ...] = ()
    serial: int = 0


def take(cluster: Cluster, target: Target, *, pods: bool = True) -> Snapshot:
    """Read everything once; raises ApiError: NotFound, Forbidden, and what networks do."""
    workload = cluster.get(workload_path(target))
    params = {"labelSelector": selector_text(workload)}
    path = collection_path(target, revisions_of(target))
    revisions = cluster.get(path, params=params)["items"]
    found = cluster.get(collection_path(target, "pods"), params=params)["items"] if pods else ()
    return assemble(target, workload, revisions, found, seen_at=time.time())


def assemble(
    target: Target,
    workload: Json | None,
    revisions: Iterable[Json],
    pods: Iterable[Json],
    *,
    seen_at: float,
    problems: tuple[Blind, ...] = (),
    serial: int = 0,
) -> Snapshot:
    """Keep what the workload owns, in the order of names."""
    owned: list[Json] = []
    own: list[Json] = []
    if workload is not None:
        uid = workload["metadata"]["uid"]
        owned = [revision for revision in revisions if owner(revision) == uid]
        # a Deployment owns its pods through ReplicaSets
        uids = {uid, *(revision["metadata"]["uid"] for revision in owned)}
        own = [pod for pod in pods if owner(pod) in uids]
    return Snapshot(
        target,
        workload,
        tuple(sorted(owned, key=_name)),
        tuple(sorted(own, key=_name)),
        seen_at,
        problems,
        serial,
    )


def owner(obj: Json) -> str:
    """Return the uid of the object's controller, empty without one."""
    for reference in obj["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return str(reference["uid"])
    return ""


def selector_text(workload: Json) -> str:
    """Write the workload's selector as the query parameter `labelSelector`."""
    selector = workload["spec"].get("selector") or {}
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for rule in selector.get("matchExpressions") or ():
        key, values = rule["key"], ",".join(rule.get("values") or ())
        match rule["operator"]:
            case "In":
                parts.append(f"{key} in ({values})")
            case "NotIn":
                parts.append(f"{key} notin ({values})")
            case "Exists":
                parts.append(key)
            case "DoesNotExist":
                parts.append(f"!{key}")
    return ",".join(parts)


def _name(obj: Json) -> str:
    return str(obj["metadata"]["name"])
