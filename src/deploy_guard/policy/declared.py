"""The values that a policy declares: their types, and which text each one has now.

Decides whether a text is of its type and among those that are allowed. A value that has no text,
or a wrong one, is told once; nothing is said of the places where it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic_core import PydanticCustomError

from deploy_guard.policy.given import Given
from deploy_guard.policy.place import Place
from deploy_guard.policy.problems import Problem, quoted
from deploy_guard.policy.scalars import (
    Scalar,
    parse_bool,
    parse_duration,
    parse_integer,
    parse_number,
    parse_percent,
)
from deploy_guard.policy.secrets import hide, is_secret_name
from deploy_guard.policy.values import NAME, Values, text_fault
from deploy_guard.policy.yaml import Entry, Node, Path

_PARSERS: Mapping[str, Callable[[object], object]] = {
    "text": str,
    "number": parse_number,
    "integer": parse_integer,
    "percentage": parse_percent,
    "duration": parse_duration,
    "boolean": parse_bool,
}
_DOCS = "policy-reference.md#values"


@dataclass(frozen=True, slots=True)
class Declared:
    """A declared value; `given` is None when nothing can stand in its place.

    `right` is false if what was said of its declaration is enough.
    """

    type: str
    given: Given | None
    right: bool = True


def declared_values(
    place: Place, wrong: set[Path], values: Values, *, abstract: bool
) -> tuple[dict[str, Declared], list[Problem]]:
    """Return what a tree declares, by name, and what is wrong with it.

    `wrong` are paths whose form is wrong, which was told before. In an `abstract` file a value
    may be missing.
    """
    found: dict[str, Declared] = {}
    problems: list[Problem] = []
    section = place.root.value.get("values") if isinstance(place.root.value, dict) else None
    entries = section.node.value if section is not None else None
    badly_formed = {at[:2] for at in wrong}
    for name, entry in entries.items() if isinstance(entries, dict) else ():
        path: Path = ("values", name)
        problem = _bad_name(name, path, place)
        told = problem is not None or path in badly_formed
        keys = entry.node.value
        type = _scalar(keys, "type") if isinstance(keys, dict) else None
        if isinstance(keys, dict) and not told and type is None:
            help = f"type: one of {quoted(_PARSERS)}"
            message = f"the value '{name}' needs the key 'type'"
            problem = place.key("missing-key", path, message, help=help)
        problems += [problem] if problem else []
        if told or type is None or not isinstance(keys, dict):
            found[name] = Declared("text", None, right=False)
            continue
        given, more = _text(name, str(type.value), keys, place, values, abstract=abstract)
        found[name] = Declared(str(type.value), given)
        problems += more
    return found, problems


def _bad_name(name: str, path: Path, place: Place) -> Problem | None:
    """Explain a name that no value can have."""
    if not NAME.fullmatch(name):
        message = f"'{name[:60]}' cannot be the name of a value: expected letters, digits and _"
        return place.key("bad-value", path, message, help="such as error_limit")
    if is_secret_name(name):
        message = f"a value is no place for a secret: '{name}'"
        help = "where it is needed write {env: NAME} or {file: PATH}"
        return place.key("secret-value", path, message, help=help)
    return None


def _text(
    name: str,
    type: str,
    keys: dict[str, Entry],
    place: Place,
    values: Values,
    *,
    abstract: bool,
) -> tuple[Given | None, list[Problem]]:
    """Return the text that a value has, None if it has none, and what is wrong with its texts."""
    problems: list[Problem] = []
    allowed: list[object] = []
    choices = keys["one_of"].node.value if "one_of" in keys else None
    for choice in choices if isinstance(choices, list) else ():
        problem = _fault(_of(name, choice), type, None, f"'one_of' of the value '{name}'")
        if problem:
            problems.append(problem)
        else:
            allowed.append(_PARSERS[type](choice.value))
    offered = allowed if choices is not None and not problems else None
    given, default = values.given.get(name), None
    node = _scalar(keys, "default")
    if node is not None and isinstance(node.value, Scalar) and not node.value.is_null:
        default = _of(name, node)
        if problem := _fault(default, type, offered, f"the default of '{name}'"):
            problems.append(problem)
            default = None
    if given is not None:
        declared = place.file_line(("values", name))
        if problem := _fault(given, type, offered, f"the value '{name}', declared in {declared}"):
            return None, [*problems, problem]
        return given, problems
    if default is None and not problems and not abstract:
        message = f"the value '{name}' has no default and was not given"
        help = f"--set {name}=…, or {name}: … in a file for --values; its type is {type}"
        problems.append(place.key("missing-value", ("values", name), message, help=help))
    return default, problems


def _of(name: str, node: Node) -> Given:
    """Return what a declaration writes as a given value."""
    text = node.value if isinstance(node.value, Scalar) else Scalar("")
    return Given(name, text, node.source, node.start, node.end)


def _fault(given: Given, type: str, offered: list[object] | None, what: str) -> Problem | None:
    """Return the problem of a text that is not of its type, or not among those that are offered."""
    if fault := text_fault(given.text):
        return given.problem("bad-value", f"{what}: {fault}", docs=_DOCS)
    try:
        value = _PARSERS[type](given.text)
    except PydanticCustomError as error:
        context = error.context or {}
        message = f"{what}: {context.get('text')}{_shown(given)}"
        help = str(context.get("help", ""))
        return given.problem("bad-value", message, help=help, docs=_DOCS)
    if offered is not None and value not in offered:
        message = f"{what} is none of those in 'one_of'{_shown(given)}"
        return given.problem("bad-value", message, docs=_DOCS)
    return None


def _shown(given: Given) -> str:
    """Quote a short text."""
    return f", got '{hide(given.text)}'" if 0 < len(given.text) <= 40 else ""


def _scalar(keys: dict[str, Entry], key: str) -> Node | None:
    """Return the node of a key whose value is a scalar."""
    node = keys[key].node if key in keys else None
    return node if node is not None and isinstance(node.value, Scalar) else None
