"""Workloads for the tests of signals: good ones, to break one thing in."""

from __future__ import annotations

from typing import Any

from deploy_guard.model import Pod, Rollout, Target, Workload

DEPLOYED = 1_700_000_000.0
OLD, NEW = "6d4cf56db6", "5f9c7d8b49"


def pod(name: str, **changes: Any) -> Pod:
    """Return a ready pod named WORKLOAD-HASH-SUFFIX, made with its revision."""
    template = name.split("-")[-2]
    created = DEPLOYED + 1 if template == NEW else DEPLOYED - 3600
    fields: dict[str, Any] = {
        "template": template,
        "created": created,
        "ip": "127.0.0.1",
        "phase": "Running",
        "ready": True,
        "ready_since": created + 2,
    }
    return Pod(name=name, **(fields | changes))


OLD_POD, OTHER_OLD_POD = f"web-{OLD}-aaaaa", f"web-{OLD}-bbbbb"
NEW_POD, OTHER_NEW_POD = f"web-{NEW}-ccccc", f"web-{NEW}-ddddd"


def workload(*pods: Pod, **changes: Any) -> Workload:
    """Return a look at the workload web in shop, one minute after its deploy."""
    fields: dict[str, Any] = {
        "target": Target("deployment", "shop", "web"),
        "candidate": NEW,
        "deployed_at": DEPLOYED,
        "seen_at": DEPLOYED + 60,
        "pods": pods,
        "rollout": Rollout(desired=len(pods), updated=len(pods), observed=True),
    }
    return Workload(**(fields | changes))
