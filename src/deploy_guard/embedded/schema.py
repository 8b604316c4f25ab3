"""The fields and types of the objects that the API serves, read from `fields.json`.

Decides which members of an object are unknown (Kubernetes drops them, with a warning or an error
as ``fieldValidation`` says) and which hold a value of a wrong type, in the words of Go's decoder.
The file is made by tools/embedded_fields.py.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from typing import Any

from deploy_guard.embedded.resources import Resource

Object = dict[str, Any]

GO_TYPES = {"s": "string", "i": "int32", "b": "bool", "n": "float64"}
INT64_FIELDS = frozenset(
    {
        "activeDeadlineSeconds",
        "deletionGracePeriodSeconds",
        "expirationSeconds",
        "generation",
        "observedGeneration",
        "revision",
        "runAsGroup",
        "runAsUser",
        "terminationGracePeriodSeconds",
        "tolerationSeconds",
    }
)
QUANTITY_FIELDS = frozenset(
    {"allocatedResources", "capacity", "hard", "limits", "requests", "used"}
)
PYTHON_TYPES: dict[str, tuple[type, ...]] = {"s": (str,), "i": (int,), "n": (int, float)}


class MistypedError(Exception):
    """A value of a type that the field cannot hold, in the words of Go's JSON decoder."""


def drop_unknown(resource: Resource, obj: Object) -> list[str]:
    """Remove the members that the type does not have, in place; return their paths, sorted.

    Raises MistypedError for the first value of a wrong type.
    """
    if resource.custom:
        return []
    unknown: list[str] = []
    kind = _document()["kinds"][f"{resource.api_version}/{resource.kind}"]
    _check_object(obj, kind, "", unknown)
    return sorted(unknown)


@cache
def _document() -> dict[str, Any]:
    path = files("deploy_guard.embedded").joinpath("fields.json")
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def _check_object(obj: Object, kind: str, path: str, unknown: list[str]) -> None:
    fields = _document()["types"][kind]
    for key in list(obj):
        where = f"{path}.{key}" if path else key
        if key not in fields:
            unknown.append(where)
            del obj[key]
        elif key in QUANTITY_FIELDS and isinstance(obj[key], dict):
            obj[key] = {name: _quantity(value) for name, value in obj[key].items()}
        elif obj[key] is not None:
            _check_value(obj[key], fields[key], _Place(kind, key, where), unknown)


class _Place:
    """Where a value stands: the type that holds it, the member's name, the path from the top."""

    def __init__(self, kind: str, key: str, path: str) -> None:
        self.kind, self.key, self.path = kind, key, path

    def mistyped(self, value: object, wanted: str) -> MistypedError:
        names = {bool: "bool", int: "number", float: "number", str: "string", list: "array"}
        found = names.get(type(value), "object")
        owner = self.kind.removeprefix("V1").removeprefix("Core")
        path = re.sub(r"\[\d+\]", "", self.path)
        return MistypedError(
            f"json: cannot unmarshal {found} into Go struct field {owner}.{path} of type {wanted}"
        )


def _check_value(value: Any, notation: str, place: _Place, unknown: list[str]) -> None:
    if notation == "o" or value is None:
        return
    if notation[0] == "[":
        if not isinstance(value, list):
            raise place.mistyped(value, f"[]{_go_type(notation[1:], place)}")
        for i, item in enumerate(value):
            below = _Place(place.kind, place.key, f"{place.path}[{i}]")
            _check_value(item, notation[1:], below, unknown)
    elif notation[0] == "{":
        if not isinstance(value, dict):
            raise place.mistyped(value, f"map[string]{_go_type(notation[1:], place)}")
        for item in value.values():
            _check_value(item, notation[1:], place, unknown)
    elif notation in GO_TYPES:
        _check_simple(value, notation, place)
    elif not isinstance(value, dict):
        raise place.mistyped(value, _go_type(notation, place))
    else:
        _check_object(value, notation, place.path, unknown)


def _check_simple(value: Any, notation: str, place: _Place) -> None:
    if notation == "b":
        fits = isinstance(value, bool)
    else:
        fits = isinstance(value, PYTHON_TYPES[notation]) and not isinstance(value, bool)
    if not fits:
        raise place.mistyped(value, _go_type(notation, place))


def _go_type(notation: str, place: _Place) -> str:
    if notation == "i" and place.key in INT64_FIELDS:
        return "int64"
    return GO_TYPES.get(notation, f"v1.{notation.removeprefix('V1')}")


def _quantity(value: Any) -> Any:
    """Return a quantity as text: YAML and JSON may carry it as a number."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number else value
