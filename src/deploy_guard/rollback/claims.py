"""The volumes of a StatefulSet's own pods: is each claim there, and will it outlive the rollback?

A rollback replaces pods, and their claims stay. A claim that somebody deletes while its pod runs
is only held by the pod (kubernetes.io/pvc-protection): it goes with it, and the data with it. One
that is missing is made anew, and empty. Decides how each is told. Claims are named
CLAIM-SET-ORDINAL (`getPersistentVolumeClaimName` of kubernetes/pkg/controller/statefulset).
"""

from __future__ import annotations

from collections.abc import Callable

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.errors import ApiError, Forbidden, NotFound
from deploy_guard.cluster.rollouts import partition_of
from deploy_guard.cluster.snapshot import Json
from deploy_guard.cluster.target import collection_path, workload_path
from deploy_guard.model import Target
from deploy_guard.problems import Problem, harm, warning
from deploy_guard.rollback.planning import Plan
from deploy_guard.rollback.preflight.asking import Asker

MOST = 20  # claims that are looked at: those of the pods that are replaced first


def ask_claims(asker: Asker, cluster: Cluster, plan: Plan) -> Callable[[], tuple[Problem, ...]]:
    """Begin to look at the claims; call what is returned for the problems."""
    answer = asker.ask(lambda: _look(cluster, plan.target))

    def collect() -> tuple[Problem, ...]:
        try:
            return answer.wait()
        except NotFound:
            return ()  # the workload is gone: the patch will say so
        except ApiError as error:
            why = error.detail
            if isinstance(error, Forbidden) and error.missing_right:
                why = 'the account lacks the right "get" on persistentvolumeclaims'
            text = f"whether the pods' volumes are still there could not be checked ({why})"
            help = "look yourself before you roll back: kubectl get pvc"
            return (warning("reference-unknown", text, help),)

    return collect


def claims_of(workload: Json) -> tuple[str, ...]:
    """Return the names of the claims of the pods that a rollback replaces, in their order."""
    spec = workload["spec"]
    start = int((spec.get("ordinals") or {}).get("start", 0))
    first, last = start + partition_of(workload), start + int(spec.get("replicas", 1))
    name = workload["metadata"]["name"]
    return tuple(
        f"{claim['metadata']['name']}-{name}-{ordinal}"
        for ordinal in range(last - 1, first - 1, -1)
        for claim in spec.get("volumeClaimTemplates") or ()
    )


def _look(cluster: Cluster, target: Target) -> tuple[Problem, ...]:
    workload = cluster.get(workload_path(target))
    going, lost, missing = [], [], []
    for name in claims_of(workload)[:MOST]:
        try:
            claim = cluster.get(f"{collection_path(target, 'persistentvolumeclaims')}/{name}")
        except NotFound:
            missing.append(name)
            continue
        if "deletionTimestamp" in claim["metadata"]:
            going.append(name)
        elif (claim.get("status") or {}).get("phase") == "Lost":
            lost.append(name)
    return tuple(_problems(going, lost, missing))


def _problems(going: list[str], lost: list[str], missing: list[str]) -> list[Problem]:
    found = []
    if going:
        text = f"PersistentVolumeClaim {_names(going)} is being deleted, held by its pod alone"
        help = "replacing the pod loses the data: save them first, then roll back"
        found.append(harm("reference", text, help))
    if lost:
        text = f"PersistentVolumeClaim {_names(lost)} has lost its volume"
        found.append(harm("reference", text, "its pod would not start again: repair it first"))
    if missing:
        text = f"PersistentVolumeClaim {_names(missing)} does not exist"
        help = "its pod starts with a new, empty volume"
        found.append(warning("reference", text, help))
    return found


def _names(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
