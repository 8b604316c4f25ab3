"""Patches as they come over HTTP: which kind, whether they can be read, and how they fail.

Decides the 400, 415 and 422 answers to patches. The semantics are in `json_patch` and
`merge_patch`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from deploy_guard.embedded import statuses
from deploy_guard.embedded.decoding import go_json, go_text
from deploy_guard.embedded.json_patch import PatchFailedError, apply_json_patch
from deploy_guard.embedded.merge_patch import (
    BadPatchError,
    apply_merge_patch,
    apply_strategic_merge_patch,
)
from deploy_guard.embedded.requests import Request

Object = dict[str, Any]
Change = Callable[[Object], Object]

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
NOT_STRATEGIC = (
    "the body of the request was in an unknown format - accepted media types include: "
    "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
)
APPLY_PATCHES = ("application/apply-patch+yaml", "application/apply-patch+cbor")


def read_patch(request: Request, *, strategic: bool = True) -> Change:
    """Return the function that applies the patch in the body. Raises ApiError (400, 415).

    Custom resources have no strategic merge: nobody knows the keys of their lists.
    """
    media = request.headers.get("content-type", "").partition(";")[0].strip()
    if media in APPLY_PATCHES:
        text = "server-side apply is not supported by the embedded cluster"
        raise statuses.unsupported_media(text, details={})
    if media not in (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH):
        raise statuses.unsupported_media("415: Unsupported Media Type", details={})
    if media == STRATEGIC_PATCH and not strategic:
        raise statuses.unsupported_media(NOT_STRATEGIC)
    prefix = "" if media == STRATEGIC_PATCH else "error decoding patch: "
    try:
        patch = go_json(request.body)
    except ValueError as error:
        raise statuses.bad_request(f"{prefix}{error}") from None
    wanted: type = list if media == JSON_PATCH else dict
    if not isinstance(patch, wanted):
        found = "array" if isinstance(patch, list) else "object"
        into = "[]handlers.jsonPatchOp" if wanted is list else "map[string]interface {}"
        text = f"json: cannot unmarshal {found} into Go value of type {into}"
        raise statuses.bad_request(f"{prefix}{text}")
    return lambda before: _apply(media, before, copy.deepcopy(patch))


def quoted(request: Request, after: Object) -> str:
    """Return what an error about unknown fields quotes: a strategic patch, or the result."""
    if request.headers.get("content-type", "").startswith(STRATEGIC_PATCH):
        return go_text(go_json(request.body))
    return json.dumps(after, separators=(",", ":"))


def _apply(media: str, before: Object, patch: Any) -> Object:
    try:
        if media == JSON_PATCH:
            after = apply_json_patch(before, patch)
        elif media == MERGE_PATCH:
            after = apply_merge_patch(before, patch)
        else:
            after = apply_strategic_merge_patch(before, patch)
    except PatchFailedError:
        raise statuses.rejected() from None
    except BadPatchError as error:
        raise statuses.bad_request(str(error)) from None
    if not isinstance(after, dict) or not isinstance(after.get("metadata"), dict):
        raise statuses.rejected()
    return after
