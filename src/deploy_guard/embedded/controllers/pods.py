"""Pods as the API server takes them from a controller: names, admission, deletion.

Decides what is filled into a pod, and that a deletion first only marks it. What then happens to
the pod is the kubelet's, who is let in `admission`'s. Source: kubernetes/pkg/controller/
controller_utils.go and the admission plugins ServiceAccount and DefaultTolerationSeconds.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from deploy_guard.embedded.admission import RefusedPodError, admit_pod, check_quotas
from deploy_guard.embedded.controllers.objects import PODS, owner_reference, private
from deploy_guard.embedded.controllers.templates import SAFE_LETTERS
from deploy_guard.embedded.store import AlreadyExistsError, Object, Store

TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path in the pod


class ForbiddenError(Exception):
    """The API server refuses the pod; the text is the server's."""


def create_pod(
    store: Store, owner: Object, *, template: Object | None = None, name: str = ""
) -> Object:
    """Create one pod of an owner, of its own template where none is given.

    Without a `name` it is a random one. Raises ForbiddenError when the API server would refuse it
    and AlreadyExistsError when the name is taken.
    """
    while True:
        pod = _pod_of(owner, template or owner["spec"]["template"], name)
        check_admission(store, pod, named=bool(name))
        try:
            return store.create(PODS, pod)
        except AlreadyExistsError:
            if name:
                raise


def check_admission(store: Store, pod: Object, *, named: bool) -> None:
    """Raise ForbiddenError when the API server would not let the pod in (`embedded.admission`).

    The plugins that come before a name is made up name the prefix, unless the pod was `named`.
    """
    meta = pod["metadata"]
    name = meta["name"] if named else meta["generateName"]
    try:
        admit_pod(store, pod, meta["namespace"])
        name = meta["name"]
        check_quotas(store, pod)
    except RefusedPodError as error:
        raise ForbiddenError(f'pods "{name}" is forbidden: {error}') from None


def mark_deleted(store: Store, namespace: str, name: str) -> None:
    """Start a graceful deletion: the kubelet ends it, if one has the pod. Raises NotFoundError."""
    if not store.get(PODS, namespace, name)["spec"].get("nodeName"):
        store.delete(PODS, namespace, name)
        return

    def change(pod: Object) -> None:
        meta = pod["metadata"]
        if meta.get("deletionTimestamp"):
            return
        grace = pod["spec"].get("terminationGracePeriodSeconds", 30)
        end = datetime.now(UTC) + timedelta(seconds=grace)
        meta["deletionTimestamp"] = end.strftime("%Y-%m-%dT%H:%M:%SZ")
        meta["deletionGracePeriodSeconds"] = grace

    store.update(PODS, namespace, name, change, status=True)


def random_suffix() -> str:
    """Return the five characters at the end of a generated name."""
    return "".join(random.choices(SAFE_LETTERS, k=5))


def _pod_of(owner: Object, template: Object, name: str) -> Object:
    template = private(template)
    given = template.get("metadata") or {}
    prefix = f"{owner['metadata']['name']}-"
    meta: Object = {
        "name": name or prefix + random_suffix(),
        "generateName": prefix,
        "namespace": owner["metadata"]["namespace"],
        "generation": 1,
        "labels": given.get("labels") or {},
    }
    if given.get("annotations"):
        meta["annotations"] = given["annotations"]
    meta["ownerReferences"] = [owner_reference(owner)]
    spec = template["spec"]
    _admit(spec)
    status = {"phase": "Pending", "qosClass": _qos_class(spec["containers"])}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": meta, "spec": spec, "status": status}


def _admit(spec: Object) -> None:
    account = spec.get("serviceAccountName", "default")
    spec["serviceAccountName"] = spec["serviceAccount"] = account
    volume = f"kube-api-access-{random_suffix()}"
    spec["volumes"] = [*spec.get("volumes", []), {"name": volume, "projected": _token_volume()}]
    mount = {"name": volume, "readOnly": True, "mountPath": TOKEN_PATH}
    for container in spec["containers"]:
        container["volumeMounts"] = [*container.get("volumeMounts", []), mount]
    given = spec.get("tolerations") or []
    spec["tolerations"] = [*given, *_default_tolerations(given)]
    spec.setdefault("priority", 0)
    spec.setdefault("enableServiceLinks", True)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")


def _default_tolerations(given: list[Object]) -> list[Object]:
    """Return how long the pod stays on a lost node, unless it says so itself."""
    return [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
        for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
        if not any(_tolerates(toleration, key) for toleration in given)
    ]


def _tolerates(toleration: Object, key: str) -> bool:
    return toleration.get("effect", "") in ("", "NoExecute") and (
        toleration.get("key", "") in ("", key)
    )


def _token_volume() -> Object:
    namespace = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
    certificate = {"key": "ca.crt", "path": "ca.crt"}
    return {
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [certificate]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": namespace}]}},
        ],
        "defaultMode": 420,
    }


def _qos_class(containers: list[dict[str, Any]]) -> str:
    resources = [container.get("resources") or {} for container in containers]
    if not any(resources):
        return "BestEffort"
    for given in resources:
        limits = given.get("limits") or {}
        requests = given.get("requests") or limits
        if set(limits) < {"cpu", "memory"} or requests != limits:
            return "Burstable"
    return "Guaranteed"
