"""Writes the tables of docs/policy-tests.md from the models: `python -m …policy_tests.reference`.

Decides the order; every word about a key comes from the models.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from deploy_guard.policy.models import Section
from deploy_guard.policy.schema import default_text
from deploy_guard.policy.shape import keys, kind_of
from deploy_guard.policy_tests import inputs, models
from deploy_guard.policy_tests.codes import CODES

BEGIN, END = "<!-- generated: reference -->", "<!-- end -->"
_CHAPTERS: tuple[tuple[str, type[Section]], ...] = (
    ("The file", models.PolicyTests),
    ("Case", models.Case),
    ("Case and defaults", models.Setting),
    ("Signal", inputs.SignalInput),
    ("By group", inputs.PartByGroup),
    ("Fault", models.Fault),
    ("Expect", models.Expectation),
)
_WORDS = {  # of fields whose type has no short name
    "requests": "rate or series",
    "errors": "share, rate or series",
    "slow": "share, rate or series",
    "buckets": "shares by bound",
    "value": "number or series",
    "answers": "answer",
    "signals": "mapping",
    "values": "mapping",
    "cases": "list",
    "faults": "list",
    "policies": "list",
    "defaults": "mapping",
    "expect": "text or mapping",
}


def reference() -> str:
    """Return the tables as Markdown."""
    parts = [_chapter(title, section) for title, section in _CHAPTERS]
    rows = [f"| `{name}` | {meaning} |" for name, meaning in CODES.items()]
    table = ["### Problems", "", "Beside those of [policies](policy-reference.md#problems):", ""]
    return "\n".join([*parts, *table, "| name | meaning |", "|---|---|", *rows, ""])


def _chapter(title: str, section: type[Section]) -> str:
    """Return one mapping: what it is, and a table of its own keys."""
    about = " ".join((section.__doc__ or "").split())
    lines = [
        f"### {title}",
        "",
        about,
        "",
        "| key | value | default | meaning |",
        "|---|---|---|---|",
    ]
    bases = [base for base in section.__mro__[1:] if issubclass(base, Section)]
    inherited = {key for base in bases for key in keys(base)}
    for key, field in keys(section).items():
        if key not in inherited:
            row = (f"`{key}`", _value(key, field), _default(field), _meaning(field))
            lines.append(f"| {' | '.join(row)} |")
    return "\n".join([*lines, ""])


def _value(key: str, field: FieldInfo) -> str:
    """Say what a field's value is."""
    words = list(_literals(field.annotation))
    if key in _WORDS or len(words) > 6:
        return _WORDS.get(key, "one of [these words](#faults)")
    return " or ".join(f"`{word}`" for word in words) or kind_of(field) or "text"


def _literals(annotation: Any) -> list[object]:
    """Return the values of a Literal within a type."""
    if get_origin(annotation) is Literal:
        return [value for part in get_args(annotation) for value in (_literals(part) or [part])]
    return [value for part in get_args(annotation) for value in _literals(part)]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = default_text(field)
    return f"`{default}`" if default is not None else ""


def _meaning(field: FieldInfo) -> str:
    """Return the description and the examples."""
    examples = " or ".join(f"`{_yaml(example)}`" for example in field.examples or ())
    text = f"{field.description} Example: {examples}." if examples else str(field.description)
    return text.replace("|", "\\|")


def _yaml(value: Any) -> str:
    """Write a value on one line, as YAML has it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_yaml(item)}" for key, item in value.items()) + "}"
    return value if isinstance(value, str) else json.dumps(value)


def main() -> None:
    """Renew the tables in the files that are named on the command line."""
    for name in sys.argv[1:]:
        file = Path(name)
        before, rest = file.read_text().split(f"{BEGIN}\n", 1)
        after = rest.split(END, 1)[1]
        file.write_text(f"{before}{BEGIN}\n{reference()}{END}{after}")


if __name__ == "__main__":
    main()
