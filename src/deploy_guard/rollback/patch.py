"""The one JSON Patch of a rollback: what it makes sure of, and all that it changes.

Decides the operations and their order. When a rollback is planned, and from what, is `planning`'s.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from deploy_guard.cluster.converging import annotation, operation, pointer
from deploy_guard.cluster.snapshot import Json
from deploy_guard.cluster.workload import CHANGE_CAUSE, VERDICT
from deploy_guard.configuration.index import CONFIG
from deploy_guard.outputs.format import stamp
from deploy_guard.rollback.fast import fast_operations
from deploy_guard.rollback.holding import HELD, read_hold
from deploy_guard.rollback.revisions import ROLLBACK, restarted_at

if TYPE_CHECKING:
    from deploy_guard.rollback.planning import Plan


def operations(made: Plan, workload: Json) -> tuple[Json, ...]:
    """Write the JSON Patch: tests of what was read, then the template and our own annotations.

    The tests hold where others do not: `resourceVersion` changes with every status, `generation`
    with every scaling, and the revision annotation is written too late. `null` tests absence; only
    a Deployment can be paused. A pause of guard's own ends with the same patch.
    """
    if made.template is None or made.revision is None or made.nothing_to_do:
        return ()
    paused = bool(workload["spec"].get("paused"))
    if paused and not made.way.resume and read_hold(workload) is None:
        return ()
    patch = [
        operation("test", "/metadata/uid", made.uid),
        operation("test", "/spec/template", workload["spec"]["template"]),
    ]
    if made.target.kind == "deployment":
        patch.append(operation("test", "/spec/paused", True if paused else None))
    patch.append(operation("replace", "/spec/template", made.template))
    if paused:
        patch.append({"op": "remove", "path": "/spec/paused"})
    if workload["metadata"].get("annotations") is None:
        patch.append(operation("add", "/metadata/annotations", {}))
    if (held := annotation(workload, HELD)) is not None:
        patch.append(operation("test", pointer(HELD), held))
        patch.append({"op": "remove", "path": pointer(HELD)})
    # kubectl rollout undo leaves them here, and the controller copies them over the revision's own
    for stray in (VERDICT, CONFIG):
        if annotation(workload, stray) is not None:
            patch.append({"op": "remove", "path": pointer(stray)})
    if made.way.fast:
        patch += fast_operations(workload, at=made.at)
    return (
        *patch,
        operation("add", pointer(ROLLBACK), _note(made)),
        *_change_cause(made, workload),
    )


def _change_cause(made: Plan, workload: Json) -> tuple[Json, ...]:
    """Let the change-cause go with the template that it describes."""
    present = annotation(workload, CHANGE_CAUSE)
    if made.in_place:
        return ()
    if made.change_cause and made.change_cause != present:
        return (operation("add", pointer(CHANGE_CAUSE), made.change_cause),)
    if present is not None and not made.change_cause:
        return ({"op": "remove", "path": pointer(CHANGE_CAUSE)},)
    return ()


def _note(made: Plan) -> str:
    """Write guard's note: from which revision, to which, when, why and by whom."""
    value: Json = {
        "from": {
            "revision": made.candidate.number if made.candidate else 0,
            "template": made.candidate.template_hash if made.candidate else "",
        },
        "to": {
            "revision": made.next_number,
            "template": made.revision.template_hash if made.revision else "",
        },
        "at": stamp(made.at),
        "reason": made.reason,
        "by": made.way.by,
    }
    if made.in_place:
        value |= {"configuration": True, "restarted": restarted_at(made.template or {})}
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
