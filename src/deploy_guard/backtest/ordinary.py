"""Ordinary days: moments at which nothing was deployed, to see how often a policy cries wolf.

Decides which moments are fit: no deploy of the target is within their baseline or their watch, and
there are data all the time. Deploys that nobody told of are seen by pods of a revision that was not
there before; the pods of StatefulSets and DaemonSets do not tell theirs.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deploy_guard.backtest.cache import Cache
from deploy_guard.backtest.cast import own_pods, templates
from deploy_guard.backtest.history import (
    AT_ONCE,
    MOST_POINTS,
    PER_SECOND,
    Fetcher,
    Plan,
    Progress,
    RangeQuery,
    cut,
    tell_nobody,
)
from deploy_guard.backtest.model import Deploy
from deploy_guard.backtest.queries import wanted
from deploy_guard.backtest.reading import connection_of
from deploy_guard.backtest.tracks import Grid, joined, tick_after, tick_before
from deploy_guard.model import Target
from deploy_guard.outputs.format import stamp

if TYPE_CHECKING:
    from deploy_guard.policy.models import Policy

FINEST = 300.0  # seconds between the points of a survey; a hole that is shorter is not seen
MOST = 2_000  # points of a survey, over whatever time


@dataclass(frozen=True, slots=True)
class Survey:
    """What there was over a long time, told at every `step` seconds between two moments.

    `rollouts` are the moments at which pods of another revision were first seen, which began up
    to a step earlier.
    """

    start: float
    end: float
    step: float
    filled: frozenset[int]  # ticks at which every signal had data
    rollouts: tuple[float, ...]

    def is_filled(self, start: float, end: float) -> bool:
        """Tell whether there are data all the time between two moments."""
        ticks = range(tick_after(start, self.step), tick_before(end, self.step) + 1)
        return all(tick in self.filled for tick in ticks)


def survey_plan(policy: Policy, target: Target, *, start: float, end: float) -> Plan:
    """Return what `ordinary_days` asks to find its moments, beside the days themselves."""
    return Plan(tuple(_questions(policy, target, start=start, end=end)))


def ordinary_days(
    policy: Policy,
    target: Target,
    *,
    count: int,
    start: float,
    end: float,
    environ: Mapping[str, str],
    seed: int = 0,
    avoid: Iterable[Deploy] = (),
    at_once: int = AT_ONCE,
    per_second: float = PER_SECOND,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> list[Deploy]:
    """Return up to `count` pseudo-deploys between two moments, oldest first.

    They are drawn at random, the same for the same seed and times, so far apart that their watches
    do not overlap; fewer when there is no more room between the deploys, `avoid` and those that are
    seen, and the holes in the data. Round the times for answers from the cache. Raises GuardError.
    """
    found = survey(
        policy,
        target,
        start=start,
        end=end,
        environ=environ,
        at_once=at_once,
        per_second=per_second,
        cache=cache,
        progress=progress,
    )
    return draw(policy, found, count=count, start=start, end=end, seed=seed, avoid=avoid)


def survey(
    policy: Policy,
    target: Target,
    *,
    start: float,
    end: float,
    environ: Mapping[str, str],
    at_once: int = AT_ONCE,
    per_second: float = PER_SECOND,
    cache: Path | None = None,
    progress: Progress | None = None,
    warn: Callable[[str], None] | None = None,
) -> Survey:
    """Ask at which moments there were data, and which pods; raises GuardError.

    `warn` is told what the server warns of, in any thread.
    """
    connection = connection_of(policy)
    queries = list(_questions(policy, target, start=start, end=end))
    kept = Cache(cache, connection, environ=environ) if cache is not None else None
    fetcher = Fetcher(
        connection,
        environ=environ,
        at_once=at_once,
        per_second=per_second,
        cache=kept,
        warn=warn,
    )
    with closing(fetcher):
        answers = fetcher.fetch(queries, progress or tell_nobody)
    by_text: dict[str, list[Grid]] = {}
    for query, grid in zip(queries, answers, strict=True):
        by_text.setdefault(query.text, []).append(grid)
    return surveyed(target, [joined(grids) for grids in by_text.values()])


def _questions(policy: Policy, target: Target, *, start: float, end: float) -> Sequence[RangeQuery]:
    """Return the queries: of each signal the pods that the last of its queries has."""
    found, _ = wanted(policy, target, Deploy(start, "", ordinary=True))
    begin, until = start - policy.watch.baseline, end + policy.watch.duration
    step = max(FINEST, -(-(until - begin) / MOST // 60) * 60)
    texts = dict.fromkeys(f"group by (pod) ({[*one.texts.values()][-1]})" for one in found)
    return [
        part
        for text in texts
        for part in cut(
            RangeQuery(text, step, tick_after(begin, step), tick_before(until, step)), MOST_POINTS
        )
    ]


def surveyed(target: Target, grids: Sequence[Grid]) -> Survey:
    """Return what the answers of all signals say."""
    filled: frozenset[int] | None = None
    seen: dict[str, set[int]] = {}
    own = own_pods(target)
    for grid in grids:
        there: set[int] = set()
        for track in grid.tracks:
            ticks = {n for n, value in enumerate(track.values, track.first) if value is not None}
            there |= ticks
            if own.fullmatch(track.pod):
                seen.setdefault(track.pod, set()).update(ticks)
        filled = frozenset(there) if filled is None else filled & there
    if not grids:
        return Survey(0.0, 0.0, FINEST, frozenset(), ())
    first = grids[0]
    return Survey(
        first.time(first.first),
        first.time(first.last),
        first.step,
        filled or frozenset(),
        tuple(_rollouts(target, seen, first)),
    )


def _rollouts(target: Target, seen: Mapping[str, set[int]], grid: Grid) -> list[float]:
    """Return when pods of a template came that had none at the moment before."""
    by_template: dict[str, set[int]] = {}
    for name, template in templates(target, seen).items():
        if template:
            by_template.setdefault(template, set()).update(seen[name])
    anything: set[int] = set().union(*by_template.values())
    return sorted(
        grid.time(tick)
        for ticks in by_template.values()
        for tick in ticks
        # After a hole nobody knows what came when: the hole itself is left out.
        if tick - 1 not in ticks and tick - 1 in anything
    )


def draw(
    policy: Policy,
    found: Survey,
    *,
    count: int,
    start: float,
    end: float,
    seed: int = 0,
    avoid: Iterable[Deploy] = (),
) -> list[Deploy]:
    """Return up to `count` moments at which nothing was deployed, drawn at random. Pure."""
    before, after = policy.watch.baseline, policy.watch.duration
    known = [(deploy.at, deploy.at) for deploy in avoid if not deploy.ordinary]
    known += [(at - found.step, at) for at in found.rollouts]
    # Neither in the watch of a deploy, nor with that in the baseline or the watch.
    closed = [(early - after, late + before + after) for early, late in known]
    chance = random.Random(seed)
    step = max([policy.watch.interval, *(s.interval or 0.0 for s in policy.signals)])
    first = start + chance.random() * after
    slots = [tick_after(first + n * after, step) * step for n in range(int((end - first) // after))]
    chance.shuffle(slots)
    fit = (
        at
        for at in slots
        if not any(low <= at <= high for low, high in closed)
        and found.is_filled(at - before, at + after)
    )
    chosen = [at for at, _ in zip(fit, range(count), strict=False)]
    return [Deploy(at, stamp(at), ordinary=True) for at in sorted(chosen)]
