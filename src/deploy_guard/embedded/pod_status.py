"""The shapes of a pod's status as a kubelet writes them.

Decides fields and texts; when they apply is `kubelet`'s. Source: the recordings and
kubernetes/pkg/kubelet/{status,kuberuntime,images}.
"""

from __future__ import annotations

from collections.abc import Sequence

from deploy_guard.embedded.store import Object, now_text

NOT_READY = "ContainersNotReady"
INITIAL_BACK_OFF = 10  # seconds
LONGEST_BACK_OFF = 300


def pod_condition(type_: str, *, ok: bool, reason: str = "", message: str = "") -> Object:
    """Return a pod condition as of now."""
    found: Object = {
        "type": type_,
        "status": "True" if ok else "False",
        "lastProbeTime": None,
        "lastTransitionTime": now_text(),
    }
    if reason:
        found["reason"] = reason
    if message:
        found["message"] = message
    return found


def running(*, started: str) -> Object:
    """Return the state of a container that runs since `started`."""
    return {"running": {"startedAt": started}}


def waiting(reason: str, message: str = "") -> Object:
    """Return the state of a container that does not run yet, or not again."""
    state = {"reason": reason}
    if message:
        state["message"] = message
    return {"waiting": state}


def terminated(pod: Object, *, exit_code: int, reason: str, started: str) -> Object:
    """Return the state of a container that ended."""
    return {
        "terminated": {
            "exitCode": exit_code,
            "reason": reason,
            "startedAt": started,
            "finishedAt": now_text(),
            "containerID": container_id(pod),
        }
    }


def container_id(pod: Object) -> str:
    """Return a containerd id that belongs to the pod."""
    return "containerd://" + str(pod["metadata"]["uid"]).replace("-", "") * 2


def container_status(
    pod: Object,
    container: Object,
    *,
    state: Object,
    last: Object,
    ready: bool,
    restarts: int,
) -> Object:
    """Return the status of one container."""
    runs = "running" in state
    has_run = runs or bool(last) or "terminated" in state
    status: Object = {
        "name": container["name"],
        "state": state,
        "lastState": last,
        "ready": ready,
        "restartCount": restarts,
        "image": container["image"],
        "imageID": f"{container['image']}@sha256:toy" if has_run else "",
    }
    if has_run:
        status["containerID"] = container_id(pod)
    status["started"] = runs
    return status


def pod_status(
    pod: Object, *, phase: str, ready: bool, statuses: Sequence[Object], address: str
) -> Object:
    """Return the whole status of a pod on a node; conditions keep their times when unchanged."""
    before = pod.get("status") or {}
    unready = [status["name"] for status in statuses if not status["ready"]]
    why = {"reason": NOT_READY, "message": f"containers with unready status: [{' '.join(unready)}]"}
    problem = {} if ready else why
    new = [
        pod_condition("PodReadyToStartContainers", ok=True),
        pod_condition("Initialized", ok=True),
        pod_condition("Ready", ok=ready, **problem),
        pod_condition("ContainersReady", ok=ready, **problem),
        pod_condition("PodScheduled", ok=True),
    ]
    old = {found["type"]: found for found in before.get("conditions") or []}
    for found in new:
        known = old.get(found["type"])
        if known and known["status"] == found["status"]:
            found["lastTransitionTime"] = known["lastTransitionTime"]
    return {
        "phase": phase,
        "conditions": new,
        "hostIP": address,
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": before.get("startTime", now_text()),
        "containerStatuses": list(statuses),
        "qosClass": before.get("qosClass", "BestEffort"),
    }


def pull_error(image: str) -> str:
    """Return containerd's text about an image that does not exist."""
    return (
        f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": '
        f"{image}: not found"
    )


def back_off_message(pod: Object, container: Object, restarts: int) -> str:
    """Return the kubelet's text between two restarts; the delay doubles from 10 s to 5 min."""
    meta = pod["metadata"]
    seconds = min(LONGEST_BACK_OFF, INITIAL_BACK_OFF * 2 ** max(0, restarts - 1))
    minutes, rest = divmod(seconds, 60)
    delay = f"{minutes}m{rest}s" if minutes else f"{rest}s"
    who = f"pod={meta['name']}_{meta['namespace']}({meta['uid']})"
    return f"back-off {delay} restarting failed container={container['name']} {who}"
