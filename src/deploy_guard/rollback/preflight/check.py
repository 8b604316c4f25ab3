"""Can I roll back? What the cluster itself says about a planned rollback before it is needed.

Decides which questions are asked and that all are asked at once, for a few seconds in all; each
answer is judged where its question is made. Asks only: nothing is written. A question that may not
be asked, or that nobody answers, is a warning and never a reason to refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.errors import ApiError, Forbidden, NotFound
from deploy_guard.cluster.snapshot import Json
from deploy_guard.cluster.target import collection_path, workload_path
from deploy_guard.problems import Problem, note, warning
from deploy_guard.rollback.claims import ask_claims
from deploy_guard.rollback.execution import rehearse
from deploy_guard.rollback.fast import fast_strategy
from deploy_guard.rollback.planning import Plan
from deploy_guard.rollback.preflight.access import ask_access
from deploy_guard.rollback.preflight.asking import SECONDS, Answer, Asker
from deploy_guard.rollback.preflight.existence import CLASS, ask_existence
from deploy_guard.rollback.preflight.features import BASE, ROLLBACK, Feature
from deploy_guard.rollback.preflight.pod_needs import needs
from deploy_guard.rollback.preflight.pod_rehearsal import (
    OVER_QUOTA,
    UNKNOWN,
    Rehearsed,
    judge_refusal,
    rehearse_pod,
)
from deploy_guard.rollback.preflight.room import judge, limits, pods_of

Part = Callable[[], tuple[Problem, ...]]

AGAIN = 3.0  # seconds between the decision and the patch


def check(
    cluster: Cluster,
    plan: Plan,
    features: Iterable[Feature] = BASE,
    *,
    seconds: float = SECONDS,
) -> Plan:
    """Return the plan with what the cluster says, within `seconds` in all.

    Asked are: the rights of the `features`, everything that the old template refers to, the
    quotas, a dry run of the patch and, if the account may create pods, one of an old pod.
    """
    asker = Asker(seconds)
    parts = [ask_access(asker, cluster, plan.target, features)]
    rehearsed: Answer[Rehearsed] | None = None
    if plan.template is not None and not plan.nothing_to_do:
        rehearsed = asker.ask(lambda: rehearse_pod(cluster, plan))
        parts += _ask_references(asker, cluster, plan)
        parts.append(_ask_room(asker, cluster, plan, rehearsed))
    if plan.operations:
        parts.append(_ask_rehearsal(asker, cluster, plan))
    problems = [problem for part in parts for problem in part()]
    return plan.with_problems(_without_echoes(problems, _answer(rehearsed)))


def check_again(cluster: Cluster, plan: Plan, *, seconds: float = AGAIN) -> tuple[Problem, ...]:
    """Ask again what may have changed since second 0: the rights to roll back, the references."""
    asker = Asker(seconds)
    parts = [ask_access(asker, cluster, plan.target, (ROLLBACK,))]
    parts += _ask_references(asker, cluster, plan)
    return tuple(problem for part in parts for problem in part())


def check_references(
    cluster: Cluster, plan: Plan, *, seconds: float = SECONDS
) -> tuple[Problem, ...]:
    """Name everything that the old template refers to and that is gone, or could not be looked up.

    A reference that the template marks as optional does not block.
    """
    return ask_existence(Asker(seconds), cluster, plan)()


def _ask_references(asker: Asker, cluster: Cluster, plan: Plan) -> list[Part]:
    """Begin to look for what the old pods need: named by the template, and claims of their own."""
    parts = [ask_existence(asker, cluster, plan)]
    if plan.target.kind == "statefulset":
        parts.append(ask_claims(asker, cluster, plan))
    return parts


def _ask_room(asker: Asker, cluster: Cluster, plan: Plan, pod: Answer[Rehearsed]) -> Part:
    """Begin to ask for quotas, which are judged by the strategy, as is the dry run of a pod."""
    look = asker.ask(lambda: cluster.get(workload_path(plan.target)))
    path = collection_path(plan.target, "resourcequotas")
    quotas = asker.ask(lambda: cluster.get(path)["items"])

    def collect() -> tuple[Problem, ...]:
        problems: list[Problem] = []
        template = plan.template or {}
        # a ControllerRevision has no number of pods: as if all had to be replaced
        restored = (plan.revision.replicas or 0) if plan.revision else 0
        need_room = True
        try:
            pods = pods_of(_under_way(look.wait(), plan), plan.target, restored=restored)
            need_room = pods.need_room
            found = limits(quotas.wait(), template, plan.condemned, pods)
            problems += judge(found, pods, needs(template))
        except NotFound:
            pass  # the patch will say so
        except ApiError as error:
            problems.append(_quota_unknown(error))
        except (ValueError, ArithmeticError):  # a quantity of a form that is not known here
            problems.append(note("quota-unknown", "a quantity of the quotas could not be read"))
        refusal = _answer(pod).refusal
        known = any(problem.kind == "quota" for problem in problems)
        if refusal is not None and not (known and OVER_QUOTA in refusal.detail):
            problems.append(judge_refusal(refusal, need_room=need_room))
        return tuple(problems)

    return collect


def _under_way(workload: Json, plan: Plan) -> Json:
    """Return the workload with the strategy that it has while the rollback runs."""
    fast = fast_strategy(workload) if plan.way.fast else None
    return {**workload, "spec": {**workload["spec"], "strategy": fast}} if fast else workload


def _ask_rehearsal(asker: Asker, cluster: Cluster, plan: Plan) -> Part:
    answer = asker.ask(lambda: rehearse(cluster, plan))

    def collect() -> tuple[Problem, ...]:
        try:
            return answer.wait()
        except ApiError as error:
            text = f"the rollback could not be rehearsed: {error.detail}"
            return (warning("not-rehearsed", text, error.help),)

    return collect


def _quota_unknown(error: ApiError) -> Problem:
    why = error.detail
    if isinstance(error, Forbidden) and error.missing_right:
        why = 'the account lacks the right "list" on resourcequotas'
    return note("quota-unknown", f"whether a quota has room could not be checked: {why}")


def _answer(pod: Answer[Rehearsed] | None) -> Rehearsed:
    """Return what the dry run of a pod said; without an answer it is as if it was not asked."""
    try:
        return pod.wait() if pod is not None else UNKNOWN
    except ApiError:
        return UNKNOWN


def _without_echoes(problems: list[Problem], pod: Rehearsed) -> tuple[Problem, ...]:
    """Leave out what another answer has settled.

    A dry run that only repeats which right is missing, and what is not known of a PriorityClass
    that admission has accepted.
    """
    denied = any(problem.kind == "access" and problem.blocks for problem in problems)
    settled = [kind for kind, is_so in (("refused", denied), (CLASS, pod.admitted)) if is_so]
    return tuple(problem for problem in problems if problem.kind not in settled)
