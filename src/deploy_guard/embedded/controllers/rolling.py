"""The arithmetic of a rolling update and of proportional scaling: numbers in, numbers out.

Decides how many pods each ReplicaSet may have. Does not read or write objects.
Source: kubernetes/pkg/controller/deployment/util/deployment_util.go.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

IntOrPercent = int | str


def scaled_value(value: IntOrPercent, total: int, *, round_up: bool) -> int:
    """Return an absolute number of pods; a percentage counts from `total`."""
    if isinstance(value, int):
        return value
    share = int(value.removesuffix("%")) * total / 100
    return math.ceil(share) if round_up else math.floor(share)


def fenceposts(surge: IntOrPercent, unavailable: IntOrPercent, desired: int) -> tuple[int, int]:
    """Return (maxSurge, maxUnavailable) in pods: surge rounded up, unavailable down.

    When both come out as 0, one pod may be unavailable: else nothing could ever move.
    """
    most = scaled_value(surge, desired, round_up=True)
    missing = scaled_value(unavailable, desired, round_up=False)
    return (most, missing) if most or missing else (0, 1)


def is_rolling(spec: Mapping[str, Any]) -> bool:
    """Tell whether a Deployment's spec asks for RollingUpdate."""
    return bool(spec["strategy"]["type"] == "RollingUpdate")


def max_surge(spec: Mapping[str, Any]) -> int:
    """Return how many pods a Deployment's spec allows above `replicas`."""
    return _fenceposts_of(spec)[0] if is_rolling(spec) else 0


def max_unavailable(spec: Mapping[str, Any]) -> int:
    """Return how many pods a Deployment's spec allows to be missing."""
    replicas: int = spec["replicas"]
    if not is_rolling(spec) or replicas == 0:
        return 0
    return min(_fenceposts_of(spec)[1], replicas)


def _fenceposts_of(spec: Mapping[str, Any]) -> tuple[int, int]:
    rolling = spec["strategy"].get("rollingUpdate") or {}
    return fenceposts(
        rolling.get("maxSurge", "25%"), rolling.get("maxUnavailable", "25%"), spec["replicas"]
    )


def new_replicas(spec: Mapping[str, Any], *, new: int, total: int) -> int:
    """Return the size that the new ReplicaSet may have now.

    `new` is its size, `total` the size of all ReplicaSets of the Deployment.
    """
    desired: int = spec["replicas"]
    if not is_rolling(spec):
        return desired
    room = desired + max_surge(spec) - total
    return new if room <= 0 else new + min(room, desired - new)


def proportion(
    spec: Mapping[str, Any], *, size: int, max_before: int, to_add: int, added: int
) -> int:
    """Return how many of `to_add` pods (negative: to remove) one ReplicaSet of `size` takes.

    `max_before` is the largest total that the Deployment had before the scaling, 0 if unknown.
    """
    if size == 0 or to_add in (0, added):
        return 0
    fraction = _fraction(spec, size, max_before)
    allowed = to_add - added
    return min(fraction, allowed) if to_add > 0 else max(fraction, allowed)


def _fraction(spec: Mapping[str, Any], size: int, max_before: int) -> int:
    desired: int = spec["replicas"]
    if desired == 0:
        return -size
    if max_before == 0:
        return 0
    exact = size * (desired + max_surge(spec)) / max_before
    return math.floor(exact + 0.5) - size
