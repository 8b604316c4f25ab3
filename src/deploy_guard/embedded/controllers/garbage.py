"""The garbage collector: objects whose owners are gone or are going.

Decides when a dependent is deleted and when an owner that waits (finalizers
foregroundDeletion, orphan) may go. Source: kubernetes/pkg/controller/garbagecollector.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from deploy_guard.embedded.controllers.objects import PODS, is_terminating
from deploy_guard.embedded.controllers.pods import mark_deleted
from deploy_guard.embedded.resources import RESOURCES, Resource
from deploy_guard.embedded.store import NotFoundError, Object, Store, now_text

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


class GarbageCollector:
    """Deletes, or lets go of, the dependents of owners in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def owner_gone(self, owner: Object) -> None:
        """React to a deleted object: dependents without another living owner go, too."""
        for resource, dependent in list(self._dependents(owner)):
            self.check(resource, dependent)

    def check(self, resource: str, obj: Object) -> None:
        """React to a new or changed object: delete an orphaned one, serve a waiting one."""
        finalizers = obj["metadata"].get("finalizers") or []
        if is_terminating(obj) and ORPHAN in finalizers:
            self._let_go(resource, obj)
        elif is_terminating(obj) and FOREGROUND in finalizers:
            self._delete_dependents_first(resource, obj)
        elif not is_terminating(obj):
            self._delete_if_abandoned(resource, obj)

    def _delete_if_abandoned(self, resource: str, obj: Object) -> None:
        references = obj["metadata"].get("ownerReferences") or []
        namespace = obj["metadata"].get("namespace", "")
        if not references or any(self._lives(namespace, reference) for reference in references):
            return
        delete(self._store, resource, obj)

    def _delete_dependents_first(self, resource: str, owner: Object) -> None:
        blocking = False
        for kind, dependent in list(self._dependents(owner)):
            reference = _reference_to(owner, dependent)
            blocking = blocking or bool(reference.get("blockOwnerDeletion"))
            if not is_terminating(dependent):
                delete(self._store, kind, dependent, foreground=any(self._dependents(dependent)))
        if not blocking:
            remove_finalizer(self._store, resource, owner, FOREGROUND)

    def _let_go(self, resource: str, owner: Object) -> None:
        uid = owner["metadata"]["uid"]

        def change(draft: Object) -> None:
            left = [r for r in draft["metadata"].pop("ownerReferences", []) if r["uid"] != uid]
            if left:
                draft["metadata"]["ownerReferences"] = left

        for kind, dependent in list(self._dependents(owner)):
            meta = dependent["metadata"]
            self._store.update(kind, meta.get("namespace", ""), meta["name"], change)
        remove_finalizer(self._store, resource, owner, ORPHAN)

    def _dependents(self, owner: Object) -> Iterator[tuple[str, Object]]:
        meta = owner["metadata"]
        namespace = meta.get("namespace") or None
        for resource in self._store.resources():
            for obj in self._store.list_all(resource, namespace)[0]:
                if _reference_to(owner, obj):
                    yield resource, obj

    def _lives(self, namespace: str, reference: Object) -> bool:
        resource = resource_of(reference)
        if resource is None:  # a kind that this cluster does not have: nobody can tell
            return True
        place = namespace if resource.namespaced else ""
        owner = self._store.find(resource.store_name, place, reference["name"])
        return owner is not None and owner["metadata"]["uid"] == reference["uid"]


def resource_of(reference: Object) -> Resource | None:
    """Return the resource that an owner reference is about, None when there is none."""
    wanted = (reference["apiVersion"], reference["kind"])
    return next((r for r in RESOURCES if (r.api_version, r.kind) == wanted), None)


def delete(store: Store, resource: str, obj: Object, *, foreground: bool = False) -> None:
    """Delete as the API server does: pods gracefully, held objects only marked."""
    meta = obj["metadata"]
    namespace, name = meta.get("namespace", ""), meta["name"]
    try:
        if resource == PODS:
            mark_deleted(store, namespace, name)
        elif meta.get("finalizers") or foreground:
            store.update(resource, namespace, name, lambda draft: _mark(draft, foreground))
        else:
            store.delete(resource, namespace, name)
    except NotFoundError:
        return


def remove_finalizer(store: Store, resource: str, obj: Object, finalizer: str) -> None:
    """Drop one finalizer; the store removes the object with its last one."""
    meta = obj["metadata"]
    namespace, name = meta.get("namespace", ""), meta["name"]

    def change(draft: Object) -> None:
        left = [f for f in draft["metadata"].pop("finalizers", []) if f != finalizer]
        if left:
            draft["metadata"]["finalizers"] = left

    with contextlib.suppress(NotFoundError):
        store.update(resource, namespace, name, change)


def _mark(draft: Object, foreground: bool) -> None:
    meta = draft["metadata"]
    meta["deletionTimestamp"] = now_text()
    meta["deletionGracePeriodSeconds"] = 0
    if foreground:
        meta["finalizers"] = [*meta.get("finalizers", []), FOREGROUND]


def _reference_to(owner: Object, obj: Object) -> Object:
    uid = owner["metadata"]["uid"]
    for reference in obj["metadata"].get("ownerReferences") or []:
        if reference["uid"] == uid:
            return dict(reference)
    return {}
