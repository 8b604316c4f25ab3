"""Fast rollbacks: all pods of the target revision at once, and the strategy back afterwards.

Decides which strategy a rollback runs with, and how the original comes back whoever finishes. The
original is kept in a note that is written in the same patch as the fast one and removed in the same
patch that restores it; a note is believed only if the live strategy is what guard had set. Whether
a rollback is fast is the policy's to say, or the command line's.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.converging import (
    Settled,
    annotation,
    converge,
    operation,
    pointer,
    taken_over,
)
from deploy_guard.cluster.notes import parsed
from deploy_guard.cluster.snapshot import Json
from deploy_guard.cluster.target import workload_path
from deploy_guard.cluster.times import seconds
from deploy_guard.model import Target
from deploy_guard.outputs.format import stamp

STRATEGY = "deploy-guard/strategy"  # guard's note on the Deployment while a fast rollback runs
ALL = "100%"
DEFAULT = "25%"  # of both, filled in by the API server (apps/v1 defaults)


@dataclass(frozen=True, slots=True)
class Saved:
    """A note about a strategy: the original, None if there was none, and what guard has set."""

    was: Json | None
    set: Json
    at: float


def fast_strategy(workload: Json) -> Json | None:
    """Return the strategy that starts all pods at once, None if it would not be quicker.

    Only `maxSurge` changes. `maxUnavailable` stays: with 0 a rollback could not go on where a
    quota has no room for more pods.
    """
    if not_faster(workload):
        return None
    strategy = workload["spec"].get("strategy") or {}
    rolling = {**(strategy.get("rollingUpdate") or {}), "maxSurge": ALL}
    return {**strategy, "type": "RollingUpdate", "rollingUpdate": rolling}


def not_faster(workload: Json) -> str:
    """Say why a fast strategy would change nothing, or cannot; empty when it helps."""
    spec = workload["spec"]
    if "updateStrategy" in spec:
        return "only a Deployment's strategy can start all pods at once"
    strategy = spec.get("strategy") or {}
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return f"the strategy {strategy['type']} starts all pods at once already"
    replicas = int(spec.get("replicas", 1))
    surge, _ = extra_pods(workload)
    if surge >= replicas:
        return "the strategy starts all pods at once already"
    return ""


def fast_operations(workload: Json, *, at: float) -> tuple[Json, ...]:
    """Write what makes a rollback's patch a fast one; empty when it would not be quicker.

    To be appended where the patch has made sure that there are annotations.
    """
    fast = fast_strategy(workload)
    if fast is None:
        return ()
    was = workload["spec"].get("strategy")
    value = {"was": was, "set": fast, "at": stamp(at)}
    return (
        operation("test", "/spec/strategy", was),  # null tests absence
        operation("add", "/spec/strategy", fast),
        operation("add", pointer(STRATEGY), json.dumps(value, separators=(",", ":"))),
    )


def read_saved(workload: Json) -> Saved | None:
    """Return what a fast rollback has left to be restored, None when nothing is.

    A note about a strategy that is not live, or that somebody else has set since, is none.
    """
    found = _noted(workload)
    if found is None or workload["spec"].get("strategy") != found.set:
        return None
    if taken_over(workload, "spec", "strategy", "rollingUpdate", "maxSurge"):
        return None
    return found


def restore_patch(workload: Json) -> tuple[Json, ...]:
    """Write the JSON Patch that puts the original strategy back; empty without a note.

    Of a note that is not believed only the note goes: somebody changed the strategy meanwhile.
    """
    note = annotation(workload, STRATEGY)
    if note is None:
        return ()
    patch = [
        operation("test", "/metadata/uid", workload["metadata"]["uid"]),
        operation("test", pointer(STRATEGY), note),
    ]
    saved = read_saved(workload)
    if saved is not None:
        patch.append(operation("test", "/spec/strategy", saved.set))
        patch.append(
            operation("replace", "/spec/strategy", saved.was)
            if saved.was is not None
            else {"op": "remove", "path": "/spec/strategy"}
        )
    return (*patch, {"op": "remove", "path": pointer(STRATEGY)})


def restore_strategy(
    cluster: Cluster,
    target: Target,
    *,
    uid: str = "",
    sleep: Callable[[float], object] = time.sleep,
) -> Settled:
    """Put the strategy back that a fast rollback has replaced, whichever template is live by now.

    With a `uid` only of that Deployment. Twice is once. Raises ApiError.
    """

    def step(live: Json) -> tuple[Json, ...]:
        if uid not in ("", live["metadata"]["uid"]):
            return ()
        return restore_patch(live)

    return converge(cluster, workload_path(target), step, sleep=sleep)


def extra_pods(workload: Json) -> tuple[int, int]:
    """Return how many pods a rolling update may have too many, and how many too few.

    Percentages are rounded up and down, and not both are 0 (ResolveFenceposts).
    """
    spec = workload["spec"]
    replicas = int(spec.get("replicas", 1))
    rolling = (spec.get("strategy") or {}).get("rollingUpdate") or {}
    surge = math.ceil(_pods(rolling.get("maxSurge", DEFAULT), replicas))
    fewer = math.floor(_pods(rolling.get("maxUnavailable", DEFAULT), replicas))
    return surge, fewer if surge or fewer else 1


def strategy_words(strategy: Json | None) -> str:
    """Return ``RollingUpdate, maxSurge 25%, maxUnavailable 0``."""
    found = strategy or {}
    rolling = found.get("rollingUpdate") or {}
    parts = [f"{key} {rolling[key]}" for key in ("maxSurge", "maxUnavailable") if key in rolling]
    return ", ".join([str(found.get("type", "the default")), *parts])


def _pods(value: object, replicas: int) -> float:
    if isinstance(value, int):
        return value
    digits = str(value).removesuffix("%")
    return int(digits) * replicas / 100 if digits.isdecimal() else 0


def _noted(workload: Json) -> Saved | None:
    try:
        value = parsed(annotation(workload, STRATEGY))
        was, fast = value["was"], value["set"]
        if isinstance(fast, dict) and (was is None or isinstance(was, dict)):
            return Saved(was, fast, seconds(value["at"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    return None
