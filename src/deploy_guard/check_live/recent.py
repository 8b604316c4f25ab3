"""What a watch that begins now would know: the numbers up to now, and how old the newest are.

Decides which moments are read: the next deploy's baseline ends now, while the signals of the
present watch have theirs before the deploy that is live. Judging is elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deploy_guard import text
from deploy_guard.check_live.virtual import Numbers
from deploy_guard.model import (
    Counts,
    Gauge,
    Latencies,
    NoData,
    NoDataReason,
    Probe,
    Reading,
    Sample,
    Value,
    Workload,
)
from deploy_guard.policy.template import render
from deploy_guard.signals import measures, workload_variables
from deploy_guard.signals.counters import Counters
from deploy_guard.signals.fan_out import gather
from deploy_guard.signals.http_failures import CallFailed
from deploy_guard.signals.measures import Unreadable
from deploy_guard.signals.prometheus_ingestion import question

if TYPE_CHECKING:
    from deploy_guard.policy.models import Policy, PrometheusSignal
    from deploy_guard.signals.prometheus_api import PrometheusApi, Result

PRESENT = 300.0  # seconds that stand for now
FEW = 20.0  # requests: fewer say little of the present rate, and all that was read is taken
OLD = 90.0  # seconds: a scrape of a minute, and half of it
LOOKBACK = 300.0  # seconds: Prometheus' own, after which a series is gone
LONGEST = 30.0  # seconds for all signals together
WORKERS = 8
AWAY = (NoDataReason.UNREACHABLE, NoDataReason.TIMEOUT, NoDataReason.UNAUTHORIZED)


@dataclass(frozen=True, slots=True)
class Recent:
    """What is known of one signal up to now.

    `age` is that of the newest sample in seconds by the server's clock, 0 for what is read at the
    source, None when it is not known; `gone` says that the age is of a series which a query no
    longer finds. `warnings` tell what is old or could not be read.
    """

    numbers: Numbers
    age: float | None = None
    gone: bool = False
    at_source: bool = False  # read where the numbers are made: nothing can be older than now
    old: str = ""  # what is older than the interval and a slow scrape explain, in words
    warnings: tuple[str, ...] = ()


def read_recent(
    policy: Policy,
    workload: Workload,
    readings: Mapping[str, Sequence[Reading]],
    *,
    environ: Mapping[str, str],
    clock: Callable[[], float],
) -> dict[str, Recent]:
    """Return what is known of every signal of the policy; `readings` are those of the check."""
    found = {
        spec.name: _at_the_source(spec.name, readings.get(spec.name, ()), clock())
        for spec in policy.signals
    }
    specs = [
        spec
        for spec in policy.signals
        if spec.provider == "prometheus" and not _is_away(readings.get(spec.name, ()))
    ]
    if not specs or policy.prometheus is None:
        return found
    from deploy_guard.signals.prometheus_api import PrometheusApi

    api = PrometheusApi(policy.prometheus, environ=environ)
    try:
        jobs = {
            spec.name: _job(
                _Asked(api, spec, spec.interval or policy.watch.interval, policy.watch.baseline),
                workload,
                found[spec.name].numbers,
                clock,
            )
            for spec in specs
        }
        for name, recent in gather(jobs, workers=WORKERS, seconds=LONGEST).items():
            if isinstance(recent, Recent):
                found[name] = recent
            elif isinstance(recent, TimeoutError):
                found[name] = replace(found[name], age=None, at_source=False)
            else:
                raise recent
    finally:
        api.close()
    return found


def _is_away(readings: Sequence[Reading]) -> bool:
    """Tell whether the server did not answer the check: it is not waited for again."""
    last = readings[-1] if readings else None
    return isinstance(last, NoData) and last.reason in AWAY


def _at_the_source(name: str, readings: Iterable[Reading], now: float) -> Recent:
    """Return what the check itself has read: of pods and of APIs there is no past to ask for."""
    samples = [r for r in readings if isinstance(r, Sample)]
    probes = [v for s in samples for v in (s.candidate, s.control) if isinstance(v, Probe)]
    if probes:
        call = Sample(name, now, 0.0, control=probes[-1])  # as a watch calls before the new pods
        return Recent(Numbers(name, now, (call,), probes[-1]), age=0.0, at_source=True)
    live = [s for s in samples if s.candidate is not None]
    numbers = present(name, [replace(s, control=s.candidate) for s in live], now)
    return Recent(numbers, age=0.0 if live else None, at_source=True)


def present(name: str, samples: Sequence[Sample], at: float) -> Numbers:
    """Return the numbers of a signal now, from samples of control, oldest first."""
    value: Value | None = None
    seconds = 0.0
    for sample in reversed(samples):
        if sample.control is None:
            continue
        if value is None and at - sample.at > max(PRESENT, 2 * sample.seconds):
            break  # of a series that has ended
        if isinstance(sample.control, Gauge):
            return Numbers(name, at, now=sample.control, seconds=sample.seconds)
        if value is not None and seconds >= PRESENT and _requests(value) >= FEW:
            break
        more = _sum(value, sample.control)
        if more is None:
            break
        value, seconds = more, seconds + sample.seconds
    return Numbers(name, at, now=value, seconds=seconds)


def _sum(value: Value | None, more: Value) -> Value | None:
    """Add up; None where they do not fit together, as histograms with other bounds."""
    if value is None:
        return more
    if isinstance(value, Counts) and isinstance(more, Counts):
        return value + more
    if isinstance(value, Latencies) and isinstance(more, Latencies) and value.bounds == more.bounds:
        return value + more
    return None


def _requests(value: Value) -> float:
    if isinstance(value, Counts):
        return value.requests
    return value.count if isinstance(value, Latencies) else 0.0


@dataclass(frozen=True, slots=True)
class _Asked:
    """One signal, and the server that has its numbers. Times are in seconds."""

    api: PrometheusApi
    spec: PrometheusSignal
    interval: float
    baseline: float


def _job(
    asked: _Asked, workload: Workload, present: Numbers, clock: Callable[[], float]
) -> Callable[[], Recent]:
    return lambda: _from_server(asked, workload, present, clock)


def _from_server(
    asked: _Asked, workload: Workload, present_numbers: Numbers, clock: Callable[[], float]
) -> Recent:
    """Read the time up to now, and the age of the newest sample."""
    now = clock()
    warnings: list[str] = []
    numbers = replace(present_numbers, at=now)
    try:
        before = _history(asked, workload, now)
        newest = present(numbers.signal, before, now)
        if newest.now is not None:
            numbers = newest
        numbers = replace(numbers, before=tuple(before))
    except (CallFailed, Unreadable) as error:
        warnings.append(f"the time up to now could not be read: {error.detail}")
    age, gone, told = _age(asked, workload, now, clock)
    return Recent(numbers, age, gone, old=told, warnings=(*warnings, *filter(None, [told])))


def _history(asked: _Asked, workload: Workload, now: float) -> list[Sample]:
    """Return the baseline of a deploy that begins now: all that lives is old then."""
    from deploy_guard.signals.prometheus_baseline import read_baseline
    from deploy_guard.signals.prometheus_scope import Scope

    queries = measures.queries(asked.spec)
    scope = Scope(queries.values())
    if scope.candidate_only:
        return []
    pods = workload.pods
    if workload.target.kind == "statefulset":  # names are used again
        # The newest sample may still be of a pod that was replaced a moment ago; taken as the
        # first of its successor, all that it ever counted would have happened since.
        pods = tuple(replace(pod, created=0.0) for pod in pods)
    tomorrow = replace(workload, candidate="", deployed_at=now, pods=pods)
    scope.update(tomorrow, now)
    variables = workload_variables(tomorrow)
    return read_baseline(
        asked.spec.name,
        api=asked.api,
        queries={role: render(query, variables) for role, query in queries.items()},
        scope=scope,
        workload=tomorrow,
        counters=Counters(),
        start=now - asked.baseline,
        end=now,
        step=asked.interval,
    )


def _age(
    asked: _Asked, workload: Workload, now: float, clock: Callable[[], float]
) -> tuple[float | None, bool, str]:
    """Return the age of the newest sample, whether the series is gone, and what to warn of."""
    queries = measures.queries(asked.spec)
    role = [*queries][-1]  # of a ratio its requests, which errors may lack
    try:
        query = question(render(queries[role], workload_variables(workload)))
        if query is None:
            return None, False, ""
        found = _ask(asked.api, query, now)
        if not found.series:
            hour = f"max_over_time(({query})[1h:1m])"
            found = _ask(asked.api, hour, now)
            return _gone(found, now + _skew(asked.api, clock))
    except CallFailed:  # told by the reading itself
        return None, False, ""
    moment = now + _skew(asked.api, clock)
    at = {one.labels.get("pod", ""): one.points[-1][1] for one in found.series}
    living = {pod.name for pod in workload.pods if pod.ready and pod.name in at}
    ages = {pod: max(0.0, moment - at[pod]) for pod in living or at}
    age = min(ages.values())
    return age, False, _told(ages, patience=max(2 * asked.interval, OLD))


def _ask(api: PrometheusApi, query: str, now: float) -> Result:
    return api.instant(query, at=now, seconds=api.timeout)


def _skew(api: PrometheusApi, clock: Callable[[], float]) -> float:
    """Return by how many seconds the server's clock is ahead, 0 where that is not worth a word."""
    from deploy_guard.signals.prometheus import A_DAY, SKEWED

    skew = 0.0 if api.clock is None else api.clock - clock()
    return skew if SKEWED < abs(skew) < A_DAY else 0.0


def _gone(found: Result, moment: float) -> tuple[float | None, bool, str]:
    if not found.series:
        return None, True, "no such series in the last 1 h either"
    age = moment - max(one.points[-1][1] for one in found.series)
    ago = text.seconds(max(0.0, age))
    return age, True, f"the series ended {ago} ago: nothing is scraped any more"


def _told(ages: Mapping[str, float], *, patience: float) -> str:
    """Tell of numbers that stand still: of all pods, or of some; empty when none do."""
    old = [age for age in ages.values() if age > patience]
    if not old:
        return ""
    least = text.seconds(min(old))
    if len(old) == len(ages):
        return f"the newest sample is {least} old: the query answers with old numbers"
    return f"{len(old)} of {text.plural(len(ages), 'pod')} have no new sample for {least} or more"
