"""The other workloads of the namespace: did the command deploy something else than the target?

Decides by pod templates, which scaling and status leave alone. What may not be listed is left
out. Who changed a workload is read from its managed fields, for the words only.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.errors import ApiError
from deploy_guard.cluster.snapshot import Json
from deploy_guard.cluster.target import collection_path, workloads_of
from deploy_guard.cluster.templates import pruned, template_of
from deploy_guard.model import Target

KINDS = ("deployment", "statefulset", "daemonset")


@dataclass(frozen=True, slots=True)
class Other:
    """One workload: its identity with its template, and who wrote its spec last."""

    deployed: str  # uid and digest of the template
    manager: str


@dataclass(frozen=True, slots=True)
class Others:
    """The workloads of a namespace by KIND/NAME; `unseen` are the kinds that cannot be listed."""

    found: dict[str, Other]
    unseen: tuple[str, ...] = ()


def read_others(cluster: Cluster, target: Target) -> Others:
    """List all workloads besides the target; each kind is asked for once, failures are kept."""
    found: dict[str, Other] = {}
    unseen = []
    for kind in KINDS:
        path = collection_path(target, workloads_of(Target(kind, target.namespace, "")))
        try:
            items = cluster.get(path, patient=False)["items"]
        except ApiError:
            unseen.append(kind)
            continue
        for item in items:
            name = f"{kind}/{item['metadata']['name']}"
            if name != str(target) and "deletionTimestamp" not in item["metadata"]:
                found[name] = Other(_deployed(item), _manager(item))
    return Others(found, tuple(unseen))


def changed_others(before: Others, after: Others) -> tuple[str, ...]:
    """Return what was deployed, made or deleted meanwhile, in words."""
    words = []
    for name in sorted({*before.found, *after.found}):
        kind = name.partition("/")[0]
        if kind in (*before.unseen, *after.unseen):
            continue
        old, new = before.found.get(name), after.found.get(name)
        if new is None:
            words.append(f"{name} (deleted)")
        elif old is None:
            words.append(f"{name} (new{_by(new)})")
        elif old.deployed != new.deployed:
            words.append(f"{name} (changed{_by(new)})")
    return tuple(words)


def _by(other: Other) -> str:
    return f" by {other.manager}" if other.manager else ""


def _deployed(workload: Json) -> str:
    """Return a digest of the object's identity and template."""
    template = json.dumps(pruned(template_of(workload)), sort_keys=True)
    return f"{workload['metadata']['uid']} {hashlib.sha256(template.encode()).hexdigest()}"


def _manager(workload: Json) -> str:
    """Return who wrote something else than the status last, as managed fields tell."""
    entries = [
        entry
        for entry in workload["metadata"].get("managedFields") or ()
        if not entry.get("subresource") and entry.get("manager") != "kube-controller-manager"
    ]
    latest: Json = max(entries, key=lambda entry: str(entry.get("time", "")), default={})
    return str(latest.get("manager", ""))
