"""Is there room for the old pods? What the rollout needs against what the quotas leave.

Decides by the strategy which pods come before others go, as the controllers do, and when no pod
can move at all. Pure; reading is `preflight`'s.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from deploy_guard.cluster.snapshot import Json
from deploy_guard.model import Target
from deploy_guard.problems import Problem, warning
from deploy_guard.rollback.preflight.pod_needs import Amounts, counts, needs, quantity


@dataclass(frozen=True, slots=True)
class Pods:
    """Numbers of pods: wanted in all, there now, `restored` of these run the old template.

    `surge` more than wanted may be there at once, and `least` have to stay.
    """

    wanted: int
    total: int
    restored: int
    surge: int
    least: int

    @property
    def first(self) -> int:
        """How many are made before any other has to go."""
        return max(0, min(self.wanted - self.restored, self.wanted + self.surge - self.total))

    @property
    def need_room(self) -> bool:
        """Whether nothing moves unless one more pod can be made."""
        return self.restored < self.wanted and self.total <= self.least


@dataclass(frozen=True, slots=True)
class Limit:
    """What one entry of one quota leaves, in pods of the old template."""

    quota: str
    resource: str
    used: str
    hard: str
    now: int  # more pods that fit now
    finally_: int  # pods that fit once all others are gone


def pods_of(workload: Json, target: Target, *, restored: int) -> Pods:
    """Count the pods of a workload under its strategy, of which `restored` run the old template."""
    spec, status = workload["spec"], workload.get("status") or {}
    if target.kind == "daemonset":
        wanted = int(status.get("desiredNumberScheduled", 0))
        total = int(status.get("currentNumberScheduled", 0))
    else:
        wanted, total = int(spec.get("replicas", 1)), int(status.get("replicas", 0))
    field = "strategy" if target.kind == "deployment" else "updateStrategy"
    strategy = spec.get(field) or {}
    if strategy.get("type") == "Recreate":
        return Pods(wanted, total, restored, surge=0, least=0)
    rolling = strategy.get("rollingUpdate") or {}
    default: object = "25%" if target.kind == "deployment" else 1
    surge = scaled(
        rolling.get("maxSurge", "25%" if target.kind == "deployment" else 0), wanted, up=True
    )
    # a DaemonSet's controller rounds both up, the others only maxSurge
    gone = scaled(rolling.get("maxUnavailable", default), wanted, up=target.kind == "daemonset")
    if surge == 0:
        gone = max(1, gone)  # as the controllers do: else nothing would ever move
    return Pods(wanted, total, restored, surge, least=max(0, wanted - gone))


def scaled(value: Any, wanted: int, *, up: bool) -> int:
    """Return a number, or that share of `wanted` which ``25%`` means, rounded up or down."""
    text = str(value)
    if not text.endswith("%"):
        return int(text)
    share = Decimal(text[:-1]) * wanted / 100
    return math.ceil(share) if up else math.floor(share)


def limits(
    quotas: Iterable[Json], template: Json, condemned: Json, pods: Pods
) -> tuple[Limit, ...]:
    """Return what each entry of each quota leaves for pods of `template`."""
    takes, freed = needs(template), needs(condemned)
    found: list[Limit] = []
    for quota in quotas:
        if counts(quota, template):
            others = freed if counts(quota, condemned) else {}
            found += _limits(quota, takes, others, pods)
    return tuple(found)


def judge(found: Iterable[Limit], pods: Pods, takes: Amounts) -> tuple[Problem, ...]:
    """Say what the tightest entries mean for the rollback, `takes` is what one pod needs."""
    ordered = sorted(found, key=lambda limit: (limit.now, limit.finally_))
    if not ordered or pods.restored >= pods.wanted:
        return ()
    tightest = ordered[0]
    if tightest.now == 0 and pods.need_room:
        text = f"{_words(tightest, takes)}: no old pod can be made, and none may go before it"
        return (Problem("quota", text, "raise the quota, or raise maxUnavailable of the strategy"),)
    last = min(ordered, key=lambda limit: limit.finally_)
    if last.finally_ < pods.wanted:
        text = f"{_words(last, takes)}: room for {last.finally_} of {pods.wanted} old pods"
        return (warning("quota", text, "raise the quota: fewer pods would serve"),)
    if tightest.now < pods.first:
        text = f"{_words(tightest, takes)}: room for {tightest.now} of {pods.first} pods at first"
        return (warning("quota", text, "the rollback works, but slowly; to speed up raise it"),)
    return ()


def _limits(quota: Json, takes: Amounts, freed: Amounts, pods: Pods) -> list[Limit]:
    status = quota.get("status") or {}
    hard_of = (quota.get("spec") or {}).get("hard") or {}
    used_of = status.get("used") or {}
    found = []
    for resource, hard in hard_of.items():
        each = takes.get(resource, Decimal(0))
        if not each or resource not in used_of:  # not counted, or not counted yet
            continue
        used = used_of[resource]
        left = quantity(hard) - quantity(used)
        others = (pods.total - pods.restored) * freed.get(resource, Decimal(0))
        now = max(0, math.floor(left / each))
        finally_ = max(0, pods.restored + math.floor((left + max(Decimal(0), others)) / each))
        name = str(quota["metadata"]["name"])
        found.append(Limit(name, resource, str(used), str(hard), now, finally_))
    return found


def _words(limit: Limit, takes: Amounts) -> str:
    each = "" if limit.resource in ("pods", "count/pods") else f", each pod {_plain(limit, takes)}"
    return f'quota "{limit.quota}" has {limit.used} of {limit.hard} {limit.resource} used{each}'


def _plain(limit: Limit, takes: Amounts) -> str:
    """Write an amount as people do: cores as a number, bytes in Mi."""
    amount = takes[limit.resource]
    if limit.resource.endswith(("memory", "storage")):
        return f"{float(amount) / 2**20:.6g}Mi"
    return f"{float(amount):.6g}"
