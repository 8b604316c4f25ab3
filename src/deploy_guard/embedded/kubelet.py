"""A stand-in for scheduler and kubelet: binds pods, runs the toy service, reports statuses.

Decides a pod's life by what its template says: words in the image's name (nopull, crash, oom,
unschedulable, notready), references to configuration that is missing, a node selector. Every
step is a multiple of `start_up`, so that tests run the same life faster. Does not probe: a pod
is ready once it has started and WARMUP_SECONDS of its environment have passed.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from deploy_guard.embedded.controllers.events import Recorder
from deploy_guard.embedded.controllers.objects import PODS, is_terminating
from deploy_guard.embedded.nodes import ONE_NODE, Node, fits
from deploy_guard.embedded.pod_config import (
    MissingConfigError,
    container_environment,
    missing_volume,
)
from deploy_guard.embedded.pod_status import (
    back_off_message,
    container_status,
    pod_condition,
    pod_status,
    pull_error,
    running,
    terminated,
    waiting,
)
from deploy_guard.embedded.store import (
    FIRST_VERSION,
    ExpiredError,
    NotFoundError,
    Object,
    Store,
    StoreError,
    now_text,
)

ADDRESS = "127.0.0.1"
DEFAULT_PORT = 8080
IDLE = 60.0  # seconds until the next look when nothing happens
NOT_HELPFUL = "not helpful for scheduling"

log = logging.getLogger(__name__)


class RunningService(Protocol):
    """A service that a pod runs."""

    @property
    def port(self) -> int:
        """The port on 127.0.0.1 where it listens."""

    def close(self) -> None:
        """Stop listening and drop all connections."""


class ServiceHost(Protocol):
    """Starts the service of a pod."""

    def open(self, name: str, environment: dict[str, str]) -> RunningService:
        """Start a service under the pod's name with a container's environment."""


@dataclass(slots=True)
class Life:
    """One pod as the kubelet runs it."""

    namespace: str
    name: str
    uid: str
    steps: Iterator[float]  # does the next thing, yields the seconds until the one after
    service: RunningService | None = None
    ends: bool = False
    restarts: int = 0
    last: Object = field(default_factory=dict)
    due: int = 0  # number of the only timer that counts


class Kubelet:
    """Gives every pod of a store its life, in one thread."""

    def __init__(
        self,
        store: Store,
        *,
        start_up: float = 1.0,
        grace: float = 0.0,
        services: ServiceHost | None = None,
        nodes: Sequence[Node] = ONE_NODE,
    ) -> None:
        self._store = store
        self._nodes = nodes
        self._unit = start_up
        self._grace = grace
        self._services = services
        self._lives: dict[str, Life] = {}
        self._timers: list[tuple[float, int, str]] = []
        self._numbers = itertools.count(1)
        self._seen = FIRST_VERSION
        self._scheduler_events = Recorder(store, "default-scheduler")
        self._events = Recorder(store, "kubelet")
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kubelet", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop the thread and every service."""
        self._stopped.set()
        self._store.wake()
        self._thread.join()
        for life in list(self._lives.values()):
            self._stop_service(life)

    def address(self, namespace: str, pod: str, port: int = 0) -> tuple[str, int] | None:
        """Return the real host and port of a pod's service, None when nothing listens there.

        `port` is a container port of the pod's spec (8080 where it names none); 0 is the first.
        """
        found = self._store.find(PODS, namespace, pod)
        life = self._lives.get(found["metadata"]["uid"]) if found else None
        service = life.service if life else None
        if found is None or service is None:
            return None
        ports = [p for c in found["spec"]["containers"] for p in c.get("ports") or []]
        if port not in (0, *([p["containerPort"] for p in ports] or [DEFAULT_PORT])):
            return None
        return ADDRESS, service.port

    def _run(self) -> None:
        while not self._stopped.is_set():
            version = self._store.version
            for pod in self._changed_pods():
                self._look_at(pod)
            now = time.monotonic()
            while self._timers and self._timers[0][0] <= now:
                _, number, uid = heapq.heappop(self._timers)
                self._step(uid, number)
            idle = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else IDLE
            self._store.wait(version, timeout=idle, until=self._stopped.is_set)

    def _changed_pods(self) -> list[Object]:
        try:
            changes, self._seen = self._store.changes(PODS, self._seen)
        except ExpiredError:
            pods, self._seen = self._store.list_all(PODS)
            return pods
        for change in changes:
            if change.type == "DELETED":
                self._forget(change.object["metadata"]["uid"])
        return [change.object for change in changes if change.type != "DELETED"]

    def _look_at(self, pod: Object) -> None:
        meta = pod["metadata"]
        uid = meta["uid"]
        current = self._store.find(PODS, meta["namespace"], meta["name"])
        if current is None or current["metadata"]["uid"] != uid:
            return
        life = self._lives.get(uid)
        if life is None:
            life = Life(meta["namespace"], meta["name"], uid, iter(()))
            life.steps = self._live(life)
            self._lives[uid] = life
            self._schedule(life, 0.0)
        if is_terminating(current) and not life.ends:
            life.ends = True
            life.steps = self._end(life)
            self._schedule(life, 0.0)

    def _schedule(self, life: Life, seconds: float) -> None:
        life.due = next(self._numbers)
        heapq.heappush(self._timers, (time.monotonic() + seconds, life.due, life.uid))

    def _step(self, uid: str, number: int) -> None:
        life = self._lives.get(uid)
        if life is None or life.due != number:
            return
        try:
            self._schedule(life, next(life.steps))
        except StopIteration:
            return
        except StoreError:  # the pod went in the meantime
            self._forget(uid)
        except Exception:  # one bad pod must not stop the others
            log.exception("pod %s/%s is given up", life.namespace, life.name)

    def _forget(self, uid: str) -> None:
        life = self._lives.pop(uid, None)
        if life is not None:
            self._stop_service(life)

    def _stop_service(self, life: Life) -> None:
        if life.service is not None:
            life.service.close()
            life.service = None

    # The lives. Each `yield` waits; what stands between two is done at once.

    def _live(self, life: Life) -> Iterator[float]:
        pod = self._pod(life)
        if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            return
        problem = self._unschedulable(pod)
        if problem:
            self._report_unschedulable(pod, problem)
            return
        self._bind(life)
        yield 0.0
        yield from self._mount(life)
        image = " ".join(c["image"] for c in pod["spec"]["containers"])
        if "nopull" in image:
            yield from self._fail_to_pull(life)
        elif "crash" in image:
            yield from self._crash(life)
        elif "oom" in image:
            yield from self._run_out_of_memory(life)
        else:
            yield from self._serve(life, ever_ready="notready" not in image)

    def _unschedulable(self, pod: Object) -> str:
        count = len(self._nodes)
        if not any(fits(node, pod["spec"]) for node in self._nodes):
            why = f"{count} node(s) didn't match Pod's node affinity/selector"
        elif any("unschedulable" in c["image"] for c in pod["spec"]["containers"]):
            why = f"{count} Insufficient cpu"
        else:
            return ""
        none = f"0/{count} nodes are available:"
        return f"{none} {why}. preemption: {none} {count} Preemption is {NOT_HELPFUL}."

    def _emptiest_node(self, pod: Object) -> str:
        """Return the node that fits and has the fewest pods."""
        pods = self._store.list_all(PODS)[0]
        taken = [other["spec"].get("nodeName") for other in pods]
        fitting = [node.name for node in self._nodes if fits(node, pod["spec"])]
        return min(fitting, key=taken.count)

    def _bind(self, life: Life) -> None:
        bound = self._pod(life)
        node = bound["spec"].get("nodeName") or self._emptiest_node(bound)

        def change(pod: Object) -> None:
            pod["spec"]["nodeName"] = node
            pod["status"]["conditions"] = [pod_condition("PodScheduled", ok=True)]

        self._store.update(PODS, life.namespace, life.name, change, status=True)

    def _mount(self, life: Life) -> Iterator[float]:
        while problem := missing_volume(self._store, self._pod(life)):
            self._report(life, phase="Pending", state=waiting("ContainerCreating"))
            self._events.event(self._pod(life), "Warning", "FailedMount", problem)
            yield self._unit

    def _fail_to_pull(self, life: Life) -> Iterator[float]:
        yield 0.3 * self._unit
        self._report(life, phase="Pending", state=waiting("ContainerCreating"))
        yield 0.7 * self._unit
        pod = self._pod(life)
        image = pod["spec"]["containers"][0]["image"]
        error = pull_error(image)
        self._report(life, phase="Pending", state=waiting("ErrImagePull", error))
        self._events.event(pod, "Warning", "Failed", f'Failed to pull image "{image}": {error}')
        yield self._unit
        message = f'Back-off pulling image "{image}": ErrImagePull: {error}'
        self._report(life, phase="Pending", state=waiting("ImagePullBackOff", message))
        self._events.event(pod, "Warning", "Failed", "Error: ImagePullBackOff")

    def _crash(self, life: Life) -> Iterator[float]:
        yield 0.4 * self._unit
        self._report(life, phase="Pending", state=waiting("ContainerCreating"))
        yield 0.6 * self._unit
        while True:
            yield from self._terminate(life, exit_code=1, reason="Error", started=now_text())

    def _run_out_of_memory(self, life: Life) -> Iterator[float]:
        while True:
            yield from self._serve(life, ever_ready=True)
            yield self._unit
            started = self._started(life)
            self._stop_service(life)
            yield from self._terminate(life, exit_code=137, reason="OOMKilled", started=started)

    def _terminate(
        self, life: Life, *, exit_code: int, reason: str, started: str
    ) -> Iterator[float]:
        """End the container, wait before the restart; each wait is half as long again."""
        pod = self._pod(life)
        container = pod["spec"]["containers"][0]
        ended = terminated(pod, exit_code=exit_code, reason=reason, started=started)
        self._report(life, phase="Running", state=ended)
        yield 0.5 * self._unit
        life.last = ended
        life.restarts += 1
        message = back_off_message(pod, container, life.restarts)
        self._report(life, phase="Running", state=waiting("CrashLoopBackOff", message))
        who = f"{container['name']} in pod {life.name}_{life.namespace}({life.uid})"
        text = f"Back-off restarting failed container {who}"
        self._events.event(pod, "Warning", "BackOff", text)
        yield 0.5 * self._unit * 1.5 ** min(life.restarts, 8)

    def _serve(self, life: Life, *, ever_ready: bool) -> Iterator[float]:
        yield self._unit
        environment: dict[str, str] | None = None
        while environment is None:
            environment = self._environment(life)
            if environment is None:
                yield self._unit
        if self._services is not None:
            life.service = self._services.open(life.name, environment)
        warm_up = _seconds(environment.get("WARMUP_SECONDS", ""))
        state = running(started=now_text())
        if warm_up or not ever_ready:
            self._report(life, phase="Running", state=state)
        if ever_ready:
            if warm_up:
                yield warm_up
            self._report(life, phase="Running", state=state, ready=True)

    def _environment(self, life: Life) -> dict[str, str] | None:
        pod = self._pod(life)
        try:
            environments = [
                container_environment(self._store, pod, container)
                for container in pod["spec"]["containers"]
            ]
        except MissingConfigError as error:
            state = waiting("CreateContainerConfigError", str(error))
            self._report(life, phase="Pending", state=state)
            self._events.event(pod, "Warning", "Failed", f"Error: {error}")
            return None
        return environments[0]

    def _end(self, life: Life) -> Iterator[float]:
        """End a pod that was deleted: after the grace its service stops and the object goes."""
        pod = self._pod(life)
        allowed = pod["metadata"].get("deletionGracePeriodSeconds", 30)
        yield min(self._grace, allowed)

        def change(draft: Object) -> None:
            draft["metadata"]["deletionTimestamp"] = now_text()
            draft["metadata"]["deletionGracePeriodSeconds"] = 0

        self._stop_service(life)
        self._store.update(PODS, life.namespace, life.name, change, status=True)
        if not self._pod(life)["metadata"].get("finalizers"):
            self._store.delete(PODS, life.namespace, life.name)

    def _pod(self, life: Life) -> Object:
        pod = self._store.get(PODS, life.namespace, life.name)
        if pod["metadata"]["uid"] != life.uid:
            raise NotFoundError(f"pods {life.name!r} not found")
        return pod

    def _started(self, life: Life) -> str:
        statuses = self._pod(life)["status"].get("containerStatuses") or [{}]
        state = statuses[0].get("state") or {}
        return str((state.get("running") or {}).get("startedAt", now_text()))

    def _report(self, life: Life, *, phase: str, state: Object, ready: bool = False) -> None:
        def change(pod: Object) -> None:
            containers: Sequence[Object] = pod["spec"]["containers"]
            statuses = [
                container_status(
                    pod, one, state=state, last=life.last, ready=ready, restarts=life.restarts
                )
                for one in containers
            ]
            pod["status"] = pod_status(
                pod, phase=phase, ready=ready, statuses=statuses, address=ADDRESS
            )

        self._store.update(PODS, life.namespace, life.name, change, status=True)

    def _report_unschedulable(self, pod: Object, problem: str) -> None:
        def change(draft: Object) -> None:
            draft["status"]["conditions"] = [
                pod_condition("PodScheduled", ok=False, reason="Unschedulable", message=problem)
            ]

        meta = pod["metadata"]
        with contextlib.suppress(NotFoundError):
            self._store.update(PODS, meta["namespace"], meta["name"], change, status=True)
        self._scheduler_events.event(pod, "Warning", "FailedScheduling", problem)


def _seconds(text: str) -> float:
    try:
        return max(0.0, float(text))
    except ValueError:
        return 0.0
