"""The JSON Schema of a policy, for editors: generated from the models, in the words of YAML.

Decides nothing of its own, but says durations and percentages as users write them. An editor
sees `3` as a number and `5%` as a string. The schema cannot know `rules`: `guard check` does.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import PydanticUndefined

from deploy_guard.policy.models import Policy, Section
from deploy_guard.policy.scalars import format_duration, format_percent
from deploy_guard.policy.shape import keys, kind_of, sections_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ID = "urn:deploy-guard:policy:1"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a policy file."""
    schema: dict[str, Any] = _cleaned(Policy.model_json_schema(by_alias=True))
    defs = schema.pop("$defs")
    for section in all_sections():
        properties = (schema if section is Policy else defs[section.__name__])["properties"]
        for key, field in keys(section).items():
            _set_default(properties[key], default_text(field))
    head = {"$schema": DIALECT, "$id": ID, "title": "deploy-guard policy"}
    own = {"patternProperties": {"^x-": {"description": "Yours: a place for anchors."}}}
    return {**head, **schema, "title": head["title"], **own, "$defs": defs}


def text() -> str:
    """Return the schema as it is shipped: indented JSON, a newline at the end."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def all_sections() -> list[type[Section]]:
    """Return every mapping of a policy, each once, in the order of the documentation."""
    found: list[type[Section]] = []

    def visit(section: type[Section]) -> None:
        if section in found:
            return
        found.append(section)
        for field in section.model_fields.values():
            for inner in sections_of(field):
                visit(inner)

    visit(Policy)
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


def _set_default(schema: dict[str, Any], default: Any) -> None:
    """Write a default as text, or none."""
    schema.pop("default", None)
    if default is not None:
        schema["default"] = default


def _cleaned(schema: Any, *, properties: bool = False) -> Any:
    """Drop what pydantic adds for itself: titles, discriminators, and null for "not given"."""
    if isinstance(schema, list):
        return [_cleaned(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if properties:
        return {key: _cleaned(value) for key, value in schema.items()}
    kept = {
        key: _cleaned(value, properties=key in {"properties", "$defs"})
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
