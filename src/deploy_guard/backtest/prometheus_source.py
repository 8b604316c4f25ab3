"""Trials of a target from Prometheus: past deploys, and ordinary days where there are data.

Decides what is noted and said of the load before it begins. What is asked is decided in `tasks`
and `ordinary`, how in `history`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deploy_guard import text
from deploy_guard.backtest.command import Options, Source, Told, silent, too_few
from deploy_guard.backtest.history import Plan
from deploy_guard.backtest.model import Deploy, Trial
from deploy_guard.backtest.ordinary import draw, survey, survey_plan
from deploy_guard.backtest.reading import plan, read_trials, with_series
from deploy_guard.model import Target
from deploy_guard.outputs.format import stamp
from deploy_guard.policy.models import Policy

ROUND = 300.0  # seconds: the same answers are asked for again within them, and may be kept
_NO_HISTORY = (
    "no signal of the policy has a history: only those of the provider prometheus have one"
)


def _say_nothing(words: str) -> None:
    """Say nothing to nobody."""


def history_source(
    policy: Policy,
    target: Target,
    deploys: Sequence[Deploy],
    options: Options,
    *,
    span: tuple[float, float],
    known_since: float | None,
    environ: Mapping[str, str],
    cache: Path | None = None,
    tell: Told = silent,
    say: Callable[[str], None] = _say_nothing,
) -> Source:
    """Return the deploys of a target in a span of time, and ordinary days, from Prometheus.

    `known_since` is since when all deploys are among them, None for those that the user listed:
    there may have been others. `say` is told what Prometheus is asked before it is asked. Raises
    GuardError.
    """
    start, end = (round(moment / ROUND) * ROUND for moment in span)
    words = f"{target} -n {target.namespace}, {stamp(start)} to {stamp(end)}"
    if not any(signal.provider == "prometheus" for signal in policy.signals):
        return Source(words, policy, (), (), 0, notes=[_NO_HISTORY])
    listed = known_since is None
    since = start if known_since is None else max(start, known_since)
    chosen = [d for d in deploys if listed or start <= d.at < end]
    server = _Server(policy, target, environ, cache, tell, say)
    if not chosen and not listed:
        server.notes.append(f"the cluster knows of no deploy of {target} since {stamp(start)}")
    elif since > start:
        server.notes.append(f"the cluster keeps no revision from before {stamp(since)}")
    days = server.days(options, start, end, avoid=deploys) if options.ordinary else []
    trials = server.trials(chosen, days)
    # The oldest one that is known begins the time in which all are.
    counted = [d for d in chosen if listed or d.at > since or d.at == start]
    known = None if listed else end - since
    asked = len(chosen) + len(days)
    return Source(words, policy, counted, trials, asked, known, server.notes)


@dataclass(slots=True)
class _Server:
    """Prometheus, with what was asked of it and what there is to note."""

    policy: Policy
    target: Target
    environ: Mapping[str, str]
    cache: Path | None
    tell: Told
    say: Callable[[str], None]
    notes: list[str] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)

    def days(
        self, options: Options, start: float, end: float, *, avoid: Sequence[Deploy]
    ) -> list[Deploy]:
        """Find ordinary days; note when there are fewer than wanted, and why."""
        self._state(
            survey_plan(self.policy, self.target, start=start, end=end), "to find ordinary days"
        )
        found = survey(
            self.policy,
            self.target,
            start=start,
            end=end,
            environ=self.environ,
            cache=self.cache,
            progress=lambda done, total: self.tell("asked where there are data:", done, total),
            warn=self._warn,
        )
        count, seed = options.ordinary, options.seed
        days = draw(self.policy, found, count=count, start=start, end=end, seed=seed, avoid=avoid)
        if self.plans[0].queries and not found.filled:
            self.notes.append(_no_data(self.target))
        else:
            self.notes += too_few(self.policy, len(days), count)
        return days

    def trials(self, deploys: Sequence[Deploy], days: Sequence[Deploy]) -> Iterator[Trial]:
        """Say and note what reading all of them asks, and return what reads them."""
        asked = [*deploys, *days]
        if asked:
            many = text.plural(len(asked), "deploy")
            words = f"to read {many}, {len(days):,} of them ordinary days"
            self._state(plan(self.policy, self.target, asked), words)
            self.notes.append(f"the load on Prometheus: {_load(self.plans)}")
        return read_trials(
            self.policy,
            self.target,
            asked,
            environ=self.environ,
            cache=self.cache,
            progress=lambda done, total: self.tell("read from Prometheus:", done, total),
            warn=self._warn,
        )

    def _state(self, asked: Plan, why: str) -> None:
        self.plans.append(with_series(asked, self.policy, environ=self.environ))
        self.say(f"Prometheus is asked {_load(self.plans[-1:])} {why}")

    def _warn(self, told: str) -> None:
        if (note := f"Prometheus warns: {told}") not in self.notes:
            self.notes.append(note)


def _load(plans: Sequence[Plan]) -> str:
    """State what Prometheus is asked by these plans together."""
    count = sum(len(each.queries) for each in plans)
    queries = "1 range query" if count == 1 else f"{count:,} range queries"
    points = sum(each.points for each in plans)
    return (
        f"{queries} of about {text.count(points)} points in all, at most {plans[0].at_once} at "
        f"once and {text.number(plans[0].per_second)} a second"
    )


def _no_data(target: Target) -> str:
    return (
        f"Prometheus has no data of {target} -n {target.namespace} for all signals at any time of "
        "this: is it the right one? guard check --target shows what each query finds now"
    )
