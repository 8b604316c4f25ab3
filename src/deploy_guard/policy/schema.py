"""The JSON Schema of a policy, for editors: generated from the models, in the words of YAML.

Decides nothing of its own, but says durations and percentages as users write them. An editor
sees `3` as a number and `5%` as a string. The schema cannot know `rules`: `guard check` does.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import PydanticUndefined

from deploy_guard.policy.models import Policy, SecretRef, Section
from deploy_guard.policy.reuse_models import REUSE, Declaration, PolicyFile
from deploy_guard.policy.scalars import format_duration, format_percent
from deploy_guard.policy.shape import PROVIDERS, keys, kind_of, sections_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ID = "urn:deploy-guard:policy:1"
_VALUE = {"type": "string", "pattern": r"\{\{[ \t]*values\.[A-Za-z_][A-Za-z0-9_]*[ \t]*\}\}"}
_ABOUT = {"description", "default", "examples"}
_WITHOUT_VALUES = {SecretRef, Declaration}
_KEYS_WITHOUT_VALUES = {*REUSE, "version", "provider"}
_PART = {"$ref": "#/$defs/PartOfSignal"}
_MADE_OF_OTHERS = {
    "anyOf": [
        {"required": ["extends"]},
        {"required": ["abstract"], "properties": {"abstract": {"const": True}}},
    ]
}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a policy file."""
    schema: dict[str, Any] = cleaned(PolicyFile.model_json_schema(by_alias=True))
    defs = schema.pop("$defs")
    for section in all_sections():
        properties = (schema if section is PolicyFile else defs[section.__name__])["properties"]
        for key, field in keys(section).items():
            set_default(properties[key], default_text(field))
            if section not in _WITHOUT_VALUES and key not in _KEYS_WITHOUT_VALUES:
                properties[key] = _or_value(properties[key])
    whole = schema["properties"]["signals"].pop("items")
    defs["PartOfSignal"] = _part_of_signal(defs)
    head = {"$schema": DIALECT, "$id": ID, "title": "deploy-guard policy"}
    schema["description"] = " ".join((Policy.__doc__ or "").split())
    own = {"patternProperties": {"^x-": {"description": "Yours: a place for anchors."}}}
    reuse = {"if": _MADE_OF_OTHERS, "then": _signals(_PART), "else": _signals(whole)}
    return {**head, **schema, "title": head["title"], **own, **reuse, "$defs": defs}


def _signals(items: dict[str, Any]) -> dict[str, Any]:
    """Return what each signal has to be."""
    return {"properties": {"signals": {"items": items}}}


def _part_of_signal(defs: dict[str, Any]) -> dict[str, Any]:
    """Return a signal of which keys may be missing: another file has them."""
    properties: dict[str, Any] = {}
    for section in PROVIDERS.values():
        properties |= defs[section.__name__]["properties"]
    provider = {"enum": list(PROVIDERS), "description": "Where the samples come from."}
    return {
        "description": "A signal, or the keys that differ from the inherited one of this name.",
        "type": "object",
        "properties": {**properties, "provider": provider},
        "required": ["name"],
        "additionalProperties": False,
    }


def _or_value(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that takes `{{ values.NAME }}` too, where it takes a scalar."""
    if isinstance(schema.get("items"), dict):
        return {**schema, "items": _or_value(schema["items"])}
    about = {key: value for key, value in schema.items() if key in _ABOUT}
    form = {key: value for key, value in schema.items() if key not in _ABOUT}
    union = form.get("anyOf") or form.get("oneOf")
    options = union if union and len(form) == 1 else [form]
    scalars = [option for option in options if _is_narrow(option)]
    return {**about, "anyOf": [*options, _VALUE]} if scalars else schema


def _is_narrow(schema: dict[str, Any]) -> bool:
    """Whether a schema is of scalars, and does not take every text."""
    if schema.get("type") == "string":
        return not {"pattern", "enum", "maxLength", "const"}.isdisjoint(schema)
    return schema.get("type") in ("integer", "number", "boolean") or "enum" in schema


def text() -> str:
    """Return the schema as it is shipped: indented JSON, a newline at the end."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def all_sections(top: type[Section] = PolicyFile) -> list[type[Section]]:
    """Return every mapping of a policy, each once, in the order of the documentation.

    Of another document, every mapping from its `top` on.
    """
    found: list[type[Section]] = []

    def visit(section: type[Section]) -> None:
        if section in found:
            return
        found.append(section)
        for field in section.model_fields.values():
            for inner in sections_of(field):
                visit(inner)

    visit(top)
    return found


def default_text(field: Any) -> Any:
    """Return a field's default as it would be written; None where there is none to write."""
    default = field.get_default(call_default_factory=True)
    if default is PydanticUndefined or isinstance(default, Section) or default in ("", None):
        return None
    if default in ([], {}):
        return None
    if isinstance(default, float) and kind_of(field) == "duration":
        return format_duration(default)
    if isinstance(default, float) and kind_of(field) == "percentage":
        return format_percent(default)
    return default


def set_default(schema: dict[str, Any], default: Any) -> None:
    """Write a default as text, or none."""
    schema.pop("default", None)
    if default is not None:
        schema["default"] = default


def cleaned(schema: Any, *, properties: bool = False) -> Any:
    """Drop what pydantic adds for itself: titles, discriminators, and null for "not given"."""
    if isinstance(schema, list):
        return [cleaned(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if properties:
        return {key: cleaned(value) for key, value in schema.items()}
    kept = {
        key: cleaned(value, properties=key in {"properties", "$defs"})
        for key, value in schema.items()
        if key not in {"title", "discriminator"}
    }
    options = [option for option in kept.get("anyOf", []) if option != {"type": "null"}]
    if options and len(options) < len(kept["anyOf"]):
        del kept["anyOf"]
        kept = {**(options[0] if len(options) == 1 else {"anyOf": options}), **kept}
    return kept


if __name__ == "__main__":
    print(text(), end="")  # noqa: T201
