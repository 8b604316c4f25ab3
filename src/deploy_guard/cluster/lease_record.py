"""What stands in guard's Lease: its name, who holds it, since when, and until when.

Decides the form of the record and whether a lease is free. Sends nothing. Times are those of the
API server, so the clocks of two guards are never compared with each other.
"""

from __future__ import annotations

import hashlib
import json
import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from deploy_guard.cluster.notes import parsed
from deploy_guard.cluster.process import certainly_gone, this_process
from deploy_guard.cluster.target import kind_of
from deploy_guard.cluster.times import seconds
from deploy_guard.model import Target

Json = dict[str, Any]

WATCH_NOTE = "deploy-guard/watch"
PROCESS_NOTE = "deploy-guard/process"
LABELS = {"app.kubernetes.io/managed-by": "deploy-guard"}
LONGEST_NAME = 253  # of an object in Kubernetes
LONGEST_HOLDER = 200
LATEST = 253402300799.0  # Unix seconds: the last moment with four digits of a year
LARGEST_NOTE = 32 * 1024  # bytes; all annotations of an object together may have 256 KiB


@dataclass(frozen=True, slots=True)
class Holding:
    """Who holds a lease. Times are Unix seconds by the API server's clock; 0 if not told.

    `identity` is what stands in the Lease: `holder` and a mark that no other process has. `note`
    is guard's state, empty if there is none.
    """

    identity: str
    since: float
    renewed_at: float
    duration: float
    process: str
    note: Mapping[str, Any]

    @property
    def holder(self) -> str:
        """Who it is, without the mark, harmless to print: anybody may have written it."""
        return _harmless(self.identity.rpartition("_")[0] or self.identity)

    @property
    def until(self) -> float:
        """When it expires unless it is renewed."""
        return self.renewed_at + self.duration

    @property
    def free_at(self) -> float:
        """When another guard may take it unless it is renewed: later by a clear margin."""
        return self.until + margin(self.duration)

    def expired(self, now: float) -> bool:
        """Tell whether another guard may take it at this time of the API server."""
        return now > self.free_at

    def credible(self, now: float | None) -> bool:
        """Tell whether its time can be believed: one from the future is of a clock set wrong."""
        return now is not None and self.renewed_at <= now + margin(self.duration)

    def died_here(self, holder: str) -> bool:
        """Tell whether it was held by a process of this holder on this machine that is gone."""
        return self.holder == _harmless(holder) and certainly_gone(self.process)


def margin(duration: float) -> float:
    """Return by how many seconds times may be wrong: the header Date has whole seconds."""
    return min(5.0, max(1.5, duration / 4))


def lease_name(target: Target) -> str:
    """Return ``deploy-guard-KIND-NAME``.

    If that is longer than 253 characters, its end is replaced by ``-`` and ten hexadecimal digits
    of the SHA-256 of the whole.
    """
    name = f"deploy-guard-{target.kind}-{target.name}"
    if len(name) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:10]
    return f"{name[: LONGEST_NAME - 11].rstrip('-.')}-{digest}"


def leases_path(target: Target) -> str:
    """Return the API path of the Leases in the target's namespace."""
    return f"/apis/coordination.k8s.io/v1/namespaces/{target.namespace}/leases"


def lease_path(target: Target) -> str:
    """Return the API path of the target's Lease."""
    return f"{leases_path(target)}/{lease_name(target)}"


def new_identity(holder: str) -> str:
    """Return an identity that no other acquisition has, so that a lost answer can be told."""
    return f"{_harmless(holder)}_{secrets.token_hex(4)}"


def holding_of(lease: Json) -> Holding | None:
    """Read who holds a Lease; None if nobody does. What cannot be read counts as not told."""
    spec = lease.get("spec") or {}
    identity = str(spec.get("holderIdentity") or "")
    if not identity:
        return None
    notes = lease["metadata"].get("annotations") or {}
    return Holding(
        identity,
        since=_seconds(spec.get("acquireTime")),
        renewed_at=_seconds(spec.get("renewTime")),
        duration=float(spec.get("leaseDurationSeconds") or 0),
        process=str(notes.get(PROCESS_NOTE) or ""),
        note=note_of(lease),
    )


def note_of(lease: Json) -> Mapping[str, Any]:
    """Read guard's state from a Lease; empty if there is none that can be read."""
    return parsed((lease["metadata"].get("annotations") or {}).get(WATCH_NOTE))


def note_text(note: Mapping[str, Any]) -> str:
    """Write guard's state as compact JSON. Raises ValueError above 32 KiB."""
    text = json.dumps(note, separators=(",", ":"), ensure_ascii=False)
    if (size := len(text.encode())) > LARGEST_NOTE:
        raise ValueError(f"note of {size} bytes: expected at most {LARGEST_NOTE}")
    return text


def acquisition(
    target: Target,
    owner: Json,
    before: Json | None,
    *,
    identity: str,
    duration: float,
    now: float,
    note: str | None,
) -> Json:
    """Return the Lease to create, or the merge patch that takes the Lease `before`.

    The patch carries the resourceVersion of `before`: nothing else keeps two guards apart. It
    names the owner anew, since a workload that was made again leaves the Lease of the old one.
    Without a `note` the one that is there stays.
    """
    notes = {PROCESS_NOTE: this_process()}
    if note is not None:
        notes[WATCH_NOTE] = note
    metadata: Json = {
        "labels": LABELS,
        "ownerReferences": [
            {
                "apiVersion": "apps/v1",
                "kind": kind_of(target),
                "name": target.name,
                "uid": owner["metadata"]["uid"],
            }
        ],
        "annotations": notes,
    }
    transitions = 0
    if before is None:
        metadata["name"] = lease_name(target)
    else:
        metadata["resourceVersion"] = before["metadata"]["resourceVersion"]
        transitions = int((before.get("spec") or {}).get("leaseTransitions") or 0) + 1
    spec = {
        "holderIdentity": identity,
        "leaseDurationSeconds": math.ceil(duration),
        "acquireTime": micro_time(now),
        "renewTime": micro_time(now),
        "leaseTransitions": transitions,
    }
    body: Json = {"metadata": metadata, "spec": spec}
    if before is None:
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **body}
    return body


def renewal(lease: Json, *, now: float, note: str | None) -> Json:
    """Return the merge patch that renews a Lease; `note` is written with it if there is one."""
    metadata: Json = {"resourceVersion": lease["metadata"]["resourceVersion"]}
    if note is not None:
        metadata["annotations"] = {WATCH_NOTE: note}
    return {"metadata": metadata, "spec": {"renewTime": micro_time(now)}}


def resignation(lease: Json, *, now: float, keep_note: bool = False) -> Json:
    """Return the merge patch that frees a Lease, as client-go does, and takes the notes away."""
    gone = (PROCESS_NOTE,) if keep_note else (WATCH_NOTE, PROCESS_NOTE)
    return {
        "metadata": {
            "resourceVersion": lease["metadata"]["resourceVersion"],
            "annotations": dict.fromkeys(gone),
        },
        "spec": {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": micro_time(now)},
    }


def micro_time(at: float) -> str:
    """Format a moment as Kubernetes' MicroTime: exactly six digits of fraction, else it is 400."""
    at = min(max(at, 0.0), LATEST)
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _harmless(text: str) -> str:
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return shown[:LONGEST_HOLDER]


def _seconds(text: object) -> float:
    try:
        return seconds(str(text)) if text else 0.0
    except ValueError:
        return 0.0
