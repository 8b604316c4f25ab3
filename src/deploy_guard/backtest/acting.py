"""A rollout that never was: on an ordinary day the real pods play a new revision's.

Decides how the series of a moment at which nothing was deployed become those of a rollout. One pod
after another "is replaced": its series end under its name and go on under another one, counters
from zero. What the policy then says is said of two groups that do not differ, at the times and in
the shape of a real rollout: a regression is a false alarm.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deploy_guard.backtest.cast import (
    BEFORE,
    Cast,
    Member,
    Span,
    member,
    nobody,
    running,
    spans,
    templates,
)
from deploy_guard.backtest.tracks import Grid, Track, mapped, tick_after, tick_before
from deploy_guard.model import Target
from deploy_guard.policy.template import BASE, pod_base
from deploy_guard.signals.counters import LAG

HASH = "ordinary"  # of the revision that never was; Kubernetes' own hashes have no vowels
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX = 4  # letters after one that no real pod's suffix has


@dataclass(frozen=True, slots=True)
class Part:
    """What a pod plays: from `at` on (Unix seconds) it is called `name`."""

    name: str
    at: float


def ordinary_cast(
    target: Target,
    *,
    deployed_at: float,
    rollout: float,
    grids: Sequence[Grid],
    own: re.Pattern[str],
) -> tuple[Cast, dict[str, Part]]:
    """Return the pods as if there had been a rollout, and what each of the real ones plays.

    Within `rollout` seconds one pod after another is replaced; a pod that really came after the
    moment is of the new revision from its beginning.
    """
    seen = spans(grids, own)
    if not seen:
        return nobody(target, HASH, deployed_at, rollout=rollout), {}
    step = min(grid.step for grid in grids)
    known = templates(target, seen)
    there = [name for name, span in sorted(seen.items()) if span.first <= deployed_at <= span.last]
    members: list[Member] = []
    parts: dict[str, Part] = {}
    for number, (name, span) in enumerate(sorted(seen.items())):
        template = known[name] or BEFORE
        new_name = name if target.kind == "statefulset" else _stage_name(target, number)
        if span.first > deployed_at:
            parts[name] = Part(new_name, -math.inf)
            members.append(member(new_name, HASH, span, step=step))
        elif name in there:
            flip = deployed_at + rollout * (there.index(name) + 1) / len(there)
            parts[name] = Part(new_name, flip)
            members += _two(name, template, span, parts[name], step=step)
        else:
            members.append(member(name, template, span, step=step))
    desired = sum(one.pod.template == HASH for one in members)
    cast = Cast(target, HASH, deployed_at, tuple(members), deployed_at + rollout, max(1, desired))
    return cast, parts


def _two(name: str, template: str, span: Span, part: Part, *, step: float) -> list[Member]:
    old = member(name, template, span, step=step)
    new = running(part.name, HASH, created=part.at, ready_since=part.at)
    return [Member(old.pod, min(old.gone_at, part.at)), Member(new, old.gone_at)]


def _stage_name(target: Target, number: int) -> str:
    """Return a pod's name that no real pod has."""
    suffix = ""
    for _ in range(_SUFFIX):
        number, digit = divmod(number, len(_LETTERS))
        suffix = _LETTERS[digit] + suffix
    if target.kind == "deployment":
        return f"{pod_base(target.name, HASH)}a{suffix}"
    return f"{target.name}-"[:BASE] + f"a{suffix}"


def played(grid: Grid, parts: Mapping[str, Part], *, counter: bool) -> Grid:
    """Return the series of a grid as the pods that are played have them."""

    def change(track: Track) -> Sequence[Track]:
        part = parts.get(track.pod)
        if part is None:
            return (track,)
        labels = {**track.labels, "pod": part.name}
        if part.at == -math.inf:
            return (Track(labels, track.first, track.values),)
        flip = tick_after(part.at, grid.step)
        # The last total of the old pod is that of its end, so that no request is lost.
        keeps_name = part.name == track.pod
        old = track.cut(track.first, flip - 1 if keeps_name else flip)
        new = track.cut(flip, grid.last)
        values = from_zero(new.values, total_at(track, flip)) if counter else new.values
        return (old, Track(labels, new.first, values))

    return mapped(grid, change)


def begun(grid: Grid, *, at: float, counter: bool) -> Grid:
    """Return the series of sums over new pods alone: there are none before, then from zero on."""

    def change(track: Track) -> Sequence[Track]:
        first = tick_before(at, grid.step)
        new = track.cut(first, grid.last)
        if not counter:
            return (new,)
        values = from_zero(new.values, total_at(track, first), of_many=True)
        return (Track(track.labels, new.first, values),)

    return mapped(grid, change)


def total_at(track: Track, tick: int) -> float | None:
    """Return the last value up to a tick, None without one."""
    part = track.cut(track.first, tick)
    return next((value for value in reversed(part.values) if value is not None), None)


def from_zero(
    values: Sequence[float | None], base: float | None, *, of_many: bool = False
) -> list[float | None]:
    """Return what a counter has counted since it was at `base`.

    A restart is a fall: what was counted before it stays counted. A smaller fall is another
    replica's answer, and a sum `of_many` pods falls when one goes: nothing was counted then.
    """
    counted = 0.0
    last = base if base is not None else 0.0
    found: list[float | None] = []
    for value in values:
        if value is None or math.isnan(value):
            found.append(value)
            continue
        if last - value > LAG * last and not of_many:
            counted += value
            last = value
        elif value < last:
            last = value if of_many else last
        else:
            counted += value - last
            last = value
        found.append(counted)
    return found
