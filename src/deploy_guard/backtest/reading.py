"""What a watch would have observed, read from Prometheus' history by the signals themselves.

Decides which ranges are asked for, and runs the readers of `guard watch` in virtual time over the
answers. What that cannot have, compared with a watch of that day:

- The watch's moments lie on a grid of the signals' interval, and the deploy is moved back to it.
- Who was who is told by series (`cast`): a pod is ready with its first sample, restarts and
  crashes are not seen, and the signal of the cluster says no more than that pods are there.
- Whether Prometheus took in new numbers is told by whether they changed, where they usually do.
- Clocks are not compared, and the providers `pods` and `http` keep no history.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from deploy_guard.backtest.ahead import Ahead, Raw
from deploy_guard.backtest.answering import HistoryApi
from deploy_guard.backtest.cache import Cache
from deploy_guard.backtest.history import AT_ONCE, PER_SECOND, Fetcher, Plan, Progress, merged
from deploy_guard.backtest.model import Deploy, Trial
from deploy_guard.backtest.queries import Wanted
from deploy_guard.backtest.staging import staged
from deploy_guard.backtest.tasks import Task, tasks_of
from deploy_guard.errors import UsageError
from deploy_guard.model import Reading, Target, Tick, Workload
from deploy_guard.signals.http_failures import CallFailed
from deploy_guard.signals.kubernetes import KubernetesSignal
from deploy_guard.signals.prometheus import PrometheusMetricsSignal

if TYPE_CHECKING:
    from deploy_guard.policy.models import Policy, PrometheusConnection

ROLLOUT = 60.0  # seconds that a rollout takes which never was
LOOKS = 30.0  # seconds between looks at the workload at most


def plan(
    policy: Policy,
    target: Target,
    deploys: Iterable[Deploy],
    *,
    at_once: int = AT_ONCE,
    per_second: float = PER_SECOND,
) -> Plan:
    """Return what `read_trials` will ask for these deploys; asks nothing."""
    windows = (window for task in tasks_of(policy, target, deploys) for window in task.windows)
    return Plan(merged(windows), at_once, per_second)


def with_series(found: Plan, policy: Policy, *, environ: Mapping[str, str]) -> Plan:
    """Return the plan with the number of series that each query has, asked once a query.

    Takes the last moment of each query's last window. With the first failure it ends: reading will
    tell what is wrong, and what is not known counts as one.
    """
    latest = {query.text: query for query in sorted(found.queries, key=lambda query: query.end)}
    series: dict[str, int] = {}
    with closing(Fetcher(connection_of(policy), environ=environ)) as fetcher, suppress(CallFailed):
        for text, query in latest.items():
            series[text] = fetcher.count(text, at=query.end)
    return replace(found, series=series)


def read_trials(
    policy: Policy,
    target: Target,
    deploys: Iterable[Deploy],
    *,
    environ: Mapping[str, str],
    at_once: int = AT_ONCE,
    per_second: float = PER_SECOND,
    cache: Path | None = None,
    rollout: float = ROLLOUT,
    progress: Progress | None = None,
    warn: Callable[[str], None] | None = None,
    clock: Callable[[], float] = time.time,
) -> Iterator[Trial]:
    """Yield what a watch of each deploy would have observed, in the order of time.

    `progress` is called in this thread with the number of range queries that are answered, and of
    all; `warn` in any thread with what the server warns of, such as partial answers, once each.
    What no later deploy needs is forgotten. A window that cannot be read gives a trial with no data
    and the reason; raises GuardError when nothing can be read.
    """
    tasks = tasks_of(policy, target, deploys)
    connection = connection_of(policy)
    kept = Cache(cache, connection, environ=environ) if cache is not None else None
    fetcher = Fetcher(
        connection,
        environ=environ,
        at_once=at_once,
        per_second=per_second,
        cache=kept,
        clock=clock,
        warn=warn,
    )
    with closing(fetcher):
        source = Ahead(fetcher, tasks, ahead=2 * at_once, progress=progress)
        for task in tasks:
            raw = source.take(task)
            yield _trial(policy, target, task, raw, rollout=rollout, until=clock())


def connection_of(policy: Policy) -> PrometheusConnection:
    """Return where Prometheus is; raises UsageError without it."""
    if policy.prometheus is None:
        raise UsageError(
            "the policy does not say where Prometheus is",
            help="add the key prometheus: with its url to the policy",
        )
    return policy.prometheus


def _trial(
    policy: Policy, target: Target, task: Task, raw: Raw, *, rollout: float, until: float
) -> Trial:
    """Run a watch in virtual time over the answers."""
    cast, answers = staged(target, task, raw, rollout=rollout)
    signals = [
        _signal(policy, one, HistoryApi(answers[one.spec.name], deployed_at=task.deployed_at))
        for one in task.wanted
    ]
    cluster = KubernetesSignal(policy.kubernetes, interval=LOOKS)
    observations: list[Reading | Workload | Tick] = []
    shown: Workload | None = None
    ends_at = task.ends_at
    for at, due in _moments(task, [s.interval for s in signals], min(ends_at, until)):
        look = cast.look(at)
        if shown is None or replace(look, seen_at=shown.seen_at) != shown:
            observations.append(look)
            shown = look
        observations.extend(cluster.read(look, at))
        for number in due:
            observations.extend(signals[number].read(look, at))
    if ends_at <= until:
        observations.append(cast.look(ends_at))
    return Trial(task.deploy, task.deployed_at, tuple(observations), ends_at, task.missing)


def _moments(
    task: Task, intervals: Sequence[float], until: float
) -> Iterator[tuple[float, list[int]]]:
    """Yield each moment of the watch with the signals that are due, by their number."""
    due: dict[float, list[int]] = {}
    for number, interval in enumerate([*intervals, LOOKS]):
        tick = 0
        while (at := round(task.deployed_at + tick * interval, 3)) < until:
            found = due.setdefault(at, [])
            if number < len(intervals):
                found.append(number)
            tick += 1
    return iter(sorted(due.items()))


def _signal(policy: Policy, one: Wanted, api: HistoryApi) -> PrometheusMetricsSignal:
    return PrometheusMetricsSignal(
        one.spec,
        interval=one.interval,
        baseline=policy.watch.baseline,
        warm_up=policy.watch.warm_up,
        api=api,
        variables=lambda _: one.variables,
    )
