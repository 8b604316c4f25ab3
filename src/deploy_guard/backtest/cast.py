"""Who was who: the pods of a workload as their series tell, and looks at it as they were.

Decides when a pod was there, of which revision it was and when a rollout was complete. The cluster
keeps nothing of that, so it is told by series: a pod is created a step before its first sample at
the latest, ready with its first sample, and gone after its last one. A pod that never had a sample
is not seen, nor is a restart or a crash. Pods of a StatefulSet keep their names: one was replaced
when its counters fell or its series had a gap.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from deploy_guard.backtest.tracks import Grid, Track
from deploy_guard.model import Container, Pod, Rollout, Target, Workload
from deploy_guard.policy.template import pod_base, variables
from deploy_guard.signals.counters import LAG
from deploy_guard.signals.pod_groups import PodGroups

BEFORE = "before"  # the template of pods whose name does not tell it
UNSEEN = "unseen"  # ends the name of a pod that stands for those that no series names
LATE = 300.0  # seconds by which a deploy may have been written down too late
_LONG_AGO = 86_400.0  # seconds: older than any question about a pod's age


@dataclass(frozen=True, slots=True)
class Span:
    """When a pod had samples, in Unix seconds; `born` and `ended`: within what was read."""

    first: float
    last: float
    born: bool = False
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    """One pod of the workload; two of them may have a name one after the other."""

    pod: Pod
    gone_at: float = math.inf


@dataclass(frozen=True, slots=True)
class Cast:
    """The pods of a workload around a deploy, and which revision is under judgement."""

    target: Target
    candidate: str
    deployed_at: float
    members: tuple[Member, ...]
    complete_at: float
    desired: int

    def look(self, at: float) -> Workload:
        """Return what a look at the cluster would have shown."""
        pods = tuple(m.pod for m in self.members if m.pod.created <= at < m.gone_at)
        new = sum(pod.template == self.candidate for pod in pods)
        rollout = Rollout(
            desired=self.desired,
            updated=new,
            ready=len(pods),
            available=len(pods),
            old=len(pods) - new,
            observed=True,
            complete=new > 0 and at >= self.complete_at,
        )
        return Workload(self.target, self.candidate, self.deployed_at, at, pods, rollout)

    def by_name(self) -> dict[str, list[Member]]:
        """Return the pods by their names, the older one of two first."""
        found: dict[str, list[Member]] = {}
        for one in self.members:
            found.setdefault(one.pod.name, []).append(one)
        return found

    def named(self, at: float, *, new: bool) -> frozenset[str]:
        """Return the templates that a query at a moment names as the new or as the old ones.

        Of the time before the deploy it names those of the deploy's moment.
        """
        if new:
            return frozenset((self.candidate,))
        look = self.look(max(at, self.deployed_at))
        return frozenset(pod.template for pod in look.controls())


def template_at(members: Sequence[Member], at: float) -> str:
    """Return the template of the pod that had a name at a moment, of those that ever had it."""
    found = members[0].pod.template
    for one in members[1:]:
        if one.pod.created <= at:
            found = one.pod.template
    return found


def own_pods(target: Target) -> re.Pattern[str]:
    """Return the expression of a workload's pods' names."""
    values = variables(
        namespace=target.namespace, name=target.name, candidate_hash="x", kind=target.kind
    )
    return re.compile(values["pods"])


def spans(grids: Iterable[Grid], own: re.Pattern[str]) -> dict[str, Span]:
    """Return when each pod of the workload had samples, over all series."""
    grids = list(grids)
    begin = min((grid.time(grid.first) for grid in grids), default=0.0)
    end = max((grid.time(grid.last) for grid in grids), default=0.0)
    coarsest = max((grid.step for grid in grids), default=0.0)
    found: dict[str, tuple[float, float]] = {}
    is_own: dict[str, bool] = {}
    for grid in grids:
        for track in grid.tracks:
            name = track.pod
            if name not in is_own:
                is_own[name] = own.fullmatch(name) is not None
            if not is_own[name] or (there := _extent(track)) is None:
                continue
            first, last = grid.time(there[0]), grid.time(there[1])
            known = found.get(name, (first, last))
            found[name] = (min(known[0], first), max(known[1], last))
    return {
        name: Span(first, last, first > begin + coarsest, last < end - coarsest)
        for name, (first, last) in found.items()
    }


def _extent(track: Track) -> tuple[int, int] | None:
    """Return the first and the last tick with a value."""
    ticks = [track.first + i for i, value in enumerate(track.values) if value is not None]
    return (ticks[0], ticks[-1]) if ticks else None


def member(name: str, template: str, span: Span, *, step: float) -> Member:
    """Return the pod whose series have this span."""
    created = span.first - step if span.born else span.first - _LONG_AGO
    pod = running(name, template, created=created, ready_since=span.first if span.born else created)
    return Member(pod, span.last + step if span.ended else math.inf)


def running(name: str, template: str, *, created: float, ready_since: float) -> Pod:
    """Return a pod that is ready."""
    return Pod(
        name,
        template,
        created,
        phase="Running",
        ready=True,
        ready_since=ready_since,
        containers=(Container("main", ready=True),),
    )


def templates(target: Target, names: Iterable[str]) -> dict[str, str]:
    """Return the template hash of each pod as its name tells it, empty where it does not."""
    groups = PodGroups()
    groups.update(Workload(target, "", 0.0, 0.0), 0.0)
    return {name: groups.template(name) or "" for name in names}


def real_cast(
    target: Target,
    *,
    candidate: str,
    deployed_at: float,
    grids: Sequence[Grid],
    counters: Sequence[Grid],
) -> Cast:
    """Return the pods around a real deploy.

    `candidate` is the hash of the new revision, empty where it is to be told from the pods that
    came first after the deploy. `counters` are those of `grids` whose numbers are counters.
    """
    seen = spans(grids, own_pods(target))
    step = min((grid.step for grid in grids), default=1.0)
    if not seen:
        return nobody(target, candidate or UNSEEN, deployed_at, rollout=0.0)
    known = templates(target, seen)
    if not candidate:
        candidate = _newest(known, seen, deployed_at) or UNSEEN
    members: list[Member] = []
    for name, span in sorted(seen.items()):
        if target.kind == "statefulset":
            members += _successors(
                name, span, candidate, deployed_at, step=step, grids=grids, counters=counters
            )
            continue
        came_after = _came_since(span, deployed_at)
        template = known[name] or (candidate if came_after else BEFORE)
        one = member(name, template, span, step=step)
        if template == candidate and came_after:
            created = max(deployed_at, one.pod.created)
            one = replace(one, pod=replace(one.pod, created=created, ready_since=span.first))
        members.append(one)
    return _completed(target, candidate, deployed_at, members)


def _came_since(span: Span, moment: float) -> bool:
    """Tell whether a pod's first sample came at a moment or later."""
    return span.first > moment or (span.born and span.first == moment)


def _newest(known: Mapping[str, str], seen: Mapping[str, Span], deployed_at: float) -> str:
    """Return the template that the deploy brought, as its pods tell; empty without any.

    That of the first pod that came after it, if no pod of it was there at the time. A moment that
    somebody wrote down may be a little late: else that of the last one that came just before.
    """
    there = {known[n] for n, s in seen.items() if s.first < deployed_at <= s.last}
    after = {
        name: span.first
        for name, span in seen.items()
        if known[name] and known[name] not in there and _came_since(span, deployed_at)
    }
    if after:
        return known[min(after, key=after.__getitem__)]
    settled = deployed_at - LATE
    older = {known[n] for n, s in seen.items() if s.first <= settled <= s.last}
    just = {
        name: span.first
        for name, span in seen.items()
        if span.born and known[name] not in {"", *older} and settled < span.first <= deployed_at
    }
    return known[max(just, key=just.__getitem__)] if just else ""


def _completed(
    target: Target, candidate: str, deployed_at: float, members: Sequence[Member]
) -> Cast:
    """Return the cast with the end of the rollout: when the last old pod went that did go.

    Old pods that stay do not hold it up: they may be of another rollout. Without an old pod that
    goes, it is complete with the last new pod that came.
    """
    new = [m.pod.created for m in members if m.pod.template == candidate]
    gone = [
        m.gone_at
        for m in members
        if m.pod.template != candidate and deployed_at < m.gone_at < math.inf
    ]
    complete_at = max(gone or new, default=math.inf)
    return Cast(target, candidate, deployed_at, tuple(members), complete_at, max(1, len(new)))


def nobody(target: Target, candidate: str, deployed_at: float, *, rollout: float) -> Cast:
    """Return a cast for series that name no pod: one old pod and one new one stand for all."""
    old = running(
        pod_base(target.name, BEFORE) + UNSEEN,
        BEFORE,
        created=deployed_at - _LONG_AGO,
        ready_since=deployed_at - _LONG_AGO,
    )
    new = running(
        pod_base(target.name, candidate) + UNSEEN,
        candidate,
        created=deployed_at,
        ready_since=deployed_at,
    )
    done = deployed_at + rollout
    return Cast(target, candidate, deployed_at, (Member(old, done), Member(new)), done, 1)


def _successors(
    name: str,
    span: Span,
    candidate: str,
    deployed_at: float,
    *,
    step: float,
    grids: Sequence[Grid],
    counters: Sequence[Grid],
) -> list[Member]:
    """Return the pods that had one name before and after the deploy."""
    if _came_since(span, deployed_at):
        one = member(name, candidate, span, step=step)
        created = max(deployed_at, one.pod.created)
        return [replace(one, pod=replace(one.pod, created=created, ready_since=span.first))]
    moments = [t for grid in counters if (t := _fell_at(grid, name, deployed_at)) is not None]
    moments += [t for grid in grids if (t := _back_at(grid, name, deployed_at)) is not None]
    if not moments and counters:
        return [member(name, BEFORE, span, step=step)]
    # Numbers that are no counters do not tell: then it was replaced at once.
    at = min(moments, default=deployed_at + step)
    created = max(deployed_at, at - step)
    old = replace(member(name, BEFORE, span, step=step), gone_at=created)
    new = running(name, candidate, created=created, ready_since=at)
    return [old, Member(new, span.last + step if span.ended else math.inf)]


def _fell_at(grid: Grid, name: str, after: float) -> float | None:
    """Return when a counter of a pod first fell after a moment."""
    found: list[int] = []
    for track in grid.tracks:
        if track.pod != name:
            continue
        last: float | None = None
        for tick, value in enumerate(track.values, track.first):
            if value is None:
                continue
            if last is not None and last - value > LAG * last and grid.time(tick) > after:
                found.append(tick)
                break
            last = value
    return grid.time(min(found)) if found else None


def _back_at(grid: Grid, name: str, after: float) -> float | None:
    """Return when a pod's series were first back after a gap that ended after a moment."""
    ticks = {
        tick
        for track in grid.tracks
        if track.pod == name
        for tick, value in enumerate(track.values, track.first)
        if value is not None
    }
    last: int | None = None
    for tick in sorted(ticks):
        if last is not None and tick > last + 1 and grid.time(tick) > after:
            return grid.time(tick)
        last = tick
    return None
