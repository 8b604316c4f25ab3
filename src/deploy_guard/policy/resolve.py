"""One file's tree with all that makes a policy of it: what it extends, and the values in it.

Decides nothing of its own: `reuse` puts files together, `declared` knows the values, `replace` puts
them in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from deploy_guard.policy.declared import Declared, declared_values
from deploy_guard.policy.place import Place
from deploy_guard.policy.problems import Problem, Severity
from deploy_guard.policy.replace import names_in, replace_values
from deploy_guard.policy.reuse import Reused, reused
from deploy_guard.policy.reuse_models import REUSE
from deploy_guard.policy.source import Source
from deploy_guard.policy.values import Values
from deploy_guard.policy.yaml import Path


@dataclass(slots=True)
class Resolved:
    """What a file is when all is put together; `place` is None if a file is missing in it.

    `unknown` are paths of scalars in which a value is missing, which is told or allowed; `sources`
    the files that were read; `declared` the names of the values.
    """

    place: Place | None
    abstract: bool = False
    problems: list[tuple[Path, Problem]] = field(default_factory=list)
    unknown: set[Path] = field(default_factory=set)
    sources: dict[str, Source] = field(default_factory=dict)
    declared: frozenset[str] = frozenset()


def resolve(place: Place, values: Values) -> Resolved:
    """Return a file with what it extends and with the values in it."""
    root = place.root.value
    uses_none = isinstance(root, dict) and root.keys().isdisjoint(REUSE)
    if uses_none and "values" not in place.source.text:
        return Resolved(place)
    sources: dict[str, Source] = {}
    whole = reused(place, sources)
    abstract = whole.header.abstract
    if whole.root is None:
        return Resolved(None, abstract, whole.problems, sources=sources)
    merged = Place(place.source, whole.root)
    declared, found = declared_values(merged, whole.wrong, values, abstract=abstract)
    made = replace_values(merged, declared)
    problems = [*found, *made.problems]
    if not abstract:
        problems += _unused(place, whole, declared)
    return Resolved(
        Place(place.source, made.root),
        abstract,
        [*whole.problems, *(((), problem) for problem in problems)],
        made.unknown,
        sources,
        frozenset(declared),
    )


def _unused(place: Place, whole: Reused, declared: Mapping[str, Declared]) -> Iterator[Problem]:
    """Warn of values that the file itself declares, and nothing uses."""
    root = place.root.value
    section = root.get("values") if isinstance(root, dict) else None
    names = section.node.value if section is not None else None
    if not isinstance(names, dict):
        return
    right = {name for name, value in declared.items() if value.right}
    used = {name for tree in (place.root, *whole.bases) for name in names_in(tree)}
    for name in names:
        if name not in used and name in right:
            message = f"nothing uses the value '{name[:60]}'"
            help = f"write {{{{ values.{name[:60]} }}}} where it belongs, or remove it"
            yield place.key(
                "unused-value", ("values", name), message, help=help, severity=Severity.WARNING
            )
