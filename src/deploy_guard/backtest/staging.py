"""From the answers of history to what each signal is to see of one deploy.

Puts together who was who, what is played on an ordinary day, and which series a query that names
the pods of a revision would have had.
"""

from __future__ import annotations

from collections.abc import Sequence

from deploy_guard.backtest.acting import begun, ordinary_cast, played
from deploy_guard.backtest.ahead import Raw
from deploy_guard.backtest.answering import Answer
from deploy_guard.backtest.cast import Cast, own_pods, real_cast, template_at
from deploy_guard.backtest.queries import Wanted
from deploy_guard.backtest.tasks import Task
from deploy_guard.backtest.tracks import Grid, Track, mapped, tick_before
from deploy_guard.model import Target
from deploy_guard.signals import measures
from deploy_guard.signals.http_failures import CallFailed


def staged(
    target: Target, task: Task, raw: Raw, *, rollout: float
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


def _seen(grid: Grid, cast: Cast, one: Wanted, text: str, task: Task) -> Grid:
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
