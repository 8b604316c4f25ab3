"""Compare a snapshot with what is live now: what differs, in words, and enough to put it back.

Decides which objects differ and how far that is known. How it is shown is `showing`'s to say. Reads
only. What cannot be read is told by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.errors import ApiError, Forbidden, NotFound
from deploy_guard.cluster.references import Use, mentions
from deploy_guard.cluster.snapshot import Json
from deploy_guard.configuration.at_once import at_once
from deploy_guard.configuration.copies import Original, contents_of_copy, original_of, restored_at
from deploy_guard.configuration.index import ABSENT, Index, Kept
from deploy_guard.configuration.objects import CONTENT, Contents, contents, path_of
from deploy_guard.configuration.showing import changes
from deploy_guard.configuration.writers import writer_of
from deploy_guard.masking import ABSENT as NOTHING
from deploy_guard.model import Change, Target
from deploy_guard.problems import Problem, warning


class State(StrEnum):
    """How an object stands to its copy."""

    UNCHANGED = "unchanged"
    CHANGED = "changed"
    GONE = "gone"
    UNKNOWN = "unknown"  # it, or its copy, cannot be read; `why` says so


@dataclass(frozen=True, slots=True)
class Difference:
    """One ConfigMap or Secret of a snapshot, as it is now and as it was.

    `keys` are those whose values differ, `changes` say how, `made_anew` whether it is another
    object than the one of the snapshot. `live` and `copy` are as read and never show themselves.
    """

    kind: str
    name: str
    state: State
    keys: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    made_anew: bool = False
    why: str = ""
    writer: str = ""  # the tool that writes it and may bring its own contents back
    live: Json | None = field(default=None, repr=False)
    copy: Json | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def restorable(self) -> bool:
        """Whether a restore would write it."""
        return self.state in (State.CHANGED, State.GONE)

    @property
    def original(self) -> Original:
        """What the copy knows of its source."""
        found = original_of(self.copy) if self.copy is not None else None
        if found is None:
            raise ValueError(f"{self}: there is no copy")
        return found

    @property
    def wanted(self) -> Contents:
        """The contents of the snapshot."""
        return contents_of_copy(self.copy or {}, self.original)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A snapshot next to what is live now."""

    target: Target
    index: Index
    differences: tuple[Difference, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def to_restore(self) -> tuple[Difference, ...]:
        """What differs and can be put back."""
        return tuple(each for each in self.differences if each.restorable)

    @property
    def changes(self) -> tuple[Change, ...]:
        """All differences in words: where, what is live now, what a restore puts back."""
        return tuple(change for each in self.differences for change in each.changes)


def compare(cluster: Cluster, target: Target, index: Index) -> Comparison:
    """Read every object of a snapshot and its copy, and tell what differs; never raises ApiError.

    Needs `get` on ConfigMaps and Secrets; what may not be read is a problem that names the right.
    """
    paths = [path_of(target, k.kind, name) for k in index.kept for name in (k.name, k.copy)]
    absent = [w for w in index.without if w.why == ABSENT]
    asked = [
        *(partial(_read, cluster, path) for path in paths),
        *(partial(_read, cluster, path_of(target, w.kind, w.name)) for w in absent),
    ]
    answers = at_once(asked)
    pairs = zip(answers[: len(paths) : 2], answers[1 : len(paths) : 2], strict=True)
    found = tuple(
        _difference(kept, live, copy) for kept, (live, copy) in zip(index.kept, pairs, strict=True)
    )
    new = [
        str(w)
        for w, answer in zip(absent, answers[len(paths) :], strict=True)
        if isinstance(answer, dict)
    ]
    return Comparison(target, index, found, tuple(_problems(index, found, new)))


def put_back_since(found: Comparison, since: float) -> tuple[Difference, ...]:
    """Return what guard itself has put back since then, each with all its keys.

    So that a guard which died between that and the restart is told from somebody's change.
    """
    return tuple(
        replace(each, keys=tuple(sorted({*each.wanted.text, *each.wanted.binary})))
        for each in found.differences
        if each.live is not None and each.copy is not None and restored_at(each.live) >= since
    )


def needs_restart(template: Json, changed: tuple[Difference, ...]) -> bool:
    """Tell whether pods of a template see restored contents only after a restart.

    What is read into the environment, or mounted by subPath, needs one; files of a volume are
    renewed by the kubelet within about a minute. A key that did not change needs none.
    """
    keys = {(each.kind, each.name): each.keys for each in changed}
    return any(
        mention.use in (Use.ENV, Use.FIXED_FILES)
        and (mention.kind, mention.name) in keys
        and (not mention.key or mention.key in keys[mention.kind, mention.name])
        for mention in mentions(template)
        if mention.use in CONTENT
    )


def _read(cluster: Cluster, path: str) -> Json | None:
    try:
        return cluster.get(path)
    except NotFound:
        return None


def _difference(
    kept: Kept, live: Json | ApiError | None, copy: Json | ApiError | None
) -> Difference:
    unknown = partial(Difference, kept.kind, kept.name, State.UNKNOWN)
    if isinstance(copy, ApiError):
        return unknown(why=f"its copy cannot be read: {_reason(copy)}")
    original = original_of(copy) if copy is not None else None
    if copy is None or original is None or (original.kind, original.name) != (kept.kind, kept.name):
        return unknown(why="its copy is gone")
    if isinstance(live, ApiError):
        return unknown(why=f"it cannot be read: {_reason(live)}")
    wanted = contents_of_copy(copy, original)
    if live is None:
        keys = tuple(sorted({*wanted.text, *wanted.binary}))
        change = Change(str(kept), NOTHING, f"created with {len(keys)} keys")
        return Difference(
            kept.kind,
            kept.name,
            State.GONE,
            keys,
            (change,),
            writer=writer_of({"labels": original.labels, "annotations": original.annotations}),
            copy=copy,
        )
    if live["metadata"].get("deletionTimestamp"):
        return unknown(why="it is being deleted")
    return _both(kept, live, copy, wanted)


def _both(kept: Kept, live: Json, copy: Json, wanted: Contents) -> Difference:
    now = contents(live)
    keys = now.differing(wanted)
    found = changes(kept, now, wanted)
    if now.type != wanted.type:
        found = (*found, Change(f"{kept} type", now.type, wanted.type))
    return Difference(
        kept.kind,
        kept.name,
        State.CHANGED if now != wanted else State.UNCHANGED,
        keys or (tuple(sorted({*now.binary, *wanted.binary})) if now != wanted else ()),
        found,
        made_anew=live["metadata"]["uid"] != kept.uid,
        writer=writer_of(live["metadata"]),
        live=live,
        copy=copy,
    )


def _reason(error: ApiError) -> str:
    if isinstance(error, Forbidden) and error.missing_right:
        return f"the account lacks {error.missing_right}"
    return error.detail


def _problems(index: Index, found: tuple[Difference, ...], new: list[str]) -> Iterator[Problem]:
    unknown: dict[str, list[str]] = {}
    for each in found:
        if each.state is State.UNKNOWN:
            unknown.setdefault(each.why, []).append(str(each))
    for why, names in unknown.items():
        text = f"whether it changed is not known: {', '.join(names)}: {why}"
        yield warning("configuration-unknown", text, "docs/configuration.md says what it takes")
    missing: dict[str, list[str]] = {}
    for w in index.without:
        if w.why != ABSENT:
            missing.setdefault(w.why, []).append(str(w))
    for why, names in missing.items():
        text = f"no copy was kept: {', '.join(names)}: {why}"
        yield warning("configuration-not-kept", text, "look whether its contents changed")
    if new:
        text = f"new since the snapshot, and left as they are: {', '.join(new)}"
        yield warning("configuration-new", text, "delete what the old revision must not see")
    writers: dict[str, list[str]] = {}
    for each in found:
        if each.restorable and each.writer:
            writers.setdefault(each.writer, []).append(str(each))
    for writer, names in writers.items():
        text = f"{writer} writes {', '.join(names)} and may bring back what is live now"
        yield warning("configuration-owner", text, "revert the change at its source, too")
