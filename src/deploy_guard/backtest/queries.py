"""What is asked of history for a signal, and what cannot be asked.

Decides how a query of a policy is rendered where the pods of a revision cannot be named before
they are known: it asks for all pods of the workload, and who is who is told by the label `pod`
afterwards. Pure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploy_guard.backtest.model import Deploy
from deploy_guard.model import Target
from deploy_guard.policy.promql import keeps_label
from deploy_guard.policy.template import render, variables
from deploy_guard.signals import measures
from deploy_guard.signals.prometheus_baseline import FEWEST_STEPS, FINEST, MOST_STEPS

if TYPE_CHECKING:
    from deploy_guard.policy.models import Policy, PrometheusSignal

_REVISION = re.compile(r"\{\{\s*(candidate_pods|candidate_hash|baseline_pods|baseline_hash)\s*\}\}")
_STRING = r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|`[^`]*`'
_MATCHER = re.compile(rf"(=~|!~|!=|=)(\s*(?:{_STRING}))")
_ANY = "[a-z0-9]+"  # any hash
_COARSER = 2  # times the interval: a baseline that much coarser is asked for by itself
UNKNOWN_HASH = "unknown"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A signal as it is read from history: `spec` has queries that `variables` renders.

    `steps` are the seconds between the points of the watch and of the baseline, equal where both
    are asked for at once. `candidates` and `controls` name the queries (rendered) whose series are
    to be kept only where they are of the new or of the old pods.
    """

    spec: PrometheusSignal
    variables: Mapping[str, str]
    interval: float
    steps: tuple[float, float]
    texts: Mapping[str, str]  # by role
    candidates: frozenset[str] = frozenset()
    controls: frozenset[str] = frozenset()


def wanted(
    policy: Policy, target: Target, deploy: Deploy
) -> tuple[list[Wanted], list[tuple[str, str]]]:
    """Return what is asked for each signal of Prometheus, and what cannot be, with the reason."""
    found: list[Wanted] = []
    missing: list[tuple[str, str]] = []
    for spec in policy.signals:
        if spec.provider != "prometheus":
            continue
        if why := _impossible(spec, target, deploy):
            missing.append((spec.name, why))
        else:
            found.append(_wanted(policy, spec, target, deploy))
    return found, missing


def _impossible(spec: PrometheusSignal, target: Target, deploy: Deploy) -> str:
    """Say why a signal cannot be read for this deploy; empty when it can."""
    for query in measures.queries(spec).values():
        used = {match[1].partition("_")[0] for match in _REVISION.finditer(query)}
        if not used:
            continue
        if any(op in ("!~", "!=") and _REVISION.search(value) for op, value in _matchers(query)):
            return "it leaves out the pods of a revision, which history cannot name"
        if keeps_label(query, "pod"):
            continue
        if len(used) > 1:
            return "it compares new and old pods within one query, which history cannot name"
        if deploy.ordinary or (_knows(target, deploy) and used == {"candidate"}):
            continue
        return "it names the pods of a revision and drops the label pod: history cannot tell them"
    return ""


def _matchers(query: str) -> list[tuple[str, str]]:
    return [(match[1], match[2]) for match in _MATCHER.finditer(query)]


def _knows(target: Target, deploy: Deploy) -> bool:
    """Tell whether the candidate's pods can be named: they have its hash in their names."""
    return target.kind == "deployment" and deploy.revision is not None


def _wanted(policy: Policy, spec: PrometheusSignal, target: Target, deploy: Deploy) -> Wanted:
    exact = _exact(target, deploy)
    wide = {**exact, "candidate_pods": exact["pods"], "baseline_pods": exact["pods"]}
    wide |= {"candidate_hash": _ANY, "baseline_hash": _ANY}
    queries = measures.queries(spec)
    named = any(_REVISION.search(query) for query in queries.values())
    keeps = all(keeps_label(query, "pod") for query in queries.values())
    # Of one signal all queries are rendered alike; those that name a revision by its hash and
    # keep no pod are asked as they were.
    use_exact = named and not keeps and not deploy.ordinary
    values = exact if use_exact else wide
    if named and not use_exact:
        queries = {role: _as_expressions(query) for role, query in queries.items()}
    texts = {role: render(query, values) for role, query in queries.items()}
    interval = spec.interval or policy.watch.interval
    ways: dict[str, set[str]] = {}
    for role, query in queries.items():
        ways[texts[role]] = {match[1].partition("_")[0] for match in _REVISION.finditer(query)}
    return Wanted(
        spec=_with(spec, queries),
        variables=values,
        interval=interval,
        steps=(interval, baseline_step(interval, policy.watch.baseline)),
        texts=texts,
        candidates=frozenset(t for t, used in ways.items() if used == {"candidate"}),
        controls=frozenset(t for t, used in ways.items() if used == {"baseline"}),
    )


def baseline_step(interval: float, baseline: float) -> float:
    """Return the seconds between the points of a baseline, a multiple of the interval.

    It is the interval itself unless the reader of baselines would ask for much coarser ones.
    """
    asked = max(interval, baseline / MOST_STEPS, min(FINEST, baseline / FEWEST_STEPS))
    times = max(1, math.ceil(asked / interval - 1e-9))
    return interval if times <= _COARSER else times * interval


def _exact(target: Target, deploy: Deploy) -> dict[str, str]:
    return variables(
        namespace=target.namespace,
        name=target.name,
        candidate_hash=deploy.revision.template_hash if deploy.revision else UNKNOWN_HASH,
        kind=target.kind,
    )


def _as_expressions(query: str) -> str:
    """Return the query with ``=`` turned into ``=~`` where a revision is named."""

    def change(match: re.Match[str]) -> str:
        named = match[1] == "=" and _REVISION.search(match[2])
        return f"=~{match[2]}" if named else match[0]

    return _MATCHER.sub(change, query)


def _with(spec: PrometheusSignal, queries: Mapping[str, str]) -> PrometheusSignal:
    """Return the signal with other queries."""
    if spec.ratio is not None:
        ratio = spec.ratio.model_copy(update=dict(queries))
        return spec.model_copy(update={"ratio": ratio})
    return spec.model_copy(update=dict(queries))  # latency or value: the role is the key
