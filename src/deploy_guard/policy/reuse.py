"""`extends`: the files that a policy file is made from, put together as one tree.

Decides which key wins. Sections are merged key by key, except `prometheus`: half a connection from
one file and a password from another would send secrets to the wrong place. Signals of one name
are merged key by key, and what stands below such a key is replaced as a whole. One level only:
who reads a policy has one place to look at.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from deploy_guard.policy import yaml
from deploy_guard.policy.explain import explain
from deploy_guard.policy.models import Policy
from deploy_guard.policy.place import Place
from deploy_guard.policy.problems import Problem, suggestion
from deploy_guard.policy.reading import STDIN_NAME, hide_secrets, read_source
from deploy_guard.policy.reuse_models import REUSE, Header
from deploy_guard.policy.scalars import Scalar
from deploy_guard.policy.source import Source
from deploy_guard.policy.yaml import Entry, Node, Path

_BY_KEY = {"watch", "rollback", "hold", "kubernetes"}
_WHOLE = {"prometheus"}
_OWN = {"version", "name", "description", "extends", "omit", "abstract"}  # never inherited
_MEASURES = ("ratio", "latency", "value")
Entries = dict[str, Entry]


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
        base = _base(place, position, name, sources)
        if isinstance(base, list):
            problems += [((), problem) for problem in base]
            usable = False
        else:
            bases.append(base)
    if not usable:
        return Reused(None, header, wrong, problems)
    if header.extends or header.omit:
        merged = _Merging(place, bases, header.omit)
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


def _base(
    place: Place, position: int, name: str, sources: dict[str, Source]
) -> Node | list[Problem]:
    """Return the tree of a file that is extended, or why it cannot be."""
    folder = "" if place.source.file == STDIN_NAME else os.path.dirname(place.source.file)  # noqa: PTH120
    file = os.path.normpath(os.path.join(folder, name))  # noqa: PTH118
    at: Path = ("extends", position) if place.is_list(("extends",)) else ("extends",)
    if fault := _unusable(file, folder, name):
        return [place.at("bad-base", at, fault[0], help=fault[1])]
    itself = os.path.normpath(place.source.file) == file
    if file in sources or itself:
        message = "a file cannot extend itself" if itself else f"'{name[:60]}' is extended twice"
        return [place.at("bad-base", at, message, help="remove it")]
    source = read_source(file)
    if isinstance(source, Problem):
        if source.line or source.code == "too-large":
            return [source]
        return [place.at("bad-base", at, f"'{name[:60]}': {source.message}")]
    sources[file] = source
    root, problems = yaml.parse(source)
    if root is not None:
        hide_secrets(source, root)
    if problems:
        return problems
    if root is None or not isinstance(root.value, dict):
        return [place.at("bad-base", at, f"'{name[:60]}' is no policy: expected a mapping")]
    base = Place(source, root)
    if "extends" in root.value:
        message = f"'{name[:60]}' extends files itself: one level is all there is"
        help = f"extend them here, beside it; see {base.where(('extends',))}"
        return [place.at("bad-base", at, message, help=help)]
    return _version(base) or root


def _version(base: Place) -> list[Problem]:
    """Return what is wrong with the version of a file that is extended."""
    assert isinstance(base.root.value, dict)  # noqa: S101 - looked at before
    entry = base.root.value.get("version")
    value = {} if entry is None else {"version": yaml.plain(entry.node)}
    try:
        Policy.model_validate(value)
    except ValidationError as error:
        return [problem for _, problem in explain(error, value, base)]
    return []


def _unusable(file: str, folder: str, name: str) -> tuple[str, str] | None:
    """Return why a path can be no policy file, and help."""
    if "{{" in name:
        return "values cannot be used in 'extends'", "write the name of the file"
    if "\0" in name or file == "-":
        return f"'{name[:60]}' is not the name of a file", ""
    if os.path.isdir(file):  # noqa: PTH112
        return f"'{name[:60]}' is a directory: expected a policy file", "name each file"
    if os.path.isfile(file):  # noqa: PTH113
        return None
    if os.path.exists(file):  # noqa: PTH110
        return f"'{name[:60]}' is not a regular file", ""
    near = os.path.join(folder, os.path.dirname(name))  # noqa: PTH118, PTH120
    try:
        known = os.listdir(near or ".")[:1000]  # noqa: PTH208
    except OSError:
        known = []
    help = suggestion(os.path.basename(name), known)  # noqa: PTH119
    where = "the current directory" if not folder else f"'{folder[:200]}'"
    return f"'{name[:60]}' does not exist", help or f"paths are relative to {where}"


class _Merging:
    """Puts the trees of several files together."""

    def __init__(self, place: Place, bases: list[Node], omit: list[str]) -> None:
        self.place = place
        self.problems: list[Problem] = []
        self.bases = bases
        self.omit = omit

    def root(self) -> Node:
        """Return the tree of a file with what it inherits."""
        own = _entries(self.place.root)
        merged = dict(own)
        inherited = self._inherited()
        for key, entry in inherited.items():
            mine = own.get(key)
            if key == "signals":
                continue
            if mine is None:
                merged[key] = entry
            elif key in _BY_KEY:
                merged[key] = _both(mine, entry)
            elif key == "values":
                merged[key] = self._values(mine, entry)
        signals = self._signals(own.get("signals"))
        if signals is not None:
            merged["signals"] = signals
        return replace(self.place.root, value=merged)

    def _inherited(self) -> Entries:
        """Return what the extended files say together, without their signals."""
        found: Entries = {}
        for base in self.bases:
            for key, entry in _entries(base).items():
                if key in _OWN or key.startswith("x-") or key == "signals":
                    continue
                first = found.setdefault(key, entry)
                if first is entry:
                    continue
                if key == "values":
                    found[key] = self._together(first, entry)
                elif not _same(key, first, entry):
                    self._conflict(key, first, entry)
        return found

    def _together(self, first: Entry, entry: Entry) -> Entry:
        """Return the declarations of two extended files."""
        one, two = first.node.value, entry.node.value
        if not isinstance(one, dict) or not isinstance(two, dict):
            return entry if isinstance(one, dict) else first
        for name, mine in two.items():
            if name in one and yaml.plain(one[name].node) != yaml.plain(mine.node):
                self._conflict(name, one[name], mine)
        return Entry(first.start, first.end, replace(first.node, value={**two, **one}))

    def _conflict(self, key: str, first: Entry, entry: Entry) -> None:
        """Note that two extended files contradict each other."""
        line, _ = first.node.source.spot(first.start)
        message = f"'{key[:60]}' differs from {first.node.source.file}:{line}"
        help = "files that are extended together must not contradict each other"
        where = self.place.file_line(("extends",))
        problem = entry.node.source.problem(
            "conflict", f"{message}; {where} extends both", entry.start, entry.end, help=help
        )
        self.problems.append(problem)

    def _values(self, mine: Entry, entry: Entry) -> Entry:
        """Return declarations with those that are inherited: a default may be another."""
        own, base = mine.node.value, entry.node.value
        if not isinstance(own, dict) or not isinstance(base, dict):
            return mine if isinstance(base, dict) else entry
        merged = {**base, **own}
        for name, declaration in own.items():
            if name in base:
                merged[name] = _both(declaration, base[name])
                self._same_type(name, declaration, base[name])
        return Entry(mine.start, mine.end, replace(mine.node, value=merged))

    def _same_type(self, name: str, own: Entry, base: Entry) -> None:
        """Refuse another type than the extended file has, where the value may be used."""
        mine, first = _entries(own.node).get("type"), _entries(base.node).get("type")
        if mine is None or first is None or mine.node.value == first.node.value:
            return
        where = f"{first.node.source.file}:{first.node.source.spot(first.start)[0]}"
        message = f"the type of '{name[:60]}' differs from {where}"
        path = ("values", name, "type")
        self.problems.append(self.place.at("conflict", path, message, help="leave it out"))

    def _signals(self, mine: Entry | None) -> Entry | None:
        """Return the list of all signals: those that are inherited first."""
        listed, inherited, wrong = self._inherited_signals()
        if wrong is not None:
            return wrong
        if mine is not None and not isinstance(mine.node.value, list):
            return mine
        own = mine.node.value if mine is not None and isinstance(mine.node.value, list) else []
        merged: list[Node] = list(inherited)
        taken: set[int] = set()
        names = [_name(signal) for signal in merged]
        for position, signal in enumerate(own):
            name = _name(signal)
            at = names.index(name) if name in names else -1
            if at < 0 or at in taken:
                merged.append(signal)
            else:
                taken.add(at)
                merged[at] = self._signal(signal, merged[at], ("signals", position))
        entry = mine or listed
        if entry is None:
            return None
        return Entry(entry.start, entry.end, replace(entry.node, value=merged))

    def _inherited_signals(self) -> tuple[Entry | None, list[Node], Entry | None]:
        """Return a list's entry, all signals that are inherited, and an entry that is no list."""
        listed: Entry | None = None
        found: list[Node] = []
        for base in self.bases:
            entry = _entries(base).get("signals")
            if entry is None:
                continue
            if not isinstance(entry.node.value, list):
                return listed, [], entry
            listed = listed or entry
            found += entry.node.value
        names = [name for name in map(_name, found) if name is not None]
        known = set(names)
        for position, name in enumerate(self.omit):
            if name not in known:
                message = f"no inherited signal has the name '{name[:60]}'"
                help = "" if len(self.problems) > 20 else suggestion(name, names[:200])
                if not help and names:
                    help = f"inherited: {', '.join(names[:10])}"
                at: Path = ("omit", position)
                self.problems.append(self.place.at("bad-omit", at, message, help=help))
        left_out = set(self.omit)
        return listed, [signal for signal in found if _name(signal) not in left_out], None

    def _signal(self, own: Node, base: Node, path: Path) -> Node:
        """Return a signal with the keys that it inherits."""
        mine, first = _entries(own), _entries(base)
        merged = {**first, **mine}
        had = [key for key in _MEASURES if key in first]
        other = [key for key in _MEASURES if key in mine and key not in first]
        if had and other and not set(had) & set(mine):
            name = _name(own)
            message = f"the inherited signal '{name}' measures '{had[0]}': expected no other"
            help = f"omit: [{name}] leaves it out; then this one needs all its keys"
            self.problems.append(
                self.place.key("several-measures", (*path, other[0]), message, help=help)
            )
            merged.pop(other[0])
        if "url" in mine and "headers" in first and "headers" not in mine:
            headers = first["headers"].node
            if any(isinstance(entry.node.value, dict) for entry in _entries(headers).values()):
                message = "the inherited 'headers' have a secret, which another URL would get"
                help = "write 'headers' beside 'url'"
                at = (*path, "url")
                self.problems.append(self.place.key("secret-elsewhere", at, message, help=help))
        return replace(own, value=merged)


def _entries(node: Node) -> Entries:
    """Return the entries of a mapping, none of anything else."""
    return node.value if isinstance(node.value, dict) else {}


def _both(own: Entry, base: Entry) -> Entry:
    """Return two mappings as one, in which the own keys win; what is no mapping is left to tell."""
    if not isinstance(own.node.value, dict):
        return own
    if not isinstance(base.node.value, dict):
        return base
    merged = replace(own.node, value={**base.node.value, **own.node.value})
    return Entry(own.start, own.end, merged)


def _name(signal: Node) -> str | None:
    """Return the name of a signal as it is written."""
    entry = _entries(signal).get("name")
    return str(entry.node.value) if entry and isinstance(entry.node.value, Scalar) else None


def _same(key: str, first: Entry, second: Entry) -> bool:
    """Whether two sections say the same."""
    one, two = yaml.plain(first.node), yaml.plain(second.node)
    if one == two:
        return True
    try:
        parsed = [Policy.model_validate({"version": 1, key: value}) for value in (one, two)]
    except ValidationError:
        return False
    return parsed[0] == parsed[1]


def without_header(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document without the keys that say how it is made, and without the user's own."""
    return {k: v for k, v in value.items() if k not in REUSE and not k.startswith("x-")}
