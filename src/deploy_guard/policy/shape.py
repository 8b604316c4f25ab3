"""Which mapping of the models stands at a path, and which keys it knows."""

from __future__ import annotations

from typing import Any, get_args

from pydantic.fields import FieldInfo

from deploy_guard.policy import models
from deploy_guard.policy.models import Section
from deploy_guard.policy.reuse_models import PolicyFile
from deploy_guard.policy.scalars import Kind

PROVIDERS: dict[str, type[models.SignalBase]] = {
    "prometheus": models.PrometheusSignal,
    "pods": models.PodsSignal,
    "http": models.HttpSignal,
}


def keys(section: type[Section]) -> dict[str, FieldInfo]:
    """Return the fields of a mapping by the key that users write."""
    return {field.alias or name: field for name, field in section.model_fields.items()}


def sections_of(field: FieldInfo) -> list[type[Section]]:
    """Return the mappings that a field's value may be, in lists too."""
    return _sections(field.annotation)


def _sections(annotation: Any) -> list[type[Section]]:
    """Find the mappings within a type."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [found for part in get_args(annotation) for found in _sections(part)]


def kind_of(field: FieldInfo) -> str:
    """Return the name of a scalar's kind, such as ``duration``, or nothing."""
    found = [*field.metadata, *_metadata(field.annotation)]
    return next((item.name for item in found if isinstance(item, Kind)), "")


def _metadata(annotation: Any) -> list[Any]:
    """Collect what stands in Annotated within a type."""
    own = list(getattr(annotation, "__metadata__", ()))
    return own + [item for part in get_args(annotation) for item in _metadata(part)]


def section_at(value: Any, path: tuple[str | int, ...]) -> type[Section] | None:
    """Return the mapping that the models expect at a path of a document, or None.

    For a signal it is the class of its provider, and `SignalBase` when that is unknown.
    """
    section: type[Section] | None = PolicyFile
    for position, step in enumerate(path):
        value = _child(value, step)
        if section is PolicyFile and step == "signals":
            continue
        if position == 1 and path[0] == "values":
            continue  # the name of a value leads to its declaration
        if position == 1 and path[0] == "signals":
            provider = value.get("provider") if isinstance(value, dict) else None
            name = provider if isinstance(provider, str) else ""
            section = PROVIDERS.get(name, models.SignalBase)
            continue
        field = keys(section).get(str(step)) if section else None
        found = sections_of(field) if field else []
        section = found[0] if found else None
    return section


def _child(value: Any, step: str | int) -> Any:
    """Return a value's child, or None."""
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return value[step]
    return None


def inner_keys(section: type[Section]) -> dict[str, list[str]]:
    """Return the keys of the mappings below a mapping, by the key that leads to them."""
    return {
        name: [key for child in sections_of(field) for key in keys(child)]
        for name, field in keys(section).items()
        if sections_of(field)
    }
