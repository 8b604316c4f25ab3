"""The model's dataclasses as JSON and back, without loss: for the record of a watch.

Decides the spelling: keys are field names, enumerations their values, tuples lists, numbers that
JSON lacks the strings ``inf``, ``-inf`` and ``nan``. Where a field may hold one of several
dataclasses, ``type`` names which. Does not decide what is recorded.
"""

from __future__ import annotations

import dataclasses
import math
import types
from enum import Enum
from functools import lru_cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
_NOT_FINITE = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}


def to_json(value: object) -> Any:
    """Return the value as plain JSON; what JSON does not know at all becomes its text."""
    if isinstance(value, Enum):
        return to_json(value.value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {str(key): to_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(inner) for inner in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _object(value)
    return str(value)


def _object(value: Any) -> dict[str, Any]:
    data: dict[str, Any] = {}
    kind: type = type(value)
    for name, hint, _ in _fields(kind):
        inner = getattr(value, name)
        data[name] = to_json(inner)
        if len(_choices(hint)) > 1 and dataclasses.is_dataclass(inner):
            data[name] = {"type": type(inner).__name__.lower(), **data[name]}
    return data


def from_json(kind: type[T], data: object) -> T:
    """Return the value of this type that `to_json` wrote; absent fields take their defaults.

    Raises ValueError, naming the field, when the data do not fit the type.
    """
    read: T = _read(kind, data, where=kind.__name__.lower())
    return read


def _read(hint: Any, data: Any, *, where: str) -> Any:
    if hint is Any:
        return data
    if hint is float:
        return _float(data, where=where)
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _one_of(hint, data, where=where)
    if origin is tuple:
        _expect(data, list, where=where)
        return tuple(_read(get_args(hint)[0], each, where=where) for each in data)
    if origin is dict:
        _expect(data, dict, where=where)
        inner = get_args(hint)[1]
        return {key: _read(inner, each, where=f"{where}.{key}") for key, each in data.items()}
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(data)
    if dataclasses.is_dataclass(hint):
        return _dataclass(hint, data, where=where)
    _expect(data, hint, where=where)
    return data


def _float(data: Any, *, where: str) -> float:
    if isinstance(data, str) and data in _NOT_FINITE:
        return _NOT_FINITE[data]
    if isinstance(data, bool) or not isinstance(data, int | float):
        raise ValueError(f"{where}: a number was expected, {data!r} came")
    return float(data)


def _expect(data: Any, kind: type, *, where: str) -> None:
    if not isinstance(data, kind) or (kind is int and isinstance(data, bool)):
        raise ValueError(f"{where}: {kind.__name__} was expected, {type(data).__name__} came")


def _one_of(hint: Any, data: Any, *, where: str) -> Any:
    if data is None and type(None) in get_args(hint):
        return None
    others = [each for each in get_args(hint) if each is not type(None)]
    if len(others) == 1:
        return _read(others[0], data, where=where)
    _expect(data, dict, where=where)
    named = _choices(hint).get(data.get("type"))
    if named is None:
        raise ValueError(f"{where}: unknown type {data.get('type')!r}")
    rest = {key: each for key, each in data.items() if key != "type"}
    return _read(named, rest, where=where)


def _choices(hint: Any) -> dict[Any, Any]:
    """Return the dataclasses that the field may hold, by the name that `type` has."""
    kinds: list[Any] = [each for each in get_args(hint) if dataclasses.is_dataclass(each)]
    return {kind.__name__.lower(): kind for kind in kinds}


def _dataclass(kind: Any, data: Any, *, where: str) -> Any:
    _expect(data, dict, where=where)
    fields = _fields(kind)
    unknown = data.keys() - {name for name, _, _ in fields}
    if unknown:
        raise ValueError(f"{where}: unknown field {min(unknown)!r}")
    missing = [name for name, _, required in fields if required and name not in data]
    if missing:
        raise ValueError(f"{where}: the field {missing[0]!r} is missing")
    return kind(
        **{
            name: _read(hint, data[name], where=f"{where}.{name}")
            for name, hint, _ in fields
            if name in data
        }
    )


@lru_cache(maxsize=64)
def _fields(kind: type) -> tuple[tuple[str, Any, bool], ...]:
    """Return name, type and whether it is required, of each field of a dataclass."""
    hints = get_type_hints(kind)
    none = dataclasses.MISSING
    return tuple(
        (field.name, hints[field.name], field.default is none and field.default_factory is none)
        for field in dataclasses.fields(kind)
    )
