"""`extends`: a policy file with what it inherits, as one tree.

Decides nothing of its own but the form of the keys: `bases` reads the other files, `inherit` says
what is taken over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from deploy_guard.policy import yaml
from deploy_guard.policy.bases import read_base
from deploy_guard.policy.explain import explain
from deploy_guard.policy.inherit import Inheritance
from deploy_guard.policy.place import Place
from deploy_guard.policy.problems import Problem
from deploy_guard.policy.reuse_models import REUSE, Header
from deploy_guard.policy.source import Source
from deploy_guard.policy.yaml import Node, Path


@dataclass(slots=True)
class Reused:
    """A tree that is made of several files: None if one of them cannot be used."""

    root: Node | None
    header: Header
    wrong: set[Path] = field(default_factory=set)
    problems: list[tuple[Path, Problem]] = field(default_factory=list)
    bases: list[Node] = field(default_factory=list)


def reused(place: Place, sources: dict[str, Source]) -> Reused:
    """Return a file's tree with what it inherits; the files that are read are put to `sources`.

    Problems have the path of the value that is wrong, none if it is in another file.
    """
    root = place.root
    header, wrong, problems = _header(place, ("extends", "omit", "abstract"))
    bases: list[Node] = []
    usable = not any(path[0] == "extends" for path in wrong)
    for position, name in enumerate(header.extends if usable else ()):
        base = read_base(place, position, name, sources)
        if isinstance(base, list):
            problems += [((), problem) for problem in base]
            usable = False
        else:
            bases.append(base)
    if not usable:
        return Reused(None, header, wrong, problems)
    if header.extends or header.omit:
        merged = Inheritance(place, bases, header.omit, abstract=header.abstract)
        root = merged.root()
        problems += [((), problem) for problem in merged.problems]
    _, more, told = _header(Place(place.source, root), ("values",))
    return Reused(root, header, wrong | more, [*problems, *told], bases)


def _header(
    place: Place, keys: Iterable[str]
) -> tuple[Header, set[Path], list[tuple[Path, Problem]]]:
    """Return some keys of a file's header; of a wrong one, the default and its problems."""
    entries = place.root.value if isinstance(place.root.value, dict) else {}
    value: dict[str, Any] = {k: yaml.plain(entries[k].node) for k in keys if k in entries}
    if not value:
        return Header(), set(), []
    try:
        return Header.model_validate(value), set(), []
    except ValidationError as error:
        found = explain(error, value, place)
        wrong = {path for path, _ in found}
        bad = {path[0] for path in wrong if path}
        right = {key: item for key, item in value.items() if key not in bad}
        return Header.model_validate(right), wrong, found


def without_header(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document without the keys that say how it is made, and without the user's own."""
    return {k: v for k, v in value.items() if k not in REUSE and not k.startswith("x-")}
