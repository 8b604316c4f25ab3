"""The comparison as a fold: state + one increment -> state, with its judgement.

Bounded memory and work per increment, however long the watch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from deploy_guard.detect import judging
from deploy_guard.detect.baseline import NOTHING, Baseline, Expectation
from deploy_guard.detect.distributions import tail
from deploy_guard.detect.evidence import Judgement, Settings
from deploy_guard.detect.running import OldPods, Outage, Trouble
from deploy_guard.detect.windows import Caps, Pair, Windows
from deploy_guard.model import Counts


@dataclass(frozen=True, slots=True)
class State:
    """All that the comparison remembers; its size does not grow with the length of the watch.

    `seen` is all since the deploy, `windows` all since the warm-up. `world` is what the old pods
    did while a fault was theirs too, None for none. `condemned` is the ratio that was judged bad
    before a restart, NaN for none; `restarted` says that the counts are those after a rollback.
    """

    settings: Settings = field(default_factory=Settings)
    baseline: Baseline = field(default_factory=Baseline)
    expectation: Expectation | None = None  # from the first increment of the watch on
    elapsed: float = 0.0
    seen: Pair = field(default_factory=Pair)
    windows: Windows = field(default_factory=Windows)
    excess: Trouble = field(default_factory=Trouble)
    outage: Outage = field(default_factory=Outage)
    old: OldPods = field(default_factory=OldPods)
    world: Counts | None = None
    judgement: Judgement = field(default_factory=Judgement)
    condemned: float = math.nan
    restarted: bool = False

    @property
    def caps(self) -> Caps:
        """What a bin's errors are held against."""
        expected = self.expectation.ratio if self.expectation is not None else math.inf
        limit = self.settings.limit
        return Caps(expected, math.inf if limit is None else limit)

    @property
    def mature(self) -> Pair:
        """The counts since the warm-up, of both groups."""
        whole = self.windows.whole(self.caps)
        return Pair(whole.new, NOTHING, whole.old, whole.strata)


def learn(state: State, seconds: float, counts: Counts) -> State:
    """Return the state with one more increment of the baseline."""
    return replace(state, baseline=state.baseline.add(seconds, counts))


def step(
    state: State,
    seconds: float,
    candidate: Counts,
    control: Counts | None = None,
    warming: Counts | None = None,
) -> State:
    """Return the state after one more increment of the watch, with its judgement.

    `control` is None when no old pod is left, and without requests when one is but has none.
    `warming` is the part of `candidate` from pods in their warm-up, None where pods are not told
    apart: then the warm-up is the first seconds since the deploy.
    """
    settings = state.settings
    expectation = state.expectation or state.baseline.expectation()
    beside = control or NOTHING
    usual = expectation.ratio if expectation.known else settings.limit or math.inf
    least = judging.smallest_outage(settings, expectation)
    old = state.old.add(
        state.elapsed,
        seconds,
        control,
        usual=usual,
        clustering=expectation.clustering,
        least=least,
    )
    excess = state.excess.add(
        state.elapsed, candidate, usual=usual, clustering=expectation.clustering
    )
    outage = state.outage.add(state.elapsed, seconds, candidate, beside, least=least)
    windows = state.windows
    world = state.world
    if state.old.alive and not old.alive and old.in_trouble and world is None:
        # The old pods went in the middle of a fault: only what is worse than they were is ours.
        world, windows, outage = old.worst, Windows(), Outage()
    mature = _mature(state, candidate, warming)
    state = State(
        settings,
        state.baseline,
        expectation,
        state.elapsed + seconds,
        state.seen.add(candidate, beside),
        windows,
        excess,
        outage,
        old,
        world,
        state.judgement,
        state.condemned,
        state.restarted,
    )
    if mature is not None:
        windows = windows.add(seconds, mature, beside, state.caps)
    return _judged(state, expectation, windows, seconds)


def _mature(state: State, candidate: Counts, warming: Counts | None) -> Counts | None:
    """Return the part of the increment that is past the warm-up, None where nothing is."""
    if warming is None or state.restarted:
        return candidate if state.elapsed >= state.settings.warm_up - 1e-9 else None
    if 0 < candidate.requests <= warming.requests:
        return None
    requests = max(0.0, candidate.requests - warming.requests)
    return Counts(requests, min(requests, max(0.0, candidate.errors - warming.errors)))


def _judged(state: State, expectation: Expectation, windows: Windows, seconds: float) -> State:
    scene = judging.Scene(
        state.settings,
        expectation,
        windows,
        state.caps,
        state.excess,
        state.outage,
        state.old,
        state.seen,
        state.elapsed,
        seconds,
        state.world,
    )
    if judging.latest_is_quiet(scene):
        # What the world did is over and explained: only what comes from here on is judged.
        old = replace(state.old, trouble=Trouble(), outage=Outage())
        return replace(
            state,
            seen=Pair(),
            windows=Windows(),
            excess=Trouble(),
            outage=Outage(),
            old=old,
            world=None,
            judgement=Judgement(),
        )
    judgement = judging.judge(scene)
    world = state.world
    if judgement.world and state.old.alive:
        world = max((world, _of_the_world(state)), key=lambda found: found.ratio if found else -1.0)
    return replace(state, windows=windows, judgement=judgement, world=world)


def _of_the_world(state: State) -> Counts:
    """Return the old pods' counts while the fault was theirs, too."""
    worst = state.old.worst
    return worst if worst.requests > 0 else state.seen.control


def restart(state: State) -> State:
    """Return a state with the same baseline, no counts and no warm-up, to judge anew.

    A ratio that was bad is remembered: see `recovered`.
    """
    judgement = state.judgement
    condemned = judgement.counts.ratio if judgement.bad or judgement.shared else state.condemned
    settings = replace(state.settings, warm_up=0.0, late="any")
    baseline = state.baseline
    if not judgement.world:  # good old pods next to the candidate are what was before, too
        baseline = baseline.with_counts(state.seen.control)
    return State(settings, baseline, condemned=condemned, restarted=True)


def recovered(state: State) -> bool:
    """Whether the counts contradict the ratio that was condemned before the restart, if any."""
    seen = state.mature.candidate
    return math.isnan(state.condemned) or judging.below(seen, state.condemned)


def over_limit(state: State) -> bool:
    """Whether the ratio since the warm-up is above the limit by more than plain chance.

    Proof enough to withhold a clean bill of health, not to act.
    """
    limit, seen = state.settings.limit, state.mature.candidate
    if limit is None or not seen.ratio > limit:
        return False
    return tail(seen.errors, seen.requests * limit, 1e9) <= 0.05
