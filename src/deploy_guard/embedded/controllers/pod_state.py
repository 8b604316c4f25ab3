"""What controllers ask about a pod: its phase, whether it is ready, since when.

Decides nothing but the reading. Source: kubernetes/pkg/api/v1/pod/util.go.
"""

from __future__ import annotations

from datetime import UTC, datetime

from deploy_guard.embedded.store import Object

FINISHED = ("Succeeded", "Failed")


def phase(pod: Object) -> str:
    """Return the pod's phase, Pending where none is written yet."""
    return str((pod.get("status") or {}).get("phase", "Pending"))


def ready_condition(pod: Object) -> Object | None:
    """Return the pod's Ready condition, or None."""
    for found in (pod.get("status") or {}).get("conditions") or []:
        if found["type"] == "Ready":
            return dict(found)
    return None


def is_ready(pod: Object) -> bool:
    """Tell whether the pod's Ready condition is True."""
    ready = ready_condition(pod)
    return ready is not None and ready["status"] == "True"


def available_in(pod: Object, min_ready_seconds: int) -> float | None:
    """Return in how many seconds the pod is available (0 or less: it is), None: not ready."""
    ready = ready_condition(pod)
    if ready is None or ready["status"] != "True":
        return None
    if not min_ready_seconds:
        return 0.0
    since = datetime.fromisoformat(ready["lastTransitionTime"])
    return min_ready_seconds - (datetime.now(UTC) - since).total_seconds()


def is_available(pod: Object, min_ready_seconds: int) -> bool:
    """Tell whether the pod has been ready for that long."""
    wait = available_in(pod, min_ready_seconds)
    return wait is not None and wait <= 0


def next_available(pods: list[Object], min_ready_seconds: int) -> float | None:
    """Return the seconds until the next ready pod gets available, None: nothing to wait for."""
    waits = [available_in(pod, min_ready_seconds) for pod in pods]
    return min((wait for wait in waits if wait is not None and wait > 0), default=None)
