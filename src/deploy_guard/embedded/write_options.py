"""The options of writes: dry run, field manager, preconditions; from the query and the body.

Decides which options are refused (apimachinery/pkg/apis/meta/v1/validation). What they do is in
`operations`.
"""

from __future__ import annotations

from typing import Any

from deploy_guard.embedded import statuses
from deploy_guard.embedded.decoding import go_json
from deploy_guard.embedded.deletion import DeleteOptions
from deploy_guard.embedded.protobuf import MEDIA_TYPE, UnreadableError, read_protobuf
from deploy_guard.embedded.requests import Request
from deploy_guard.embedded.statuses import Cause

Object = dict[str, Any]

FIELD_VALIDATION = ("", "Ignore", "Strict", "Warn")
FIELD_MANAGER_BYTES = 128
OPTION_KINDS = {"POST": "CreateOptions", "PUT": "UpdateOptions", "PATCH": "PatchOptions"}


def read_body(request: Request) -> Object:
    """Return the object in a body whose kind the path does not tell. Raises ApiError (400)."""
    try:
        if request.headers.get("content-type", "").startswith(MEDIA_TYPE):
            return read_protobuf(request.body)
        body = go_json(request.body)
    except (ValueError, UnreadableError) as error:
        raise statuses.bad_request(str(error)) from None
    if not isinstance(body, dict):
        raise statuses.bad_request("the body is not an object")
    return body


def check_options(request: Request) -> bool:
    """Check the options that all writes share; tell whether it is a dry run."""
    query, causes = request.query, []
    kind = OPTION_KINDS.get(request.method, "DeleteOptions")
    dry_run = query.get("dryRun", "")
    if dry_run not in ("", "All"):
        text = f'Unsupported value: ["{dry_run}"]: supported values: "All"'
        causes.append(Cause("dryRun", "FieldValueNotSupported", text))
    if len(query.get("fieldManager", "").encode()) > FIELD_MANAGER_BYTES:
        causes.append(statuses.too_long("fieldManager", FIELD_MANAGER_BYTES))
    validation = query.get("fieldValidation", "")
    if validation not in FIELD_VALIDATION:
        causes.append(statuses.unsupported("fieldValidation", validation, FIELD_VALIDATION))
    if causes:
        raise statuses.invalid(kind, "", causes, group="meta.k8s.io")
    return dry_run == "All"


def delete_options(request: Request) -> DeleteOptions:
    """Return how an object is to be deleted. Raises ApiError (400, 422)."""
    body = read_body(request) if request.body else {}
    query = request.query
    conditions = body.get("preconditions") or {}
    propagation = body.get("propagationPolicy") or query.get("propagationPolicy", "")
    if body.get("orphanDependents") or query.get("orphanDependents") == "true":
        propagation = propagation or "Orphan"
    grace = body.get("gracePeriodSeconds", request.number("gracePeriodSeconds"))
    dry_run = check_options(request) or body.get("dryRun") == ["All"]
    return DeleteOptions(
        propagation, conditions.get("uid"), conditions.get("resourceVersion"), grace, dry_run
    )
