"""The note on a revision that says which copies hold its configuration: what was kept, and when.

Decides the note's form and whether it is believed. The controller and `kubectl rollout undo` copy
annotations from object to object, so a note counts only where it names the revision's own template.
Pure. Names only: no contents stand in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from deploy_guard.cluster.notes import parsed
from deploy_guard.cluster.references import CONFIG_MAP, SECRET
from deploy_guard.cluster.snapshot import Json
from deploy_guard.cluster.target import NAME
from deploy_guard.cluster.templates import hash_of
from deploy_guard.cluster.times import seconds
from deploy_guard.outputs.format import stamp

CONFIG = "deploy-guard/config"
SNAPSHOTS = 3  # of one revision: a second one must not take the place of what was good before
LONGEST = 100_000  # bytes of the note; all annotations of an object share 256 KiB


@dataclass(frozen=True, slots=True)
class Kept:
    """One ConfigMap or Secret and the name of its copy, which is of the same kind."""

    kind: str
    name: str
    uid: str
    copy: str
    immutable: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Without:
    """One ConfigMap or Secret of which no copy was kept, and why."""

    kind: str
    name: str
    why: str
    optional: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


ABSENT = "it did not exist"


@dataclass(frozen=True, slots=True)
class Index:
    """One snapshot of a revision's configuration: what it was at all snapshots in a time.

    `at` is the latest of them and `since` the first, in Unix seconds; `by` took the latest.
    """

    template: str
    at: float
    by: str
    kept: tuple[Kept, ...]
    without: tuple[Without, ...] = ()
    since: float = 0.0

    def same_as(self, other: Index) -> bool:
        """Tell whether another snapshot kept the same, whenever it was taken."""
        one, two = (
            (index.template, index.kept, [str(w) for w in index.without]) for index in (self, other)
        )
        return one == two


def indices(revision: Json) -> tuple[Index, ...]:
    """Return the snapshots that a ReplicaSet or ControllerRevision has, the newest first.

    None where the note is about another template, or is not one of ours.
    """
    note = _note(revision)
    if str(note.get("template", "")) != hash_of(revision):
        return ()
    try:
        return tuple(_index(hash_of(revision), found) for found in note.get("snapshots") or ())
    except (KeyError, TypeError, ValueError, AttributeError):
        return ()


def index_of(revision: Json, *, before: float | None = None) -> Index | None:
    """Return the newest snapshot of a revision, or the newest that was there at `before`."""
    return next((i for i in indices(revision) if before is None or i.since <= before), None)


def joined(index: Index, former: tuple[Index, ...]) -> tuple[Index, ...]:
    """Return all snapshots of a revision with a new one, which renews the latest if it is equal."""
    if former and former[0].same_as(index):
        return (replace(index, since=former[0].since), *former[1:])
    return (replace(index, since=index.at), *former)


def copies_named(objects: Iterable[Json]) -> set[str]:
    """Return the names of all copies that any note on these objects names, believed or not."""
    return {name for obj in objects for name in _copies(_note(obj))}


def note_text(found: Iterable[Index]) -> str:
    """Write the note of one revision, the newest snapshot first, as short as the limits ask."""
    chosen = list(found)[:SNAPSHOTS]
    while True:
        note = {
            "template": chosen[0].template,
            "snapshots": [_written(index) for index in chosen],
        }
        text = json.dumps(note, separators=(",", ":"), ensure_ascii=False)
        if len(text.encode()) <= LONGEST or len(chosen) == 1:
            return text
        chosen.pop()


def _note(obj: Json) -> Json:
    return parsed((obj["metadata"].get("annotations") or {}).get(CONFIG))


def _copies(note: Any) -> Iterator[str]:
    if isinstance(note, dict):
        for key, value in note.items():
            if key == "copy" and isinstance(value, str):
                yield value
            else:
                yield from _copies(value)
    elif isinstance(note, list):
        for value in note:
            yield from _copies(value)


def _index(template: str, found: Json) -> Index:
    return Index(
        template=template,
        at=seconds(found["at"]),
        since=seconds(found.get("since") or found["at"]),
        by=str(found.get("by", "")),
        kept=tuple(
            Kept(*_named(k), str(k["uid"]), _name(k["copy"]), bool(k.get("immutable")))
            for k in found["kept"]
        ),
        without=tuple(
            Without(*_named(w), str(w["why"]), bool(w.get("optional")))
            for w in found.get("without") or ()
        ),
    )


def _named(found: Json) -> tuple[str, str]:
    """Return kind and name of an object; they end up in paths."""
    if found["kind"] not in (CONFIG_MAP, SECRET):
        raise ValueError("neither a ConfigMap nor a Secret")
    return found["kind"], _name(found["name"])


def _name(text: str) -> str:
    if NAME.fullmatch(text) is None:
        raise ValueError("not a name in Kubernetes")
    return text


def _written(index: Index) -> Json:
    kept = [
        {"kind": k.kind, "name": k.name, "uid": k.uid, "copy": k.copy}
        | ({"immutable": True} if k.immutable else {})
        for k in index.kept
    ]
    without = [
        {"kind": w.kind, "name": w.name, "why": w.why} | ({"optional": True} if w.optional else {})
        for w in index.without
    ]
    written: Json = {"at": stamp(index.at), "by": index.by, "kept": kept}
    since = {"since": stamp(index.since)} if stamp(index.since) != stamp(index.at) else {}
    return written | since | ({"without": without} if without else {})
