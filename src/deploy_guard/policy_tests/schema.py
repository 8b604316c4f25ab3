"""The JSON Schema of a test file, for editors: generated from the models.

Decides nothing of its own. The schema cannot know the policy: `guard test` does.
"""

from __future__ import annotations

import json
from typing import Any

from deploy_guard.policy.schema import DIALECT, all_sections, cleaned, default_text, set_default
from deploy_guard.policy.shape import keys
from deploy_guard.policy_tests.models import PolicyTests

ID = "urn:deploy-guard:policy-test:1"
TITLE = "deploy-guard policy tests"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a test file."""
    schema: dict[str, Any] = _closed(cleaned(PolicyTests.model_json_schema(by_alias=True)))
    defs = schema.pop("$defs")
    for section in all_sections(PolicyTests):
        if section is not PolicyTests and section.__name__ not in defs:
            continue
        properties = (schema if section is PolicyTests else defs[section.__name__])["properties"]
        for key, field in keys(section).items():
            set_default(properties[key], default_text(field))
    head = {"$schema": DIALECT, "$id": ID, "title": TITLE}
    own = {"patternProperties": {"^x-": {"description": "Yours: a place for anchors."}}}
    return {**head, **schema, "title": TITLE, **own, "$defs": defs}


def _closed(schema: Any) -> Any:
    """Refuse keys of mappings by time that are no times: pydantic leaves that open."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _closed(value) for key, value in schema.items()}
    if "patternProperties" in found:
        found |= {"additionalProperties": False, "minProperties": 1}
    return found


def text() -> str:
    """Return the schema as it is shipped: indented JSON, a newline at the end."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
