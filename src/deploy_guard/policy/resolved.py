"""A policy as YAML again: what all its files and values together say, in one.

Decides the form of what `guard check --resolved` prints. Keys that nobody wrote are left out: they
have their defaults. Secrets are references in a policy, so none is printed.
"""

from __future__ import annotations

from typing import Any

import yaml

from deploy_guard.policy.models import Policy, Section
from deploy_guard.policy.scalars import format_duration, format_percent
from deploy_guard.policy.shape import keys, kind_of

_WIDTH = 1 << 20  # a query stays on its line
_FIRST = ("name", "provider")  # of a signal


def as_yaml(policy: Policy) -> str:
    """Return a policy file that means the same, and needs no other file and no values."""
    document = _section(policy)
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)


class _Text(str):
    """A text that would be something else without quotes."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Writes queries of several lines as such."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Return a text, as a block if it has several lines."""
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _quoted(dumper: yaml.SafeDumper, text: _Text) -> yaml.ScalarNode:
    """Return a text in quotes."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style='"')


_Dumper.add_representer(str, _text)
_Dumper.add_representer(_Text, _quoted)


def _section(section: Section) -> dict[str, Any]:
    """Return the keys of a mapping that were written, as they are written."""
    found: dict[str, Any] = {}
    for key, field in keys(type(section)).items():
        name = next(n for n, f in type(section).model_fields.items() if f is field)
        value = getattr(section, name)
        # an `equals` may be null; nothing else is
        wanted = name in section.model_fields_set and (value is not None or key == "equals")
        if wanted and value not in ("", [], {}):
            found[key] = _value(value, kind_of(field))
    first = {key: found[key] for key in _FIRST if "provider" in found and key in found}
    return first | found


def _value(value: Any, kind: str) -> Any:
    """Return a value as it is written in a policy."""
    if isinstance(value, Section):
        return _section(value)
    if isinstance(value, dict):
        return {str(key): _value(item, "") for key, item in value.items()}
    if isinstance(value, list):
        return [_value(item, "") for item in value]
    if isinstance(value, str):
        return _Text(value) if kind.startswith("text, number") else str(value)
    if isinstance(value, bool) or not isinstance(value, float):
        return value
    if kind == "duration":
        return format_duration(value)
    if kind == "percentage":
        return format_percent(value)
    return int(value) if value.is_integer() and abs(value) < 1e15 else value
