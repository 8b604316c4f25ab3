"""Plan a rollback: what is condemned, what it returns to, and the patch that does it.

Decides everything that can be decided from one look at the cluster, and pins it: the object by
uid, what is live by its template as read, the target by its revision. Pure; `execution` sends.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from deploy_guard.cluster.rollouts import is_observed, on_delete, partition_of
from deploy_guard.cluster.snapshot import Json, Snapshot
from deploy_guard.cluster.templates import live_revision, same_template, template_of
from deploy_guard.cluster.workload import CHANGE_CAUSE
from deploy_guard.model import Revision, Target, Verdict
from deploy_guard.outputs.format import stamp
from deploy_guard.rollback.owners import owner_warnings
from deploy_guard.rollback.problems import Problem, Superseded, warning, worst_first
from deploy_guard.rollback.revisions import (
    ROLLBACK,
    Choice,
    Past,
    choose_target,
    equivalent,
    find,
    history,
    in_place,
    read_note,
    unrestarted,
)

NOTHING = "nothing-to-do"
REASON_LIMIT = 300  # characters of a reason that are kept in the annotation


@dataclass(frozen=True, slots=True)
class Plan:
    """A rollback that could be done, or why not.

    `condemned` is the live template as read, `template` the one to restore; `operations` is the
    JSON Patch, empty when there is nothing to send.
    """

    target: Target
    uid: str
    condemned: Json
    candidate: Revision | None  # None: the controller has not made its revision yet
    revision: Revision | None  # to return to
    template: Json | None
    operations: tuple[Json, ...]
    problems: tuple[Problem, ...]
    passed_over: tuple[tuple[Revision, str], ...]
    choice: str  # why this revision, or why none
    change_cause: str
    next_number: int
    resume: bool
    reason: str
    by: str  # who asked for it
    at: float  # of the look that it was made from

    @property
    def possible(self) -> bool:
        """Whether nothing stands in the way."""
        return bool(self.operations) and not any(problem.blocks for problem in self.problems)

    @property
    def nothing_to_do(self) -> bool:
        """Whether what is asked for is what is live already."""
        return any(problem.kind == NOTHING for problem in self.problems)

    @property
    def blocking(self) -> Problem | None:
        """The worst problem that stands in the way."""
        return next((problem for problem in self.problems if problem.blocks), None)

    def with_problems(self, more: tuple[Problem, ...]) -> Plan:
        """Return the plan with further problems, worst first."""
        return replace(self, problems=worst_first((*self.problems, *more)))


def plan(
    snapshot: Snapshot,
    *,
    candidate_hash: str | None = None,
    to_revision: int | None = None,
    resume: bool = False,
    reason: str = "",
    by: str = "",
) -> Plan:
    """Plan the rollback of the live template, or of `candidate_hash` if that is still the live one.

    Raises Superseded when `candidate_hash` is not live any more or the workload is another one.
    All else that stands in the way is in the plan's problems, worst first.
    """
    workload = snapshot.workload
    if workload is None:
        raise Superseded(f"{snapshot.target} does not exist any more", help="nothing was changed")
    past = history(snapshot.revisions)
    condemned = template_of(workload)
    live = _live(workload, snapshot.revisions, past)
    if candidate_hash is not None and (
        live is None or live.revision.template_hash != candidate_hash
    ):
        raise Superseded(
            f"{snapshot.target} runs another template than the one that was judged",
            help="a newer deploy arrived; it was left alone",
        )
    if to_revision is not None:
        choice, problems = _asked_for(past, condemned, to_revision)
    else:
        choice, problems = _choose(workload, past, live, judged=candidate_hash is not None)
    pinned = candidate_hash is not None or to_revision is not None
    problems += _state_problems(snapshot.target, workload, pinned=pinned, resume=resume)
    problems += [warning("choice", text) for text in choice.warnings]
    if choice.target and workload["spec"].get("revisionHistoryLimit", 10) == 0:
        text = "the revision to return to is gone once the rollout is complete"
        problems.append(warning("no-history", text, "raise spec.revisionHistoryLimit above 0"))
    problems += owner_warnings(workload)
    numbers = [n for p in past for n in (p.revision.number, *p.revision.former_numbers)]
    chosen = choice.target
    made = Plan(
        target=snapshot.target,
        uid=workload["metadata"]["uid"],
        condemned=condemned,
        candidate=live.revision if live else None,
        revision=chosen.revision if chosen else None,
        template=chosen.template if chosen else None,
        operations=(),
        problems=worst_first(problems),
        passed_over=choice.passed_over,
        choice=choice.reason,
        change_cause=chosen.revision.change_cause if chosen else "",
        next_number=max(numbers, default=0) + 1,
        resume=resume,
        reason=" ".join(reason.split())[:REASON_LIMIT],
        by=by,
        at=snapshot.seen_at,
    )
    return replace(made, operations=operations(made, workload))


def again(old: Plan, workload: Json) -> Plan:
    """Pin the same rollback, to the same template, to the workload as it is now.

    Works also when the target's revision was collected meanwhile. Only what may change without
    a deploy is looked at anew: annotations, pause, deletion. Raises Superseded when another
    template than the condemned one is live, or the workload was made anew.
    """
    if workload["metadata"]["uid"] != old.uid:
        raise Superseded(f"{old.target} was deleted and made anew", help="it was left alone")
    if not same_template(template_of(workload), old.condemned):
        raise Superseded(
            f"{old.target} runs another template than the one that was condemned",
            help="a newer deploy arrived; it was left alone",
        )
    kinds = ("paused", "deleting", "unobserved")
    kept = [problem for problem in old.problems if problem.kind not in kinds]
    problems = [*kept, *_state_problems(old.target, workload, pinned=True, resume=old.resume)]
    fresh = replace(old, condemned=template_of(workload), problems=worst_first(problems))
    return replace(fresh, operations=operations(fresh, workload))


def operations(made: Plan, workload: Json) -> tuple[Json, ...]:
    """Write the JSON Patch: tests of what was read, then the template and our own annotations.

    The tests hold where others do not: `resourceVersion` changes with every status, `generation`
    with every scaling, and the revision annotation is written too late. `null` tests absence; only
    a Deployment can be paused.
    """
    if made.template is None or made.revision is None or made.nothing_to_do:
        return ()
    paused = bool(workload["spec"].get("paused"))
    if paused and not made.resume:
        return ()
    patch: list[Json] = [
        _op("test", "/metadata/uid", made.uid),
        _op("test", "/spec/template", workload["spec"]["template"]),
    ]
    if made.target.kind == "deployment":
        patch.append(_op("test", "/spec/paused", True if paused else None))
    patch.append(_op("replace", "/spec/template", made.template))
    if paused:
        patch.append({"op": "remove", "path": "/spec/paused"})
    notes = workload["metadata"].get("annotations")
    if notes is None:
        patch.append(_op("add", "/metadata/annotations", {}))
    patch.append(_op("add", _annotation(ROLLBACK), _note(made)))
    present = (notes or {}).get(CHANGE_CAUSE)
    if made.change_cause and made.change_cause != present:
        patch.append(_op("add", _annotation(CHANGE_CAUSE), made.change_cause))
    elif present is not None and not made.change_cause:
        patch.append({"op": "remove", "path": _annotation(CHANGE_CAUSE)})
    return tuple(patch)


def _choose(
    workload: Json, past: tuple[Past, ...], live: Past | None, *, judged: bool
) -> tuple[Choice, list[Problem]]:
    """Choose a revision; a `judged` one is left, even if the last rollback brought it back."""
    note = read_note(workload)
    if in_place(note, live) and not judged:
        text = "the last rollback is in place already"
        help = "to go further back, name a revision with --to-revision"
        return Choice(None, text), [Problem(NOTHING, text, help)]
    choice = choose_target(past, live, template=template_of(workload), note=note)
    if choice.target is None:
        return choice, [_no_target(workload, choice)]
    twin = unrestarted(past, live, template=template_of(workload))
    if judged and twin is not None and twin.revision.verdict is Verdict.HEALTHY:
        return choice, [_only_restarted(twin.revision)]
    return choice, []


def _only_restarted(twin: Revision) -> Problem:
    """Say that what was judged is a restart of what was healthy, so not the template's fault."""
    return Problem(
        "restart",
        f"the deploy was a restart: revision {twin.number} runs the same and was judged healthy",
        "look for another cause, such as changed configuration; to go to an older version all "
        "the same: guard rollback",
    )


def _asked_for(
    past: tuple[Past, ...], condemned: Json, number: int
) -> tuple[Choice, list[Problem]]:
    found = find(past, number)
    if found is None:
        numbers = ", ".join(str(p.revision.number) for p in past) or "none"
        text = f"revision {number} is not in the history"
        return Choice(None, text), [Problem("no-such-revision", text, f"there are: {numbers}")]
    if same_template(found.template, condemned):
        text = f"revision {number} is what is live already"
        return Choice(None, text), [Problem(NOTHING, text)]
    problems = []
    if found.revision.verdict is Verdict.REGRESSED:
        text = f"revision {number} was itself judged regressed"
        problems.append(warning("target-regressed", text, "it was asked for by its number"))
    if equivalent(found.template, condemned):
        text = f"revision {number} runs the same as what is live: only annotations differ"
        problems.append(warning("equivalent", text))
    return Choice(found, "asked for by its number"), problems


def _no_target(workload: Json, choice: Choice) -> Problem:
    limit = workload["spec"].get("revisionHistoryLimit", 10)
    if limit == 0:
        return Problem(
            "no-history",
            "no history is kept: revisionHistoryLimit is 0",
            "set spec.revisionHistoryLimit to 2 or more before the next deploy",
        )
    help = "deploy a fixed version"
    if choice.passed_over:
        passed = "; ".join(f"revision {r.number} {why}" for r, why in choice.passed_over[:5])
        help = f"guard rollback --to-revision N goes to one all the same ({passed})"
    return Problem("no-target", choice.reason, help)


def _state_problems(target: Target, workload: Json, *, pinned: bool, resume: bool) -> list[Problem]:
    """Say what about the workload itself stands in the way."""
    problems = []
    spec = workload["spec"]
    if "deletionTimestamp" in workload["metadata"]:
        problems.append(
            Problem("deleting", f"{target} is being deleted: a patch would change nothing")
        )
    if spec.get("paused") and not resume:
        problems.append(
            Problem(
                "paused",
                f"{target} is paused: no pod would change",
                "guard rollback --resume resumes it with the same patch",
            )
        )
    if not is_observed(workload) and not pinned:
        problems.append(
            Problem(
                "unobserved",
                "the controller has not seen the latest change yet: revisions may be misnumbered",
                "try again in a moment, or name a revision with --to-revision",
            )
        )
    if target.kind != "daemonset" and int(spec.get("replicas", 1)) == 0:
        problems.append(warning("no-replicas", f"{target} is scaled to 0: no pod will run"))
    return problems + _strategy_problems(target, workload)


def _strategy_problems(target: Target, workload: Json) -> list[Problem]:
    """Say what a StatefulSet's or DaemonSet's update strategy keeps a rollback from doing."""
    if target.kind == "deployment":
        return []
    if on_delete(workload):
        return [
            Problem(
                "on-delete",
                f"{target} replaces pods only when somebody deletes them (updateStrategy "
                "OnDelete): no pod would change",
                f"kubectl rollout undo {target} puts the template back; then delete its pods one "
                "by one",
            )
        ]
    partition = partition_of(workload)
    if partition == 0:
        return []
    text = f"pods below ordinal {partition} stay as they are (updateStrategy partition)"
    return [warning("partition", text, "they run the revision before the partition was set")]


def _live(workload: Json, revisions: tuple[Json, ...], past: tuple[Past, ...]) -> Past | None:
    found = live_revision(workload, revisions)
    if found is None:
        return None
    return next(p for p in past if p.revision.uid == found["metadata"]["uid"])


def _note(made: Plan) -> str:
    """Write guard's note: from which revision, to which, when and why."""
    value = {
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
        "by": made.by,
    }
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _annotation(key: str) -> str:
    return "/metadata/annotations/" + key.replace("~", "~0").replace("/", "~1")


def _op(op: str, path: str, value: Any) -> Json:
    return {"op": op, "path": path, "value": value}
