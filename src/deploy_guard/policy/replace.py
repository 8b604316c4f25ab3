"""Puts values in the place of ``{{ values.NAME }}`` in the scalars of a policy.

Decides that a scalar never becomes more than a scalar, and that no value stands where a secret is
expected. What a value is as a part of a query or a URL is decided by `value_places`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from deploy_guard.policy.declared import Declared
from deploy_guard.policy.given import Made, Use
from deploy_guard.policy.place import Place
from deploy_guard.policy.problems import SHOWN, Problem, suggestion
from deploy_guard.policy.promql import LONGEST, string_spans
from deploy_guard.policy.reading import may_be_secret
from deploy_guard.policy.reuse_models import REUSE
from deploy_guard.policy.scalars import Scalar
from deploy_guard.policy.secrets import is_secret_name
from deploy_guard.policy.template import Flaw, names_of
from deploy_guard.policy.value_places import Put, in_query, in_url, quote_at
from deploy_guard.policy.yaml import Entry, Node, Path

_USE = re.compile(r"\{\{[ \t]*values\.([^{}\r\n]*)\}\}")  # names are stripped: no backtracking
_QUERIES = {("latency",), ("value",), ("ratio", "errors"), ("ratio", "requests")}
_LEFT_ALONE = {*REUSE, "version"}
_KNOWN = 200  # names that are compared with a wrong one
_MOST = 1 << 20  # characters that values put into one policy


@dataclass(slots=True)
class Replaced:
    """A tree with values in it; at the `unknown` paths some have no text, which is told."""

    root: Node
    unknown: set[Path] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)


def names_in(root: Node) -> Iterator[str]:
    """Yield the names of the values that a tree uses."""
    for text in _texts(root):
        for match in _USE.finditer(text):
            yield _name(match)


def _name(match: re.Match[str]) -> str:
    """Return the name of the value in a ``{{ values.NAME }}``."""
    return match[1].rstrip(" \t")


def _texts(root: Node) -> Iterator[Scalar]:
    """Yield the scalars in which values may stand."""
    if isinstance(root.value, dict):
        stack = [e.node for key, e in root.value.items() if key not in _LEFT_ALONE]
        while stack:
            value = stack.pop().value
            if isinstance(value, Scalar):
                if "{{" in value:
                    yield value
            else:
                stack += value if isinstance(value, list) else [e.node for e in value.values()]


def replace_values(place: Place, declared: dict[str, Declared]) -> Replaced:
    """Return the tree of a place with the values in it."""
    result = Replaced(place.root)
    if isinstance(place.root.value, dict):
        worker = _Worker(place, declared, result)
        entries = {
            key: entry
            if key in _LEFT_ALONE or key.startswith("x-")
            else _entry(entry, worker.node(entry.node, (key,)))
            for key, entry in place.root.value.items()
        }
        result.root = replace(place.root, value=entries)
    return result


def _entry(entry: Entry, node: Node) -> Entry:
    """Return an entry with another node."""
    return entry if entry.node is node else Entry(entry.start, entry.end, node)


@dataclass(slots=True)
class _Worker:
    """Goes through a tree; nodes without values stay the same objects."""

    place: Place
    declared: dict[str, Declared]
    result: Replaced
    grown: int = 0

    def node(self, node: Node, path: Path) -> Node:
        """Return a node with the values in it."""
        value = node.value
        if isinstance(value, Scalar):
            found = list(_USE.finditer(value)) if "{{" in value else []
            return self.scalar(node, value, path, found) if found else node
        if isinstance(value, list):
            items = [self.node(item, (*path, n)) for n, item in enumerate(value)]
            same = all(new is old for new, old in zip(items, value, strict=True))
            return node if same else replace(node, value=items)
        entries = {k: _entry(e, self.node(e.node, (*path, k))) for k, e in value.items()}
        same = all(entries[key] is entry for key, entry in value.items())
        return node if same else replace(node, value=entries)

    def scalar(self, node: Node, text: Scalar, path: Path, found: list[re.Match[str]]) -> Node:
        """Return a scalar with the values in it."""
        problems = [*self._names(path, found)]
        if not problems and _is_secret_place(path):
            message = f"'{path[-1]}' is a place for a secret: values cannot be used here"
            help = "write {env: NAME} or {file: PATH}"
            problems = [self.place.at("secret-value", path, message, help=help)]
            for match in found:
                if given := self.declared[_name(match)].given:
                    given.hide()
        if problems or any(self.declared[_name(match)].given is None for match in found):
            self.result.unknown.add(path)
            self.result.problems += problems
            return node
        before = self.grown
        self.grown += sum(len(d.given.text) for m in found if (d := self.declared[_name(m)]).given)
        if self.grown > _MOST:
            message = f"the values put more than {_MOST} characters into the policy"
            if before <= _MOST:
                self.result.problems.append(self.place.at("too-large", path, message))
            self.result.unknown.add(path)
            return node
        if found[0].span() == (0, len(text)):
            return self._whole(node, text, path, found[0])
        return self._parts(node, text, path, found)

    def _names(self, path: Path, found: list[re.Match[str]]) -> Iterator[Problem]:
        """Explain names that are not declared."""
        for match in found:
            name = _name(match)
            if name in self.declared:
                continue
            help = ""
            if len(self.result.problems) < SHOWN:
                known = list(self.declared)[:_KNOWN]
                help = suggestion(name, known) or (
                    f"declared: {', '.join(known[:10])}"
                    if known
                    else "declare it under 'values': NAME: {type: text}"
                )
            flaw = Flaw(
                f"the value '{name[:60]}' is not declared",
                match.start(1),
                max(1, len(name)),
                help,
            )
            yield self.place.flaw("unknown-value", path, flaw)

    def _whole(self, node: Node, text: Scalar, path: Path, match: re.Match[str]) -> Node:
        """Return a scalar that is one value: it has the type of its place."""
        declared = self.declared[_name(match)]
        given = declared.given
        assert given is not None  # noqa: S101 - looked at before
        if may_be_secret(path, given.text):
            given.hide()
        made = Scalar(given.text, plain=declared.type not in {"text"})
        use = Use(given, match.span(), (0, len(made)))
        return replace(node, value=made, made=Made(text, (use,)))

    def _parts(self, node: Node, text: Scalar, path: Path, found: list[re.Match[str]]) -> Node:
        """Return a scalar of which values are parts."""
        query = len(path) > 2 and path[0] == "signals" and path[2:] in _QUERIES
        spans = string_spans(text) if query and len(text) <= LONGEST else []
        made, last, uses = "", 0, []
        problems: list[Problem] = []
        for match in found:
            declared = self.declared[_name(match)]
            given = declared.given
            assert given is not None  # noqa: S101 - looked at before
            made += text[last : match.start()]
            put = Put(given.text)
            if query and len(text) <= LONGEST:  # a longer one is refused
                quote = quote_at(match.start(), spans)
                put = in_query(declared.type, made, given.text, quote)
            elif _is_url(path) and not problems:  # one may begin what the next goes on with
                put = in_url(made, given.text, text[match.end() :])
            if put.fault:
                where = self.place.where(path)
                message = f"the value '{given.name}' {put.fault} (used in {where})"
                problems.append(given.problem("bad-value", message, help=put.help))
            uses.append(Use(given, match.span(), (len(made), len(made) + len(put.text))))
            made += put.text
            last = match.end()
        made += text[last:]
        if not problems and _makes_variables(text, made, len(found)):
            message = f"'{path[-1]}': values may not make template variables"
            problems.append(self.place.at("bad-value", path, message))
        if problems:
            self.result.problems += problems
            self.result.unknown.add(path)
            return node
        return replace(node, value=Scalar(made, plain=text.plain), made=Made(text, tuple(uses)))


def _makes_variables(text: str, made: str, uses: int) -> bool:
    """Whether a text has other template variables with its values than without."""
    without = _USE.sub("\0", text)  # which is in no value
    opened = text.count("{{") - uses
    return made.count("{{") != opened or names_of(made) != names_of(without)


def _is_url(path: Path) -> bool:
    """Whether a URL stands at a path."""
    return path == ("prometheus", "url") or (path[0] == "signals" and path[2:] == ("url",))


def _is_secret_place(path: Path) -> bool:
    """Whether a secret is expected at a path, or named there."""
    names = [str(step) for step in path]
    if names[-1] == "file":
        return False
    if "headers" in names:
        return names[-1] == "env" or is_secret_name(names[names.index("headers") + 1])
    secret = {"bearer", "password", "env"}
    return is_secret_name(names[-1]) or not secret.isdisjoint(names)
