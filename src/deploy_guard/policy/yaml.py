"""YAML text to a tree of nodes with positions: scalars stay text, every trap is a problem.

Decides what of YAML a policy may use: mappings, lists, scalars, anchors and merge keys within
bounds. Refuses tags, several documents, duplicate keys, cycles. Reads parser events one by one,
so a bomb is refused as soon as a bound is passed, before it is built.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from deploy_guard.policy.given import Made
from deploy_guard.policy.problems import Problem
from deploy_guard.policy.scalars import Scalar
from deploy_guard.policy.source import Source

MAX_DEPTH = 30
MAX_NODES = 20_000  # with aliases followed; a policy of 500 signals has about 10,000
_LOADER: Any = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_TAGS = {None, "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}
_MERGE = "<<"
_LINE = re.compile(r"^.*[^\s].*$", re.MULTILINE)
Path = tuple[str | int, ...]  # the keys and positions that lead to a value


@dataclass(slots=True)
class Entry:
    """A key of a mapping with its place, and its value."""

    start: int
    end: int
    node: Node


@dataclass(slots=True)
class Node:
    """A value and its place: a scalar, a list of nodes, or a mapping of entries.

    `start` and `end` are indexes in the text of `source`, which is that of its entry's key too.
    `size` counts the nodes in it and `height` its levels, aliases followed. `made` tells how a
    scalar came to its text, if that is not as it is written.
    """

    start: int
    end: int
    value: Scalar | list[Node] | dict[str, Entry]
    source: Source
    made: Made | None = None
    size: int = 1
    height: int = 1
    complete: bool = True


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come yet."""

    node: Node
    flow: bool
    key: tuple[Scalar, int, int] | None = None
    merged: list[Node] = field(default_factory=list)


class _Stop(Exception):
    """Nothing after this can be read; carries the last problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def parse(source: Source) -> tuple[Node | None, list[Problem]]:
    """Return the tree of the only document in a text, and every problem on the way.

    The tree is None when the text cannot be read to its end.
    """
    builder = _Builder(source)
    try:
        if control := _CONTROL.search(source.text):
            name = f"U+{ord(control[0]):04X}"
            message = f"the file has a control character, {name}: expected text"
            raise _Stop(source.problem("binary", message, control.start()))
        builder.read()
    except _Stop as stop:
        return None, [*builder.problems, stop.problem]
    except yaml.MarkedYAMLError as error:
        return None, [*builder.problems, _syntax(source, error)]
    except yaml.reader.ReaderError as error:
        message = "the file has a character that YAML does not allow"
        return None, [*builder.problems, source.problem("binary", message, _reader_index(error))]
    return builder.root, builder.problems


def plain(node: Node) -> Any:
    """Return the tree as dicts, lists and texts."""
    if isinstance(node.value, dict):
        return {key: plain(entry.node) for key, entry in node.value.items()}
    if isinstance(node.value, list):
        return [plain(item) for item in node.value]
    return node.value


def walk(node: Node, path: Path = ()) -> Iterator[tuple[Path, Node]]:
    """Yield every node below a node with its path, itself first."""
    yield path, node
    if isinstance(node.value, dict):
        for key, entry in node.value.items():
            yield from walk(entry.node, (*path, key))
    elif isinstance(node.value, list):
        for position, item in enumerate(node.value):
            yield from walk(item, (*path, position))


class _Builder:
    """Builds the tree from events."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self._open: list[_Open] = []
        self._anchors: dict[str, Node] = {}
        self._nodes = 0

    def read(self) -> None:
        """Read all events of the text."""
        documents = 0
        for event in yaml.parse(self.source.text, Loader=_LOADER):
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._stop(
                        "several-documents",
                        "a second document begins here: expected one policy per file",
                        event,
                        help="put each policy into its own file; -p may be given several times",
                    )
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event)
            elif isinstance(event, yaml.NodeEvent):
                self._node(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._end(event)

    def _node(self, event: Any) -> None:
        """Take a scalar, or open a collection."""
        start, end = event.start_mark.index, event.end_mark.index
        if event.tag not in _TAGS:
            tag = str(event.tag).replace("tag:yaml.org,2002:", "!!")
            self.problems.append(
                self.source.problem(
                    "tag",
                    f"the tag {tag[:60]} is not used in policies",
                    start,
                    end,
                    help="remove it",
                )
            )
        if isinstance(event, yaml.ScalarEvent):
            scalar = Scalar(event.value, plain=event.style in (None, "") and event.tag is None)
            if event.anchor or event.tag:  # the place is the text, not the marks before it
                prefix = re.match(r"(?:[&!]\S*\s+)+", self.source.text[start:end])
                start += prefix.end() if prefix else 0
            node = Node(start, end, scalar, self.source)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = Node(start, end, [], self.source, complete=False)
        else:
            node = Node(start, end, {}, self.source, complete=False)
        if event.anchor:
            self._anchors[event.anchor] = node
        self._count(1, event)
        if node.complete:
            self._place(node)
            return
        self._deepen(1, event)
        self._open.append(_Open(node, bool(event.flow_style)))

    def _alias(self, event: Any) -> None:
        """Put the anchored node in the alias' place."""
        node = self._anchors.get(event.anchor)
        if node is None:
            self._stop(
                "unknown-anchor", f"the anchor '{event.anchor[:60]}' is not defined above", event
            )
        elif not node.complete:
            self._stop("cyclic-anchor", f"the anchor '{event.anchor[:60]}' contains itself", event)
        else:
            self._count(node.size, event)
            self._deepen(node.height, event)
            self._place(node, (event.start_mark.index, event.end_mark.index))

    def _end(self, event: Any) -> None:
        """Close the innermost collection and put it in its place."""
        closed = self._open.pop()
        node = closed.node
        if closed.flow:
            node.end = event.end_mark.index
        for merged in closed.merged:
            self._merge(node, merged)
        node.complete = True
        self._place(node)

    def _place(self, node: Node, alias: tuple[int, int] | None = None) -> None:
        """Put a complete node into the collection that is open, as key, value or item."""
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        parent.node.size += node.size
        parent.node.height = max(parent.node.height, node.height + 1)
        if isinstance(parent.node.value, list):
            parent.node.value.append(node)
        elif parent.key is None:
            parent.key = self._key(node, alias)
        else:
            self._entry(parent, node)
            parent.key = None

    def _key(self, node: Node, alias: tuple[int, int] | None) -> tuple[Scalar, int, int]:
        """Return a key and its place; only texts are keys."""
        start, end = alias or (node.start, node.end)
        if not isinstance(node.value, Scalar):
            braces = self.source.text[max(0, start - 1) : start + 2].count("{") > 1
            help = "a text that begins with {{ must stand in quotes" if braces else ""
            raise _Stop(self.source.problem("key", "a key must be a text", start, end, help=help))
        return node.value, start, end

    def _entry(self, parent: _Open, node: Node) -> None:
        """Add a value to its mapping, unless its key is there already."""
        assert parent.key is not None and isinstance(parent.node.value, dict)  # noqa: S101
        key, start, end = parent.key
        if key == _MERGE and key.plain:
            items = node.value if isinstance(node.value, list) else [node]
            if all(isinstance(item.value, dict) for item in items):
                parent.merged.extend(items)
            else:
                message = "a merge key takes a mapping or a list of mappings"
                self.problems.append(self.source.problem("merge-key", message, start, end))
        elif first := parent.node.value.get(key):
            line = self.source.spot(first.start)[0]
            self.problems.append(
                self.source.problem(
                    "duplicate-key",
                    f"the key '{key[:60]}' is there twice",
                    start,
                    end,
                    help=f"it was first given in line {line}; keep one of them",
                )
            )
        else:
            parent.node.value[str(key)] = Entry(start, end, node)

    def _merge(self, node: Node, merged: Node) -> None:
        """Add the keys of a merged mapping that are not there already."""
        assert isinstance(node.value, dict) and isinstance(merged.value, dict)  # noqa: S101
        for key, entry in merged.value.items():
            node.value.setdefault(key, entry)

    def _count(self, more: int, event: Any) -> None:
        """Count nodes, aliases followed, and stop at the bound."""
        self._nodes += more
        if self._nodes > MAX_NODES:
            self._stop(
                "too-large",
                f"the file has more than {MAX_NODES} values, aliases followed",
                event,
                help="split it into several files; -p may be given several times",
            )

    def _deepen(self, levels: int, event: Any) -> None:
        """Stop when so many more levels would be too deep."""
        if len(self._open) + levels > MAX_DEPTH:
            self._stop("too-deep", f"nested deeper than {MAX_DEPTH} levels", event)

    def _stop(self, code: str, message: str, event: Any, *, help: str = "") -> NoReturn:
        """Give up reading, with a problem at an event."""
        start, end = event.start_mark.index, event.end_mark.index
        raise _Stop(self.source.problem(code, message, start, end, help=help))


def _syntax(source: Source, error: yaml.MarkedYAMLError) -> Problem:
    """Turn a parser's error into a problem in words that do not need the parser's source."""
    mark = error.problem_mark or error.context_mark
    index = min(mark.index if mark else 0, len(source.text))
    said = f"{error.context or ''} {error.problem or ''}"
    here = source.text[index : index + 1]
    opened = error.context_mark.index if error.context_mark else index
    if here == "\t":
        return source.problem("tab", "a tab cannot indent: expected blanks", index)
    if slip := _slip(source, index):
        return slip
    if "cannot start any token" in said and here:
        help = "put the text in quotes"
        return source.problem("yaml-syntax", f"a text cannot begin with {here}", index, help=help)
    if "mapping values are not allowed" in said:
        help = "put a text that contains ': ' in quotes; check the indentation"
        return source.problem("yaml-syntax", "a key is not expected here", index, help=help)
    if "quoted scalar" in said and index >= len(source.text.rstrip()):
        return source.problem("yaml-syntax", "the quote is not closed", opened)
    if "flow" in said and index >= len(source.text.rstrip()):
        opened = opened if source.text[opened : opened + 1] in "[{" else index
        return source.problem("yaml-syntax", "the bracket is not closed", opened)
    if "block mapping" in said or "block collection" in said:
        before = source.text[source.text.rfind("\n", 0, index) + 1 : index]
        if before.count('"') > 1 or before.count("'") > 1:
            help = "put a text that has double quotes in single quotes, and the other way round"
            return source.problem(
                "yaml-syntax", "the text goes on after its quote", index, help=help
            )
        help = "check the indentation: keys of one mapping begin in the same column"
        return source.problem("yaml-syntax", "expected a key or the end", index, help=help)
    words = " ".join(word for word in (error.problem, error.context) if word)
    return source.problem("yaml-syntax", f"not YAML: {words}", index)


def _slip(source: Source, index: int) -> Problem | None:
    """Find a blank that is missing, or is none, in the line of a parser's error or just before.

    The parser takes such a line for text that goes on, and complains only at the next key.
    """
    end = source.text.find("\n", index)
    lines = list(_LINE.finditer(source.text, 0, end if end >= 0 else len(source.text)))
    for line in reversed(lines[-2:]):
        text, start = line[0], line.start()
        if odd := re.match(r" *([^\S \t\r\n])", text):
            message = "this is no blank, though it looks like one: expected blanks"
            return source.problem("yaml-syntax", message, start + odd.start(1))
        if dash := re.match(r"\s*(-)[A-Za-z_][\w.-]*:(\s|$)", text):
            help = f"write - {text.strip()[1:].split(':')[0]}:"
            at = start + dash.start(1)
            return source.problem("yaml-syntax", "a blank is missing after -", at, help=help)
        if key := re.match(r"\s*(?:- +)*([A-Za-z_][\w.-]*):(?!//)([^\s:].*)", text):
            help = f"write {key[1]}: and a blank"
            at = start + key.end(1)
            return source.problem("yaml-syntax", "a blank is missing after :", at, help=help)
    return None


def _reader_index(error: yaml.reader.ReaderError) -> int:
    """Return where the reader met a character that it refuses."""
    return error.position if isinstance(error.position, int) else 0
