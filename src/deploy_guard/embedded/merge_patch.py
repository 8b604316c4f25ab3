"""JSON merge patch (RFC 7386) and Kubernetes' strategic merge patch.

Decides how a patch changes a document. The rules of the strategic one are those of
apimachinery/pkg/util/strategicpatch; the merge keys are the `patchMergeKey` tags of the types
that the embedded cluster serves.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

Object = dict[str, Any]

MERGE_KEYS: dict[str, str] = {
    "conditions": "type",
    "containers": "name",
    "env": "name",
    "ephemeralContainers": "name",
    "hostAliases": "ip",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ownerReferences": "uid",
    "podIPs": "ip",
    "ports": "containerPort",
    "resourceClaims": "name",
    "secrets": "name",
    "topologySpreadConstraints": "topologyKey",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
MERGED_PRIMITIVES = frozenset({"finalizers"})
SET_ORDER = "$setElementOrder/"
DELETE_PRIMITIVES = "$deleteFromPrimitiveList/"
DIRECTIVES = ("$patch", "$retainKeys")


class BadPatchError(Exception):
    """A strategic merge patch that does not fit the document (HTTP 400)."""


def apply_merge_patch(document: Any, patch: Any) -> Any:
    """Return the document changed by an RFC 7386 merge patch."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = apply_merge_patch(result.get(key), value)
    return result


def apply_strategic_merge_patch(document: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Return the document changed by a strategic merge patch. Raises BadPatchError."""
    kind = str(document.get("kind", ""))
    return _merge_objects(copy.deepcopy(document), copy.deepcopy(patch), kind)


def _merge_objects(original: Object, patch: Object, kind: str) -> Object:
    directive = patch.pop("$patch", None)
    if directive == "replace":
        replaced: Object = _without_directives(patch)
        return replaced
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise BadPatchError(f"Unknown patch type found: {directive}")
    kept = patch.pop("$retainKeys", None)
    if kept is not None:
        original = {key: value for key, value in original.items() if key in kept}
    orders = _take(patch, SET_ORDER)
    for key, values in _take(patch, DELETE_PRIMITIVES).items():
        original[key] = [item for item in original.get(key, []) if item not in values]
    for key, value in patch.items():
        if value is None:
            original.pop(key, None)
        elif isinstance(value, dict) and isinstance(original.get(key), dict):
            original[key] = _merge_objects(original[key], value, kind)
        elif isinstance(value, list):
            merged = _merge_lists(original.get(key) or [], value, key, kind)
            original[key] = _ordered(merged, orders.pop(key, None), _merge_key(key, kind))
        else:
            original[key] = _without_directives(value)
    for key, order in orders.items():
        if isinstance(original.get(key), list):
            original[key] = _ordered(original[key], order, _merge_key(key, kind))
    return original


def _merge_lists(original: list[Any], patch: list[Any], field: str, kind: str) -> list[Any]:
    if field in MERGED_PRIMITIVES:
        return list(dict.fromkeys([*original, *patch]))
    merge_key = _merge_key(field, kind)
    if merge_key is None:
        return [_without_directives(item) for item in patch]
    if any(isinstance(item, dict) and item.get("$patch") == "replace" for item in patch):
        rest = [item for item in patch if item.get("$patch") != "replace"]
        return [_without_directives(item) for item in rest]
    result = list(original)
    for item in patch:
        if not isinstance(item, dict) or merge_key not in item:
            raise BadPatchError(f"map: {item} does not contain declared merge key: {merge_key}")
        at = _position(result, merge_key, item[merge_key])
        if item.get("$patch") == "delete":
            result = [one for one in result if one.get(merge_key) != item[merge_key]]
        elif at is None:
            result.append(_without_directives(item))
        else:
            result[at] = _merge_objects(dict(result[at]), dict(item), kind)
    return result


def _merge_key(field: str, kind: str) -> str | None:
    if field == "ports" and kind == "Service":
        return "port"
    return MERGE_KEYS.get(field)


def _position(items: list[Any], merge_key: str, value: Any) -> int | None:
    return next((i for i, one in enumerate(items) if one.get(merge_key) == value), None)


def _ordered(items: list[Any], order: Sequence[Any] | None, merge_key: str | None) -> list[Any]:
    """Put the items in the wanted order; those it does not name keep their neighbours before."""
    if order is None:
        return items

    def key(item: Any) -> Any:
        return item.get(merge_key) if isinstance(item, dict) else item

    ranks = {key(item): rank for rank, item in enumerate(order)}
    named = sorted((item for item in items if key(item) in ranks), key=lambda i: ranks[key(i)])
    result: list[Any] = []
    for item in items:
        result.append(named.pop(0) if key(item) in ranks else item)
    return result


def _take(patch: dict[str, Any], prefix: str) -> dict[str, Any]:
    found = {key: patch.pop(key) for key in list(patch) if key.startswith(prefix)}
    return {key.removeprefix(prefix): value for key, value in found.items()}


def _without_directives(value: Any) -> Any:
    """Drop directives and nulls from a part of a patch that is taken over as it is."""
    if isinstance(value, list):
        kept = [v for v in value if not (isinstance(v, dict) and v.get("$patch") == "delete")]
        return [_without_directives(item) for item in kept]
    if not isinstance(value, dict):
        return value
    return {
        key: _without_directives(item)
        for key, item in value.items()
        if item is not None
        and key not in DIRECTIVES
        and not key.startswith((SET_ORDER, DELETE_PRIMITIVES))
    }
