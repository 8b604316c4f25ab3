"""All that is known before a rollback: the plan, its problems, the owners, the configuration.

Decides in which order things are found out, and whether a rollback is about the template, about
configuration alone, or both. Reads only; nothing here raises for what a rollback can do without.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.errors import ApiError, Call, Timeout
from deploy_guard.cluster.rollouts import live_hash
from deploy_guard.cluster.snapshot import Json, Snapshot
from deploy_guard.cluster.target import kind_of
from deploy_guard.cluster.templates import live_revision, template_of
from deploy_guard.cluster.workload import began_at
from deploy_guard.configuration.comparing import (
    Comparison,
    Difference,
    State,
    compare,
    needs_restart,
    put_back_since,
)
from deploy_guard.configuration.index import index_of
from deploy_guard.model import Change
from deploy_guard.ownership.details import look_closer
from deploy_guard.ownership.rules import SUSPENDABLE, Owner
from deploy_guard.ownership.suspending import suspension_rights
from deploy_guard.problems import Problem, warning
from deploy_guard.rollback.differences import changes
from deploy_guard.rollback.planning import AS_USUAL, Plan, Way, again, plan, plan_in_place
from deploy_guard.rollback.preflight.asking import Answer, Asker
from deploy_guard.rollback.preflight.check import check, check_again
from deploy_guard.rollback.preflight.features import (
    BASE,
    EVENTS,
    LEASE,
    RESTORE,
    STUCK_PODS,
    Feature,
    suspending,
)
from deploy_guard.rollback.revisions import (
    find_unrestarted,
    history,
    in_place,
    only_restarted,
    read_note,
)
from deploy_guard.rollback.stuck import is_ordered

PATIENCE = 120.0  # seconds for what alone is to be restored: without it nothing is done
SOME_SECONDS = 10.0  # for what is to be restored besides the template, which must not wait for it
NOT_RESTORED = "configuration-not-restored"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A rollback that could be carried out.

    `comparison` is the snapshot of the configuration that the target revision ran with, next to
    what is live; None without one. `snapshot` is the look that all this was made from.
    """

    plan: Plan
    snapshot: Snapshot = field(repr=False)
    comparison: Comparison | None = None

    @property
    def changes(self) -> tuple[Change, ...]:
        """What the template gains and loses."""
        return tuple(changes(self.plan))

    @property
    def configuration(self) -> tuple[Change, ...]:
        """What differs in ConfigMaps and Secrets."""
        return self.comparison.changes if self.comparison else ()

    @property
    def restores(self) -> bool:
        """Whether configuration will be written."""
        return self.plan.way.restore_config and bool(self.comparison and self.comparison.to_restore)


def prepare(
    cluster: Cluster,
    snapshot: Snapshot,
    *,
    candidate_hash: str | None = None,
    to_revision: int | None = None,
    reason: str = "",
    way: Way = AS_USUAL,
) -> Prepared:
    """Plan a rollback and find out all that can be known before it; see `plan` for what is raised.

    Everything that is asked is asked at once and for a few seconds in all.
    """
    changed = None
    if way.restore_config:
        changed = _changed_in_place(cluster, snapshot, judged=candidate_hash is not None)
    if changed is not None and to_revision is None:
        restart = _needs_restart(snapshot, changed)
        made = plan_in_place(
            snapshot, candidate_hash=candidate_hash, reason=reason, way=way, restart=restart
        )
    else:
        changed = None
        made = plan(
            snapshot,
            candidate_hash=candidate_hash,
            to_revision=to_revision,
            reason=reason,
            way=way,
            other_config=_other_config(cluster, snapshot) if way.restore_config else "",
        )
    asker = Asker()
    closer = asker.ask(lambda: _closer(cluster, snapshot, made))
    compared = asker.ask(lambda: changed or _compared(cluster, snapshot, made))
    checked = check(cluster, made, features(made, snapshot.workload or {}))
    checked = checked.with_owners(_owners(closer, made))
    comparison, problems = _comparison(compared)
    found = Prepared(checked, snapshot, comparison)
    return replace(found, plan=checked.with_problems((*problems, *_about_config(found))))


def renew(
    cluster: Cluster,
    first: Prepared,
    snapshot: Snapshot,
    *,
    candidate_hash: str,
    reason: str,
    patience: float = SOME_SECONDS,
) -> Prepared:
    """Prepare once more, from what is live at the moment of the decision, as little as is needed.

    The target's template is still known when its revision has been collected meanwhile. Asked
    again, all at once, are the rights, the references, and the configuration if it is to be
    restored: without an answer in `patience` seconds the template goes back alone, and a problem
    of the kind NOT_RESTORED says so. Where configuration is all that is to be restored, it is
    waited for, and Timeout is raised. Raises Superseded as `plan` does.
    """
    way, was = first.plan.way, first.comparison
    if first.plan.in_place:
        restart = was is not None and _needs_restart(snapshot, was)
        made = plan_in_place(
            snapshot, candidate_hash=candidate_hash, reason=reason, way=way, restart=restart
        )
    else:
        other = first.plan.revision.uid if first.plan.revision and first.restores else ""
        made = plan(
            snapshot, candidate_hash=candidate_hash, reason=reason, way=way, other_config=other
        )
        if made.template is None and first.plan.template is not None and snapshot.workload:
            known = replace(first.plan, reason=made.reason, at=made.at)
            made = again(known, snapshot.workload)
    made = made.with_owners(first.plan.owners)
    alone = first.plan.in_place or only_restarted(made.template or {}, made.condemned)
    compared: Answer[Comparison] | None = None
    if was is not None and way.restore_config:
        index = was.index
        asker = Asker(PATIENCE if alone else patience)
        compared = asker.ask(lambda: compare(cluster, snapshot.target, index))
    made = made.with_problems(check_again(cluster, made))
    same = _uid_of(made) != "" and _uid_of(made) == _uid_of(first.plan)
    if compared is not None:
        try:
            was = compared.wait()
            why = _unread(first, was)
            if why and alone and not was.to_restore:
                raise ApiError(Call("read", "the configuration"), why)
        except Timeout as error:
            if alone:
                raise
            was, why = None, error.detail
        made = made.with_problems((_not_restored(made, why),) if why else ())
    return Prepared(made, snapshot, was if same or first.plan.in_place else None)


def features(made: Plan, workload: Json) -> Iterable[Feature]:
    """Return what a rollback uses, so that a right that is missing is told now."""
    yield from BASE
    yield LEASE
    yield EVENTS
    if made.way.restore_config:
        yield RESTORE.asked_for()
    if made.target.kind == "statefulset" and workload and is_ordered(workload):
        yield STUCK_PODS
    if made.way.owner == "suspend":
        for owner in made.owners:
            if owner.tool in SUSPENDABLE and owner.name:
                yield _suspending(owner)


def _unread(first: Prepared, now: Comparison) -> str:
    """Say what was to be restored and cannot be read any more; empty when all can."""
    wanted = {str(each) for each in first.comparison.to_restore} if first.comparison else set()
    lost = [e for e in now.differences if e.state is State.UNKNOWN and str(e) in wanted]
    return "; ".join(f"{each}: {each.why}" for each in lost)


def _not_restored(made: Plan, why: str) -> Problem:
    """Say loudly that the template goes back without its configuration."""
    return warning(
        NOT_RESTORED,
        f"THE CONFIGURATION IS NOT RESTORED: it cannot be compared with its snapshot: {why}",
        "the template goes back without it; once it serves: "
        f"guard rollback {made.target} -n {made.target.namespace} --restore-config",
    )


def _uid_of(made: Plan) -> str:
    """Return which revision is returned to; its replicas and number change during a rollout."""
    return made.revision.uid if made.revision is not None else ""


def _suspending(owner: Owner) -> Feature:
    _, group, resource, namespace = suspension_rights(owner)[0]
    return suspending(group, resource, namespace, owner.name)


def _closer(cluster: Cluster, snapshot: Snapshot, made: Plan) -> tuple[Owner, ...]:
    return look_closer(
        cluster,
        snapshot.workload or {},
        made.owners,
        argocd_namespace=made.way.argocd_namespace,
        kind=kind_of(made.target),
    )


def _owners(answer: Answer[tuple[Owner, ...]], made: Plan) -> tuple[Owner, ...]:
    try:
        return answer.wait()
    except ApiError:
        return made.owners  # known by their marks alone


def _compared(cluster: Cluster, snapshot: Snapshot, made: Plan) -> Comparison | None:
    """Compare with the snapshot of the revision to return to, if it has one."""
    return _compared_with(cluster, snapshot, _uid_of(made))


def _compared_with(cluster: Cluster, snapshot: Snapshot, uid: str) -> Comparison | None:
    """Compare with the newest snapshot of the revision with this uid, if it has one."""
    revision = next((r for r in snapshot.revisions if r["metadata"]["uid"] == uid), None)
    index = index_of(revision) if revision is not None else None
    return compare(cluster, snapshot.target, index) if index is not None else None


def _comparison(
    answer: Answer[Comparison | None],
) -> tuple[Comparison | None, tuple[Problem, ...]]:
    try:
        found = answer.wait()
    except ApiError as error:
        text = f"the configuration could not be compared with its snapshot: {error.detail}"
        return None, (warning("configuration-unknown", text),)
    return found, found.problems if found is not None else ()


def _about_config(found: Prepared) -> tuple[Problem, ...]:
    """Say what of the configuration a rollback does not bring back, though it could."""
    way, comparison = found.plan.way, found.comparison
    if comparison is None:
        if not way.restore_config or found.plan.revision is None:
            return ()
        text = "no snapshot of the configuration is kept for the revision to return to"
        help = "take one before each deploy: guard snapshot, or guard deploy"
        return (warning("no-snapshot", text, help),)
    if way.restore_config or not comparison.to_restore:
        return ()
    names = ", ".join(str(each) for each in comparison.to_restore)
    text = f"the configuration is not what the old revision ran with: {names}"
    return (warning("configuration", text, "guard rollback --restore-config puts it back"),)


def _changed_in_place(cluster: Cluster, snapshot: Snapshot, *, judged: bool) -> Comparison | None:
    """Compare with the snapshot that was taken of the live revision while it ran.

    Something that differs was changed in place since: no older revision would cure that. If it was
    not `judged` and the last rollback returned to it, the time before counts as well: that rollback
    left its configuration as it was.
    """
    if snapshot.workload is None:
        return None
    revision = live_revision(snapshot.workload, snapshot.revisions)
    index = index_of(revision) if revision is not None else None
    if index is None:
        return None
    if index.at < began_at(snapshot, live_hash(snapshot) or "") and (
        judged or not _returned_to(snapshot)
    ):
        return None
    found = compare(cluster, snapshot.target, index)
    ours = {str(each) for each in _put_back(snapshot, found)}
    changed = any(str(each) not in ours for each in found.to_restore)
    return found if changed or _half_done(snapshot, found) else None


def _returned_to(snapshot: Snapshot) -> bool:
    """Tell whether what is live is the result of guard's last rollback, still."""
    live, last = live_hash(snapshot), read_note(snapshot.workload or {"metadata": {}})
    past = (p for p in history(snapshot.revisions) if p.revision.template_hash == live)
    return in_place(last, next(past, None))


def _put_back(snapshot: Snapshot, found: Comparison) -> tuple[Difference, ...]:
    """Return what a guard put back that died before its patch: no note on the workload is so new.

    What then differs from the snapshot of the live revision is of the one that it was to return to.
    """
    last = read_note(snapshot.workload or {"metadata": {}})
    after = last.at + 1 if last is not None else 0.0  # times in notes have whole seconds
    return put_back_since(found, max(found.index.at, after))


def _half_done(snapshot: Snapshot, found: Comparison) -> tuple[Difference, ...]:
    """Return what is as it was again, while the pods may not have been restarted for it."""
    return tuple(e for e in _put_back(snapshot, found) if e.state is State.UNCHANGED)


def _needs_restart(snapshot: Snapshot, changed: Comparison) -> bool:
    restored = (*changed.to_restore, *_half_done(snapshot, changed))
    return needs_restart(template_of(snapshot.workload or {}), restored)


def _other_config(cluster: Cluster, snapshot: Snapshot) -> str:
    """Return the uid of the revision that runs the same bits, but ran with other configuration.

    As after a change of a ConfigMap and `kubectl rollout restart`.
    """
    if snapshot.workload is None:
        return ""
    twin = find_unrestarted(history(snapshot.revisions), snapshot)
    uid = twin.revision.uid if twin else ""
    found = _compared_with(cluster, snapshot, uid)
    return uid if found is not None and found.to_restore else ""
