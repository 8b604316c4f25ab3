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

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from deploy_guard.backtest.acting import begun, ordinary_cast, played
from deploy_guard.backtest.answering import Answer, HistoryApi
from deploy_guard.backtest.cache import Cache
from deploy_guard.backtest.cast import Cast, own_pods, real_cast, template_at
from deploy_guard.backtest.history import (
    AT_ONCE,
    HOPELESS,
    PER_SECOND,
    Fetcher,
    Plan,
    Progress,
    RangeQuery,
    is_final,
    merged,
    tell_nobody,
    unreadable,
)
from deploy_guard.backtest.model import Deploy, Trial
from deploy_guard.backtest.queries import Wanted, wanted
from deploy_guard.backtest.tracks import (
    Grid,
    Track,
    joined,
    mapped,
    tick_after,
    tick_before,
)
from deploy_guard.errors import UsageError
from deploy_guard.model import Reading, Target, Tick, Workload
from deploy_guard.signals import measures
from deploy_guard.signals.http_failures import CallFailed
from deploy_guard.signals.kubernetes import KubernetesSignal
from deploy_guard.signals.prometheus import PrometheusMetricsSignal

if TYPE_CHECKING:
    from deploy_guard.policy.models import Policy, PrometheusConnection

ROLLOUT = 60.0  # seconds that a rollout takes which never was
LOOKS = 30.0  # seconds between looks at the workload at most
BLIND = "pods' restarts, crashes and readiness are not in the history of metrics"
Raw = Mapping[tuple[str, float], Grid | CallFailed]  # by text and step


@dataclass(frozen=True, slots=True)
class _Task:
    """A deploy with all that is asked for it. Times are Unix seconds."""

    deploy: Deploy
    deployed_at: float
    ends_at: float
    wanted: tuple[Wanted, ...]
    missing: tuple[tuple[str, str], ...]
    windows: tuple[RangeQuery, ...]


def plan(
    policy: Policy,
    target: Target,
    deploys: Iterable[Deploy],
    *,
    at_once: int = AT_ONCE,
    per_second: float = PER_SECOND,
) -> Plan:
    """Return what `read_trials` will ask for these deploys; asks nothing."""
    windows = (window for task in _tasks(policy, target, deploys) for window in task.windows)
    return Plan(merged(windows), at_once, per_second)


def with_series(
    found: Plan, policy: Policy, *, environ: Mapping[str, str], seconds: float = 30.0
) -> Plan:
    """Return the plan with the number of series that each query has, asked once a query.

    Takes the last moment of each query's last window. What cannot be told counts as one.
    """
    latest = {query.text: query for query in sorted(found.queries, key=lambda query: query.end)}
    until = time.monotonic() + seconds
    with closing(Fetcher(connection_of(policy), environ=environ)) as fetcher:
        series = {
            text: fetcher.count(text, at=query.end)
            for text, query in latest.items()
            if time.monotonic() < until
        }
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
    tasks = _tasks(policy, target, deploys)
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
        source = _Source(fetcher, tasks, ahead=2 * at_once, progress=progress)
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


def _tasks(policy: Policy, target: Target, deploys: Iterable[Deploy]) -> list[_Task]:
    return [
        _task(policy, target, deploy) for deploy in sorted(deploys, key=lambda deploy: deploy.at)
    ]


def _task(policy: Policy, target: Target, deploy: Deploy) -> _Task:
    found, missing = wanted(policy, target, deploy)
    coarsest = max((one.interval for one in found), default=policy.watch.interval)
    deployed_at = tick_before(deploy.at, coarsest) * coarsest
    ends_at = deployed_at + policy.watch.duration
    windows: dict[tuple[str, float], RangeQuery] = {}
    for one in found:
        for text in one.texts.values():
            for window in _windows(policy, one, text, deployed_at, ends_at):
                key = (window.text, window.step)
                known = windows.get(key, window)  # another signal may ask the same
                windows[key] = known.and_all_of(window)
    missing = [*missing, ("kubernetes", BLIND)]
    others = tuple(
        (spec.name, f"the provider {spec.provider} has no history")
        for spec in policy.signals
        if spec.provider != "prometheus"
    )
    return _Task(
        deploy, deployed_at, ends_at, tuple(found), (*missing, *others), tuple(windows.values())
    )


def _windows(
    policy: Policy, one: Wanted, text: str, deployed_at: float, ends_at: float
) -> Iterator[RangeQuery]:
    """Yield the range of the watch, and that of the baseline where it is a coarser one.

    What only asks for new pods has no baseline.
    """
    fine, coarse = one.steps
    begin = deployed_at - policy.watch.baseline
    last = tick_before(ends_at, fine)
    if one.candidates == set(one.texts.values()):
        yield RangeQuery(text, fine, tick_before(deployed_at, fine), last)
        return
    if coarse == fine:
        yield RangeQuery(text, fine, tick_after(begin, fine), last)
        return
    yield RangeQuery(text, fine, tick_before(deployed_at, fine), last)
    yield RangeQuery(text, coarse, tick_after(begin, coarse), tick_before(deployed_at, coarse))


class _Source:
    """Hands out the answers that a deploy needs, with those of the next ones under way."""

    def __init__(
        self, fetcher: Fetcher, tasks: Sequence[_Task], *, ahead: int, progress: Progress | None
    ) -> None:
        self._fetcher = fetcher
        self._ahead = ahead
        self._progress = progress or tell_nobody
        self._todo = list(reversed(merged(w for task in tasks for w in task.windows)))
        self._total = len(self._todo)
        self._done = 0
        self._failed = 0  # in a row
        self._pending: dict[Future[Grid], RangeQuery] = {}
        self._answers: dict[RangeQuery, Grid | CallFailed] = {}
        self._needed_from = _needed_from(tasks)

    def take(self, task: _Task) -> Raw:
        """Return the answers to a deploy's queries; forget what only earlier ones needed."""
        begins = self._needed_from[task.deployed_at]
        self._answers = {
            query: answer
            for query, answer in self._answers.items()
            if query.end >= begins.get((query.text, query.step), math.inf)
        }
        while True:
            self._send()
            waiting = [q for q in (*self._pending.values(), *self._todo) if _meets(task, q)]
            if not waiting:
                break
            self._receive()
        return {(w.text, w.step): self._cut(w) for w in task.windows}

    def _send(self) -> None:
        while self._todo and len(self._pending) < self._ahead:
            query = self._todo.pop()
            self._pending[self._fetcher.submit(query)] = query

    def _receive(self) -> None:
        """Wait for the next answers."""
        done, _ = wait(self._pending, return_when=FIRST_COMPLETED)
        for future in done:
            query = self._pending.pop(future)
            try:
                self._answers[query] = future.result()
                self._failed = 0
            except CallFailed as error:
                self._failed += 1
                if is_final(error) or self._failed >= HOPELESS:
                    raise unreadable(error) from error
                self._answers[query] = error
            self._done += 1
            self._progress(self._done, self._total)

    def _cut(self, window: RangeQuery) -> Grid | CallFailed:
        parts: list[Grid] = []
        for query, answer in self._answers.items():
            if not window.meets(query):
                continue
            if isinstance(answer, CallFailed):
                return answer
            parts.append(answer)
        whole = joined(parts)
        tracks = (track.cut(window.first, window.last) for track in whole.tracks)
        some = tuple(track for track in tracks if any(v is not None for v in track.values))
        return Grid(window.step, window.first, window.last, some)


def _meets(task: _Task, query: RangeQuery) -> bool:
    return any(window.meets(query) for window in task.windows)


def _needed_from(tasks: Sequence[_Task]) -> dict[float, dict[tuple[str, float], float]]:
    """Return, for each deploy, from when on each query's answers are needed by it or later ones."""
    found: dict[float, dict[tuple[str, float], float]] = {}
    begins: dict[tuple[str, float], float] = {}
    for task in reversed(tasks):
        for window in task.windows:
            key = (window.text, window.step)
            begins[key] = min(begins.get(key, window.start), window.start)
        found[task.deployed_at] = dict(begins)
    return found


def _trial(
    policy: Policy, target: Target, task: _Task, raw: Raw, *, rollout: float, until: float
) -> Trial:
    """Run a watch in virtual time over the answers."""
    cast, answers = _staged(target, task, raw, rollout=rollout)
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
    task: _Task, intervals: Sequence[float], until: float
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


def _staged(
    target: Target, task: _Task, raw: Raw, *, rollout: float
) -> tuple[Cast, dict[str, dict[str, Answer]]]:
    """Return who was who, and the answers by signal and text as each signal is to see them."""
    held: dict[str, dict[str, list[Grid] | CallFailed]] = {}
    grids: list[Grid] = []
    counters: list[Grid] = []
    for one in task.wanted:
        held[one.spec.name] = mine = {}
        for role, text in one.texts.items():
            found = [raw[text, step] for step in dict.fromkeys(one.steps) if (text, step) in raw]
            failed = next((each for each in found if isinstance(each, CallFailed)), None)
            some = [each for each in found if isinstance(each, Grid)]
            mine[text] = failed if failed is not None else some
            grids += some
            counters += some if role != measures.VALUE else []
    own = own_pods(target)
    at = task.deployed_at
    if task.deploy.ordinary:
        cast, parts = ordinary_cast(target, deployed_at=at, rollout=rollout, grids=grids, own=own)
    else:
        hash = task.deploy.revision.template_hash if task.deploy.revision is not None else ""
        cast = real_cast(target, candidate=hash, deployed_at=at, grids=grids, counters=counters)
        parts = {}
    answers: dict[str, dict[str, Answer]] = {}
    for one in task.wanted:
        counter = one.spec.value is None
        answers[one.spec.name] = {
            text: answer
            if isinstance(answer, CallFailed)
            else tuple(
                _seen(played(grid, parts, counter=counter), cast, one, text, task)
                for grid in answer
            )
            for text, answer in held[one.spec.name].items()
        }
    return cast, answers


def _seen(grid: Grid, cast: Cast, one: Wanted, text: str, task: _Task) -> Grid:
    """Return the series that a query would have had which names the pods of one revision."""
    if text not in one.candidates | one.controls:
        return grid
    is_new = text in one.candidates
    by_name = one.variables["candidate_pods"] == one.variables["pods"]
    if not by_name:
        return grid  # the query had the candidate's hash: it is its own answer
    counter = one.spec.value is None

    named = {
        tick: cast.named(grid.time(tick), new=is_new) for tick in range(grid.first, grid.last + 1)
    }
    whose = cast.by_name()

    def change(track: Track) -> Sequence[Track]:
        members = whose.get(track.pod)
        if members is None:
            if not is_new:
                return (track.cut(track.first, tick_before(cast.complete_at, grid.step)),)
            whole = Grid(grid.step, grid.first, grid.last, (track,))
            return begun(whole, at=task.deployed_at, counter=counter).tracks
        kept = [
            value if template_at(members, grid.time(tick)) in named[tick] else None
            for tick, value in enumerate(track.values, track.first)
        ]
        return (Track(track.labels, track.first, kept),)

    return mapped(grid, change)
