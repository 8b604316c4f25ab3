"""One rollback as `guard watch` does it, from the decision on, with every request counted.

Decides what counts as a request before the patch, and which of them were sent one after another.
The watch is the real one; only its verdict is given.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.rollback_host import TARGET
from deploy_guard.cluster.client import Cluster
from deploy_guard.model import Action, Decision, Verdict
from deploy_guard.outputs.lines import LineOutput
from deploy_guard.policy.models import Policy
from deploy_guard.watch.session import Watch


@dataclass(frozen=True, slots=True)
class Request:
    """One request: what it was, when it was sent and answered, in seconds of one clock."""

    what: str
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class Patched:
    """A rollback: when it was decided (Unix seconds), how long until the patch was accepted.

    `requests` are those up to the patch, which is the last.
    """

    decided_at: float
    seconds: float
    requests: tuple[Request, ...]


class Counting(Cluster):
    """A cluster that remembers each request but those of watches."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.sent: list[Request] = []
        self._guard = threading.Lock()

    def _send(self, method: str, target: str, *rest: Any) -> Any:
        began = time.perf_counter()
        answer = super()._send(method, target, *rest)
        if "watch=1" not in target:
            with self._guard:
                self.sent.append(Request(_what(method, target), began, time.perf_counter()))
        return answer


def take_back(kubeconfig: str, **rollback: Any) -> Patched:
    """Watch what is deployed, condemn it at once, and follow the rollback to its end.

    `rollback` are settings of the policy's section of that name.
    """
    rules = {"verify": "0s", "max_age": "1d", **rollback}
    policy = Policy.model_validate({"version": 1, "rollback": rules})
    cluster = Counting.connect(kubeconfig=kubeconfig)
    assert isinstance(cluster, Counting)
    with cluster, Path(os.devnull).open("w") as nowhere:
        watch = Watch(cluster, TARGET, policy, output=LineOutput(nowhere), environ={})
        try:
            begun = watch._begin()
            cluster.sent.clear()
            began, decided_at = time.perf_counter(), time.time()
            reason = "http-errors: 31% of requests fail, limit 5%"
            watch._conclude(Decision(Verdict.REGRESSED, reason, watch.scene.clock()), begun)
        finally:
            watch._leave()
        assert watch._action is Action.ROLLED_BACK, watch._reason
    patch = min((r for r in cluster.sent if r.what == "patch deployments"), key=lambda r: r.ended)
    before = sorted((r for r in cluster.sent if r.ended <= patch.ended), key=lambda r: r.began)
    return Patched(decided_at, patch.ended - began, tuple(before))


def steps(requests: Sequence[Request]) -> list[list[str]]:
    """Group requests: those of one group were under way together, the groups one after another."""
    found: list[list[str]] = []
    end = 0.0
    for request in sorted(requests, key=lambda r: r.began):
        if not found or request.began >= end:
            found.append([])
        found[-1].append(request.what)
        end = max(end, request.ended)
    return found


def in_words(groups: Sequence[Sequence[str]]) -> str:
    """Return ``patch leases; 3 create selfsubjectaccessreviews, get secrets; patch …``."""
    return "; ".join(
        ", ".join(what if n == 1 else f"{n} {what}" for what, n in sorted(Counter(group).items()))
        for group in groups
    )


def _what(method: str, target: str) -> str:
    """Return the verb and the resource, such as ``get configmaps``."""
    path = target.partition("?")[0].strip("/").split("/")
    rest = path[3:] if path[0] == "apis" else path[2:]
    resource = rest[2] if rest[0] == "namespaces" and len(rest) > 2 else rest[0]
    return f"{ {'POST': 'create'}.get(method, method.lower()) } {resource}"
