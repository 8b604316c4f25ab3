"""The copies of ConfigMaps and Secrets: how they are named, owned and marked.

Decides the manifests; asks nothing. A copy is immutable, of the kind of its source (a Secret's copy
is a Secret, under the same protection), and owned by the workload, so it goes when that goes. Its
name comes from the source's uid and version, which stand for the contents without telling anything
about them: names of Secrets are read by many, and a hash of a weak password is as good as the
password.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from deploy_guard.cluster.client import MANAGER
from deploy_guard.cluster.notes import parsed
from deploy_guard.cluster.references import SECRET
from deploy_guard.cluster.snapshot import Json
from deploy_guard.cluster.target import kind_of
from deploy_guard.cluster.times import seconds
from deploy_guard.cluster.workload import LAST_APPLIED
from deploy_guard.configuration.objects import Contents, contents
from deploy_guard.model import Target

MANAGED_BY = "app.kubernetes.io/managed-by"
WORKLOAD = "deploy-guard/workload-uid"
SOURCE = "deploy-guard/source"
COPY_TYPE = "deploy-guard/snapshot"
RESTORED = "deploy-guard/restored"
LONGEST_NAME = 60  # characters of the source's name in that of its copy
LONGEST_NOTE = 4096  # of an annotation of the source that is kept


@dataclass(frozen=True, slots=True)
class Original:
    """What a copy knows of its source besides the contents."""

    kind: str
    name: str
    uid: str
    type: str = ""
    immutable: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict, repr=False)


def selector(workload_uid: str) -> str:
    """Return the label selector that finds all copies of a workload."""
    return f"{MANAGED_BY}={MANAGER},{WORKLOAD}={workload_uid}"


def copy_name(workload_uid: str, kind: str, source: Json, *, attempt: int = 0) -> str:
    """Return the name of the copy of an object as it was read; `attempt` gives further ones."""
    metadata = source["metadata"]
    parts = (workload_uid, kind, metadata["uid"], metadata["resourceVersion"], str(attempt))
    digest = sha256("\0".join(parts).encode()).hexdigest()[:16]
    return f"{MANAGER}-{metadata['name'][:LONGEST_NAME].rstrip('-.')}-{digest}"


def copy_of(target: Target, workload_uid: str, kind: str, source: Json, name: str) -> Json:
    """Return the manifest of the copy of a ConfigMap or Secret."""
    owner = {"apiVersion": "apps/v1", "kind": kind_of(target), "name": target.name}
    found = contents(source)
    metadata = {
        "name": name,
        "namespace": target.namespace,
        "labels": {MANAGED_BY: MANAGER, WORKLOAD: workload_uid},
        "annotations": {SOURCE: json.dumps(_described(kind, source), separators=(",", ":"))},
        "ownerReferences": [{**owner, "uid": workload_uid}],
    }
    manifest = {"apiVersion": "v1", "kind": kind, "metadata": metadata, "immutable": True}
    return manifest | filled(kind, found) | ({"type": COPY_TYPE} if kind == SECRET else {})


def filled(kind: str, found: Contents) -> Json:
    """Return the fields of a manifest that hold the contents."""
    if kind == SECRET:
        return {"data": dict(found.binary)} if found.binary else {}
    fields = {"data": dict(found.text), "binaryData": dict(found.binary)}
    return {field: value for field, value in fields.items() if value}


def original_of(copy: Json) -> Original | None:
    """Return what a copy says about its source; None if it is no copy of ours."""
    metadata = copy["metadata"]
    if (metadata.get("labels") or {}).get(MANAGED_BY) != MANAGER:
        return None
    try:
        note = parsed((metadata.get("annotations") or {}).get(SOURCE))
        return Original(
            kind=note["kind"],
            name=note["name"],
            uid=note["uid"],
            type=note.get("type", ""),
            immutable=bool(note.get("immutable")),
            labels=dict(note.get("labels") or {}),
            annotations=dict(note.get("annotations") or {}),
        )
    except (KeyError, TypeError, ValueError):
        return None


def contents_of_copy(copy: Json, original: Original) -> Contents:
    """Return the contents that the source had, with its own type."""
    found = contents(copy)
    return Contents(found.text, found.binary, original.type)


def safe_notes(metadata: Json) -> dict[str, str]:
    """Return the annotations that may be kept: no second copy of the contents, none of ours."""
    return {
        key: text
        for key, text in (metadata.get("annotations") or {}).items()
        if key != LAST_APPLIED and not key.startswith("deploy-guard/") and len(text) <= LONGEST_NOTE
    }


def _described(kind: str, source: Json) -> Json:
    metadata = source["metadata"]
    note = {
        "kind": kind,
        "name": metadata["name"],
        "uid": metadata["uid"],
        "type": source.get("type"),
        "immutable": source.get("immutable"),
        "labels": metadata.get("labels"),
        "annotations": safe_notes(metadata),
    }
    return {key: value for key, value in note.items() if value}


def restored_at(obj: Json) -> float:
    """Return when guard put an object's contents back, in Unix seconds; 0 if never."""
    text = (obj["metadata"].get("annotations") or {}).get(RESTORED, "")
    try:
        return seconds(str(json.loads(text)["at"]))
    except (ValueError, KeyError, TypeError):
        return 0.0
