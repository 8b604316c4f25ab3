"""The values of `--set` and `--values`, read but not yet understood: a policy declares their types.

Decides the form of both, and which of two wins: a later file over an earlier one, `--set` over
all files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from deploy_guard.errors import UsageError
from deploy_guard.policy.given import Given
from deploy_guard.policy.problems import SHOWN, PolicyError, Problem, suggestion
from deploy_guard.policy.scalars import Scalar
from deploy_guard.policy.source import Source

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_LONGEST = 10_000  # characters of a value
_KNOWN = 200  # names that are compared with a wrong one


@dataclass(frozen=True, slots=True)
class Values:
    """Values by name; empty when none were given."""

    given: Mapping[str, Given] = field(default_factory=dict)

    @property
    def sources(self) -> dict[str, Source]:
        """The files that values came from, by name."""
        return {g.source.file: g.source for g in self.given.values() if g.source is not None}

    def undeclared(self, declared: Iterable[str]) -> list[Problem]:
        """Return a problem for each value that is not among the declared names.

        They are told only when all policies were read: one of them may declare it.
        """
        names = dict.fromkeys(sorted(declared))
        unknown = [given for name, given in self.given.items() if name not in names]
        found = []
        for given in unknown[:SHOWN]:
            help = suggestion(given.name, list(names)[:_KNOWN])
            help = help or (f"declared: {', '.join(list(names)[:10])}" if names else _DECLARE)
            found.append(given.unknown(help=help, docs=_DOCS))
        return found


_DECLARE = "declare it under 'values' of the policy: NAME: {type: text}"
_DOCS = "policy-reference.md#values"


def read_values(files: Sequence[FilePath | str] = (), settings: Sequence[str] = ()) -> Values:
    """Return the values of `--values` files and of `--set NAME=VALUE` settings.

    Raises UsageError for a setting that has not this form, PolicyError for files that are no
    mappings of names to values.
    """
    given: dict[str, Given] = {}
    problems: list[Problem] = []
    for file in map(str, files):
        found, wrong = _file(file)
        given |= found
        problems += wrong
    if problems:
        raise PolicyError(problems)
    for setting in settings:
        name, text = _setting(setting)
        given[name] = Given(name, Scalar(text, plain=False))
    return Values(given)


def _setting(setting: str) -> tuple[str, str]:
    """Split ``NAME=VALUE``; what is wrong with it is told without the value."""
    name, equals, text = setting.partition("=")
    if not equals or not NAME.fullmatch(name):
        known = f" of '{name[:60]}'" if equals else ""
        raise UsageError(
            f"the name{known} in --set is not one" if equals else "--set has no '='",
            help="write --set NAME=VALUE, such as --set error_limit=5%",
        )
    if fault := text_fault(text):
        raise UsageError(f"--set {name}: {fault}")
    return name, text


def text_fault(text: str) -> str:
    """Return why a text can be no value, or nothing: it must never become more than a text."""
    if len(text) > _LONGEST:
        return f"expected a value of at most {_LONGEST} characters"
    if not text.isprintable():
        return "expected a value on one line, without control characters"
    if "{{" in text or "}}" in text:
        return "a value cannot contain '{{' or '}}': template variables stand in the policy"
    return ""


def _file(file: str) -> tuple[dict[str, Given], list[Problem]]:
    """Read one file of values."""
    from deploy_guard.policy import yaml
    from deploy_guard.policy.reading import hide_secrets, read_source

    if file == "-":
        help, message = "name a file", "values are not read from standard input"
        return {}, [Problem("unreadable", message, file, help=help)]
    source = read_source(file)
    if isinstance(source, Problem):
        return {}, [source]
    root, problems = yaml.parse(source)
    if root is None:
        return {}, [source.illustrate(problem) for problem in problems[:SHOWN]]
    hide_secrets(source, root)
    found: dict[str, Given] = {}
    if isinstance(root.value, dict):
        for name, entry in root.value.items():
            node = entry.node
            if not isinstance(node.value, Scalar):
                message = f"'{name[:60]}': expected a text, a number, true or false"
                problems.append(source.problem("bad-type", message, entry.start, entry.end))
            elif node.value.is_null:
                message, help = f"'{name[:60]}' has no value", "remove it to have the default"
                at = entry.start, entry.end
                problems.append(source.problem("empty-value", message, *at, help=help))
            elif fault := text_fault(node.value):
                message = f"'{name[:60]}': {fault}"
                problems.append(source.problem("bad-value", message, node.start, node.end))
            else:
                at = entry.start, entry.end
                found[name] = Given(name, node.value, source, node.start, node.end, at)
    elif not (isinstance(root.value, Scalar) and root.value.is_null):
        message = "values are a mapping: expected NAME: VALUE"
        problems.append(source.problem("bad-type", message, root.start, root.start + 1))
    return found, [source.illustrate(problem) for problem in problems[:SHOWN]]
