"""Which new pods the API server lets in: ServiceAccount, PriorityClass and ResourceQuota.

Decides the 403 of these admission plugins (kubernetes/plugin/pkg/admission/{serviceaccount,
priority,resourcequota} and pkg/quota/v1/evaluator/core/pods.go). Quotas with scopes are left out,
as are LimitRange, Pod Security, webhooks and policies. The ServiceAccount `default` always exists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from deploy_guard.embedded.quantities import read_quantity, show_quantity
from deploy_guard.embedded.store import Store

Object = dict[str, Any]
Usage = dict[str, Fraction]

FINISHED = ("Succeeded", "Failed")
COUNTS = ("pods", "count/pods")
SYSTEM_PRIORITIES = {"system-cluster-critical": 2000000000, "system-node-critical": 2000001000}
COMPUTED = {  # a quota's name of a sum: which part of a container's resources, and of what
    "cpu": ("requests", "cpu"),
    "memory": ("requests", "memory"),
    "requests.cpu": ("requests", "cpu"),
    "requests.memory": ("requests", "memory"),
    "limits.cpu": ("limits", "cpu"),
    "limits.memory": ("limits", "memory"),
}


class RefusedPodError(Exception):
    """A pod may not be created; the text is that of the 403, behind "is forbidden: "."""


def admit_pod(store: Store, pod: Object, namespace: str) -> None:
    """Set a pod's priority, in place. Raises RefusedPodError for references that do not exist."""
    spec = pod.get("spec") or {}
    account = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
    if account != "default" and store.find("serviceaccounts", namespace, account) is None:
        raise RefusedPodError(
            f"error looking up service account {namespace}/{account}: "
            f'serviceaccount "{account}" not found'
        )
    name = spec.get("priorityClassName") or ""
    if name in SYSTEM_PRIORITIES:
        spec["priority"] = SYSTEM_PRIORITIES[name]
    elif name:
        found = store.find("priorityclasses.scheduling.k8s.io", "", name)
        if found is None:
            raise RefusedPodError(f"no PriorityClass with name {name} was found")
        spec["priority"] = found.get("value", 0)
        spec["preemptionPolicy"] = found.get("preemptionPolicy", "PreemptLowerPriority")


def check_quotas(store: Store, pod: Object) -> None:
    """Raise RefusedPodError when a quota of the pod's namespace has no room for the pod."""
    namespace = pod["metadata"]["namespace"]
    quotas = store.list_all("resourcequotas", namespace)[0]
    if not quotas:
        return
    others = [
        other
        for other in store.list_all("pods", namespace)[0]
        if (other.get("status") or {}).get("phase") not in FINISHED
    ]
    for quota in sorted(quotas, key=lambda quota: str(quota["metadata"]["name"])):
        spec = quota.get("spec") or {}
        if not spec.get("scopes") and not spec.get("scopeSelector"):
            _check_quota(quota["metadata"]["name"], spec.get("hard") or {}, pod, others)


def _check_quota(name: str, hard: Mapping[str, Any], pod: Object, others: list[Object]) -> None:
    missing = list(_unspecified(hard, pod))
    if missing:
        raise RefusedPodError(f"failed quota: {name}: must specify {'; '.join(missing)}")
    limits = {key: read_quantity(value) for key, value in hard.items()}
    requested = usage(pod)
    used: Usage = {}
    for other in others:
        for key, amount in usage(other).items():
            used[key] = used.get(key, Fraction(0)) + amount
    full = [
        key
        for key in sorted(limits)
        if requested.get(key) and used.get(key, Fraction(0)) + requested[key] > limits[key]
    ]
    if full:
        raise RefusedPodError(
            f"exceeded quota: {name}, requested: {_shown(full, requested)}, "
            f"used: {_shown(full, used)}, limited: {_shown(full, limits)}"
        )


def _unspecified(hard: Mapping[str, Any], pod: Object) -> Iterator[str]:
    """Name each sum that is limited and that a container says nothing about."""
    spec = pod["spec"]
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    for key in sorted(hard):
        if key in COMPUTED:
            part, resource = COMPUTED[key]
            silent = [
                container["name"]
                for container in containers
                if resource not in ((container.get("resources") or {}).get(part) or {})
            ]
            if silent:
                yield f"{key} for: {','.join(sorted(silent))}"


def usage(pod: Object) -> Usage:
    """Return what a pod counts for, under each name that a quota may use.

    Ordinary init containers run one after the other and before all others, so the largest counts;
    those that keep running count like any container.
    """
    spec = pod["spec"]
    lasting = list(spec.get("containers") or ())
    first: list[Object] = []
    for container in spec.get("initContainers") or ():
        (lasting if container.get("restartPolicy") == "Always" else first).append(container)
    found: Usage = dict.fromkeys(COUNTS, Fraction(1))
    for key, where in COMPUTED.items():
        together = sum((_amount(container, where) for container in lasting), Fraction(0))
        found[key] = max([together, *(_amount(container, where) for container in first)])
    return found


def _amount(container: Object, where: tuple[str, str]) -> Fraction:
    part, resource = where
    amount = ((container.get("resources") or {}).get(part) or {}).get(resource, 0)
    return read_quantity(amount)


def _shown(keys: list[str], amounts: Mapping[str, Fraction]) -> str:
    shown = (
        f"{key}={show_quantity(amounts.get(key, Fraction(0)), binary='memory' in key)}"
        for key in keys
    )
    return ",".join(shown)
