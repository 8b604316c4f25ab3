"""The comparison as a fold: state + one increment -> state, with its judgement.

Bounded memory and work per increment, however long the watch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from deploy_guard.detect import judging
from deploy_guard.detect.baseline import NOTHING, Baseline, possible
from deploy_guard.detect.distributions import tail
from deploy_guard.detect.evidence import Judgement, Known, Settings
from deploy_guard.detect.judging import Scene
from deploy_guard.detect.running import Outage, Trouble
from deploy_guard.detect.windows import Pair, Windows
from deploy_guard.model import Counts


@dataclass(frozen=True, slots=True)
class State:
    """All that the comparison remembers; its size does not grow with the length of the watch.

    `scene` is the watch, None before its first increment. `suspected` is when, in seconds since
    the deploy, a suspicion arose that has lasted since, NaN without one. `condemned` is the ratio
    that was judged bad before a restart, NaN for none; `restarted` says that the counts are those
    after a rollback.
    """

    settings: Settings = field(default_factory=Settings)
    baseline: Baseline = field(default_factory=Baseline)
    scene: Scene | None = None
    judgement: Judgement = field(default_factory=Judgement)
    suspected: float = math.nan
    condemned: float = math.nan
    restarted: bool = False

    @property
    def elapsed(self) -> float:
        """Seconds since the deploy."""
        return self.scene.elapsed if self.scene is not None else 0.0

    @property
    def seen(self) -> Pair:
        """The counts since the deploy, of both groups."""
        return self.scene.seen if self.scene is not None else Pair()

    @property
    def mature(self) -> Pair:
        """The counts since the warm-up, of both groups."""
        if self.scene is None:
            return Pair()
        whole = self.scene.windows.whole(self.scene.known.caps)
        return Pair(whole.new, NOTHING, whole.old, whole.strata)

    @property
    def old_pods_live(self) -> bool:
        """Whether old pods have still served in the last seconds."""
        return self.scene is not None and self.scene.old.alive


def learn(state: State, seconds: float, counts: Counts) -> State:
    """Return the state with one more increment of the baseline."""
    return replace(state, baseline=state.baseline.add(max(0.0, seconds), possible(counts)))


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
    before = state.scene or Scene(Known.of(state.settings, state.baseline))
    seconds, candidate = max(0.0, seconds), possible(candidate)
    control = None if control is None else possible(control)
    mature = _mature(state, candidate, warming)
    scene = _seen(before, seconds, candidate, mature, control)
    if judging.latest_is_quiet(scene):
        # What the world did is over and explained: only what comes from here on is judged.
        old = replace(scene.old, trouble=Trouble(), outage=Outage())
        beside = replace(scene.seen, candidate=NOTHING)
        scene = Scene(scene.known, scene.elapsed, seconds, seen=beside, old=old)
        judgement = Judgement()
    else:
        judgement = judging.judge(scene)
        if judgement.world and scene.old.alive:
            scene = replace(scene, world=_of_the_world(scene))
    suspected = math.nan
    if judgement.suspect or judgement.shared or judgement.bad:
        suspected = scene.elapsed if math.isnan(state.suspected) else state.suspected
    return State(
        state.settings,
        state.baseline,
        scene,
        judgement,
        suspected,
        state.condemned,
        state.restarted,
    )


def _seen(
    scene: Scene, seconds: float, candidate: Counts, mature: Counts | None, control: Counts | None
) -> Scene:
    """Return the sums with one more increment."""
    known, at = scene.known, scene.elapsed
    clustering, least = known.expectation.clustering, known.smallest_outage
    usual = known.usual.ratio if known.expectation.known else known.caps.limit
    beside = control or NOTHING
    windows, world = scene.windows, scene.world
    outage = scene.outage.add(at, seconds, candidate, beside, least=least)
    old = scene.old.add(at, seconds, control, usual=usual, clustering=clustering, least=least)
    left = scene.old.alive and not old.alive and world is None
    if left and old.in_trouble and known.settings.attribute:
        # The old pods went in the middle of a fault: only what is worse than they were is ours.
        windows, outage, world = Windows(), Outage(), old.worst
    if mature is not None:
        windows = windows.add(seconds, mature, beside, known.caps)
    return Scene(
        known,
        at + seconds,
        seconds,
        scene.seen.add(candidate, beside),
        windows,
        scene.excess.add(at, candidate, usual=usual, clustering=clustering),
        outage,
        old,
        world,
    )


def _mature(state: State, candidate: Counts, warming: Counts | None) -> Counts | None:
    """Return the part of the increment that is past the warm-up, None where nothing is."""
    if warming is None or state.restarted:
        return candidate if state.elapsed >= state.settings.warm_up - 1e-9 else None
    if 0 < candidate.requests <= warming.requests:
        return None
    requests = max(0.0, candidate.requests - warming.requests)
    return Counts(requests, min(requests, max(0.0, candidate.errors - warming.errors)))


def _of_the_world(scene: Scene) -> Counts:
    """Return what the old pods did at worst while the fault was theirs, too."""
    worst = scene.old.worst if scene.old.worst.requests > 0 else scene.seen.control
    if scene.world is None or worst.ratio > scene.world.ratio:
        return worst
    return scene.world


def restart(state: State) -> State:
    """Return a state with the same baseline, no counts and no warm-up, to judge anew.

    A ratio that was bad is remembered: see `recovered`.
    """
    judgement = state.judgement
    condemned = judgement.counts.ratio if judgement.bad or judgement.shared else state.condemned
    settings = replace(state.settings, warm_up=0.0, late="any")
    baseline = state.baseline
    in_trouble = state.scene is not None and state.scene.old.in_trouble
    if not (judgement.world or in_trouble):  # good old pods beside it are what was before, too
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
