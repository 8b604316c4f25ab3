"""The workload of a case in virtual time: pods that are replaced, crash, come back.

Decides what a look at the workload shows at a moment, and which pods serve requests when. Pods are
replaced one after the other, an old one goes when a new one is ready, and a new one that does not
get ready stops the rollout: the shape of a rolling update, not its every setting.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from deploy_guard.model import Condition, Container, Pod, Rollout, Target, Workload

DEPLOYED_AT = 1_000_000_000.0  # Unix seconds of the deploy, and of the watch's begin
OLD_AGE = 86_400.0  # seconds that the old pods have lived before the deploy
PROGRESS_DEADLINE = 600.0  # seconds; the default of a Deployment's progressDeadlineSeconds
TARGET = Target("deployment", "shop", "app")
CANDIDATE, CONTROL = "6b7f9c5d48", "5c8d7b9f66"  # pod-template-hashes
_BACKOFF = (0.0, 10.0, 30.0, 70.0, 150.0, 310.0)  # when the kubelet starts a crashing one again
_STARTING = {  # symptoms of a container that has not started: there is no restart to count
    "ImagePullBackOff",
    "ErrImagePull",
    "ErrImageNeverPull",
    "InvalidImageName",
    "ImageInspectError",
    "CreateContainerConfigError",
    "CreateContainerError",
}
_NO_NODE = "0/3 nodes are available: 3 Insufficient cpu"


@dataclass(frozen=True, slots=True)
class PodFault:
    """Pods in trouble from `begin` until `end`, seconds after the deploy: the first `pods` ones."""

    what: str
    begin: float
    end: float
    pods: int
    new: bool
    old: bool

    def hits(self, number: int, *, new: bool) -> bool:
        """Whether it is about this pod."""
        return number < self.pods and (self.new if new else self.old)

    @property
    def breaks(self) -> bool:
        """Whether the pod serves nothing meanwhile; a single restart is over in no time."""
        return self.what != "restart"


@dataclass(frozen=True, slots=True)
class OnePod:
    """A pod and when it serves: `stretches` of seconds after the deploy, from and to."""

    name: str
    number: int
    new: bool
    created: float
    gone: float
    stretches: tuple[tuple[float, float], ...]

    def since(self, moment: float) -> float | None:
        """Return since when it has served without a break, None when it does not."""
        return next((a for a, b in self.stretches if a <= moment < b), None)


@dataclass(frozen=True)
class World:
    """What happens to the pods. Times are seconds after the deploy; equal worlds are equal.

    `blind` are the times at which the cluster cannot be seen, with the reason.
    """

    pods: int
    rollout: float
    length: float
    faults: tuple[PodFault, ...] = ()
    blind: tuple[tuple[float, float, str], ...] = ()

    @cached_property
    def all_pods(self) -> tuple[OnePod, ...]:
        """Every pod that ever lives, the new ones first."""
        new: list[OnePod] = []
        old: list[OnePod] = []
        begun, step = 0.0, self.rollout / self.pods
        for number in range(self.pods):
            ready = self._well_from(number, begun + step) if begun < math.inf else math.inf
            if begun < math.inf:
                name = f"{TARGET.name}-{CANDIDATE}-{number:05d}"
                serves = self._stretches(number, ready, math.inf, new=True)
                new.append(OnePod(name, number, True, begun, math.inf, serves))
            name = f"{TARGET.name}-{CONTROL}-{number:05d}"
            serves = self._stretches(number, -OLD_AGE, ready, new=False)
            old.append(OnePod(name, number, False, -OLD_AGE, ready, serves))
            begun = ready
        return (*new, *old)

    def _well_from(self, number: int, moment: float) -> float:
        """Return when a new pod that would be ready at a moment is, its faults considered."""
        for fault in sorted(self._of(number, new=True), key=lambda f: f.begin):
            if fault.breaks and fault.begin <= moment < fault.end:
                moment = fault.end
        return moment

    def _of(self, number: int, *, new: bool) -> Iterator[PodFault]:
        return (fault for fault in self.faults if fault.hits(number, new=new))

    def _stretches(
        self, number: int, begin: float, end: float, *, new: bool
    ) -> tuple[tuple[float, float], ...]:
        """Return when a pod serves between two moments: while no fault breaks it."""
        found, since = [], begin
        for fault in sorted(self._of(number, new=new), key=lambda f: f.begin):
            if not fault.breaks or fault.end <= since:
                continue
            if since < min(fault.begin, end):
                found.append((since, min(fault.begin, end)))
            since = max(since, fault.end)
        if since < end:
            found.append((since, end))
        return tuple(found)

    @cached_property
    def serving(self) -> tuple[tuple[float, int], ...]:
        """How many pods serve, from each moment on; the first moment is long before the deploy."""
        changes: dict[float, int] = {-OLD_AGE: 0}
        for pod in self.all_pods:
            for begin, end in pod.stretches:
                changes[begin] = changes.get(begin, 0) + 1
                changes[end] = changes.get(end, 0) - 1
        count, found = 0, []
        for moment in sorted(changes):
            count += changes[moment]
            if moment < math.inf:
                found.append((moment, count))
        return tuple(found)

    def present(self, moment: float) -> tuple[tuple[OnePod, float], ...]:
        """Return the pods that serve at a moment, each with since when it does."""
        if moment not in self._present:
            since = ((pod, pod.since(moment)) for pod in self.all_pods)
            self._present[moment] = tuple((pod, at) for pod, at in since if at is not None)
        return self._present[moment]

    @cached_property
    def _present(self) -> dict[float, tuple[tuple[OnePod, float], ...]]:
        return {}

    @cached_property
    def changes(self) -> tuple[float, ...]:
        """When a look at the workload shows something new, from the deploy to the end."""
        moments = {0.0}
        for pod in self.all_pods:
            moments |= {pod.created, pod.gone, *(m for some in pod.stretches for m in some)}
        for fault in self.faults:
            moments |= {fault.begin, fault.end}
            moments |= {fault.begin + wait for wait in _BACKOFF if fault.begin + wait < fault.end}
        moments |= {moment for begin, end, _ in self.blind for moment in (begin, end)}
        moments.add(self.given_up)
        return tuple(sorted(moment for moment in moments if 0 <= moment < self.length))

    @property
    def looks(self) -> Iterator[tuple[float, Workload]]:
        """Every look at the workload that shows something new, with its moment."""
        return ((moment, self.latest(moment)) for moment in self.changes)

    def latest(self, moment: float) -> Workload:
        """Return the newest look at a moment."""
        at = self.changes[bisect_right(self.changes, moment) - 1]
        if at not in self._latest:
            self._latest[at] = self.look(at)
        return self._latest[at]

    @cached_property
    def _latest(self) -> dict[float, Workload]:
        return {}

    @cached_property
    def given_up(self) -> float:
        """When the controller gives the rollout up; infinity when it ends before."""
        progress = [0.0]
        for pod in self.all_pods:
            if pod.new:
                progress += [pod.created, min((a for a, _ in pod.stretches), default=math.inf)]
        if len([p for p in self.all_pods if p.new]) == self.pods and max(progress) < math.inf:
            return math.inf
        return max(moment for moment in progress if moment < math.inf) + PROGRESS_DEADLINE

    def look(self, moment: float) -> Workload:
        """Return what the cluster shows at a moment."""
        blind = next((why for begin, end, why in self.blind if begin <= moment < end), "")
        living = [pod for pod in self.all_pods if pod.created <= moment < pod.gone]
        pods = tuple(self._pod(pod, moment) for pod in living)
        updated = [p for p in pods if p.template == CANDIDATE]
        ready = sum(p.ready for p in pods)
        old = len(pods) - len(updated)
        rollout = Rollout(
            desired=self.pods,
            updated=len(updated),
            ready=ready,
            available=ready,
            old=old,
            observed=True,
            complete=old == 0 and sum(p.ready for p in updated) == self.pods,
            conditions=self._conditions(moment),
        )
        at = DEPLOYED_AT + moment
        return Workload(TARGET, CANDIDATE, DEPLOYED_AT, at, pods, rollout, blind)

    def _conditions(self, moment: float) -> tuple[Condition, ...]:
        if moment < self.given_up:
            return ()
        since = DEPLOYED_AT + self.given_up
        words = f'ReplicaSet "{TARGET.name}-{CANDIDATE}" has timed out progressing.'
        return (Condition("Progressing", "False", "ProgressDeadlineExceeded", words, since),)

    def _pod(self, pod: OnePod, moment: float) -> Pod:
        since = pod.since(moment)
        faults = [f for f in self._of(pod.number, new=pod.new) if f.begin <= moment]
        faults = [f for f in faults if f.end > pod.created]
        present = [f for f in faults if moment < f.end]
        pending = any(f.what in _STARTING or f.what == "unschedulable" for f in present)
        started = any(begin <= moment for begin, _ in pod.stretches)
        broken = any(f.breaks for f in present)
        running = started or (broken and not pending)
        nowhere = any(f.what == "unschedulable" for f in present)
        return Pod(
            name=pod.name,
            template=CANDIDATE if pod.new else CONTROL,
            created=DEPLOYED_AT + pod.created,
            phase="Running" if running else "Pending",
            ready=since is not None,
            ready_since=None if since is None else DEPLOYED_AT + since,
            unschedulable=_NO_NODE if nowhere else "",
            containers=() if nowhere else (_container(faults, moment, ready=since is not None),),
        )


def _container(faults: list[PodFault], moment: float, *, ready: bool) -> Container:
    """Return the pod's container: what it waits for now, how often it was started again."""
    restarts, waiting, message, terminated = 0, "", "", ""
    for fault in faults:
        if fault.what == "restart":
            restarts += 1
        elif fault.what in ("CrashLoopBackOff", "OOMKilled"):
            until = min(moment, fault.end)
            restarts += sum(fault.begin + wait <= until for wait in _BACKOFF)
        if moment >= fault.end:
            continue
        if fault.what == "OOMKilled":
            terminated = fault.what
        elif fault.what not in ("restart", "unready", "unschedulable"):
            waiting = fault.what
            message = "back-off restarting failed container" if "Crash" in waiting else ""
    code = 137 if terminated else None
    return Container("app", ready, restarts, waiting, message, terminated, code)
