"""Where in a file the value at a path stands: what problems of a tree are made with.

Parts of a tree may come from files that are extended; each node knows its own. A scalar that is a
value has its problems where the value was given.
"""

from __future__ import annotations

from dataclasses import dataclass

from deploy_guard.policy.problems import Problem, Severity
from deploy_guard.policy.scalars import Scalar
from deploy_guard.policy.source import Source
from deploy_guard.policy.template import Flaw
from deploy_guard.policy.yaml import Entry, Node, Path

_CHAPTERS = ("watch", "rollback", "hold", "prometheus", "kubernetes", "signals")
_REUSE = ("extends", "omit", "abstract", "values")


@dataclass(frozen=True, slots=True)
class Place:
    """A file and its tree, of which parts may stand in other files."""

    source: Source
    root: Node

    def at(
        self,
        code: str,
        path: Path,
        message: str,
        *,
        help: str = "",
        severity: Severity = Severity.ERROR,
    ) -> Problem:
        """Return a problem at a value: a scalar as a whole, a collection at its first key."""
        node, entry, rest = self._find(path)
        docs = anchor(path)
        if node.made is not None and not rest:
            if (given := node.made.whole) is not None:
                message += f" (the value '{given.name}', used in {self.where(path)})"
                return given.problem(code, message, help=help, severity=severity, docs=docs)
            message += f" ({node.made.says})"
        if rest and entry is not None:  # what is named is not there: show the key it belongs to
            start, end = entry.start, entry.end
        else:
            start, end = _span(node)
        if start == end and entry is not None:  # an empty value has no place of its own
            start, end = entry.start, entry.end
        return node.source.problem(
            code, message, start, end, help=help, severity=severity, docs=docs
        )

    def key(
        self,
        code: str,
        path: Path,
        message: str,
        *,
        help: str = "",
        severity: Severity = Severity.ERROR,
    ) -> Problem:
        """Return a problem at the key that leads to a value; at an item of a list, at the item."""
        _, entry, rest = self._find(path)
        if entry is None or rest or isinstance(path[-1], int):
            return self.at(code, path, message, help=help, severity=severity)
        return entry.node.source.problem(
            code, message, entry.start, entry.end, help=help, severity=severity, docs=anchor(path)
        )

    def flaw(
        self, code: str, path: Path, flaw: Flaw, severity: Severity = Severity.ERROR
    ) -> Problem:
        """Return a problem within a text, at the exact character where that can be told."""
        node, _, rest = self._find(path)
        if node.made is not None and node.made.whole is not None and not rest:
            message = f"'{path[-1]}': {flaw.message}"
            return self.at(code, path, message, help=flaw.help, severity=severity)
        start, end = _span(node)
        if isinstance(node.value, Scalar):
            start, end = self._within(node, flaw) or (start, end)
        message = f"'{path[-1]}': {flaw.message}"
        if node.made is not None:
            message += f" ({node.made.says})"
        return node.source.problem(
            code, message, start, end, help=flaw.help, severity=severity, docs=anchor(path)
        )

    def line(self, path: Path) -> int:
        """Return the line of a key (or item)."""
        node, entry, _ = self._find(path)
        return node.source.spot(entry.start if entry else node.start)[0]

    def file_line(self, path: Path) -> str:
        """Return ``file:line`` of a key (or item)."""
        return f"{self._find(path)[0].source.file}:{self.line(path)}"

    def where(self, path: Path) -> str:
        """Return ``file:line:column`` of a value, as it is written."""
        node = self._find(path)[0]
        line, column = node.source.spot(node.start)
        return f"{node.source.file}:{line}:{column}"

    def is_list(self, path: Path) -> bool:
        """Whether a value is a list."""
        return isinstance(self._find(path)[0].value, list)

    def own(self, path: Path) -> bool:
        """Whether a value stands in the file itself, not in one that it extends."""
        return self._find(path)[0].source is self.source

    def _find(self, path: Path) -> tuple[Node, Entry | None, Path]:
        """Return the deepest node on a path, the entry that leads to it, and the steps left."""
        node, entry = self.root, None
        for depth, step in enumerate(path):
            if isinstance(node.value, dict) and isinstance(step, str) and step in node.value:
                entry = node.value[step]
                node = entry.node
            elif isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
                node, entry = node.value[step], None
            else:
                return node, entry, path[depth:]
        return node, entry, ()

    def _within(self, node: Node, flaw: Flaw) -> tuple[int, int] | None:
        """Find the flaw's piece of text in the source: the same occurrence, counted from the start.

        Quotes, folding and escapes move characters; None when the counts then differ.
        """
        value, offset = str(node.value), flaw.offset
        end = offset + max(1, flaw.length)
        if node.made is not None:
            value, last = str(node.made.written), node.made.origin(end - 1)
            offset, end = node.made.origin(offset)[0], last[1]
        piece = value[offset:end]
        low, high = node.start, node.end
        if node.source.text[low : low + 1] in {"'", '"'}:
            low, high = low + 1, high - 1
        text = node.source.text[low:high]
        if not piece or text.count(piece) != value.count(piece):
            return None
        at = -1
        for _ in range(value[:offset].count(piece) + 1):
            at = text.find(piece, at + 1)
        return (low + at, low + at + len(piece)) if at >= 0 else None


def _span(node: Node) -> tuple[int, int]:
    """Return what to point at: a scalar's text, else the first key or the opening bracket."""
    if isinstance(node.value, dict) and node.value:
        own = (e for e in node.value.values() if e.node.source is node.source)
        first = min(own, key=lambda entry: entry.start, default=None)
        if first is not None and first.start == node.start:
            return first.start, first.end
    if isinstance(node.value, Scalar):
        return node.start, node.end
    return node.start, node.start + 1


def anchor(path: Path) -> str:
    """Return the part of the policy reference that describes a path's mapping."""
    if path and path[0] in _REUSE:
        return f"policy-reference.md#{'values' if path[0] == 'values' else 'reuse'}"
    top = str(path[0]) if len(path) > 1 else "policy"
    return f"policy-reference.md#{top if top in _CHAPTERS else 'policy'}"
