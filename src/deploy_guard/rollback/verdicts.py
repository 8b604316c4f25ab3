"""Remember a verdict where the next rollback finds it: on the revision itself."""

from __future__ import annotations

import json

from deploy_guard.cluster.client import MERGE_PATCH, Cluster
from deploy_guard.cluster.errors import ApiError
from deploy_guard.cluster.target import collection_path, revisions_of
from deploy_guard.cluster.workload import VERDICT
from deploy_guard.model import Revision, Target, Verdict
from deploy_guard.outputs.format import stamp
from deploy_guard.rollback.problems import Problem, warning

REASON_LIMIT = 200


def record_verdict(
    cluster: Cluster,
    target: Target,
    revision: Revision,
    verdict: Verdict,
    *,
    reason: str,
    at: float,
) -> Problem | None:
    """Write the verdict as annotation of the revision's object; return a warning if that fails.

    The note names the template that it is about, since undo and the controller copy annotations
    to other revisions. The uid is a precondition: another object of that name is left alone.
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
        cluster.patch(path, body, content_type=MERGE_PATCH)
    except ApiError as error:
        return warning(
            "verdict-not-recorded",
            f"the verdict on revision {revision.number} could not be recorded: {error.detail}",
            error.help or "later rollbacks will not know of it",
        )
    return None
