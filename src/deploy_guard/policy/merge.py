"""Several files to one policy, and where each part of it came from."""

from __future__ import annotations

from dataclasses import dataclass, field

from deploy_guard.policy.models import Policy, Section
from deploy_guard.policy.place import Place
from deploy_guard.policy.problems import Problem, Severity
from deploy_guard.policy.source import Source
from deploy_guard.policy.template import Flaw
from deploy_guard.policy.yaml import Path

SECTIONS = ("watch", "rollback", "hold", "prometheus", "kubernetes")


@dataclass(slots=True)
class Part:
    """One file: its policy, or what is right of it.

    `signals` are the positions in the file of its signals. `broken` names the sections (and
    ``signals``) that lack something, `damaged` the keys that signals lack, by position.
    """

    policy: Policy
    place: Place
    signals: list[int]
    broken: set[str] = field(default_factory=set)
    damaged: dict[int, set[str]] = field(default_factory=dict)
    conflicts: list[Problem] = field(default_factory=list)


@dataclass(slots=True)
class Places:
    """Where the parts of a merged policy stand; makes problems as a `Place` does."""

    first: Place
    sections: dict[str, Place]
    signals: list[tuple[Place, int]]
    broken: set[str]
    damaged: list[set[str]]
    sources: dict[str, Source] = field(default_factory=dict)

    def illustrate(self, problem: Problem) -> Problem:
        """Return a problem with what may be shown of its line."""
        source = self.sources.get(problem.file)
        return source.illustrate(problem) if source is not None else problem

    def own(self, path: Path) -> bool:
        """Whether a value stands in the file itself, not in one that it extends."""
        place, real = self.locate(path)
        return place.own(real)

    def locate(self, path: Path) -> tuple[Place, Path]:
        """Return the file and the path in it of a path in the merged policy."""
        if len(path) > 1 and path[0] == "signals" and isinstance(path[1], int):
            place, position = self.signals[path[1]]
            return place, ("signals", position, *path[2:])
        section = str(path[0]) if path else ""
        return self.sections.get(section, self.first), path

    def at(
        self,
        code: str,
        path: Path,
        message: str,
        *,
        help: str = "",
        severity: Severity = Severity.ERROR,
    ) -> Problem:
        """Return a problem at a value."""
        place, real = self.locate(path)
        return place.at(code, real, message, help=help, severity=severity)

    def key(
        self,
        code: str,
        path: Path,
        message: str,
        *,
        help: str = "",
        severity: Severity = Severity.ERROR,
    ) -> Problem:
        """Return a problem at a key."""
        place, real = self.locate(path)
        return place.key(code, real, message, help=help, severity=severity)

    def flaw(
        self, code: str, path: Path, flaw: Flaw, *, severity: Severity = Severity.ERROR
    ) -> Problem:
        """Return a problem within a text."""
        place, real = self.locate(path)
        return place.flaw(code, real, flaw, severity)

    def where(self, path: Path) -> str:
        """Return ``file:line`` of a path."""
        place, real = self.locate(path)
        return place.file_line(real)


def merge(parts: list[Part]) -> tuple[Policy, Places | None]:
    """Return the policy of all parts and its places; conflicts are noted in the later part.

    Without parts the policy is an empty one and there are no places.
    """
    if not parts:
        return Policy(version=1), None
    places = Places(parts[0].place, {}, [], {name for part in parts for name in part.broken}, [])
    chosen: dict[str, Section] = {}
    for part in parts:
        places.signals += [(part.place, position) for position in part.signals]
        places.damaged += [part.damaged.get(position, set()) for position in part.signals]
        for name in SECTIONS:
            section = getattr(part.policy, name)
            if name not in part.policy.model_fields_set or section is None:
                continue
            if name not in chosen:
                chosen[name] = section
                places.sections[name] = part.place
            elif chosen[name] != section and name not in places.broken:
                part.conflicts.append(_conflict(name, places, part))
    names = dict.fromkeys(part.policy.name for part in parts)
    texts = dict.fromkeys(p.policy.description for p in parts if p.policy.description)
    update = {
        **chosen,
        "name": ", ".join(names),
        "description": "\n".join(texts),
        "signals": [signal for part in parts for signal in part.policy.signals],
    }
    return parts[0].policy.model_copy(update=update), places


def _conflict(name: str, places: Places, part: Part) -> Problem:
    """Return the problem of a section that says something else than in a file before."""
    return part.place.key(
        "conflict",
        (name,),
        f"'{name}' differs from {places.where((name,))}",
        help="a section may stand in several files only if it says the same in each",
    )
