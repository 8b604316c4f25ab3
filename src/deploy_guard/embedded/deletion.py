"""Deletion: conditions, finalizers, the time a pod gets.

Decides what a DELETE does to an object (apiserver/pkg/registry/rest/delete.go). What hangs on
the object is the garbage collector's business (`controllers`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from deploy_guard.embedded import statuses
from deploy_guard.embedded.resources import Resource

Object = dict[str, Any]

PROPAGATION_FINALIZERS = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """How an object is deleted: what goes with it, under which conditions, how fast."""

    propagation: str = ""
    uid: str | None = None
    version: str | None = None
    grace_seconds: int | None = None
    dry_run: bool = False


def check_preconditions(resource: Resource, obj: Object, options: DeleteOptions) -> None:
    """Raise ApiError (409) if the object is not the one that the sender means."""
    metadata = obj["metadata"]
    name, uid, version = metadata["name"], metadata["uid"], metadata["resourceVersion"]
    if options.uid is not None and options.uid != uid:
        why = (
            f"the UID in the precondition ({options.uid}) does not match the UID in record "
            f"({uid}). The object might have been deleted and then recreated"
        )
        raise statuses.failed_precondition(resource, name, why)
    if options.version is not None and options.version != version:
        why = (
            f"the ResourceVersion in the precondition ({options.version}) does not match the "
            f"ResourceVersion in record ({version}). The object might have been modified"
        )
        raise statuses.failed_precondition(resource, name, why)


def finalizers_of(obj: Object, options: DeleteOptions) -> list[str]:
    """Return what must be done before the object goes: its finalizers, and the propagation's."""
    finalizers = list(obj["metadata"].get("finalizers") or [])
    if options.propagation:
        ours = PROPAGATION_FINALIZERS.values()
        finalizers = [one for one in finalizers if one not in ours]
        added = PROPAGATION_FINALIZERS.get(options.propagation)
        finalizers += [added] if added else []
    return finalizers


def grace_seconds(resource: Resource, obj: Object, options: DeleteOptions) -> int:
    """Return how long the object may take to go: only pods on a node get time."""
    if resource.plural != "pods" or not obj["spec"].get("nodeName"):
        return 0
    if (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    if options.grace_seconds is not None:
        return options.grace_seconds
    return int(obj["spec"].get("terminationGracePeriodSeconds", 30))


def mark_deleted(draft: Object, finalizers: list[str], grace: int) -> None:
    """Set the deletionTimestamp, in place; a second deletion can only shorten the time."""
    metadata = draft["metadata"]
    if finalizers:
        metadata["finalizers"] = finalizers
    if "deletionTimestamp" not in metadata:
        at = datetime.now(UTC) + timedelta(seconds=grace)
        metadata["deletionTimestamp"] = at.strftime("%Y-%m-%dT%H:%M:%SZ")
        metadata["deletionGracePeriodSeconds"] = grace
    elif grace < metadata.get("deletionGracePeriodSeconds", 0):
        metadata["deletionGracePeriodSeconds"] = grace
