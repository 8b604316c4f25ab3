"""The write verbs on stored objects: create, update, patch, delete, deletecollection.

Decides what a write does to an object and when it is refused, as kube-apiserver's generic
registry does (apiserver/pkg/registry/generic/registry/store.go, pkg/registry/rest). Does not
parse HTTP (`api`) and does nothing that follows from a change (`controllers`).
"""

from __future__ import annotations

import copy
import secrets
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from deploy_guard.embedded import statuses
from deploy_guard.embedded.admission import RefusedPodError, admit_pod, check_quotas
from deploy_guard.embedded.defaults import set_defaults
from deploy_guard.embedded.deletion import (
    DeleteOptions,
    check_preconditions,
    finalizers_of,
    grace_seconds,
    mark_deleted,
)
from deploy_guard.embedded.event_views import validate_event
from deploy_guard.embedded.resources import KUBERNETES, Catalogue, Resource, find_resource
from deploy_guard.embedded.selectors import Selection
from deploy_guard.embedded.store import (
    AlreadyExistsError,
    ConflictError,
    NotFoundError,
    Store,
    now_text,
)
from deploy_guard.embedded.template_generation import count_template
from deploy_guard.embedded.validation import validate

Object = dict[str, Any]

NAME_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # apimachinery/pkg/util/rand: no vowels
LASTING_NAMESPACES = ("default", "kube-system", "kube-public")
SERVER_FIELDS = ("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")


class Operations:
    """Writes to the store under the rules of the API server."""

    def __init__(self, store: Store, catalogue: Catalogue = KUBERNETES) -> None:
        self._store = store
        self._catalogue = catalogue

    def create(
        self, resource: Resource, namespace: str, obj: Object, *, dry_run: bool = False
    ) -> Object:
        """Store a new object, complete and checked; return it. Raises ApiError."""
        metadata = obj["metadata"]
        self._check_namespace(resource, namespace, metadata)
        for field in ("uid", "generation", *SERVER_FIELDS):
            metadata.pop(field, None)
        if metadata.pop("resourceVersion", None):
            text = "resourceVersion should not be set on objects to be created"
            raise statuses.bad_request(text)
        if resource.qualified == "pods":
            self._admit(resource, obj, lambda: admit_pod(self._store, obj, namespace))
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + random_suffix()
        _drop_status(resource, obj)
        set_defaults(obj)
        count_template(obj, None)
        if not metadata.get("name"):
            cause = statuses.required("metadata.name", "name or generateName is required")
            raise statuses.invalid_object(resource, "", [cause])
        causes = _causes(resource, obj, None)
        if causes:
            raise statuses.invalid_object(resource, metadata["name"], causes)
        if resource.has_generation:
            metadata["generation"] = 1
        if resource.qualified == "pods":
            self._admit(resource, obj, lambda: check_quotas(self._store, obj))
        if dry_run:
            return self._pretend(resource, obj)
        try:
            return self._store.create(resource.store_name, obj)
        except AlreadyExistsError:
            raise statuses.already_exists(resource, metadata["name"]) from None

    def update(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        obj: Object,
        *,
        subresource: str = "",
        dry_run: bool = False,
    ) -> Object:
        """Replace an object (PUT). Raises ApiError."""
        metadata = obj["metadata"]
        if metadata.get("name", name) != name:
            raise _other_name(metadata["name"], name)
        self._check_namespace(resource, namespace, metadata)

        def replace(before: Object) -> Object:
            _check_put(resource, before, metadata)
            return copy.deepcopy(obj)

        return self.change(
            resource, namespace, name, replace, subresource=subresource, dry_run=dry_run
        )

    def change(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        change: Callable[[Object], Object],
        *,
        subresource: str = "",
        dry_run: bool = False,
    ) -> Object:
        """Read, change, check and write in one step; return what is stored. Raises ApiError."""
        is_status = subresource == "status"

        def checked(before: Object) -> Object:
            after = change(copy.deepcopy(before))
            if is_status:
                after = _only_status(before, after)
            else:
                _keep_status(resource, before, after)
            self._check_change(resource, name, before, after)
            return after

        try:
            return self._store.update(
                resource.store_name, namespace, name, checked, status=is_status, dry_run=dry_run
            )
        except NotFoundError:
            raise statuses.not_found(resource, name) from None

    def delete(
        self, resource: Resource, namespace: str, name: str, options: DeleteOptions
    ) -> tuple[Object, bool]:
        """Delete an object; return its last state and whether it is gone. Raises ApiError."""
        while True:
            before = self._store.find(resource.store_name, namespace, name)
            if before is None:
                raise statuses.not_found(resource, name)
            check_preconditions(resource, before, options)
            try:
                return self._delete(resource, before, options)
            except (ConflictError, NotFoundError):
                continue  # it changed meanwhile: look at it again

    def _delete(
        self, resource: Resource, before: Object, options: DeleteOptions
    ) -> tuple[Object, bool]:
        """Delete the object if it still is as it was read. Raises ConflictError."""
        metadata = before["metadata"]
        if resource.plural == "namespaces" and metadata["name"] in LASTING_NAMESPACES:
            raise statuses.forbidden_to(
                resource, metadata["name"], "this namespace may not be deleted"
            )
        where = (resource.store_name, metadata.get("namespace", ""), metadata["name"])
        version = metadata["resourceVersion"]
        finalizers = finalizers_of(before, options)
        grace = grace_seconds(resource, before, options)
        if options.dry_run:
            return before, True
        if finalizers or grace:
            return self._store.update(
                *where, lambda draft: mark_deleted(draft, finalizers, grace), version=version
            ), False
        if resource.plural == "namespaces":
            self._empty(metadata["name"])
        return self._store.delete(*where, version=version), True

    def delete_collection(
        self, resource: Resource, namespace: str, selection: Selection, options: DeleteOptions
    ) -> list[Object]:
        """Delete all selected objects of a namespace; return their last states."""
        found, _ = self._store.list_all(resource.store_name, namespace or None)
        deleted = []
        for obj in found:
            metadata = obj["metadata"]
            if selection.matches(obj):
                where = metadata.get("namespace", "")
                deleted.append(self.delete(resource, where, metadata["name"], options)[0])
        return deleted

    def _admit(self, resource: Resource, obj: Object, check: Callable[[], None]) -> None:
        try:
            check()
        except RefusedPodError as error:
            metadata = obj["metadata"]
            name = metadata.get("name") or metadata.get("generateName", "")
            raise statuses.forbidden_to(resource, name, str(error)) from None

    def _check_namespace(self, resource: Resource, namespace: str, metadata: Object) -> None:
        if not resource.namespaced:
            metadata.pop("namespace", None)
            return
        if metadata.get("namespace") not in (None, "", namespace):
            text = "the namespace of the provided object does not match the namespace sent on"
            raise statuses.bad_request(f"{text} the request")
        metadata["namespace"] = namespace
        if self._store.find("namespaces", "", namespace) is None:
            namespaces = find_resource("", "v1", "namespaces")
            assert namespaces is not None  # noqa: S101 - a row of the table
            raise statuses.not_found(namespaces, namespace)

    def _check_change(self, resource: Resource, name: str, before: Object, after: Object) -> None:
        metadata, was = after["metadata"], before["metadata"]
        if metadata.get("name") != name:
            raise _other_name(str(metadata.get("name", "")), name)
        for field in SERVER_FIELDS:
            if field in was:
                metadata[field] = was[field]
            else:
                metadata.pop(field, None)
        if not resource.has_generation:
            metadata.pop("generation", None)
        set_defaults(after)
        count_template(after, before)
        causes = _causes(resource, after, before)
        if causes:
            raise statuses.invalid_object(resource, name, causes)
        version = metadata.get("resourceVersion")
        if version not in (None, "", was["resourceVersion"]):
            raise statuses.conflict(resource, name)

    def _pretend(self, resource: Resource, obj: Object) -> Object:
        metadata = obj["metadata"]
        where = metadata.get("namespace", "")
        if self._store.find(resource.store_name, where, metadata["name"]) is not None:
            raise statuses.already_exists(resource, metadata["name"])
        metadata["uid"] = str(uuid4())
        metadata["creationTimestamp"] = now_text()
        return obj

    def _empty(self, namespace: str) -> None:
        """Remove what is in a namespace that goes: there is no namespace controller."""
        for store_name in sorted({r.store_name for r in self._catalogue.resources if r.namespaced}):
            for obj in self._store.list_all(store_name, namespace)[0]:
                self._store.delete(store_name, namespace, obj["metadata"]["name"])


def _causes(resource: Resource, obj: Object, before: Object | None) -> list[statuses.Cause]:
    causes = validate(resource, obj, before)
    if resource.kind == "Event":
        causes += validate_event(resource, obj, before)
    return causes


def random_suffix() -> str:
    """Return the five characters that generateName appends."""
    return "".join(secrets.choice(NAME_ALPHABET) for _ in range(5))


def _drop_status(resource: Resource, obj: Object) -> None:
    """Forget the status in a posted object: only /status and controllers write it."""
    if "status" in resource.subresources:
        obj.pop("status", None)


def _keep_status(resource: Resource, before: Object, after: Object) -> None:
    if "status" not in resource.subresources:
        return
    after.pop("status", None)
    if "status" in before:
        after["status"] = copy.deepcopy(before["status"])


def _only_status(before: Object, after: Object) -> Object:
    result = copy.deepcopy(before)
    result["metadata"] = {**after["metadata"], "labels": before["metadata"].get("labels")}
    if after.get("status") is not None:
        result["status"] = after["status"]
    return result


def _check_put(resource: Resource, before: Object, metadata: Object) -> None:
    name, uid = before["metadata"]["name"], before["metadata"]["uid"]
    sent = metadata.get("uid")
    if sent not in (None, "", uid):
        key = f"/registry/{resource.plural}/{before['metadata'].get('namespace', '')}/{name}"
        why = (
            f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, "
            f"AdditionalErrorMsg: Precondition failed: UID in precondition: {sent}, "
            f"UID in object meta: {uid}"
        )
        raise statuses.conflict(resource, name, why)
    if not resource.unconditional_update and not metadata.get("resourceVersion"):
        text = "must be specified for an update"
        cause = statuses.bad_value("metadata.resourceVersion", 0, text)
        raise statuses.invalid(resource.plural, name, [cause], group=resource.group)


def _other_name(sent: str, name: str) -> statuses.ApiError:
    return statuses.bad_request(
        f"the name of the object ({sent}) does not match the name on the URL ({name})"
    )
