"""`guard check --target`: read every signal of a policy once, and say what the verdict would be.

Decides what is asked, how often, and which exit code the answers give. Nothing is written to the
cluster. Judging is `decide`'s, and what a rollback would do is `rollback`'s: the same code as in a
watch.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from deploy_guard import decide, text
from deploy_guard.check_live.callouts import callouts, notes
from deploy_guard.check_live.firing import firing
from deploy_guard.check_live.line_warnings import line_warnings
from deploy_guard.check_live.queries import QueryRun, Runs, queries_of, refusals, run_queries
from deploy_guard.check_live.recent import read_recent
from deploy_guard.check_live.report import WHAT_TO_DO, LiveReport, SignalReport, quantile_of
from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.snapshot import take
from deploy_guard.cluster.workload import began_at, look
from deploy_guard.model import (
    NoData,
    NoDataReason,
    Probe,
    Reading,
    Sample,
    SignalSummary,
    Target,
    Workload,
)
from deploy_guard.policy.template import TemplateError, render
from deploy_guard.signals import open_signals, workload_variables
from deploy_guard.signals.base import Signal
from deploy_guard.signals.fan_out import gather
from deploy_guard.watch import second_zero

__all__ = ["WHAT_TO_DO", "LiveReport", "SignalReport", "check_live"]

if TYPE_CHECKING:
    from deploy_guard.policy.merge import Places
    from deploy_guard.policy.models import Policy
    from deploy_guard.policy.models import Signal as Spec

SETTLE = 5.0  # seconds that the controller has to make the live template's ReplicaSet
BETWEEN = 5.0  # seconds at most between the two readings of a counter
LONGEST = 30.0  # seconds for one reading of all signals


def check_live(
    policy: Policy,
    cluster: Cluster,
    target: Target,
    *,
    environ: Mapping[str, str],
    places: Places | None = None,
    tell: Callable[[str], object] = lambda _: None,
    clock: Callable[[], float] = time.time,
) -> LiveReport:
    """Read every signal once, counters without a start twice; judge as if the watch ended now.

    `places` gives refused queries their place in the file; `tell` hears what is waited for.
    Raises GuardError when the cluster cannot be asked, or has no such workload.
    """
    cluster = cluster.dry_run()
    snapshot, judged = second_zero.wait_for_candidate(
        lambda: take(cluster, target), time.sleep, timeout=SETTLE
    )
    deployed_at = began_at(snapshot, judged)
    found = second_zero.inspect(
        cluster,
        snapshot,
        judged,
        deployed_at=deployed_at,
        max_age=math.inf,
        way=second_zero.way_of(policy.rollback),
    )
    seen = look(snapshot, candidate_hash=judged, deployed_at=deployed_at)
    runs = run_queries(policy, seen, environ=environ, now=clock())
    late = _with_spent_warm_up(policy, clock() - deployed_at)
    signals = open_signals(late, cluster=cluster, environ=environ)
    state = decide.begin(late, started_at=clock())

    def look_again() -> Workload:
        fresh = take(cluster, target)
        return look(fresh, candidate_hash=judged, deployed_at=deployed_at)

    try:
        looks, readings = _read_all(signals, policy, seen, look_again, tell=tell, clock=clock)
    finally:
        for signal in signals:
            with contextlib.suppress(AttributeError):
                signal.close()  # type: ignore[attr-defined]
    for item in (*looks, *(r for some in readings.values() for r in some)):
        state = decide.observe(state, item)
    recent = read_recent(policy, looks[-1], readings, environ=environ, clock=clock)
    fires = {spec.name: firing(policy, spec, recent[spec.name].numbers) for spec in policy.signals}
    now = clock()
    state = replace(state, ends_at=now)
    decision = decide.decide(state, now)
    reports = tuple(
        replace(report, recent=recent.get(name), firing=fires.get(name))
        for report in _reports(
            policy,
            signals,
            summaries=decide.summaries(state, now),
            readings=readings,
            runs=runs,
            workload=seen,
        )
        for name in [report.summary.name]
    )
    refused = refusals(policy, runs, seen, places)
    called = callouts(
        policy, evidence=decision.evidence, recent=recent, fires=fires, readings=readings
    )
    return LiveReport(
        policy=policy.name,
        workload=looks[-1],
        found=found,
        signals=reports,
        decision=decision,
        problems=refused,
        callouts=called,
        notes=notes(policy),
        line_warnings=line_warnings(policy, called, reports, refused, places),
    )


def _with_spent_warm_up(policy: Policy, age: float) -> Policy:
    """Return the policy with what is left of the warm-up of a deploy so many seconds ago."""
    left = max(0.0, policy.watch.warm_up - max(0.0, age))
    return policy.model_copy(update={"watch": policy.watch.model_copy(update={"warm_up": left})})


def _read_all(
    signals: Iterable[Signal],
    policy: Policy,
    seen: Workload,
    look_again: Callable[[], Workload],
    *,
    tell: Callable[[str], object],
    clock: Callable[[], float],
) -> tuple[list[Workload], dict[str, list[Reading]]]:
    """Read all signals, then those again whose counters had no start; return looks and readings."""
    readings = _read(signals, seen, clock)
    counters = {s.name for s in policy.signals if s.provider != "http" and s.value is None}
    again = [s for s in signals if s.name in counters and _lacks_increment(readings[s.name], seen)]
    if not again:
        return [seen], readings
    wait = min(BETWEEN, max(signal.interval for signal in again))
    names = ", ".join(signal.name for signal in again)
    tell(f"counters need two readings: {names} again in {text.seconds(wait)}")
    time.sleep(wait)
    fresh = look_again()
    for name, more in _read(again, fresh, clock).items():
        readings[name] += more
    return [seen, fresh], readings


def _read(
    signals: Iterable[Signal], workload: Workload, clock: Callable[[], float]
) -> dict[str, list[Reading]]:
    """Read signals at the same time, so that a slow provider delays nobody else."""
    jobs = {signal.name: _job(signal, workload, clock) for signal in signals}
    found: dict[str, list[Reading]] = {}
    for name, result in gather(jobs, workers=len(jobs), seconds=LONGEST).items():
        if isinstance(result, TimeoutError):
            found[name] = [NoData(name, clock(), NoDataReason.TIMEOUT, str(result))]
        elif isinstance(result, Exception):
            raise result  # a bug: signals never raise for what the outside world does
        else:
            found[name] = result
    return found


def _job(
    signal: Signal, workload: Workload, clock: Callable[[], float]
) -> Callable[[], list[Reading]]:
    return lambda: signal.read(workload, clock())


def _lacks_increment(readings: list[Reading], workload: Workload) -> bool:
    """Tell whether a group of pods was read and still has no value: its counters have no start."""
    if any(isinstance(reading, NoData) for reading in readings):
        return False  # a counter that cannot be read now is not waited for
    last = readings[-1] if readings else None
    if not isinstance(last, Sample) or last.candidate is None:
        return True
    return last.control is None and bool(workload.controls())


def _reports(
    policy: Policy,
    signals: Iterable[Signal],
    *,
    summaries: Iterable[SignalSummary],
    readings: Mapping[str, list[Reading]],
    runs: Runs,
    workload: Workload,
) -> tuple[SignalReport, ...]:
    specs = {spec.name: spec for spec in policy.signals}
    by_name = {signal.name: signal for signal in signals}
    found = []
    for summary in summaries:
        spec, signal, read = specs.get(summary.name), by_name[summary.name], readings[summary.name]
        failures = [r for r in read if isinstance(r, NoData)]
        pods = getattr(signal, "read_from", None)
        found.append(
            SignalReport(
                summary=summary,
                queries=runs.get(summary.name) or _asked(spec, workload),
                pods=None if pods is None else len(pods),
                probe=_probe(read),
                failure=failures[-1] if failures else None,
                optional=spec is not None and spec.optional,
                warnings=tuple(getattr(signal, "warnings", ())),
                quantile=quantile_of(spec),
            )
        )
    return tuple(found)


def _probe(readings: Iterable[Reading]) -> Probe | None:
    """Return the answer of an API, whichever pods it speaks of."""
    for reading in readings:
        if isinstance(reading, Sample):
            for value in (reading.candidate, reading.control):
                if isinstance(value, Probe):
                    return value
    return None


def _asked(spec: Spec | None, workload: Workload) -> tuple[QueryRun, ...]:
    """Return what a signal asks for that is no PromQL: selectors, or a URL without its secrets."""
    if spec is None:
        return ()
    if spec.provider != "http":
        return tuple(QueryRun(key, query) for key, query in queries_of(spec).items())
    from deploy_guard.signals.http_failures import public_url

    try:
        url = render(spec.url, workload_variables(workload))
    except TemplateError:
        url = spec.url
    return (QueryRun("url", f"{spec.method} {public_url(url)}"),)
