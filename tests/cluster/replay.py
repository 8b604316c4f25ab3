"""Snapshots as a recording went through them: every state that a watch showed, in its order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deploy_guard.cluster.snapshot import Json, Snapshot, assemble
from deploy_guard.model import Target
from embedded.recordings import Recording

KINDS = ("Deployment", "ReplicaSet", "Pod")


def snapshots(recording: Recording, name: str = "web") -> Iterator[Snapshot]:
    """Yield the snapshot after each event of the recording's watches, one Deployment at a time."""
    known: dict[tuple[str, str], Json] = {}
    for kind, event, obj in _events(recording):
        key = (kind, obj["metadata"]["uid"])
        if event == "DELETED":
            known.pop(key, None)
        else:
            known[key] = obj
        found = snapshot_of(known, name)
        if found is not None:
            yield found


def snapshot_of(known: dict[tuple[str, str], Json], name: str = "web") -> Snapshot | None:
    """Assemble the snapshot of a Deployment from objects by kind and uid."""
    by_kind: dict[str, list[Json]] = {kind: [] for kind in KINDS}
    for (kind, _), obj in known.items():
        by_kind[kind].append(obj)
    deployment = next((d for d in by_kind["Deployment"] if d["metadata"]["name"] == name), None)
    if deployment is None:
        return None
    target = Target("deployment", deployment["metadata"]["namespace"], name)
    return assemble(target, deployment, by_kind["ReplicaSet"], by_kind["Pod"], seen_at=0.0)


def listed(deployment: Json, replicasets: Json, *, seen_at: float = 0.0) -> Snapshot:
    """Assemble a snapshot from recorded answers: a Deployment and a list of ReplicaSets."""
    metadata = deployment["metadata"]
    target = Target("deployment", metadata["namespace"], metadata["name"])
    return assemble(target, deployment, replicasets["items"], (), seen_at=seen_at)


def pods(recording: Recording) -> Iterator[Json]:
    """Yield every state of every pod, whoever owns it."""
    for kind, _, obj in _events(recording):
        if kind == "Pod":
            yield obj


def _events(recording: Recording) -> list[tuple[str, str, Json]]:
    found: list[tuple[int, str, str, Json]] = []
    for step in recording.steps:
        if step.events is not None:
            for event in step.events:
                obj = event["object"]
                if obj.get("kind") in KINDS and event["type"] != "BOOKMARK":
                    found.append((_version(obj), obj["kind"], event["type"], obj))
        elif isinstance(step.answer, dict):
            kind = str(step.answer.get("kind", "")).removesuffix("List")
            if kind in KINDS and step.answer.get("items"):
                found += [(_version(o), kind, "ADDED", o) for o in step.answer["items"]]
            elif kind in KINDS and step.method == "GET" and "uid" in step.answer["metadata"]:
                found.append((_version(step.answer), kind, "MODIFIED", step.answer))
    found.sort(key=lambda item: item[0])
    return [(kind, event, obj) for _, kind, event, obj in found]


def _version(obj: dict[str, Any]) -> int:
    return int(obj["metadata"]["resourceVersion"])
