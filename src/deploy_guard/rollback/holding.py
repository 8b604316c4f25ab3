"""Pause a rollout and end the pause: `spec.paused`, and a note that says who paused what, and why.

Decides whose pause it is. A hold is believed only if the Deployment is paused, its live template is
the one that the note names, and nobody else has set the pause since; a Deployment that a human
paused is never resumed, one that a human resumed is not paused again by the same call. When to
pause is `decide.gate`'s to say.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.converging import (
    Settled,
    annotation,
    converge,
    operation,
    pointer,
    taken_over,
)
from deploy_guard.cluster.errors import ApiError, NotFound
from deploy_guard.cluster.notes import parsed
from deploy_guard.cluster.snapshot import Json
from deploy_guard.cluster.target import workload_path
from deploy_guard.cluster.templates import same_template, template_of
from deploy_guard.cluster.times import seconds
from deploy_guard.model import Target
from deploy_guard.outputs.format import stamp
from deploy_guard.problems import Problem, Refused, Superseded

HELD = "deploy-guard/held"  # guard's note on the Deployment while it holds a rollout
BY_LIMIT = 200  # characters of who it was that are kept

Why = Literal["gate", "suspicion"]


@dataclass(frozen=True, slots=True)
class Hold:
    """A pause that guard made: of which template (its hash), why, since when, and who."""

    template: str
    why: Why
    at: float
    by: str
    note: str  # the annotation as read


def hold_patch(
    workload: Json, *, template_hash: str, why: Why, at: float, by: str
) -> tuple[Json, ...]:
    """Write the JSON Patch that pauses a Deployment as it was read, and says so in a note."""
    spec, metadata = workload["spec"], workload["metadata"]
    value = {"template": template_hash, "why": why, "at": stamp(at), "by": by[:BY_LIMIT]}
    patch = [
        operation("test", "/metadata/uid", metadata["uid"]),
        operation("test", "/spec/template", spec["template"]),
        operation("test", "/spec/paused", spec.get("paused")),  # null tests absence
        operation("add", "/spec/paused", True),
    ]
    if metadata.get("annotations") is None:
        patch.append(operation("add", "/metadata/annotations", {}))
    note = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return (*patch, operation("add", pointer(HELD), note))


def release_patch(workload: Json) -> tuple[Json, ...]:
    """Write the JSON Patch that ends guard's pause and removes its note; empty without a note.

    Of a note that is not believed only the note goes. The operations can be part of a rollback's
    patch, which then must not test or remove `spec.paused` itself.
    """
    note = annotation(workload, HELD)
    if note is None:
        return ()
    patch = [
        operation("test", "/metadata/uid", workload["metadata"]["uid"]),
        operation("test", pointer(HELD), note),
    ]
    if read_hold(workload) is not None:
        patch.append(operation("test", "/spec/paused", True))
        patch.append({"op": "remove", "path": "/spec/paused"})
    return (*patch, {"op": "remove", "path": pointer(HELD)})


def read_hold(workload: Json, template_hash: str | None = None) -> Hold | None:
    """Return the hold that is in force, of this template if one is named, else of any.

    One of another template means that a newer deploy arrived while the rollout was held, and is
    stopped by it. A note on a Deployment that is not paused, or that somebody else has paused
    since, is none.
    """
    found = _noted(workload)
    if found is None or not workload["spec"].get("paused"):
        return None
    if taken_over(workload, "spec", "paused"):
        return None
    return found if template_hash in (None, found.template) else None


def stale_hold(workload: Json) -> bool:
    """Tell whether there is a note of guard's that does not hold: it only has to be removed."""
    return annotation(workload, HELD) is not None and read_hold(workload) is None


def hold(
    cluster: Cluster,
    target: Target,
    workload: Json,
    *,
    template_hash: str,
    why: Why,
    by: str = "",
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], object] = time.sleep,
) -> Settled:
    """Pause the rollout of the template that `workload` had when it was last seen.

    Nothing is sent when guard holds it already. Raises Superseded when a newer deploy is live or
    the Deployment is gone, Refused when somebody else paused it or it cannot be paused, ApiError.
    """
    problem = cannot_hold(workload)
    if problem is not None:
        raise Refused(problem)
    at = clock()
    sent: list[str] = []

    def step(live: Json) -> tuple[Json, ...]:
        _same(target, workload, live)
        if read_hold(live, template_hash) is not None:
            return ()
        if annotation(live, HELD) in sent:
            raise Refused(Problem("resumed", f"{target} was resumed by somebody else"))
        if live["spec"].get("paused"):
            raise Refused(
                Problem(
                    "paused",
                    f"{target} was paused by somebody else",
                    f"guard never ends such a pause: {resume_command(target)}",
                )
            )
        patch = hold_patch(live, template_hash=template_hash, why=why, at=at, by=by)
        sent.append(patch[-1]["value"])
        return patch

    try:
        return converge(cluster, workload_path(target), step, known=workload, sleep=sleep)
    except NotFound as error:
        raise Superseded(f"{target} does not exist any more") from error


def release(
    cluster: Cluster,
    target: Target,
    *,
    uid: str = "",
    known: Json | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> Settled:
    """End guard's pause, if there is one, and remove its note; whatever else is live is kept.

    With a `uid` only of that Deployment; `known` is what was read of it just now. Twice is once; a
    human's pause is left alone. Raises ApiError.
    """

    def step(live: Json) -> tuple[Json, ...]:
        if uid not in ("", live["metadata"]["uid"]):
            return ()
        return release_patch(live)

    return converge(cluster, workload_path(target), step, known=known, sleep=sleep)


def cannot_hold(workload: Json) -> Problem | None:
    """Say why a workload's rollout cannot be paused; None when it can."""
    if "updateStrategy" in workload["spec"]:
        words = "only Deployments can be paused: there is no gate for a StatefulSet or DaemonSet"
        return Problem("hold", words, "leave 'hold' out of the policy; it is watched all the same")
    if "deletionTimestamp" in workload["metadata"]:
        return Problem("deleting", "the Deployment is being deleted")
    return None


def resume_command(target: Target) -> str:
    """Return the command that ends any pause by hand."""
    return f"kubectl rollout resume {target} -n {target.namespace}"


def why_not_released(target: Target, error: ApiError) -> str:
    """Return what to tell when a pause could not be ended, with the way to end it."""
    return (
        f"the rollout is still paused: {error.detail}; "
        f"to end it: guard resume {target} -n {target.namespace}"
    )


def _same(target: Target, known: Json, live: Json) -> None:
    if live["metadata"]["uid"] != known["metadata"]["uid"]:
        raise Superseded(f"{target} was deleted and made anew", help="it was left alone")
    if not same_template(template_of(live), template_of(known)):
        raise Superseded(
            f"{target} runs another template than the one to be held",
            help="a newer deploy arrived; it was left alone",
        )
    if "deletionTimestamp" in live["metadata"]:
        raise Superseded(f"{target} is being deleted", help="it was left alone")


def _noted(workload: Json) -> Hold | None:
    note = annotation(workload, HELD) or ""
    try:
        value = parsed(note)
        why: Why = "suspicion" if value["why"] == "suspicion" else "gate"
        return Hold(str(value["template"]), why, seconds(value["at"]), str(value["by"]), note)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
