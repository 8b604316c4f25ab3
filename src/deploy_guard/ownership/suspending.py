"""Suspends a GitOps tool, so that it does not bring the condemned version back.

Decides what is written: one JSON Patch on the tool's own object, with tests on its uid and on every
value that it replaces, and a note of what was there in the same patch. A write whose answer got
lost, or that came too late, is never repeated blindly: the object is read again. Twice is once.
Resuming is left to people, by the commands that are returned: only they know when Git is right.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.errors import ApiError, Conflict, Forbidden, Invalid, NotFound
from deploy_guard.cluster.retry import may_pass
from deploy_guard.cluster.snapshot import Json
from deploy_guard.ownership import gitops
from deploy_guard.ownership.marks import Owner, Tool
from deploy_guard.ownership.masters import masters
from deploy_guard.ownership.resuming import NOTE, read_note, resume_commands, write_note
from deploy_guard.problems import Problem, warning

ATTEMPTS = 5
KIND = "owner"
NOTE_PATH = f"/metadata/annotations/{NOTE.replace('/', '~1')}"


@dataclass(frozen=True, slots=True)
class Suspended:
    """How suspending an owner ended.

    `done`: it is suspended now, or would be in a dry run; `changed`: by this call. `resume` are
    command lines that each resume it on their own, the tool's first. `problems` are warnings.
    """

    owner: Owner
    done: bool
    changed: bool = False
    resume: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def suspension_rights(owner: Owner) -> tuple[tuple[str, str, str, str], ...]:
    """Return what suspending needs: verb, group, resource and namespace of each right."""
    kind = gitops.KINDS.get(owner.tool)
    if kind is None or not owner.name:
        return ()
    return tuple((verb, kind.group, kind.resource, owner.namespace) for verb in ("get", "patch"))


def suspend(cluster: Cluster, owner: Owner, *, by: str, reason: str, at: float) -> Suspended:
    """Suspend the owner, unless it is suspended; `at` is the time in Unix seconds.

    Raises nothing for what the cluster answers: a rollback goes on without, and `problems` says
    why it may not last.
    """
    if owner.tool not in gitops.KINDS:
        text = f"{owner.what} cannot be suspended by guard and may revert the rollback"
        return Suspended(owner, done=False, problems=(warning(KIND, text),))
    if not owner.name:
        text = f"which {owner.what} it is is not known, so it is not suspended"
        help = "suspend it by hand, or it may revert the rollback"
        return Suspended(owner, done=False, problems=(warning(KIND, text, help),))
    last: ApiError | None = None
    for _ in range(ATTEMPTS):
        try:
            obj, path = gitops.read(cluster, owner)
        except ApiError as error:  # reads have been tried again already
            return Suspended(owner, done=False, problems=(_why_not(owner, error),))
        note = write_note(obj, owner.tool, by=by, reason=reason, at=at)
        if gitops.is_suspended(obj, owner.tool):
            return _already(owner, obj, sent=note if last else "")
        try:
            after = cluster.patch(path, operations(obj, owner.tool, note))
        except ApiError as error:
            last = error
            if not _read_again(error):
                break
        else:
            return _done(owner, obj, after)
    return Suspended(owner, done=False, problems=(_why_not(owner, last),))


def operations(obj: Json, tool: Tool, note: str) -> list[Json]:
    """Return the JSON Patch that suspends the object if it is still as it was read.

    The tests are on uid, the field and the note, not on resourceVersion: Argo CD writes an
    Application's status, with its resourceVersion, every few seconds.
    """
    metadata, kind = obj["metadata"], gitops.KINDS[tool]
    field = "/spec/" + "/".join(kind.field)
    was = gitops.field_of(obj, tool)
    patch: list[Json] = [
        {"op": "test", "path": "/metadata/uid", "value": metadata["uid"]},
        {"op": "test", "path": field, "value": was},  # null: absent
    ]
    if metadata.get("annotations") is None:
        patch.append({"op": "test", "path": "/metadata/annotations", "value": None})
        patch.append({"op": "add", "path": "/metadata/annotations", "value": {NOTE: note}})
    else:
        before = metadata["annotations"].get(NOTE)
        patch.append({"op": "test", "path": NOTE_PATH, "value": before})
        patch.append({"op": "add", "path": NOTE_PATH, "value": note})
    if tool is Tool.ARGO_CD:
        patch.append({"op": "remove", "path": field})
    else:
        patch.append({"op": "add", "path": field, "value": True})
    return patch


def _read_again(error: ApiError) -> bool:
    """Tell whether the object changed meanwhile, or it is not known whether it was written."""
    return isinstance(error, Conflict) or may_pass(error) or _test_failed(error)


def _test_failed(error: ApiError) -> bool:
    return isinstance(error, Invalid) and error.test_failed


def _done(owner: Owner, before: Json, after: Json) -> Suspended:
    resume = resume_commands(owner, gitops.field_of(before, owner.tool))
    problems = (*masters(before, owner), *_under_way(owner, after))
    if not gitops.is_suspended(after, owner.tool):
        text = f"{owner.what} is not suspended: the cluster took the patch and changed it back"
        problems = (warning(KIND, text, "a webhook or policy of the cluster does that"), *problems)
        return Suspended(owner, done=False, changed=True, resume=resume, problems=problems)
    return Suspended(owner, done=True, changed=True, resume=resume, problems=problems)


def _already(owner: Owner, obj: Json, *, sent: str) -> Suspended:
    """Report what is suspended already: by a patch whose answer got lost, earlier, by others.

    `sent` is a note that this call may have written.
    """
    note, problems = read_note(obj, owner.tool), masters(obj, owner)
    if note is not None:
        changed = bool(sent) and all(note.get(k) == json.loads(sent)[k] for k in ("at", "by"))
        resume = resume_commands(owner, note.get("was"))
        return Suspended(owner, True, changed=changed, resume=resume, problems=problems)
    text = f"{owner.what} was suspended before, not by guard"
    found = warning(KIND, text, "whoever suspended it knows why, and when to resume it")
    return Suspended(owner, done=True, problems=(found, *problems))


def _under_way(owner: Owner, obj: Json) -> tuple[Problem, ...]:
    """Warn of a sync or reconciliation that has begun: suspending does not stop it."""
    status: dict[str, Any] = obj.get("status") or {}
    if owner.tool is Tool.ARGO_CD:
        phase = (status.get("operationState") or {}).get("phase")
        if phase != "Running" and not obj.get("operation"):
            return ()
        help = f"argocd app terminate-op {owner.argocd_name}"
    else:
        conditions = {c.get("type"): c.get("status") for c in status.get("conditions") or ()}
        if conditions.get("Reconciling") != "True":
            return ()
        help = "look at the image once it has ended, and roll back again if need be"
    text = f"{owner.what} is at work right now, which suspending does not stop"
    return (warning(KIND, text, help),)


def _why_not(owner: Owner, error: ApiError | None) -> Problem:
    text = f"{owner.what} is not suspended and may revert the rollback"
    if isinstance(error, gitops.NoSuchApi):
        kind = gitops.KINDS[owner.tool]
        help = f"suspend it where the tool runs: this cluster has no {kind.qualified}"
    elif isinstance(error, NotFound):
        help = "no such object: see argocd_namespace in the policy, or suspend it by hand"
        if owner.tool is not Tool.ARGO_CD:
            help = "no such object in this cluster: suspend it where the tool runs"
    elif isinstance(error, Forbidden):
        kind = gitops.KINDS[owner.tool]
        verbs = f'"get" and "patch" on {kind.qualified} in namespace {owner.namespace}'
        help = f"the account needs {verbs}" if error.missing_right else error.help
    elif error is not None and (isinstance(error, Conflict) or _test_failed(error)):
        help = f"it changed {ATTEMPTS} times while guard tried; suspend it by hand"
    else:
        help = error.detail if error is not None else ""
    return warning(KIND, text, help)
