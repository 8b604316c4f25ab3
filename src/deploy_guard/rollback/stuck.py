"""Pods that keep a StatefulSet from going back, and their deletion.

With `OrderedReady` the controller waits for the first pod that is not ready before it touches any
other, so a broken pod of the condemned revision is never replaced, not even by a rollback: it has
to be deleted. Source: `processReplica` in kubernetes/pkg/controller/statefulset/
stateful_set_control.go, and recorded. Decides which pods those are. Deletes only what is condemned,
not ready, and the very pod that was seen.
"""

from __future__ import annotations

from collections.abc import Callable

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.errors import ApiError, Conflict, NotFound
from deploy_guard.cluster.rollouts import live_hash, partition_of
from deploy_guard.cluster.snapshot import Json, Snapshot
from deploy_guard.cluster.target import collection_path
from deploy_guard.cluster.templates import hash_of
from deploy_guard.cluster.workload import pod_of
from deploy_guard.problems import Problem, warning


class Unsticker:
    """Deletes stuck pods while a rollback is followed, each at most once."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        tell: Callable[[str], None],
        problem: Callable[[Problem], None],
    ) -> None:
        self._cluster = cluster
        self._tell = tell
        self._problem = problem
        self._seen: set[str] = set()
        self._deleted = ""  # the name of the pod that was deleted last

    def __call__(self, snapshot: Snapshot) -> None:
        """Delete the first stuck pod of this look; what cannot be deleted is told once.

        One at a time, and the next when that is back: the others may be a quorum.
        """
        live = live_hash(snapshot)
        back = {p["metadata"]["name"] for p in snapshot.pods if hash_of(p) == live and _ready(p)}
        if self._deleted and self._deleted not in back:
            return
        for pod in stuck_pods(snapshot)[:1]:
            metadata = pod["metadata"]
            if metadata["uid"] in self._seen:
                continue
            self._seen.add(metadata["uid"])
            name = metadata["name"]
            path = f"{collection_path(snapshot.target, 'pods')}/{name}"
            try:
                self._cluster.delete(path, uid=metadata["uid"])
                self._deleted = name
                self._tell(
                    f"pod {name} is deleted: broken, it would keep the others from going back"
                )
            except (NotFound, Conflict):
                pass  # somebody else was quicker
            except ApiError as error:
                help = f"kubectl delete pod {name} -n {snapshot.target.namespace}"
                text = f"pod {name} keeps {snapshot.target} from going back: {error.detail}"
                self._problem(warning("stuck-pod", text, help))


def is_ordered(workload: Json) -> bool:
    """Tell whether the pods of a workload wait for each other, as a StatefulSet's do by default."""
    spec = workload["spec"]
    stateful = "serviceName" in spec or "podManagementPolicy" in spec
    return stateful and spec.get("podManagementPolicy", "OrderedReady") == "OrderedReady"


def stuck_pods(snapshot: Snapshot) -> list[Json]:
    """Return the pods that a StatefulSet waits for in vain: not ready and not of the live revision.

    The lowest ordinal first, as the controller waits for them. None before it has made the live
    revision its update revision.
    """
    workload = snapshot.workload
    if workload is None or snapshot.target.kind != "statefulset" or not is_ordered(workload):
        return []
    live = live_hash(snapshot)
    if live is None or (workload.get("status") or {}).get("updateRevision") != live:
        return []
    start = int((workload["spec"].get("ordinals") or {}).get("start", 0))
    first = start + partition_of(workload)
    found = [
        pod
        for pod in snapshot.pods
        if hash_of(pod) != live and _ordinal(pod) >= first and _is_broken(pod)
    ]
    return sorted(found, key=_ordinal)


def _is_broken(pod: Json) -> bool:
    found = pod_of(pod)
    return not found.ready and not found.terminating


def _ready(pod: Json) -> bool:
    return pod_of(pod).ready


def _ordinal(pod: Json) -> int:
    number = str(pod["metadata"]["name"]).rpartition("-")[2]
    return int(number) if number.isdecimal() else 0
