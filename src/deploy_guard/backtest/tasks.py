"""What is asked for each deploy: its queries, the time of its watch, and their ranges.

Decides the grid on which a deploy and its watch lie. Asks nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploy_guard.backtest.history import RangeQuery
from deploy_guard.backtest.model import Deploy
from deploy_guard.backtest.queries import Wanted, wanted
from deploy_guard.backtest.tracks import tick_after, tick_before
from deploy_guard.model import KUBERNETES, Target

if TYPE_CHECKING:
    from deploy_guard.policy.models import Policy

BLIND = "only pods that have samples are seen, and neither restarts nor crashes nor readiness"


@dataclass(frozen=True, slots=True)
class Task:
    """A deploy with all that is asked for it. Times are Unix seconds."""

    deploy: Deploy
    deployed_at: float
    ends_at: float
    wanted: tuple[Wanted, ...]
    missing: tuple[tuple[str, str], ...]
    windows: tuple[RangeQuery, ...]


def tasks_of(policy: Policy, target: Target, deploys: Iterable[Deploy]) -> list[Task]:
    """Return what is asked for each deploy, in the order of time."""
    return [
        _task(policy, target, deploy) for deploy in sorted(deploys, key=lambda deploy: deploy.at)
    ]


def _task(policy: Policy, target: Target, deploy: Deploy) -> Task:
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
    missing = [*missing, (KUBERNETES, BLIND)]
    others = tuple(
        (spec.name, f"the provider {spec.provider} has no history")
        for spec in policy.signals
        if spec.provider != "prometheus"
    )
    return Task(
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
