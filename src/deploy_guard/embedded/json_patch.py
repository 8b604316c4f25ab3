"""JSON patch (RFC 6902) as kube-apiserver applies it.

The semantics are those of evanphx/json-patch, recorded from a real server: `test` against null
holds for an absent member, `remove` and `test` of an absent member fail, `replace` of an absent
member of an object that exists works like `add`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

MISSING = object()


class PatchFailedError(Exception):
    """An operation that does not apply; Kubernetes answers 422 and does not say which."""


def apply_json_patch(document: Any, operations: Sequence[Any]) -> Any:
    """Return a patched copy of the document. Raises PatchFailedError; then nothing is applied."""
    document = copy.deepcopy(document)
    for operation in operations:
        if not isinstance(operation, dict):
            raise PatchFailedError(f"operation is not an object: {operation!r}")
        apply = OPERATIONS.get(str(operation.get("op")))
        if apply is None or not isinstance(operation.get("path"), str):
            raise PatchFailedError(f"unknown operation or no path: {operation.get('op')!r}")
        document = apply(document, operation)
    return document


def _add(document: Any, operation: dict[str, Any]) -> Any:
    return _put(document, operation["path"], copy.deepcopy(operation.get("value")), insert=True)


def _replace(document: Any, operation: dict[str, Any]) -> Any:
    return _put(document, operation["path"], copy.deepcopy(operation.get("value")), insert=False)


def _remove(document: Any, operation: dict[str, Any]) -> Any:
    parent, key = _parent(document, operation["path"])
    if _member(parent, key) is MISSING:
        raise PatchFailedError(f"no such member: {operation['path']}")
    del parent[_index(parent, key) if isinstance(parent, list) else key]
    return document


def _test(document: Any, operation: dict[str, Any]) -> Any:
    path, wanted = operation["path"], operation.get("value")
    found = document
    if path:
        parent, key = _parent(document, path)
        found = _member(parent, key)
    if found is MISSING:
        if wanted is None:
            return document
        raise PatchFailedError(f"no such member: {path}")
    if not _equal(found, wanted):
        raise PatchFailedError(f"test failed: {path}")
    return document


def _move(document: Any, operation: dict[str, Any]) -> Any:
    value = _read(document, operation)
    document = _remove(document, {"path": operation["from"]})
    return _put(document, operation["path"], value, insert=True)


def _copy(document: Any, operation: dict[str, Any]) -> Any:
    return _put(document, operation["path"], _read(document, operation), insert=True)


def _read(document: Any, operation: dict[str, Any]) -> Any:
    source = operation.get("from")
    if not isinstance(source, str):
        raise PatchFailedError("no from")
    parent, key = _parent(document, source)
    value = _member(parent, key)
    if value is MISSING:
        raise PatchFailedError(f"no such member: {source}")
    return copy.deepcopy(value)


OPERATIONS: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "add": _add,
    "replace": _replace,
    "remove": _remove,
    "test": _test,
    "move": _move,
    "copy": _copy,
}


def _put(document: Any, path: str, value: Any, *, insert: bool) -> Any:
    if not path:
        return value
    parent, key = _parent(document, path)
    if isinstance(parent, dict):
        parent[key] = value
    elif insert:
        at = len(parent) if key == "-" else _index(parent, key, end=True)
        parent.insert(at, value)
    else:
        parent[_index(parent, key)] = value
    return document


def _parent(document: Any, path: str) -> tuple[Any, str]:
    if not path.startswith("/"):
        raise PatchFailedError(f"not a pointer: {path!r}")
    parts = [part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/")]
    at = document
    for part in parts[:-1]:
        at = _member(at, part)
    if not isinstance(at, dict | list):
        raise PatchFailedError(f"no such parent: {path}")
    return at, parts[-1]


def _member(parent: Any, key: str) -> Any:
    if isinstance(parent, dict):
        return parent.get(key, MISSING)
    if isinstance(parent, list):
        try:
            return parent[_index(parent, key)]
        except PatchFailedError:
            return MISSING
    return MISSING


def _index(items: list[Any], key: str, *, end: bool = False) -> int:
    if not key.isdigit() or int(key) >= len(items) + end:
        raise PatchFailedError(f"no such index: {key!r}")
    return int(key)


def _equal(left: Any, right: Any) -> bool:
    """Compare as JSON: true is not 1, and "2" is not 2."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(left[k], right[k]) for k in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right)
