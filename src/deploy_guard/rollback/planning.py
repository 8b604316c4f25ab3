"""Plan a rollback: what is condemned, what it returns to, and the patch that does it.

Decides everything that can be decided from one look at the cluster, and pins it: the object by
uid, what is live by its template as read, the target by its revision. Pure; `execution` sends.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from deploy_guard.cluster.rollouts import is_observed, on_delete, partition_of
from deploy_guard.cluster.snapshot import Json, Snapshot
from deploy_guard.cluster.target import kind_of
from deploy_guard.cluster.templates import live_revision, same_template, template_of
from deploy_guard.model import Revision, Target, Verdict
from deploy_guard.outputs.format import stamp
from deploy_guard.ownership.rules import KIND as OWNER
from deploy_guard.ownership.rules import Owner, Rule, find_owners, owner_problems
from deploy_guard.problems import Problem, Superseded, note, warning, worst_first
from deploy_guard.rollback.fast import not_faster
from deploy_guard.rollback.holding import read_hold
from deploy_guard.rollback.patch import operations
from deploy_guard.rollback.revisions import (
    RESTARTED,
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
OF_THE_STATE = ("paused", "deleting", "unobserved", "no-replicas", "on-delete", "partition")
REASON_LIMIT = 300  # characters of a reason that are kept in the annotation


@dataclass(frozen=True, slots=True)
class Way:
    """How a rollback is to be done, as the policy or the command line asks; `by` is who asks."""

    fast: bool = False
    restore_config: bool = False
    owner: Rule = "proceed"
    argocd_namespace: str = "argocd"
    resume: bool = False
    by: str = ""


AS_USUAL = Way()


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
    way: Way
    reason: str
    at: float  # of the look that it was made from
    owners: tuple[Owner, ...] = ()  # who else writes the workload
    in_place: bool = False  # the template stays; it is about configuration

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

    def with_owners(self, owners: tuple[Owner, ...]) -> Plan:
        """Return the plan with what is known of the owners now."""
        others = [problem for problem in self.problems if problem.kind != OWNER]
        told = owner_problems(owners, self.way.owner)
        return replace(self, owners=owners, problems=worst_first((*others, *told)))

    def with_problems(self, more: tuple[Problem, ...]) -> Plan:
        """Return the plan with further problems, worst first."""
        return replace(self, problems=worst_first((*self.problems, *more)))


def plan(
    snapshot: Snapshot,
    *,
    candidate_hash: str | None = None,
    to_revision: int | None = None,
    reason: str = "",
    way: Way = AS_USUAL,
    other_config: str = "",
) -> Plan:
    """Plan the rollback of the live template, or of `candidate_hash` if that is still the live one.

    `other_config` is the uid of a revision that counts as another one than what is live although it
    runs the same, because its configuration was another and will be restored.

    Raises Superseded when `candidate_hash` is not live any more or the workload is another one.
    All else that stands in the way is in the plan's problems, worst first.
    """
    workload = _existing(snapshot)
    past = history(snapshot.revisions)
    condemned = template_of(workload)
    live = _live(workload, snapshot.revisions, past)
    _pinned(snapshot, live, candidate_hash)
    if to_revision is not None:
        choice, problems = _asked_for(past, condemned, to_revision)
    else:
        judged = candidate_hash is not None
        choice, problems = _choose(workload, past, live, judged=judged, other_config=other_config)
    pinned = candidate_hash is not None or to_revision is not None
    problems += _state_problems(snapshot.target, workload, pinned=pinned, resume=way.resume)
    problems += [warning("choice", text) for text in choice.warnings]
    if way.fast and (why := not_faster(workload)):
        problems.append(note("not-faster", f"a fast rollback would not be quicker: {why}"))
    if choice.target and workload["spec"].get("revisionHistoryLimit", 10) == 0:
        text = "the revision to return to is gone once the rollout is complete"
        problems.append(warning("no-history", text, "raise spec.revisionHistoryLimit above 0"))
    return _planned(snapshot, past, live, choice=choice, problems=problems, way=way, reason=reason)


def plan_in_place(
    snapshot: Snapshot,
    *,
    candidate_hash: str | None = None,
    reason: str = "",
    way: Way,
    restart: bool,
) -> Plan:
    """Plan to keep the live template while its configuration is restored, with a `restart` or not.

    Raises Superseded as `plan` does.
    """
    workload = _existing(snapshot)
    past = history(snapshot.revisions)
    live = _live(workload, snapshot.revisions, past)
    _pinned(snapshot, live, candidate_hash)
    choice = Choice(None, "the template stays: its configuration was changed since it was deployed")
    if live is not None:
        template = template_of(workload)
        kept = restarted(template, snapshot.seen_at) if restart else template
        choice = replace(choice, target=Past(live.revision, kept))
    problems = _state_problems(snapshot.target, workload, pinned=True, resume=way.resume)
    made = _planned(snapshot, past, live, choice=choice, problems=problems, way=way, reason=reason)
    number = made.next_number if restart else made.next_number - 1  # without, none is made
    made = replace(made, in_place=True, next_number=number)
    return replace(made, operations=operations(made, workload))


def _planned(
    snapshot: Snapshot,
    past: tuple[Past, ...],
    live: Past | None,
    *,
    choice: Choice,
    problems: list[Problem],
    way: Way,
    reason: str,
) -> Plan:
    """Make the plan of a choice, with who else writes the workload, and the patch."""
    workload = _existing(snapshot)
    owners = find_owners(
        workload, argocd_namespace=way.argocd_namespace, kind=kind_of(snapshot.target)
    )
    numbers = [n for p in past for n in (p.revision.number, *p.revision.former_numbers)]
    chosen = choice.target
    made = Plan(
        target=snapshot.target,
        uid=workload["metadata"]["uid"],
        condemned=template_of(workload),
        candidate=live.revision if live else None,
        revision=chosen.revision if chosen else None,
        template=chosen.template if chosen else None,
        operations=(),
        problems=worst_first((*problems, *owner_problems(owners, way.owner))),
        passed_over=choice.passed_over,
        choice=choice.reason,
        change_cause=chosen.revision.change_cause if chosen else "",
        next_number=max(numbers, default=0) + 1,
        way=way,
        reason=" ".join(reason.split())[:REASON_LIMIT],
        at=snapshot.seen_at,
        owners=owners,
    )
    return replace(made, operations=operations(made, workload))


def restarted(template: Json, at: float) -> Json:
    """Return a template with the annotation of `kubectl rollout restart`."""
    metadata = dict(template.get("metadata") or {})
    metadata["annotations"] = {**(metadata.get("annotations") or {}), RESTARTED: stamp(at)}
    return {**template, "metadata": metadata}


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
    kept = [problem for problem in old.problems if problem.kind not in OF_THE_STATE]
    problems = [*kept, *_state_problems(old.target, workload, pinned=True, resume=old.way.resume)]
    fresh = replace(old, condemned=template_of(workload), problems=worst_first(problems))
    return replace(fresh, operations=operations(fresh, workload))


def _existing(snapshot: Snapshot) -> Json:
    if snapshot.workload is None:
        raise Superseded(f"{snapshot.target} does not exist any more", help="nothing was changed")
    return snapshot.workload


def _pinned(snapshot: Snapshot, live: Past | None, candidate_hash: str | None) -> None:
    """Make sure that what was judged is what is live."""
    found = live.revision.template_hash if live is not None else None
    if candidate_hash is not None and found != candidate_hash:
        raise Superseded(
            f"{snapshot.target} runs another template than the one that was judged",
            help="a newer deploy arrived; it was left alone",
        )


def _choose(
    workload: Json,
    past: tuple[Past, ...],
    live: Past | None,
    *,
    judged: bool,
    other_config: str,
) -> tuple[Choice, list[Problem]]:
    """Choose a revision; a `judged` one is left, even if the last rollback brought it back."""
    last = read_note(workload)
    if in_place(last, live) and not judged:
        text = "the last rollback is in place already"
        help = "to go further back, name a revision with --to-revision"
        return Choice(None, text), [Problem(NOTHING, text, help)]
    template = template_of(workload)
    choice = choose_target(past, live, template=template, note=last, other_config=other_config)
    if choice.target is None:
        return choice, [_no_target(workload, choice)]
    twin = unrestarted(past, live, template=template)
    if choice.target == twin:
        return choice, []
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
    if spec.get("paused") and not resume and read_hold(workload) is None:
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
    return _partition_problems(target, workload)


def _partition_problems(target: Target, workload: Json) -> list[Problem]:
    """Say which pods a partition keeps as they are, and whether these run what is condemned.

    They run the status' current revision (StatefulSet API); while no rollout is under way, that is
    the one that is live.
    """
    partition = partition_of(workload)
    if partition == 0:
        return []
    status = workload.get("status") or {}
    condemned = status.get("currentRevision") == status.get("updateRevision")
    none = partition >= int(workload["spec"].get("replicas", 1))
    which = "no pod is replaced" if none else f"pods below ordinal {partition} stay as they are"
    text = f"{which} (updateStrategy partition {partition})"
    if not condemned:
        return [warning("partition", text, "they do not run the revision that is rolled back")]
    text += ": they run the revision that is rolled back, and go on"
    help = f"lower the partition: kubectl edit {target} -n {target.namespace}"
    return [Problem("partition", text, help) if none else warning("partition", text, help)]


def _live(workload: Json, revisions: tuple[Json, ...], past: tuple[Past, ...]) -> Past | None:
    found = live_revision(workload, revisions)
    if found is None:
        return None
    return next(p for p in past if p.revision.uid == found["metadata"]["uid"])
