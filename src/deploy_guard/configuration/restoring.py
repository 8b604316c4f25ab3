"""Put the contents of a snapshot back, one object after the other, each with preconditions.

Decides the writes: a patch where an object can be changed, a creation where it is gone, a deletion
and a creation where it is immutable. What somebody else changed since it was compared is left alone
and told. A death between two writes is made good by the next run: what is missing is created.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.converging import is_away, worth_another_look
from deploy_guard.cluster.errors import (
    ApiError,
    Conflict,
    NotFound,
)
from deploy_guard.cluster.snapshot import Json
from deploy_guard.configuration.comparing import Comparison, Difference
from deploy_guard.configuration.copies import RESTORED, filled, safe_notes
from deploy_guard.configuration.objects import Contents, contents, path_of
from deploy_guard.model import Target
from deploy_guard.outputs.format import clean, stamp
from deploy_guard.problems import Problem, warning

ATTEMPTS = 5
REASON_LIMIT = 200
Tell = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back, and what was not: a problem that blocks is one object that is not."""

    restored: tuple[Difference, ...]
    problems: tuple[Problem, ...] = ()
    dry: bool = False

    @property
    def complete(self) -> bool:
        """Whether all that differed is as it was."""
        return not any(problem.blocks for problem in self.problems)


def restore(
    cluster: Cluster,
    comparison: Comparison,
    *,
    by: str,
    reason: str,
    at: float,
    tell: Tell | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> Restored:
    """Put back everything of a comparison that differs; never raises ApiError.

    `tell` gets one line for each object that was written; none holds contents. Afterwards the live
    contents are those of the snapshot, and keys that were added since are gone.
    """
    note = {"at": stamp(at), "by": by, "reason": " ".join(reason.split())[:REASON_LIMIT]}
    writer = _Writer(
        cluster,
        comparison.target,
        json.dumps(note, separators=(",", ":"), ensure_ascii=False),
        sleep,
    )
    done: list[Difference] = []
    problems: list[Problem] = []
    for difference in comparison.to_restore:
        try:
            found = writer.restore(difference)
        except ApiError as error:
            help = error.help or "it is as it was; docs/configuration.md says how to do it by hand"
            found = Problem(
                "restore-failed", f"{difference} could not be put back: {error.detail}", help
            )
        problems += [found] if found else []
        if found is None or not found.blocks:
            done.append(difference)
            word = "would be put back" if cluster.dry else "put back"
            text = f"{difference} {word}: {_keys(difference)}"
        else:
            text = found.text
        if tell is not None:
            tell(clean(text))
    return Restored(tuple(done), tuple(problems), cluster.dry)


class _Writer:
    """Writes one object at a time, and reads it again before each further attempt."""

    def __init__(
        self, cluster: Cluster, target: Target, note: str, sleep: Callable[[float], object]
    ) -> None:
        self._cluster = cluster
        self._target = target
        self._note = note
        self._sleep = sleep

    def restore(self, difference: Difference) -> Problem | None:
        """Bring one object to the contents of its copy; raises the server's final error."""
        wanted = difference.wanted
        live, deleted = difference.live, False
        for attempt in range(1, ATTEMPTS + 1):
            try:
                if live is not None and _replaced(live, wanted):
                    self._delete(difference, live)
                    deleted, live = True, None
                    if self._cluster.dry:  # it is still there, so the creation cannot be tried
                        return None
                if live is None:
                    answer = self._create(difference)
                else:
                    answer = self._patch(difference, live, wanted)
            except ApiError as error:
                deleted = deleted or (error.call.verb == "delete" and is_away(error))
                if attempt == ATTEMPTS or not worth_another_look(error):
                    if deleted:
                        return _deleted_only(difference, error)
                    raise
                self._pause(error, attempt)
            else:
                return _mutated(difference) if contents(answer) != wanted else None
            live = self._read(difference)
            if live is not None and contents(live) == wanted:
                return None
            if not (live is None and deleted) and not _as_compared(difference, live):
                text = f"{difference} was changed by somebody else meanwhile and is left alone"
                return Problem("changed-meanwhile", text, "look at it, then run this again")
        raise AssertionError("the last attempt returns or raises")

    def _patch(self, difference: Difference, live: Json, wanted: Contents) -> Json:
        metadata = live["metadata"]
        fields = filled(difference.kind, wanted)
        operations: list[Json] = [
            {"op": "test", "path": "/metadata/uid", "value": metadata["uid"]},
            {
                "op": "test",
                "path": "/metadata/resourceVersion",
                "value": metadata["resourceVersion"],
            },
        ]
        for name in ("data", "binaryData"):
            if name in fields:
                operations.append({"op": "add", "path": f"/{name}", "value": fields[name]})
            elif name in live:
                operations.append({"op": "remove", "path": f"/{name}"})
        if metadata.get("annotations"):
            path = f"/metadata/annotations/{RESTORED.replace('/', '~1')}"
            operations.append({"op": "add", "path": path, "value": self._note})
        else:
            value = {RESTORED: self._note}
            operations.append({"op": "add", "path": "/metadata/annotations", "value": value})
        return self._cluster.patch(self._path(difference), operations)

    def _create(self, difference: Difference) -> Json:
        path = path_of(self._target, difference.kind)
        return self._cluster.create(path, self._manifest(difference))

    def _delete(self, difference: Difference, live: Json) -> None:
        """Delete an immutable object, once the server has said that it would take the new one."""
        path = path_of(self._target, difference.kind)
        try:
            self._cluster.dry_run().create(path, self._manifest(difference))
        except Conflict as error:
            if error.reason != "AlreadyExists":  # what it says when nothing else is against it
                raise
        metadata = live["metadata"]
        self._cluster.delete(
            self._path(difference),
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
        )

    def _manifest(self, difference: Difference) -> Json:
        """Return the object as it was; labels and owners as they are now, where it still exists."""
        original, wanted = difference.original, difference.wanted
        metadata: Json = {
            "name": difference.name,
            "namespace": self._target.namespace,
            "labels": dict(original.labels),
            "annotations": {**original.annotations, RESTORED: self._note},
        }
        if difference.live is not None:
            live = difference.live["metadata"]
            metadata["labels"] = live.get("labels") or {}
            metadata["annotations"] = {**safe_notes(live), RESTORED: self._note}
            metadata["ownerReferences"] = live.get("ownerReferences") or []
        manifest: Json = {"apiVersion": "v1", "kind": difference.kind, "metadata": metadata}
        manifest |= filled(difference.kind, wanted)
        manifest |= {"immutable": True} if original.immutable else {}
        return manifest | ({"type": wanted.type} if wanted.type else {})

    def _read(self, difference: Difference) -> Json | None:
        try:
            return self._cluster.get(self._path(difference))
        except NotFound:
            return None

    def _path(self, difference: Difference) -> str:
        return path_of(self._target, difference.kind, difference.name)

    def _pause(self, error: ApiError, attempt: int) -> None:
        wait = error.retry_after if error.retry_after is not None else 0.1 * attempt
        self._sleep(min(wait, 5.0))


def _replaced(live: Json, wanted: Contents) -> bool:
    """Tell whether an object can only be made anew: immutable, or a Secret of another type."""
    return bool(live.get("immutable")) or contents(live).type != wanted.type


def _as_compared(difference: Difference, live: Json | None) -> bool:
    """Tell whether an object still is the one that was compared, whatever its labels are now."""
    before = difference.live
    if before is None or live is None:
        return before is None and live is None
    return (
        before["metadata"]["uid"] == live["metadata"]["uid"]
        and contents(before) == contents(live)
        and bool(before.get("immutable")) == bool(live.get("immutable"))
    )


def _deleted_only(difference: Difference, error: ApiError) -> Problem:
    text = f"{difference} is immutable, was deleted, and could not be created again: {error.detail}"
    return Problem("restore-failed", text, "run the same command again: its copy is still there")


def _mutated(difference: Difference) -> Problem:
    text = f"an admission webhook changed {difference}: its contents are not those of the snapshot"
    return warning("mutated", text)


def _keys(difference: Difference) -> str:
    keys = ", ".join(difference.keys[:10]) or "its type"
    more = len(difference.keys) - 10
    return f"{keys} and {more} more keys" if more > 0 else keys
