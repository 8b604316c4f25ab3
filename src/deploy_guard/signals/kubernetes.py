"""What the cluster itself says of the candidate: crashes, images, configuration, scheduling, quota.

Decides which of a workload's states are symptoms and since when they have been seen. It reads
nothing: the watch already follows the workload and hands it in. How bad a symptom is, is not
decided here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from deploy_guard.model import (
    KUBERNETES,
    Container,
    Health,
    NoData,
    NoDataReason,
    Pod,
    Reading,
    Sample,
    Symptom,
    Workload,
)
from deploy_guard.secret_names import hide_in_prose
from deploy_guard.signals.pod_groups import born_since, identity

if TYPE_CHECKING:
    from deploy_guard.policy.models import KubernetesSettings

# The kubelet's waiting reasons that do not pass by themselves. The value is the symptom's family:
# the kubelet changes between reasons of one family, and the time they began must survive that.
WAITING = {
    "CrashLoopBackOff": "crash",
    "ImagePullBackOff": "image",
    "ErrImagePull": "image",
    "ErrImageNeverPull": "image",
    "InvalidImageName": "image",
    "ImageInspectError": "image",
    "CreateContainerConfigError": "config",
    "CreateContainerError": "create",
    "RunContainerError": "run",
    "PostStartHookError": "run",
}
# Reasons of a termination that say more than a restart does.
TERMINATED = ("OOMKilled", "ContainerCannotRun", "StartError")

_LONGEST_MESSAGE = 240
_READ = 8 * _LONGEST_MESSAGE


class KubernetesSignal:
    """Reads the symptoms of the candidate's and the other pods from the workload."""

    name = KUBERNETES
    warnings: tuple[str, ...] = ()

    def __init__(self, settings: KubernetesSettings, *, interval: float) -> None:
        self.interval = interval
        self._settings = settings
        self._deployed_at: float | None = None
        self._last_read: float | None = None
        self._first_seen: dict[tuple[str, str], float] = {}
        self._unready_since: dict[str, float] = {}
        self._restarts_before: dict[tuple[str, str], int] = {}

    def read(self, workload: Workload, now: float) -> list[Reading]:
        """Return one sample: the health of the candidate's pods and of the others.

        While the cluster cannot be seen, the last look says nothing of now.
        """
        if workload.blind:
            return [NoData(self.name, now, NoDataReason.UNREACHABLE, workload.blind)]
        self._remember(workload, now)
        seconds = now - self._last_read if self._last_read is not None else 0.0
        self._last_read = now
        if now < workload.deployed_at or not workload.candidate:
            before = self._health(workload.pods, (), now)
            return [Sample(self.name, now, seconds, control=before)]
        of_rollout = tuple(_rollout_symptoms(workload))
        candidate = self._health(workload.candidates(), of_rollout, now)
        others = _living(workload.controls())
        control = self._health(others, (), now) if others else None
        return [Sample(self.name, now, seconds, candidate=candidate, control=control)]

    def _remember(self, workload: Workload, now: float) -> None:
        """Note what was there before the deploy: old restarts are nobody's fault now."""
        if self._deployed_at != workload.deployed_at:
            self._deployed_at = workload.deployed_at
            self._restarts_before.clear()
            self._unready_since.clear()
            self._first_seen.clear()
        pods = {identity(pod) for pod in workload.pods}
        self._first_seen = {k: v for k, v in self._first_seen.items() if k[0] in pods}
        for pod in workload.pods:
            new = born_since(pod, workload.deployed_at)
            for container in pod.containers:
                key = (identity(pod), container.name)
                self._restarts_before.setdefault(key, 0 if new else container.restarts)
            one = identity(pod)
            if pod.ready:
                self._unready_since[one] = float("inf")
            elif self._unready_since.get(one) == float("inf"):
                self._unready_since[one] = now
            else:
                began = max(pod.created, workload.deployed_at)
                self._unready_since.setdefault(one, began)

    def _health(self, group: Iterable[Pod], of_rollout: tuple[Symptom, ...], now: float) -> Health:
        pods = _living(group)
        found: dict[str, Symptom] = {}
        for pod in pods:
            for family, reason, detail, since in self._pod_symptoms(pod, now):
                began = min(since, self._first_seen.setdefault((identity(pod), family), since))
                known = found.get(reason)
                if known is None:
                    found[reason] = Symptom(reason, detail, 1, began)
                else:
                    earliest = min(began, known.since if known.since is not None else began)
                    found[reason] = Symptom(reason, known.detail, known.pods + 1, earliest)
        restarts = sum(self._restarts(pod, container) for pod, container in _containers(pods))
        if restarts >= self._settings.restarts:
            found["Restarts"] = self._restart_symptom(pods, restarts, now)
        ready = sum(pod.ready for pod in pods)
        return Health(len(pods), ready, restarts, of_rollout + tuple(found.values()))

    def _pod_symptoms(self, pod: Pod, now: float) -> Iterator[tuple[str, str, str, float]]:
        """Give the family, reason, detail and beginning of each symptom once a pod."""
        told = set()
        for container in pod.containers:
            reason = container.waiting
            if reason in WAITING and reason not in told:
                told.add(reason)
                yield WAITING[reason], reason, _about(container, container.message), now
            killed = container.terminated
            if killed in TERMINATED and killed not in told and self._is_recent(pod, container):
                told.add(killed)
                code = "" if container.exit_code is None else f"exit code {container.exit_code}"
                yield killed, killed, _about(container, code), now
        if pod.unschedulable:
            yield "schedule", "Unschedulable", tidy(pod.unschedulable), pod.created
        since = self._unready_since[identity(pod)]
        if not pod.ready and now - since >= self._settings.unready:
            limit = f"not ready for {now - since:.0f} s, limit {self._settings.unready:g} s"
            yield "unready", "Unready", f"pod {pod.name}: {limit}", since

    def _restarts(self, pod: Pod, container: Container) -> int:
        before = self._restarts_before[(identity(pod), container.name)]
        return max(0, container.restarts - before)

    def _is_recent(self, pod: Pod, container: Container) -> bool:
        """Tell whether a termination belongs to this deploy: the status keeps the last forever."""
        assert self._deployed_at is not None  # noqa: S101 - set by _remember
        return born_since(pod, self._deployed_at) or self._restarts(pod, container) > 0

    def _restart_symptom(self, pods: tuple[Pod, ...], restarts: int, now: float) -> Symptom:
        hit = sorted({identity(p) for p, c in _containers(pods) if self._restarts(p, c) > 0})
        since = min(self._first_seen.setdefault((name, "restarts"), now) for name in hit)
        detail = f"{restarts} restarts since the deploy, limit {self._settings.restarts}"
        return Symptom("Restarts", detail, len(hit), since)


def _rollout_symptoms(workload: Workload) -> Iterator[Symptom]:
    """Give what the workload's own conditions say of this rollout.

    A condition of the rollout before survives a new deploy or an undo, so only those newer than
    the deploy count. Source: deployment controller, `progress.go` and `sync.go`.
    """
    rollout = workload.rollout
    for condition in rollout.conditions:
        if condition.since <= workload.deployed_at:
            continue
        missing = max(1, rollout.desired - rollout.updated)
        detail = tidy(condition.message)
        if condition.reason == "ProgressDeadlineExceeded" and condition.status == "False":
            if not rollout.observed or rollout.complete:
                continue
            unready = sum(not pod.ready for pod in workload.candidates())
            pods = max(1, unready, rollout.desired - rollout.updated)
            # Without a beginning: it counts from our own first look. Right after an undo whose
            # pods are older than the failed rollout, the condition of that one is still there.
            yield Symptom(condition.reason, detail, pods)
        elif condition.type == "ReplicaFailure" and condition.status == "True":
            yield Symptom(condition.reason or condition.type, detail, missing, condition.since)


def _living(pods: Iterable[Pod]) -> tuple[Pod, ...]:
    """Leave out pods that are on their way out, and those that an eviction left behind."""
    return tuple(p for p in pods if not p.terminating and p.phase not in ("Failed", "Succeeded"))


def _containers(pods: Iterable[Pod]) -> Iterator[tuple[Pod, Container]]:
    return ((pod, container) for pod in pods for container in pod.containers)


def _about(container: Container, message: str) -> str:
    text = tidy(message)
    return f"container {container.name}: {text}" if text else f"container {container.name}"


def tidy(message: str) -> str:
    """Return a message of the cluster on one line, bounded, without what looks like a secret."""
    line = " ".join(message[:_READ].split())  # a cluster's messages can be tens of kilobytes
    line = hide_in_prose(line, "***")
    return line if len(line) <= _LONGEST_MESSAGE else line[: _LONGEST_MESSAGE - 1] + "…"
