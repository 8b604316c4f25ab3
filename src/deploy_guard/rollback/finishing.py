"""`guard resume`: end what a guard that is gone has left, by hand and without a watch.

Decides what there is to end: a pause of guard's and a strategy of a fast rollback, both with one
patch. A human's pause is ended only when forced, and a living guard is not got in the way of.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from deploy_guard.cluster import lease
from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.converging import converge, operation
from deploy_guard.cluster.errors import ApiError
from deploy_guard.cluster.snapshot import Json
from deploy_guard.cluster.target import workload_path
from deploy_guard.model import Target
from deploy_guard.outputs.format import stamp
from deploy_guard.outputs.json import time_text
from deploy_guard.problems import Problem, Refused
from deploy_guard.rollback.fast import Saved, read_saved, restore_patch, strategy_words
from deploy_guard.rollback.holding import Hold, read_hold, release_patch, resume_command
from deploy_guard.rollback.trail import write_event

Action = Literal["resumed", "would_resume", "none"]


@dataclass(frozen=True, slots=True)
class Finished:
    """What was ended: the pause, whose it was (`hold` is None for a human's), and the strategy."""

    target: Target
    action: Action
    text: str
    hold: Hold | None = None
    saved: Saved | None = None
    resumed: bool = False
    problems: tuple[Problem, ...] = ()


def finish(
    cluster: Cluster,
    target: Target,
    *,
    force: bool = False,
    by: str = "",
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], object] = time.sleep,
) -> Finished:
    """End guard's pause and put its fast strategy back, whichever of them there is.

    With `force` a pause is ended whoever made it, and although another guard is at work. Raises
    Refused when it must be forced, ApiError. A dry run changes nothing.
    """
    live = cluster.get(workload_path(target))
    paused = bool(live["spec"].get("paused"))
    hold, saved = read_hold(live), read_saved(live)
    if not force:
        if hold is not None or saved is not None:
            _refuse_beside_a_guard(cluster, target, by, clock)
        elif paused:
            raise Refused(_theirs(target))
    settled = converge(
        cluster,
        workload_path(target),
        lambda now: _patch(now, force=force),
        known=live,
        sleep=sleep,
    )
    resumed = paused and (force or hold is not None)
    if not settled.changed or not (resumed or saved):
        text = f"nothing to do: no guard has left {target} paused, or with another strategy"
        return Finished(target, "none", text)
    text = _words(target, hold, saved, resumed=resumed, dry=cluster.dry)
    problem = None
    if not cluster.dry:
        words = f"{text} (guard resume{f', {by}' if by else ''})"
        problem = write_event(
            cluster,
            target,
            settled.live,
            reason="RolloutResumed",
            text=words,
            type="Normal",
            at=clock(),
        )
    action: Action = "would_resume" if cluster.dry else "resumed"
    problems = () if problem is None else (problem,)
    return Finished(target, action, text, hold, saved, resumed, problems)


def as_json(found: Finished, *, dry_run: bool) -> dict[str, Any]:
    """Return the documented JSON document, version 1."""
    hold, saved, target = found.hold, found.saved, found.target
    return {
        "version": 1,
        "action": found.action,
        "text": found.text,
        "dry_run": dry_run,
        "target": {"kind": target.kind, "namespace": target.namespace, "name": target.name},
        "resumed": found.resumed,
        "hold": {
            "template_hash": hold.template,
            "why": hold.why,
            "at": time_text(hold.at),
            "by": hold.by,
        }
        if hold is not None
        else None,
        "strategy": saved.was if saved is not None else None,
        "problems": [{"kind": p.kind, "text": p.text, "help": p.help} for p in found.problems],
    }


def _patch(live: Json, *, force: bool) -> tuple[Json, ...]:
    """Write what is left to be done about a Deployment as it was read."""
    patch = (*release_patch(live), *restore_patch(live))
    if not force or not live["spec"].get("paused") or read_hold(live) is not None:
        return patch
    return (
        operation("test", "/metadata/uid", live["metadata"]["uid"]),
        operation("test", "/spec/paused", True),
        {"op": "remove", "path": "/spec/paused"},
        *patch,
    )


def _refuse_beside_a_guard(
    cluster: Cluster, target: Target, by: str, clock: Callable[[], float]
) -> None:
    try:
        holding = lease.read(cluster, target)
    except ApiError:
        return  # without the right to read Leases nothing is known of other guards
    now = cluster.server_time.now() or clock()
    if holding is None or holding.expired(now) or holding.died_here(by):
        return
    raise Refused(
        Problem(
            "at-work",
            f"a guard ({holding.holder}) is at work on {target}, and ends what it began itself",
            f"if it is gone, its lease ends at {stamp(holding.free_at)}; --force does not wait",
        )
    )


def _theirs(target: Target) -> Problem:
    return Problem(
        "paused",
        f"{target} is paused, but not by guard",
        f"to resume it: {resume_command(target)}, or --force",
    )


def _words(
    target: Target, hold: Hold | None, saved: Saved | None, *, resumed: bool, dry: bool
) -> str:
    would = "would be " if dry else "is "
    parts = []
    if resumed:
        whose = "which somebody else had paused"
        if hold is not None:
            by = f" by {hold.by}" if hold.by else ""
            whose = f"which guard had paused at {stamp(hold.at)}{by} ({hold.why})"
        parts.append(f"{target}, {whose}, {would}resumed")
    if saved is not None:
        parts.append(f"the strategy of {target} {would}back: {strategy_words(saved.was)}")
    return ("dry run: " if dry else "") + "; ".join(parts)
