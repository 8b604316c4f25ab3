"""Bring one object to where it should be, one patch at a time, each planned from what is live.

Decides what an answer means: a patch is sent once and never again blindly; after a failed test or a
lost answer the object is read again and the next step is planned from that. What the steps are is
decided by who calls, as a function from the live object to the operations that are left.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from deploy_guard.cluster.client import MANAGER, Cluster
from deploy_guard.cluster.errors import (
    ApiError,
    Conflict,
    Invalid,
    NotFound,
    ServerError,
    TooManyRequests,
    Unreachable,
    Untrusted,
)
from deploy_guard.cluster.snapshot import Json

ATTEMPTS = 5
LONGEST_PAUSE = 10.0  # seconds, whatever the server asks for


@dataclass(frozen=True, slots=True)
class Settled:
    """Where an object came to rest; `changed` if this call wrote, or in a dry run would have."""

    live: Json
    changed: bool
    dry: bool = False


def converge(
    cluster: Cluster,
    path: str,
    step: Callable[[Json], tuple[Json, ...]],
    *,
    known: Json | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> Settled:
    """Send what `step` plans until it plans nothing more, at most ATTEMPTS patches.

    `known` is the object as it was last seen; without it, it is read. `step` may raise. Raises
    ApiError: NotFound when the object is gone, else what the server says for good.
    """
    live = cluster.get(path) if known is None else known
    lost = False
    last: ApiError | None = None
    for attempt in range(ATTEMPTS):
        operations = step(live)
        if not operations:
            return Settled(live, changed=lost, dry=cluster.dry)
        try:
            answer = cluster.patch(path, list(operations))
            return Settled(answer, changed=True, dry=cluster.dry)
        except ApiError as error:
            last = error
            if not worth_another_look(error):
                raise
        lost = isinstance(last, Unreachable | ServerError)
        pause = last.retry_after if last.retry_after is not None else 0.2 * attempt
        sleep(min(pause, LONGEST_PAUSE))
        live = cluster.get(path)
    if last is not None and step(live):
        raise last
    return Settled(live, changed=lost, dry=cluster.dry)


def taken_over(obj: Json, *path: str) -> bool:
    """Tell whether somebody else set a field last, as far as the object's managedFields say.

    Without managedFields, or when nobody owns the field, nothing is known: False.
    Source: kubernetes.io/docs/reference/using-api/server-side-apply, "Field management".
    """
    owners = {
        str(entry.get("manager", ""))
        for entry in obj["metadata"].get("managedFields") or ()
        if not entry.get("subresource") and _owns(entry.get("fieldsV1"), path)
    }
    return bool(owners) and MANAGER not in owners


def pointer(annotation: str) -> str:
    """Return the JSON Pointer of an annotation."""
    return "/metadata/annotations/" + annotation.replace("~", "~0").replace("/", "~1")


def operation(op: str, path: str, value: object) -> Json:
    """Return one operation of a JSON Patch."""
    return {"op": op, "path": path, "value": value}


def annotation(obj: Json, key: str) -> str | None:
    """Return the text of an annotation, None without it."""
    found: str | None = (obj["metadata"].get("annotations") or {}).get(key)
    return found


def _owns(fields: object, path: tuple[str, ...]) -> bool:
    for name in path:
        if not isinstance(fields, dict) or f"f:{name}" not in fields:
            return False
        fields = fields[f"f:{name}"]
    return True


def worth_another_look(error: ApiError) -> bool:
    """Tell whether reading again can say more than the refusal itself."""
    if isinstance(error, Invalid):
        return error.test_failed
    return is_away(error) or isinstance(error, Conflict | NotFound)


def is_away(error: ApiError | None) -> bool:
    """Tell whether the server did not answer, or failed: a moment later it may be well.

    Whether a write was done is not known then.
    """
    if isinstance(error, Untrusted):
        return False
    return isinstance(error, Unreachable | ServerError | TooManyRequests)
