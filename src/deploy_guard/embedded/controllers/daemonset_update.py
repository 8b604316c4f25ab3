"""The update of a DaemonSet: which of its pods make room for new ones now.

Decides by maxUnavailable, or by maxSurge when that is above 0; numbers and pods in, a step out.
Does not read or write the store. Source: kubernetes/pkg/controller/daemon/update.go
(rollingUpdate) and daemon_controller.go (podsShouldBeOnNode).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from deploy_guard.embedded.controllers.objects import is_terminating
from deploy_guard.embedded.controllers.pod_state import is_available, is_ready
from deploy_guard.embedded.controllers.rolling import scaled_value
from deploy_guard.embedded.store import Object

Pods = Sequence[Object]
IsUpdated = Callable[[Object], bool]


@dataclass(frozen=True, slots=True)
class Replacement:
    """One step: pods that go, and nodes that get a new one."""

    delete: Pods = ()
    create_on: Sequence[str] = ()


@dataclass(slots=True)
class _Tally:
    """What the walk over the nodes found."""

    busy: int = 0  # nodes that use up the allowance
    at_once: list[str] = field(default_factory=list)  # their old pod serves nobody anyway
    candidates: list[str] = field(default_factory=list)


def oldest_first(pods: Pods, updated: IsUpdated) -> list[Object]:
    """Return the pods by age; of the same second first the outdated ones, then by name."""
    return sorted(
        pods,
        key=lambda p: (p["metadata"]["creationTimestamp"], updated(p), p["metadata"]["name"]),
    )


def max_surge(spec: Object, desired: int) -> int:
    """Return how many nodes may have a second pod for a while."""
    return scaled_value(_rolling(spec).get("maxSurge", 0), desired, round_up=True)


def max_unavailable(spec: Object, desired: int) -> int:
    """Return how many nodes may be without an available pod; 1 when nothing could move else."""
    allowed = scaled_value(_rolling(spec).get("maxUnavailable", 1), desired, round_up=True)
    return allowed if allowed or max_surge(spec, desired) else 1


def replacement(
    spec: Object, pods: Mapping[str, Pods], updated: IsUpdated, *, desired: int
) -> Replacement:
    """Return the next step of a rolling update; `pods` by node, `desired` nodes in all."""
    surge = max_surge(spec, desired)
    if surge:
        return _surge(spec, pods, updated, surge)
    return _make_room(spec, pods, updated, max_unavailable(spec, desired))


def surplus(spec: Object, running: Pods, updated: IsUpdated) -> list[Object]:
    """Return the pods of one node that are too many: all but the oldest.

    With a surge an old pod that is ready stays beside a new one that is not yet available.
    """
    ordered = oldest_first(running, updated)
    if len(ordered) < 2:
        return []
    if not max_surge(spec, 1):
        return ordered[1:]
    old = [pod for pod in ordered if not updated(pod)]
    new = [pod for pod in ordered if updated(pod)]
    ready_after = int(spec.get("minReadySeconds", 0))
    extra = [*old[1:], *new[1:]]
    if new and old and (not is_ready(old[0]) or is_available(new[0], ready_after)):
        extra.append(old[0])
    return extra


def _make_room(
    spec: Object, pods: Mapping[str, Pods], updated: IsUpdated, allowed: int
) -> Replacement:
    """Delete old pods: those that do not serve at once, others up to the allowance."""
    tally, old_pods = _Tally(), {}
    ready_after = int(spec.get("minReadySeconds", 0))
    for node, found in pods.items():
        pair = _pair(found, updated)
        if pair is None or (pair[0] is None) == (pair[1] is None):
            tally.busy += 1  # the other loop creates or deletes there
            continue
        new, old = pair
        if old is None:
            tally.busy += not is_available(new or {}, ready_after)
            continue
        old_pods[node] = old
        fine = is_available(old, ready_after)
        (tally.candidates if fine else tally.at_once).append(node)
    return Replacement([old_pods[node] for node in _chosen(tally, allowed)])


def _surge(spec: Object, pods: Mapping[str, Pods], updated: IsUpdated, allowed: int) -> Replacement:
    """Create new pods beside old ones; delete an old one when its new one is available."""
    tally = _Tally()
    done: list[Object] = []
    ready_after = int(spec.get("minReadySeconds", 0))
    for node, found in pods.items():
        pair = _pair(found, updated)
        if pair is None:
            tally.busy += 1
            continue
        new, old = pair
        if old is None:
            continue
        if new is None:
            fine = is_available(old, ready_after)
            (tally.candidates if fine else tally.at_once).append(node)
        elif is_available(new, ready_after):
            done.append(old)
        else:
            tally.busy += 1
    return Replacement(done, _chosen(tally, allowed))


def _chosen(tally: _Tally, allowed: int) -> list[str]:
    return [*tally.at_once, *tally.candidates[: max(0, allowed - tally.busy)]]


def _pair(found: Pods, updated: IsUpdated) -> tuple[Object | None, Object | None] | None:
    """Return the new and the old pod of a node, None when there are two of a kind."""
    living = [pod for pod in found if not is_terminating(pod)]
    new = [pod for pod in living if updated(pod)]
    old = [pod for pod in living if not updated(pod)]
    if len(new) > 1 or len(old) > 1:
        return None
    return (new[0] if new else None), (old[0] if old else None)


def _rolling(spec: Object) -> Object:
    return spec["updateStrategy"].get("rollingUpdate") or {}
