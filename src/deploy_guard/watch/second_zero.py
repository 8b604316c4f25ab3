"""Second 0: who is the candidate, what would a rollback return to, and can it be done?

Decides what is told before anything is watched. Nothing is written; the server is asked by dry
run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from deploy_guard import text
from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.rollouts import live_hash, rollout_of
from deploy_guard.cluster.snapshot import Snapshot
from deploy_guard.errors import GuardError
from deploy_guard.model import Verdict
from deploy_guard.policy.models import Rollback
from deploy_guard.problems import Problem
from deploy_guard.rollback.planning import Plan, Way
from deploy_guard.rollback.preparing import Prepared, prepare
from deploy_guard.watch.telling import revision_words

TOO_OLD = "too-old"  # the kind of problem that a candidate has which nobody deployed just now
NUMBERS = 5.0  # seconds that it has to number a ReplicaSet that is used again
CONTROLLER = 30.0  # seconds that the controller has to make the candidate's revision


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found: the rollback that may become necessary, and lines to tell."""

    prepared: Prepared
    lines: tuple[str, ...]
    warnings: tuple[str, ...]


def _too_old(made: Plan, age: float, max_age: float) -> Problem:
    """Say that what runs was not deployed just now, so that it is not to blame for what is bad."""
    return Problem(
        TOO_OLD,
        f"nothing was deployed just now: {revision_words(made.candidate)} runs for "
        f"{text.seconds(age)}, longer than rollback.max_age ({text.seconds(max_age)})",
        "did the deploy change anything? to take it back all the same: guard rollback",
    )


def wait_for_candidate(
    latest: Callable[[], Snapshot], pause: Callable[[float], object], *, timeout: float = CONTROLLER
) -> tuple[Snapshot, str]:
    """Wait until the controller has made a revision of the live template; return its hash too.

    Right after a deploy there is none yet for some tens of milliseconds; one that is used again is
    there at once, but has its new number only when the controller has seen the deploy. Raises
    GuardError.
    """
    waited = 0.0
    while True:
        snapshot = latest()
        if snapshot.workload is None:
            raise GuardError(f"{snapshot.target} was deleted", help="nothing was decided")
        if "deletionTimestamp" in snapshot.workload["metadata"]:
            raise GuardError(
                f"{snapshot.target} is being deleted", help="there is nothing to watch"
            )
        live = live_hash(snapshot)
        if live is not None and (waited >= NUMBERS or rollout_of(snapshot, live).observed):
            return snapshot, live
        if waited >= timeout:
            paused = snapshot.workload["spec"].get("paused")
            raise GuardError(
                f"{snapshot.target} has no revision of its template after {timeout:.0f} s",
                help="it is paused: resume it first with kubectl rollout resume"
                if paused
                else "its controller does not act: is the control plane healthy?",
            )
        pause(0.2)
        waited += 0.2


def way_of(rules: Rollback, *, by: str = "") -> Way:
    """Return how the policy wants a rollback to be done."""
    return Way(
        fast=rules.fast,
        restore_config=rules.restore_config,
        owner=rules.owner,
        argocd_namespace=rules.argocd_namespace,
        by=by,
    )


def inspect(
    cluster: Cluster,
    snapshot: Snapshot,
    candidate_hash: str,
    *,
    deployed_at: float,
    max_age: float,
    way: Way,
) -> Findings:
    """Prepare the rollback that may become necessary and say whether it is possible."""
    prepared = prepare(cluster, snapshot, candidate_hash=candidate_hash, way=way)
    found = prepared.plan
    age = snapshot.seen_at - deployed_at
    lines = [f"candidate: {revision_words(found.candidate)}, deployed {text.seconds(age)} ago"]
    warnings = []
    if age > max_age:
        found = found.with_problems((_too_old(found, age, max_age),))
    if found.candidate is not None and found.candidate.verdict is Verdict.REGRESSED:
        warnings.append(
            f"{revision_words(found.candidate)} was judged regressed before: the same template "
            "was deployed again"
        )
    if found.possible and found.in_place:
        lines.append(f"a rollback would restore configuration alone: {found.choice}")
    elif found.possible:
        lines.append(
            f"a rollback would return to {revision_words(found.revision)}: {found.choice}; "
            "checked on the server by dry run"
        )
    else:
        blocking = found.blocking
        why = blocking.text if blocking is not None else found.choice
        warnings.append(f"no rollback is possible: {why}")
        if blocking is not None and blocking.help:
            warnings.append(f"what to do: {blocking.help}")
    shown = found.blocking
    for problem in found.problems:
        if problem is not shown:
            warnings.append(f"{problem.text}; {problem.help}" if problem.help else problem.text)
    return Findings(replace(prepared, plan=found), tuple(lines), tuple(warnings))
