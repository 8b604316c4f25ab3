"""What one pod of a template takes from a ResourceQuota.

Decides requests and limits as the API server counts them, and which quotas count the pod. Does not
know defaults that a LimitRange would fill in. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from deploy_guard.cluster.snapshot import Json

Amounts = dict[str, Decimal]
BARE = ("cpu", "memory", "ephemeral-storage")  # without a prefix they mean requests


def quantity(text: object) -> Decimal:
    """Read a Kubernetes quantity such as ``500m`` or ``1Gi``. Raises ValueError."""
    from kubernetes.utils.quantity import parse_quantity

    value: Decimal = parse_quantity(str(text))  # type: ignore[no-untyped-call]
    return value


def needs(template: Json) -> Amounts:
    """Return what one pod takes, by the names of a quota: ``pods``, ``requests.cpu``, ….

    The rule of PodRequests and PodLimits (k8s.io/component-helpers/resource): the containers
    together, or the largest init container with the sidecars before it, if that is more.
    """
    spec = template.get("spec") or {}
    found: Amounts = {"pods": Decimal(1), "count/pods": Decimal(1)}
    requests, limits = _effective(spec, "requests"), _effective(spec, "limits")
    for resource, amount in requests.items():
        found[f"requests.{resource}"] = amount
        if resource in BARE or resource.startswith("hugepages-"):
            found[resource] = amount
    for resource, amount in limits.items():
        found[f"limits.{resource}"] = amount
    return found


def counts(quota: Json, template: Json) -> bool:
    """Tell whether a quota counts pods of the template, by its scopes."""
    spec = quota.get("spec") or {}
    scopes = [{"scopeName": name, "operator": "Exists"} for name in spec.get("scopes") or ()]
    scopes += (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    return all(_in_scope(scope, template.get("spec") or {}) for scope in scopes)


def _effective(spec: Json, kind: str) -> Amounts:
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in spec.get("initContainers") or ():
        own = _own(container, kind)
        if container.get("restartPolicy") == "Always":
            sidecars = _sum([sidecars, own])
            own = {}
        peak = _largest(peak, _sum([sidecars, own]))
    together = _sum([sidecars, *(_own(c, kind) for c in spec.get("containers") or ())])
    amounts = _largest(together, peak) | _own(spec, kind)  # what is given for the pod counts
    return _sum([amounts, _read(spec.get("overhead"))]) if amounts else {}


def _own(holder: Json, kind: str) -> Amounts:
    """Return what a container (or a pod) asks for; without a request its limit counts."""
    resources = holder.get("resources") or {}
    given = resources.get(kind) or {}
    return _read({**(resources.get("limits") or {}), **given} if kind == "requests" else given)


def _read(amounts: Any) -> Amounts:
    return {str(name): quantity(text) for name, text in (amounts or {}).items()}


def _sum(parts: Iterable[Amounts]) -> Amounts:
    found: Amounts = {}
    for part in parts:
        for name, amount in part.items():
            found[name] = found.get(name, Decimal(0)) + amount
    return found


def _largest(one: Amounts, other: Amounts) -> Amounts:
    zero = Decimal(0)
    return {name: max(one.get(name, zero), other.get(name, zero)) for name in {**one, **other}}


def _in_scope(scope: Json, spec: Json) -> bool:
    name, operator, values = scope["scopeName"], scope["operator"], scope.get("values") or ()
    if name == "PriorityClass":
        given = spec.get("priorityClassName", "")
        present = {"Exists": bool(given), "DoesNotExist": not given, "In": given in values}
        return present.get(operator, given not in values)
    limited = bool(spec.get("activeDeadlineSeconds"))
    best_effort = not _effective(spec, "requests")  # a limit alone is a request, too
    matches = {
        "Terminating": limited,
        "NotTerminating": not limited,
        "BestEffort": best_effort,
        "NotBestEffort": not best_effort,
    }
    return matches.get(name, False) and operator == "Exists"
