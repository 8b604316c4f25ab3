"""Remember a verdict where the next rollback finds it: on the revision itself."""

from __future__ import annotations

import json

from deploy_guard.cluster.client import MERGE_PATCH, Cluster
from deploy_guard.cluster.errors import ApiError
from deploy_guard.cluster.snapshot import Json
from deploy_guard.cluster.target import collection_path, revisions_of, workload_path
from deploy_guard.cluster.workload import VERDICT
from deploy_guard.model import Revision, Target, Verdict
from deploy_guard.outputs.format import stamp
from deploy_guard.problems import Problem, warning

REASON_LIMIT = 200


def record_verdict(
    cluster: Cluster,
    target: Target,
    revision: Revision,
    verdict: Verdict,
    *,
    reason: str,
    at: float,
    workload: Json | None = None,
) -> Problem | None:
    """Write the verdict as annotation of the revision's object; return a warning if that fails.

    The note names the template that it is about, since undo and the controller copy annotations
    to other revisions. The uid is a precondition: another object of that name is left alone. A
    note that undo has left on the `workload` goes first: the controller would copy it over ours.
    """
    note = {
        "verdict": str(verdict),
        "template": revision.template_hash,
        "at": stamp(at),
        "reason": " ".join(reason.split())[:REASON_LIMIT],
    }
    text = json.dumps(note, separators=(",", ":"), ensure_ascii=False)
    body = {"metadata": {"uid": revision.uid, "annotations": {VERDICT: text}}}
    path = f"{collection_path(target, revisions_of(target))}/{revision.name}"
    try:
        if workload is not None and VERDICT in (workload["metadata"].get("annotations") or {}):
            uid = workload["metadata"]["uid"]
            stray = {"metadata": {"uid": uid, "annotations": {VERDICT: None}}}
            cluster.patch(workload_path(target), stray, content_type=MERGE_PATCH)
        cluster.patch(path, body, content_type=MERGE_PATCH)
    except ApiError as error:
        return warning(
            "verdict-not-recorded",
            f"the verdict on revision {revision.number} could not be recorded: {error.detail}",
            error.help or "later rollbacks will not know of it",
        )
    return None
