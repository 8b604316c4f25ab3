"""Which mapping of the test file's models stands at a path: for the words of problems."""

from __future__ import annotations

from typing import Any

from deploy_guard.policy.models import Section
from deploy_guard.policy.shape import keys, sections_of
from deploy_guard.policy.yaml import Path
from deploy_guard.policy_tests.models import PolicyTests

_OF_MANY = ("cases", "signals", "faults")  # keys whose values have mappings of one kind


def section_at(_value: Any, path: Path) -> type[Section] | None:
    """Return the mapping that the models expect at a path of a document, or None."""
    section: type[Section] | None = PolicyTests
    collection = False
    for step in path:
        if collection:  # the position of a case, the name of a signal
            collection = False
            continue
        field = keys(section).get(str(step)) if section is not None else None
        found = sections_of(field) if field is not None else []
        section = found[0] if found else None
        collection = step in _OF_MANY and section is not None
    return None if collection else section
