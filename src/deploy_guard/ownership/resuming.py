"""The note that guard leaves on a suspended object, and the exact commands that resume it.

Decides what is kept so that resuming restores what was there, and when a note is believed: it must
be about this very object, and the object must still be suspended. Writes nothing.
"""

from __future__ import annotations

import json
from shlex import quote
from typing import Any

from deploy_guard.cluster.notes import parsed
from deploy_guard.cluster.snapshot import Json
from deploy_guard.outputs.format import stamp
from deploy_guard.ownership.gitops import KINDS, field_of, is_suspended
from deploy_guard.ownership.marks import Owner, Tool

NOTE = "deploy-guard/suspended"
LONGEST = 300  # characters of a reason that are kept
FLAGS = {"prune": "--auto-prune", "selfHeal": "--self-heal", "allowEmpty": "--allow-empty"}


def write_note(obj: Json, tool: Tool, *, by: str, reason: str, at: float) -> str:
    """Return the annotation for an object that is about to be suspended."""
    note = {
        "uid": obj["metadata"]["uid"],
        "was": field_of(obj, tool),
        "at": stamp(at),
        "by": by,
        "reason": reason[:LONGEST],
    }
    return json.dumps(note, separators=(",", ":"), ensure_ascii=False)


def read_note(obj: Json, tool: Tool) -> dict[str, Any] | None:
    """Return guard's note if it holds: about this object, which is suspended still."""
    note = parsed((obj["metadata"].get("annotations") or {}).get(NOTE))
    if note.get("uid") != obj["metadata"]["uid"]:
        return None
    return note if is_suspended(obj, tool) else None


def resume_commands(owner: Owner, was: Any) -> tuple[str, ...]:
    """Return the tool's own command, then the `kubectl patch` that puts `was` back exactly.

    Only the latter removes guard's note and restores settings that the tool's command has no flag
    for, such as an explicit `automated.enabled`.
    """
    kind = KINDS[owner.tool]
    spec: Any = was
    for name in reversed(kind.field):
        spec = {name: spec}
    body = {"metadata": {"annotations": {NOTE: None}}, "spec": spec}
    patch = json.dumps(body, separators=(",", ":"))
    return (
        _own_command(owner, was),
        f"kubectl patch {kind.qualified} {owner.name} -n {owner.namespace} "
        f"--type merge -p {quote(patch)}",
    )


def _own_command(owner: Owner, was: Any) -> str:
    if owner.tool is Tool.ARGO_CD:
        settings = was if isinstance(was, dict) else {}
        flags = "".join(f" {flag}" for key, flag in FLAGS.items() if settings.get(key))
        return f"argocd app set {owner.argocd_name} --sync-policy automated{flags}"
    kind = KINDS[owner.tool].kind.lower()
    return f"flux resume {kind} {owner.name} -n {owner.namespace}"
