"""Small steps that several controllers share: owners, copies, writes under a version.

Decides how a write is made safe against a newer one. Does not decide what is written.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from deploy_guard.embedded.selectors import matches_label_selector
from deploy_guard.embedded.store import Object, Store

DEPLOYMENTS = "deployments.apps"
REPLICA_SETS = "replicasets.apps"
STATEFUL_SETS = "statefulsets.apps"
DAEMON_SETS = "daemonsets.apps"
REVISIONS = "controllerrevisions.apps"
PODS = "pods"


class SyncError(Exception):
    """A sync that must be tried again later, with the message that the API server gave."""


def private(obj: Object) -> Object:
    """Return a copy that may be changed; what the store hands out is shared."""
    return copy.deepcopy(obj)


def controller_of(obj: Object) -> Object | None:
    """Return the owner reference that manages the object, or None."""
    for reference in obj["metadata"].get("ownerReferences") or []:
        if reference.get("controller"):
            return dict(reference)
    return None


def owner_reference(owner: Object) -> Object:
    """Return the reference by which an object belongs to its controller."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def is_terminating(obj: Object) -> bool:
    """Tell whether the object is being deleted."""
    return bool(obj["metadata"].get("deletionTimestamp"))


def replace(store: Store, resource: str, obj: Object) -> Object:
    """Write the whole object if nobody wrote since it was read. Raises ConflictError."""
    meta = obj["metadata"]
    return store.update(
        resource,
        meta["namespace"],
        meta["name"],
        lambda _: private(obj),
        version=meta["resourceVersion"],
    )


def claim(
    store: Store, resource: str, owner: Object, fits: Callable[[Object], bool] = lambda _: True
) -> list[Object]:
    """Return the owner's dependents; adopt orphans that match, release those that do not.

    An object that does not fit (`fits`) is left alone, whatever its labels.
    Source: kubernetes/pkg/controller/controller_ref_manager.go.
    """
    namespace, uid = owner["metadata"]["namespace"], owner["metadata"]["uid"]
    selector = owner["spec"]["selector"]
    claimed = []
    for obj in filter(fits, store.list_all(resource, namespace)[0]):
        controller = controller_of(obj)
        matches = matches_label_selector(selector, obj["metadata"].get("labels") or {})
        if controller is not None:
            if controller["uid"] != uid:
                continue
            if matches or is_terminating(owner):
                claimed.append(obj)
            else:
                _release(store, resource, obj, uid)
        elif matches and not is_terminating(owner) and not is_terminating(obj):
            claimed.append(_adopt(store, resource, obj, owner))
    return claimed


def _adopt(store: Store, resource: str, obj: Object, owner: Object) -> Object:
    def change(draft: Object) -> None:
        references = draft["metadata"].setdefault("ownerReferences", [])
        references.append(owner_reference(owner))

    return store.update(resource, obj["metadata"]["namespace"], obj["metadata"]["name"], change)


def _release(store: Store, resource: str, obj: Object, uid: str) -> None:
    def change(draft: Object) -> None:
        left = [r for r in draft["metadata"]["ownerReferences"] if r["uid"] != uid]
        draft["metadata"].pop("ownerReferences")
        if left:
            draft["metadata"]["ownerReferences"] = left

    store.update(resource, obj["metadata"]["namespace"], obj["metadata"]["name"], change)


def get_status(obj: Object, field: str) -> Any:
    """Return a count of the status, 0 when it is left out."""
    return (obj.get("status") or {}).get(field, 0)
