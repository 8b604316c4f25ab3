"""Pydantic's errors to problems: the place of each, words for people, one problem per mistake.

Decides words and suggestions. Values are never quoted where a secret is expected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from deploy_guard.policy.models import SecretRef, Section
from deploy_guard.policy.place import Place
from deploy_guard.policy.problems import SHOWN, Problem, quoted, suggestion
from deploy_guard.policy.scalars import Scalar
from deploy_guard.policy.shape import PROVIDERS, inner_keys, keys, section_at
from deploy_guard.policy.yaml import Path

_TAGS = {"<text>", "<mapping>", "<times>", "<groups>"}  # of unions, in models
SectionAt = Callable[[Any, Path], type[Section] | None]


def explain(
    error: ValidationError, value: Any, place: Place, *, known: SectionAt = section_at
) -> list[tuple[Path, Problem]]:
    """Return the problems of a document, each with the path of the value that is wrong.

    `known` gives the mapping that the document's models expect at a path: default, a policy's.
    """
    details = error.errors(include_url=False)
    found = [(real_path(item["loc"], value), item) for item in details]
    unknown = {path for path, item in found if item["type"] == "extra_forbidden"}
    problems: list[tuple[Path, Problem]] = []
    found.sort(key=lambda pair: place.line(pair[0]))
    for number, (path, item) in enumerate(found):
        if item["type"] == "missing" and _misspelled(path, unknown):
            continue
        if number > 3 * SHOWN:  # nobody will see it: only the place counts
            problems.append((path, place.at("bad-value", path, "")))
            continue
        problems += [(path, problem) for problem in _one(path, item, value, place, known)]
    return problems


def paths(error: ValidationError, value: Any) -> set[Path]:
    """Return the paths in a document of an error's values."""
    return {real_path(item["loc"], value) for item in error.errors(include_url=False)}


def real_path(loc: Iterable[str | int], value: Any) -> Path:
    """Return the path in the document: pydantic's, without the names of union members."""
    path: list[str | int] = []
    for step in loc:
        inside_signal = len(path) == 2 and path[0] == "signals"
        if inside_signal and step in PROVIDERS and value.get("provider") == step:
            value = _Tagged(value)
            continue
        if step in _TAGS and not (isinstance(value, dict) and step in value):
            continue
        path.append(step)
        value = value.get(step) if isinstance(value, dict) else _item(value, step)
    return tuple(path)


class _Tagged(dict[str, Any]):
    """A signal whose provider was already skipped in a path."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value, and for the provider nothing: it is skipped only once."""
        return default if key == "provider" else super().get(key, default)


def _item(value: Any, step: str | int) -> Any:
    """Return a list's item, or an empty mapping."""
    within = isinstance(value, list) and isinstance(step, int) and step < len(value)
    return value[step] if within else {}


def _misspelled(path: Path, unknown: set[Path]) -> bool:
    """Whether a missing key is there under a name that is nearly right."""
    near = (str(other[-1]) for other in unknown if other[:-1] == path[:-1])
    return any(suggestion(name, [str(path[-1])]) for name in near)


def _one(
    path: Path, item: ErrorDetails, value: Any, place: Place, known: SectionAt
) -> list[Problem]:
    """Return the problems of one error."""
    kind, context = item["type"], item.get("ctx", {})
    if kind == "flaws":
        code = "template" if "variable" in context["text"] or "{{" in context["text"] else "query"
        return [place.flaw(code, path, flaw) for flaw in context["flaws"]]
    if kind == "extra_forbidden":
        return [_unknown_key(path, place, known(value, path[:-1]))]
    if kind == "missing":
        return [_missing_key(path, place, known(value, path[:-1]))]
    if kind.startswith("union_tag") and path[:1] == ("signals",):
        return _provider(path, item["input"], place)
    if kind == "literal_error":
        return [_choice(path, item, place)]
    message, help = _words(kind, context, item["input"])
    if not path:
        return [place.at("bad-value", path, f"the policy: {message}", help=help)]
    code = "bad-type" if kind.endswith("_type") or kind.endswith("_from_float") else "bad-value"
    secret = SecretRef in (known(value, path[:-1]), known(value, path))
    given = "" if secret else _given(path, item["input"])
    return [place.at(code, path, f"{_subject(path)}: {message}{given}", help=help)]


def _unknown_key(path: Path, place: Place, section: type[Section] | None) -> Problem:
    """Explain a key that its mapping does not know."""
    key, help = str(path[-1]), ""
    if section is not None:
        known = keys(section)
        help = _belongs(key, section) or suggestion(key, known) or _nearly_belongs(key, section)
        help = help or f"known: {', '.join(known)}"
    if key != key.strip():
        help = "it begins or ends with what only looks like a blank: expected blanks"
    where = f" in {_subject(path[:-1])}" if len(path) > 1 else ""
    return place.key("unknown-key", path, f"unknown key '{key[:60]}'{where}", help=help)


def _belongs(key: str, section: type[Section]) -> str:
    """Say under which key of a mapping another key is known, if it is."""
    names = [name for name, inner in inner_keys(section).items() if key in inner]
    return f"'{key}' belongs under '{names[0]}'" if names else ""


def _nearly_belongs(key: str, section: type[Section]) -> str:
    """Say under which key of a mapping a key of nearly this name is known, if one is."""
    for name, inner in inner_keys(section).items():
        if help := suggestion(key, inner):
            return f"{help.removesuffix('?')} under '{name}'?"
    return ""


def _missing_key(path: Path, place: Place, section: type[Section] | None) -> Problem:
    """Explain a key that its mapping needs."""
    field = keys(section).get(str(path[-1])) if section else None
    help = f"{path[-1]}: {field.description}" if field and field.description else ""
    what = _subject(path[:-1]) if len(path) > 1 else "the policy"
    return place.at("missing-key", path[:-1], f"{what} needs the key '{path[-1]}'", help=help)


def _provider(path: Path, given: Any, place: Place) -> list[Problem]:
    """Explain a signal without a provider, or with one that does not exist."""
    if not isinstance(given, dict):
        help = "begin each signal with: - name:"
        return [place.at("bad-type", path, f"{_subject(path)}: expected a mapping", help=help)]
    known = quoted(PROVIDERS)
    name = given.get("provider")
    unknown = _no_providers_keys(path, given, place)
    if name is None:
        if any("'provider'" in problem.help for problem in unknown):
            return unknown
        help = f"add provider: one of {known}"
        message = f"{_subject(path)} needs the key 'provider'"
        return [place.at("missing-key", path, message, help=help), *unknown]
    if not isinstance(name, str):
        message = f"provider: expected one of {known}"
        return [place.at("bad-type", (*path, "provider"), message), *unknown]
    help = suggestion(name, PROVIDERS) or f"expected one of {known}"
    if name == "kubernetes":
        help = "the cluster's own signs are always on; see the section 'kubernetes'"
    message = f"unknown provider '{name[:60]}'"
    at = (*path, "provider")
    return [place.at("unknown-provider", at, message, help=help), *unknown]


def _no_providers_keys(path: Path, given: dict[str, Any], place: Place) -> list[Problem]:
    """Explain the keys of a signal that no provider knows: nothing else is told of it yet."""
    known = {key for section in PROVIDERS.values() for key in keys(section)}
    missing = sorted(known - set(given))
    return [
        place.key(
            "unknown-key",
            (*path, key),
            f"unknown key '{key[:60]}' in {_subject(path)}",
            help=suggestion(key, missing),
        )
        for key in given
        if key not in known
    ]


def _choice(path: Path, item: ErrorDetails, place: Place) -> Problem:
    """Explain a value that is none of the words that are allowed."""
    expected = str(item.get("ctx", {}).get("expected", ""))
    help = suggestion(str(item["input"]), [word.strip("'") for word in _split(expected)])
    given = f", got '{str(item['input'])[:60]}'" if isinstance(item["input"], str | int) else ""
    if path == ("version",):
        help = "this guard knows version 1 of the format"
    message = f"{_subject(path)}: expected {expected}{given}"
    return place.at("bad-value", path, message, help=help)


def _split(expected: str) -> list[str]:
    """Split ``'a', 'b' or 'c'``."""
    return expected.replace(" or ", ", ").split(", ")


def _words(kind: str, context: dict[str, Any], given: Any) -> tuple[str, str]:
    """Return what was expected, and help, for one kind of error."""
    if kind == "bad-value":
        return str(context["text"]), str(context["help"])
    if kind in {"model_type", "dict_type"}:
        secret = context.get("class_name") == SecretRef.__name__
        help = "name where it is found: {env: NAME} or {file: PATH}" if secret else ""
        if isinstance(given, list):
            help = "leave out the dashes: keys and values, not a list"
        return "expected a mapping", help
    if kind == "list_type":
        help = f"write [{given}]" if isinstance(given, str) and given and len(given) < 40 else ""
        if isinstance(given, dict):
            help = "begin each item with a dash"
        return "expected a list", help
    if kind == "string_type":
        return "expected a text", "put it in quotes: a text cannot begin with { or ["
    bounds = {
        "greater_than": ("a number above", "gt"),
        "greater_than_equal": ("at least", "ge"),
        "less_than_equal": ("at most", "le"),
        "string_too_long": ("a text of at most so many characters:", "max_length"),
        "string_too_short": ("a text of at least so many characters:", "min_length"),
        "too_long": ("at most so many items:", "max_length"),
        "too_short": ("at least so many items:", "min_length"),
    }
    if kind in bounds:
        words, name = bounds[kind]
        if context[name] == 1 and words.endswith("items:"):
            return f"expected {words.removesuffix('so many items:')}one item", ""
        return f"expected {words} {context[name]}", ""
    if kind == "string_pattern_mismatch":
        return _pattern_words(str(context["pattern"]))
    return f"not valid ({kind})", ""


def _pattern_words(pattern: str) -> tuple[str, str]:
    """Say in words what a pattern asks for."""
    if pattern == "^/":
        return "expected a path that begins with /", ""
    if "A-Z" in pattern:
        return (
            "expected the name of an environment variable",
            "letters, digits and _; the secret itself must not stand in a policy",
        )
    return "expected small letters, digits and dashes", "such as http-errors"


def _subject(path: Path) -> str:
    """Name a value as its reader thinks of it: the last key, or 'signal 2'."""
    if not path:
        return "the policy"
    last = path[-1]
    if isinstance(last, int):
        owner = str(path[-2]) if len(path) > 1 else "item"
        return f"{'signal' if owner == 'signals' else owner} {last + 1}"
    return f"'{last[:60]}'"


def _given(path: Path, given: Any) -> str:
    """Quote a short scalar, unless a secret is expected there."""
    if "headers" in path:
        return ""
    if path[0] == "prometheus" and path[-1] not in {"timeout", "verify"}:
        return ""
    if not isinstance(given, Scalar) or not given or len(given) > 40:
        return ""
    return f", got '{given}'"
