"""What a policy inherits from the files that it extends, as one tree.

Decides which key wins. Sections are merged key by key, except `prometheus`: half a connection from
one file and a password from another would send secrets to the wrong place. Signals of one name
are merged key by key, and what stands below such a key is replaced as a whole.
"""

from __future__ import annotations

from dataclasses import replace

from pydantic import ValidationError

from deploy_guard.policy import yaml
from deploy_guard.policy.models import Policy
from deploy_guard.policy.place import Place
from deploy_guard.policy.problems import Problem, suggestion
from deploy_guard.policy.scalars import Scalar
from deploy_guard.policy.signal_rules import MEASURES
from deploy_guard.policy.yaml import Entry, Node, Path

_BY_KEY = {"watch", "rollback", "hold", "kubernetes"}
_OWN = {"version", "name", "description", "extends", "omit", "abstract"}  # never inherited
Entries = dict[str, Entry]


class Inheritance:
    """Puts the trees of several files together; `problems` has what does not fit."""

    def __init__(self, place: Place, bases: list[Node], omit: list[str], *, abstract: bool) -> None:
        self.place = place
        self.abstract = abstract
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
                self._no_more_choices(name, declaration, base[name])
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

    def _no_more_choices(self, name: str, own: Entry, base: Entry) -> None:
        """Refuse what the extended file does not allow: it may say where a secret can be sent."""
        mine, first = _entries(own.node).get("one_of"), _entries(base.node).get("one_of")
        if mine is None or first is None or not isinstance(mine.node.value, list):
            return
        allowed = yaml.plain(first.node)
        for position, choice in enumerate(mine.node.value):
            if isinstance(allowed, list) and yaml.plain(choice) not in allowed:
                where = f"{first.node.source.file}:{first.node.source.spot(first.start)[0]}"
                message = f"'one_of' of '{name[:60]}' allows more than {where}"
                path = ("values", name, "one_of", position)
                help = "fewer values are fine, others are not"
                self.problems.append(self.place.at("conflict", path, message, help=help))

    def _signals(self, mine: Entry | None) -> Entry | None:
        """Return the list of all signals: those that are inherited first."""
        listed, inherited, wrong = self._inherited_signals()
        if wrong is not None:
            return wrong
        if mine is not None and not isinstance(mine.node.value, list):
            return mine
        own = mine.node.value if mine is not None and isinstance(mine.node.value, list) else []
        merged: list[Node] = list(inherited)
        taken: dict[int, int] = {}
        names = [_name(signal) for signal in merged]
        for position, signal in enumerate(own):
            name = _name(signal)
            at = names.index(name) if name in names else -1
            if at < 0 and self._is_part_of_none(signal, names, ("signals", position)):
                continue
            if at in taken and "provider" not in _entries(signal):  # with one, `rules` tells
                where = self.place.file_line(("signals", taken[at], "name"))
                message = f"the name '{name}' is taken by the signal at {where}"
                path: Path = ("signals", position, "name")
                help = "write all that differs from the inherited one there"
                self.problems.append(self.place.at("duplicate-name", path, message, help=help))
            elif at < 0 or at in taken:
                merged.append(signal)
            else:
                taken[at] = position
                merged[at] = self._signal(signal, merged[at], ("signals", position))
        entry = mine or listed
        if entry is None:
            return None
        return Entry(entry.start, entry.end, replace(entry.node, value=merged))

    def _is_part_of_none(self, signal: Node, names: list[str | None], path: Path) -> bool:
        """Tell of a signal that has only what differs, but from none that is inherited."""
        name, known = _name(signal), [name for name in names if name is not None]
        if self.abstract or name is None or not known or "provider" in _entries(signal):
            return False
        message = f"no inherited signal has the name '{name[:60]}', and this one has no 'provider'"
        help = suggestion(name, known[:200]) or f"inherited: {', '.join(known[:10])}"
        at = (*path, "name")
        self.problems.append(self.place.at("unknown-signal", at, message, help=help))
        return True

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
        self._same_provider(mine, first, path)
        if "provider" in first:
            merged["provider"] = first["provider"]
        had = [key for key in MEASURES if key in first]
        other = [key for key in MEASURES if key in mine and key not in first]
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

    def _same_provider(self, mine: Entries, first: Entries, path: Path) -> None:
        """Refuse another provider: the keys of one are not those of another."""
        if "provider" not in mine or "provider" not in first:
            return
        own, base = mine["provider"].node.value, first["provider"].node.value
        if own == base or not isinstance(base, Scalar):
            return
        message = f"the inherited signal has the provider '{base[:60]}': expected no other"
        name = mine["name"].node.value
        help = f"omit: [{name}] leaves it out; then this one needs all its keys"
        at = (*path, "provider")
        self.problems.append(self.place.at("contradiction", at, message, help=help))


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
