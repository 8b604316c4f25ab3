"""Run every PromQL query of a policy once, and say where in the policy a refused one stands.

Decides what is shown of a query's result: how many series, how many of them with a pod of the
workload. What the numbers mean is the signal's business.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deploy_guard.model import Workload
from deploy_guard.policy.problems import Problem
from deploy_guard.policy.template import Flaw, origin, render
from deploy_guard.signals import measures, workload_variables
from deploy_guard.signals.fan_out import gather
from deploy_guard.signals.http_failures import CallFailed
from deploy_guard.signals.pod_groups import PodGroups

if TYPE_CHECKING:
    from deploy_guard.policy.merge import Places
    from deploy_guard.policy.models import Metrics, Policy
    from deploy_guard.policy.yaml import Path
    from deploy_guard.signals.prometheus_api import PrometheusApi

LONGEST = 30.0  # seconds for all queries together
WORKERS = 8
CODE = "refused-query"
_POSITION = re.compile(r"\b(\d+):(\d+): (?=parse error)")
_PREFIX = re.compile(r'^invalid parameter "query": ')
_TOKEN = re.compile(r"\w+|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class QueryRun:
    """One query as it was sent, and what came back.

    `key` is its place in the signal, such as ``ratio.errors``. `series` and `pods` (of this
    workload) are counts, None when the query was not answered; `problem` then says why.
    `refused` are the server's words for a query that can never work.
    """

    key: str
    text: str
    series: int | None = None
    pods: int | None = None
    problem: str = ""
    refused: str = ""
    warnings: tuple[str, ...] = ()


Runs = dict[str, tuple[QueryRun, ...]]  # by the signal's name


def run_queries(
    policy: Policy, workload: Workload, *, environ: Mapping[str, str], now: float
) -> Runs:
    """Send every query of the provider `prometheus` once, for the moment `now`."""
    specs = [signal for signal in policy.signals if signal.provider == "prometheus"]
    if not specs or policy.prometheus is None:
        return {}
    from deploy_guard.signals.prometheus_api import PrometheusApi

    api = PrometheusApi(policy.prometheus, environ=environ)
    variables = workload_variables(workload)
    groups = PodGroups()
    groups.update(workload, now)
    jobs = {
        (spec.name, key): _job(api, QueryRun(key, render(query, variables)), groups, now)
        for spec in specs
        for key, query in queries_of(spec).items()
    }
    found: dict[str, list[QueryRun]] = {spec.name: [] for spec in specs}
    try:
        for (name, key), run in gather(jobs, workers=WORKERS, seconds=LONGEST).items():
            if isinstance(run, TimeoutError):
                run = QueryRun(key, "", problem=str(run))  # noqa: PLW2901
            elif isinstance(run, Exception):
                raise run
            found[name].append(run)
    finally:
        api.close()
    return {name: tuple(runs) for name, runs in found.items()}


def queries_of(spec: Metrics) -> dict[str, str]:
    """Return the queries of a signal by their place in it, as they stand in the policy."""
    found = measures.queries(spec)
    return found if spec.ratio is None else {f"ratio.{role}": q for role, q in found.items()}


def _job(
    api: PrometheusApi, run: QueryRun, groups: PodGroups, now: float
) -> Callable[[], QueryRun]:
    return lambda: _run(api, run, groups, now)


def _run(api: PrometheusApi, run: QueryRun, groups: PodGroups, now: float) -> QueryRun:
    from deploy_guard.signals.prometheus_api import BadQuery

    began = time.monotonic()
    try:
        result = api.instant(run.text, at=now, seconds=api.timeout)
    except BadQuery as error:
        return replace(run, problem=error.detail, refused=error.error)
    except CallFailed as error:
        return replace(run, problem=error.detail)
    warnings = list(result.warnings)
    if (took := time.monotonic() - began) > api.timeout / 2:
        warnings.append(f"the answer took {took:.1f} s of the {api.timeout:g} s it may take")
    pods = {series.labels.get("pod", "") for series in result.series}
    own = sum(groups.is_own(pod) for pod in pods if pod)
    return replace(run, series=len(result.series), pods=own, warnings=tuple(warnings))


def refusals(
    policy: Policy, runs: Runs, workload: Workload, places: Places | None
) -> tuple[Problem, ...]:
    """Return a problem for every query that the server refused, at its place in the policy."""
    variables = workload_variables(workload)
    found = []
    for number, spec in enumerate(policy.signals):
        if spec.provider != "prometheus":
            continue
        queries = queries_of(spec)
        for run in runs.get(spec.name, ()):
            if run.refused:
                path: Path = ("signals", number, *run.key.split("."))
                flaw = _flaw(queries[run.key], run, variables)
                found.append(_problem(policy, path, flaw, places))
    return tuple(found)


def _problem(policy: Policy, path: Path, flaw: Flaw, places: Places | None) -> Problem:
    if places is None:
        return Problem(CODE, f"'{path[-1]}': {flaw.message}", policy.name, help=flaw.help)
    return places.illustrate(places.flaw(CODE, path, flaw))


def _flaw(query: str, run: QueryRun, variables: Mapping[str, str]) -> Flaw:
    """Return what the server says, at the character that it names if it names one."""
    said = _PREFIX.sub("", run.refused)
    help = f"it was asked: {' '.join(run.text.split())}"
    position = _POSITION.search(said)
    if position is None:
        return Flaw(f"the server refuses it: {said}", 0, len(query), help)
    line, column = int(position[1]), int(position[2])
    before = sum(len(each) for each in run.text.splitlines(keepends=True)[: line - 1])
    offset = origin(query, variables, before + column - 1)
    offset = min(offset, len(query.rstrip()) - 1)
    token = _TOKEN.match(query, offset)
    length = len(token[0]) if token else 1
    return Flaw(f"the server refuses it: {said[position.end() :]}", offset, length, help)
