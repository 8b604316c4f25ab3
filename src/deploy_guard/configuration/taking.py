"""Take a snapshot: copy what a revision's pods read from ConfigMaps and Secrets, and note it.

Decides what is kept, within which bounds, and in which order things are written: first the copies,
then the note that names them, so that a note never names what was not written. What cannot be read
or kept is told by name and is never fatal. Copies that no revision needs are `clean_up`'s.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from deploy_guard.cluster.client import MERGE_PATCH, METADATA_LIST, Cluster
from deploy_guard.cluster.converging import is_away
from deploy_guard.cluster.errors import (
    ApiError,
    Conflict,
    Forbidden,
    NotFound,
)
from deploy_guard.cluster.references import CONFIG_MAP, SECRET
from deploy_guard.cluster.snapshot import Json
from deploy_guard.cluster.target import collection_path, revisions_of, workload_path
from deploy_guard.configuration.at_once import at_once
from deploy_guard.configuration.clean_up import YOUNG, Copies, clean_up
from deploy_guard.configuration.copies import (
    contents_of_copy,
    copy_name,
    copy_of,
    original_of,
    selector,
)
from deploy_guard.configuration.index import (
    ABSENT,
    CONFIG,
    Index,
    Kept,
    Without,
    indices,
    joined,
    note_text,
)
from deploy_guard.configuration.objects import (
    BIGGEST,
    TOKEN_TYPE,
    Source,
    contents,
    path_of,
    sources,
)
from deploy_guard.model import Target
from deploy_guard.problems import Problem, warning

MOST = 100  # references of one template that are kept
LARGEST = 16 * 1024 * 1024  # bytes of new copies at once: etcd holds 2 GiB of everything
ATTEMPTS = 4
RENEWED = "it is a token that Kubernetes makes and renews"


@dataclass(frozen=True, slots=True)
class Taken:
    """A snapshot: its index, how many copies are new, whether its revision names it, what failed.

    `recorded` is true where the note stands on the revision, from now or from before.
    """

    index: Index
    created: int
    recorded: bool
    problems: tuple[Problem, ...] = ()
    dry: bool = False

    @property
    def complete(self) -> bool:
        """Whether all that the template needs was kept and is noted on the revision."""
        return self.recorded and all(w.optional for w in self.index.without)


def take_snapshot(
    cluster: Cluster,
    target: Target,
    workload: Json,
    revision: Json | None,
    *,
    template: Json,
    template_hash: str,
    at: float,
    by: str,
    young: float = YOUNG,
    sleep: Callable[[float], object] = time.sleep,
) -> Taken:
    """Keep the contents of every ConfigMap and Secret that `template` refers to.

    `revision` is the live ReplicaSet or ControllerRevision, on which the snapshot is noted; None
    before the controller made it. Copies that no revision needs are deleted once they are older
    than `young` seconds. Twice is once: what has a copy gets no second one, and the same snapshot
    again only renews the time of the latest. Never raises ApiError.
    """
    taking = _Taking(cluster, target, workload, revision, sleep)
    kept, without = taking.copy_all(sources(template))
    former = indices(revision) if revision else ()
    snapshots = joined(Index(template_hash, at, by, tuple(kept), tuple(without)), former)
    index = snapshots[0]
    problems = list(_left_out(without))
    recorded = False
    if revision is None:
        text = f"{target} has no revision object yet, so the snapshot is not noted on one"
        problems.append(warning("snapshot-not-recorded", text, "take it again in a moment"))
    else:
        failed = taking.record(revision, note_text(snapshots))
        recorded = failed is None
        problems += [failed] if failed else []
    if recorded and not cluster.dry:
        problems += clean_up(cluster, target, workload, taking.copies, index, now=at, young=young)
    return Taken(index, len(taking.created), recorded, tuple(problems), cluster.dry)


class _Taking:
    """One snapshot in the making: what exists already, what was written."""

    def __init__(
        self,
        cluster: Cluster,
        target: Target,
        workload: Json,
        revision: Json | None,
        sleep: Callable[[float], object],
    ) -> None:
        self.cluster = cluster
        self.target = target
        self.workload = workload
        self.uid = str(workload["metadata"]["uid"])
        self.created: list[str] = []  # names of copies, from several threads
        self.copies: Copies = {}
        self._sleep = sleep
        known = indices(revision)[:1] if revision else ()
        self._former = {(k.kind, k.name): k for index in known for k in index.kept}

    def copy_all(self, wanted: tuple[Source, ...]) -> tuple[list[Kept], list[Without]]:
        """Read all sources and the list of copies at once, then make the copies that are missing.

        The bounds are kept in the order of the template.
        """
        listed = sorted({source.kind for source in wanted} | {CONFIG_MAP, SECRET})
        chosen = wanted[:MOST]
        lists = [partial(self._list, kind) for kind in listed]
        reads = [partial(self.cluster.get, path_of(self.target, s.kind, s.name)) for s in chosen]
        answers = at_once([*lists, *reads])
        needed = {source.kind for source in wanted}
        for kind, answer in zip(listed, answers, strict=False):
            if not isinstance(answer, ApiError):
                self.copies[kind] = tuple(answer.get("items") or ())
            elif kind in needed:  # else rights on it may be none of this account's business
                self.copies[kind] = answer
        without = [Without(s.kind, s.name, f"only {MOST} are kept") for s in wanted[MOST:]]
        found: dict[Source, Json] = {}
        room = LARGEST
        for source, answer in zip(chosen, answers[len(listed) :], strict=True):
            why = _unreadable(answer) if isinstance(answer, ApiError) else _not_kept(answer, room)
            if why or isinstance(answer, ApiError):
                optional = why == RENEWED or (why == ABSENT and source.optional)
                without.append(Without(source.kind, source.name, why, optional))
                continue
            found[source] = answer
            if copy_name(self.uid, source.kind, answer) not in self._names(source.kind):
                room -= contents(answer).size
        made = at_once([partial(self._keep, source, obj) for source, obj in found.items()])
        kept = []
        for source, result in zip(found, made, strict=True):
            if isinstance(result, ApiError):
                why = _unkept(result)
                without.append(Without(source.kind, source.name, why))
            else:
                kept.append(result)
        order = {(source.kind, source.name): number for number, source in enumerate(wanted)}
        return kept, sorted(without, key=lambda w: order[w.kind, w.name])

    def record(self, revision: Json, note: str) -> Problem | None:
        """Write the note on the revision; return what stood against it.

        A note that undo left on the workload goes first: the controller would copy it over ours.
        """
        metadata = revision["metadata"]
        path = collection_path(self.target, revisions_of(self.target))
        try:
            if CONFIG in (self.workload["metadata"].get("annotations") or {}):
                self._annotate(workload_path(self.target), self.uid, None)
            if (metadata.get("annotations") or {}).get(CONFIG) != note:
                self._annotate(f"{path}/{metadata['name']}", metadata["uid"], note)
        except ApiError as error:
            text = f"the snapshot could not be noted on its revision: {error.detail}"
            return warning("snapshot-not-recorded", text, error.help or "take it again")
        return None

    def _annotate(self, path: str, uid: str, text: str | None) -> None:
        """Write the note, or remove it; after an answer that was lost, look whether it is there."""
        body = {"metadata": {"uid": uid, "annotations": {CONFIG: text}}}
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self.cluster.patch(path, body, content_type=MERGE_PATCH)
                return
            except ApiError as error:
                if attempt == ATTEMPTS or not is_away(error):
                    raise
                self._pause(error, attempt)
            found = self.cluster.get(path)["metadata"]
            if (found.get("annotations") or {}).get(CONFIG) == text and found["uid"] == uid:
                return

    def _list(self, kind: str) -> Json:
        return self.cluster.get(
            path_of(self.target, kind),
            params={"labelSelector": selector(self.uid)},
            accept=METADATA_LIST,
        )

    def _names(self, kind: str) -> set[str]:
        items = self.copies.get(kind, ())
        return set() if isinstance(items, ApiError) else {i["metadata"]["name"] for i in items}

    def _keep(self, source: Source, obj: Json) -> Kept:
        """Return the copy of an object; make one only where no equal one is there."""
        name = copy_name(self.uid, source.kind, obj)
        if name not in self._names(source.kind):
            name = self._equal_former(source, obj) or self._create(source, obj)
        uid = obj["metadata"]["uid"]
        return Kept(source.kind, source.name, uid, name, bool(obj.get("immutable")))

    def _equal_former(self, source: Source, obj: Json) -> str:
        """Return the copy in the revision's latest snapshot if it holds the same contents.

        So a change of labels alone, which gives the source a new version, makes no new copy.
        """
        former = self._former.get((source.kind, source.name))
        if former is None or former.uid != obj["metadata"]["uid"]:
            return ""
        if former.immutable != bool(obj.get("immutable")):
            return ""
        if self._holds(source.kind, former.copy, obj):
            return former.copy
        return ""

    def _create(self, source: Source, obj: Json) -> str:
        """Create the copy; after an answer that was lost, look whether it is there."""
        taken = 0
        for attempt in range(1, ATTEMPTS + 1):
            name = copy_name(self.uid, source.kind, obj, attempt=taken)
            manifest = copy_of(self.target, self.uid, source.kind, obj, name)
            try:
                self.cluster.create(path_of(self.target, source.kind), manifest)
            except ApiError as error:
                there = isinstance(error, Conflict) and error.reason == "AlreadyExists"
                if attempt == ATTEMPTS or not (there or is_away(error)):
                    raise
                if self._holds(source.kind, name, obj):
                    return name
                if there:  # something else has this name
                    taken += 1
                else:
                    self._pause(error, attempt)
            else:
                self.created.append(name)
                return name
        raise AssertionError("the last attempt returns or raises")

    def _holds(self, kind: str, name: str, obj: Json) -> bool:
        """Tell whether the copy exists and holds what the object holds."""
        try:
            copy = self.cluster.get(path_of(self.target, kind, name))
        except NotFound:
            return False
        original = original_of(copy)
        if original is None or not copy.get("immutable"):
            return False
        if original.uid != obj["metadata"]["uid"]:
            return False
        return contents_of_copy(copy, original) == contents(obj)

    def _pause(self, error: ApiError, attempt: int) -> None:
        wait = error.retry_after if error.retry_after is not None else 0.1 * attempt
        self._sleep(min(wait, 5.0))


def _unreadable(error: ApiError) -> str:
    if isinstance(error, NotFound):
        return ABSENT
    if isinstance(error, Forbidden) and error.missing_right:
        return f"the account lacks {error.missing_right}"
    return f"it could not be read: {error.detail}"


def _not_kept(obj: Json, room: int) -> str:
    """Return why an object that was read is not kept; empty if it is."""
    found = contents(obj)
    if found.type == TOKEN_TYPE:
        return RENEWED
    if obj["metadata"].get("deletionTimestamp"):
        return "it is being deleted"
    if found.size > BIGGEST:
        return "it is larger than 1 MiB"
    if found.size > room:
        return f"all together are larger than {LARGEST // 1024**2} MiB"
    return ""


def _unkept(error: ApiError) -> str:
    if isinstance(error, Forbidden) and error.missing_right:
        return f"the account lacks {error.missing_right}"
    return f"its copy could not be made: {error.detail}"


def _left_out(without: Iterable[Without]) -> Iterable[Problem]:
    """Tell what has no copy: one problem for each reason, with all its names."""
    reasons: Mapping[str, list[str]] = defaultdict(list)
    for each in without:
        if not each.optional:
            reasons[each.why].append(str(each))
    for why, found in reasons.items():
        text = f"not kept: {', '.join(found)}: {why}"
        help = "a rollback cannot bring their contents back"
        if why.startswith("the account lacks"):
            help = "examples/manifests/role-config.yaml has the Role"
        yield warning("snapshot-incomplete", text, help)
