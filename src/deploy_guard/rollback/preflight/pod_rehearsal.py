"""Would the API server let the old pods in? A dry run of one pod, if the account may create pods.

Decides how that pod looks, as its controller would make it, and what a refusal means. Pod Security,
LimitRange, PriorityClass, ServiceAccount and webhooks judge pods and not workloads: without this
they show only after the rollback.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.errors import ApiError, Forbidden, Invalid
from deploy_guard.cluster.snapshot import Json
from deploy_guard.cluster.target import collection_path, workload_path
from deploy_guard.model import Revision, Target
from deploy_guard.problems import Problem, harm, warning
from deploy_guard.rollback.planning import Plan
from deploy_guard.rollback.preflight.access import allowed
from deploy_guard.rollback.preflight.features import POD_REHEARSAL

OVER_QUOTA = "exceeded quota"


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """Whether the server would let a pod in, and its refusal if not."""

    admitted: bool
    refusal: ApiError | None = None


UNKNOWN = Rehearsed(admitted=False)


def rehearse_pod(cluster: Cluster, plan: Plan) -> Rehearsed:
    """Let the server check one pod of the old template.

    UNKNOWN when the account may not create pods. Raises ApiError when the server could not be
    asked.
    """
    if plan.template is None or plan.revision is None:
        return UNKNOWN
    if not allowed(cluster, POD_REHEARSAL.rights[0].of(plan.target)):
        return UNKNOWN
    workload: Json = {}
    if plan.target.kind == "statefulset":
        workload = cluster.get(workload_path(plan.target))
    pod = pod_of(plan.target, plan.uid, plan.revision, plan.template, workload=workload)
    try:
        cluster.dry_run().create(collection_path(plan.target, "pods"), pod)
    except ApiError as error:
        if isinstance(error, Forbidden | Invalid) or error.code in (400, 500):
            denied = isinstance(error, Forbidden) and error.missing_right
            return UNKNOWN if denied else Rehearsed(admitted=False, refusal=error)
        raise
    return Rehearsed(admitted=True)


def judge_refusal(error: ApiError, *, need_room: bool) -> Problem:
    """Say what the refusal means; a full quota only slows a rollback that makes its own room."""
    if OVER_QUOTA in error.detail and not need_room:
        text = f"there is no room for one more pod now: {error.detail}"
        return warning("quota", text, "old pods start only as others end; to speed up, raise it")
    text = f"the server refuses the old pods: {error.detail}"
    help = "the rollback would stop running pods and start none: change what refuses them first"
    return harm("pod-refused", text, help)


def pod_of(target: Target, uid: str, revision: Revision, template: Json, *, workload: Json) -> Json:
    """Return a pod as the workload's controller would make it; `workload` of a StatefulSet."""
    given = template.get("metadata") or {}
    if target.kind == "deployment":
        owner = _owner("ReplicaSet", revision.name, revision.uid)
        label = {"pod-template-hash": revision.template_hash}
    else:
        kind = "StatefulSet" if target.kind == "statefulset" else "DaemonSet"
        owner = _owner(kind, target.name, uid)
        # a StatefulSet's pods carry the name of the revision, a DaemonSet's its hash alone
        name = revision.name if target.kind == "statefulset" else revision.template_hash
        label = {"controller-revision-hash": name}
    metadata = {
        "generateName": f"{owner['name']}-",
        "namespace": target.namespace,
        "labels": {**(given.get("labels") or {}), **label},
        "annotations": given.get("annotations") or {},
        "ownerReferences": [owner],
    }
    spec = dict(template.get("spec") or {})
    claims = (workload.get("spec") or {}).get("volumeClaimTemplates") or ()
    if claims:
        named = [(claim["metadata"]["name"], f"{target.name}-0") for claim in claims]
        volumes = [
            {"name": name, "persistentVolumeClaim": {"claimName": f"{name}-{pod}"}}
            for name, pod in named
        ]
        spec["volumes"] = [*(spec.get("volumes") or ()), *volumes]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _owner(kind: str, name: str, uid: str) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": True}
