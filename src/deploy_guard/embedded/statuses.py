"""Refusals of the embedded API server: HTTP status and the Status body that Kubernetes sends.

Every text here is one that kube-apiserver 1.36 was recorded to send (`tests/recordings`).
Does not decide when something is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploy_guard.embedded.resources import Resource, reference

REJECTED = "the server rejected our request due to an error in our request"
MODIFIED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


class ApiError(Exception):
    """A request that the API server refuses, with the answer that says so."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.headers = dict(headers or {})
        self.body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": dict(metadata or {}),
            "status": "Failure",
            "message": message,
            "reason": reason,
            "details": None if details is None else dict(details),
            "code": code,
        }
        self.body = {key: value for key, value in self.body.items() if value not in (None, "")}


class PlainError(Exception):
    """A refusal that Kubernetes sends as plain text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True)
class Cause:
    """One invalid field: its path, the machine-readable reason and the text."""

    field: str
    reason: str
    message: str


def required(field: str, text: str = "") -> Cause:
    """Name a field that is missing."""
    return Cause(
        field, "FieldValueRequired", f"Required value: {text}" if text else "Required value"
    )


def bad_value(field: str, value: object, text: str) -> Cause:
    """Name a field whose value cannot be."""
    shown = json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
    return Cause(field, "FieldValueInvalid", f"Invalid value: {shown}: {text}")


def forbidden_field(field: str, text: str) -> Cause:
    """Name a field that must not be set or changed."""
    return Cause(field, "FieldValueForbidden", f"Forbidden: {text}")


def unsupported(field: str, value: object, supported: Sequence[str]) -> Cause:
    """Name a field whose value is not one of the supported ones."""
    known = ", ".join(json.dumps(one) for one in supported)
    text = f"Unsupported value: {json.dumps(value)}: supported values: {known}"
    return Cause(field, "FieldValueNotSupported", text)


def too_long(field: str, limit: int) -> Cause:
    """Name a field that is longer than `limit` bytes."""
    return Cause(field, "FieldValueTooLong", f"Too long: may not be more than {limit} bytes")


def invalid(kind: str, name: str, causes: Sequence[Cause], *, group: str = "") -> ApiError:
    """Return the 422 that lists every invalid field of an object."""
    unique = list(dict.fromkeys(f"{cause.field}: {cause.message}" for cause in causes))
    told = unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]"
    details: dict[str, Any] = {"name": name, "group": group, "kind": kind}
    details = {key: value for key, value in details.items() if value}
    details["causes"] = [
        {"reason": cause.reason, "message": cause.message, "field": cause.field} for cause in causes
    ]
    qualified = f"{kind}.{group}" if group else kind
    message = f'{qualified} "{name}" is invalid: {told}'
    return ApiError(422, "Invalid", message, details=details)


def invalid_object(resource: Resource, name: str, causes: Sequence[Cause]) -> ApiError:
    """Return the 422 for an object of the resource."""
    group = "" if resource.kind == "Event" else resource.group  # both views are checked as core
    return invalid(resource.kind, name, causes, group=group)


def rejected() -> ApiError:
    """Return the 422 of a JSON patch that does not apply: it never says which operation."""
    return ApiError(422, "Invalid", REJECTED, details={})


def not_found(resource: Resource, name: str) -> ApiError:
    """Return the 404 for an object."""
    message = f'{resource.qualified} "{name}" not found'
    return ApiError(404, "NotFound", message, details=reference(resource, name))


def no_such_path() -> ApiError:
    """Return the 404 for a resource or subresource that a known API version does not have."""
    message = "the server could not find the requested resource"
    return ApiError(404, "NotFound", message, details={})


def method_not_allowed() -> ApiError:
    """Return the 405."""
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", message, details={})


def not_acceptable() -> ApiError:
    """Return the 406."""
    offered = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
    message = f"406: Not Acceptable\n\nAvailable representations: {offered}"
    return ApiError(406, "NotAcceptable", message, details={})


def already_exists(resource: Resource, name: str) -> ApiError:
    """Return the 409 for a name that is taken."""
    message = f'{resource.qualified} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, details=reference(resource, name))


def conflict(resource: Resource, name: str, why: str = MODIFIED) -> ApiError:
    """Return the 409 of an update that came too late."""
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}'
    return ApiError(409, "Conflict", message, details=reference(resource, name))


def failed_precondition(resource: Resource, name: str, why: str) -> ApiError:
    """Return the 409 of a delete whose preconditions do not hold."""
    message = f'Operation cannot be fulfilled on {resource.qualified_kind} "{name}": {why}'
    details = {**reference(resource, name), "kind": resource.kind}
    return ApiError(409, "Conflict", message, details=details)


def forbidden_to(resource: Resource, name: str, why: str) -> ApiError:
    """Return the 403 of something that nobody may do."""
    message = f'{resource.qualified} "{name}" is forbidden: {why}'
    return ApiError(403, "Forbidden", message, details=reference(resource, name))


def bad_request(message: str) -> ApiError:
    """Return the 400."""
    return ApiError(400, "BadRequest", message)


def unsupported_media(message: str, *, details: Mapping[str, Any] | None = None) -> ApiError:
    """Return the 415."""
    return ApiError(415, "UnsupportedMediaType", message, details=details)


def too_large(limit: int) -> ApiError:
    """Return the 413."""
    message = f"Request entity too large: limit is {limit}"
    return ApiError(413, "RequestEntityTooLarge", message)


def expired(message: str, *, metadata: Mapping[str, Any] | None = None) -> ApiError:
    """Return the 410 of a list or watch from a version that history no longer reaches."""
    return ApiError(410, "Expired", message, metadata=metadata)


def future_version(asked: int, current: int) -> ApiError:
    """Return the 504 of a read at a version that does not exist yet."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return ApiError(
        504,
        "Timeout",
        f"Timeout: Too large resource version: {asked}, current: {current}",
        details={"causes": [cause], "retryAfterSeconds": 1},
        headers={"Retry-After": "1"},
    )


def internal_error(why: str) -> ApiError:
    """Return the 500 of a request that the server could not cope with."""
    cause = {"message": why}
    return ApiError(
        500,
        "InternalError",
        f"Internal error occurred: {why}",
        details={"causes": [cause]},
    )


def unauthorized() -> ApiError:
    """Return the 401."""
    return ApiError(401, "Unauthorized", "Unauthorized")
