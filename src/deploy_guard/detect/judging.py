"""From the sums to a judgement: is it beyond chance, and whose fault is it?

Decides the levels of the tests and the order in which they speak.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from deploy_guard.detect.baseline import MODEL_VARIANCE, Expectation
from deploy_guard.detect.baseline import OUTAGE as SMALLEST
from deploy_guard.detect.distributions import tail
from deploy_guard.detect.evidence import (
    LIMIT_VARIANCE,
    Errors,
    Judgement,
    Level,
    Settings,
    chance_beside,
)
from deploy_guard.detect.running import TIMES, OldPods, Outage, Trouble
from deploy_guard.detect.windows import TRAILING, Caps, Pair, Strata, Sums, Windows
from deploy_guard.model import Counts

# Parts of the level of the whole watch that one look at one window gets. They are calibrated, not
# derived: how much looks at growing windows depend on each other depends on the noise.
WHOLE = 0.01
FEW = 15.0  # with fewer expected errors than these the whole window gets more, up to
MORE = 15.0  # so many times: chance is coarse there, and noise with a memory matters little
TRAILING_LEVEL = 1e-4
BESIDE = 5e-3
TRAILING_BESIDE = 2.5e-4
OUTAGE = 1e-4
SUSPICION = 2e-3

ATTRIBUTION = 2e-3  # old pods acquit the world, and condemn the deploy, at this p-value;
OF_FEW = 1e-3  # at this one, but more where few errors are expected, if it is no outage
IMPLICATION = 0.01  # the old pods are as bad at this p-value
EARLIER = 0.01  # it was not there at another time at this p-value;
EARLIER_AT_BEST = 0.001  # at this one where the other time was chosen to be so
CLEAR = 10.0  # seconds after the last old pod's last request from which on nothing is shared
NOTICEABLE = 2.0  # times the usual ratio, and
NOTICEABLE_DIFFERENCE = 0.001  # more than it: less is not suspected


@dataclass(frozen=True, slots=True)
class Scene:
    """All that a judgement looks at; `interval` is the length of the last increment, seconds."""

    settings: Settings
    expectation: Expectation
    windows: Windows
    caps: Caps
    excess: Trouble
    outage: Outage
    old: OldPods
    seen: Pair
    elapsed: float
    interval: float
    world: Counts | None

    @property
    def usual(self) -> Level:
        """The level before the deploy."""
        return Level(self.expectation.ratio, self.expectation.errors)

    @property
    def leaving(self) -> bool:
        """Whether the old pods' share of the traffic fell by a third: they tell little more."""
        last = self.windows.last
        now = last.old_requests + last.requests
        all_in_all = self.seen.control.requests + self.seen.beside.requests
        return last.old_requests * all_in_all < self.seen.control.requests * now * 2 / 3

    @property
    def raised(self) -> Level:
        """The level that the world has been seen to reach by itself, if it has."""
        if self.world is None:
            return self.usual
        # Old pods that left while a fault spread saw less of it than it became.
        reached = min(1.0, TIMES * (self.world.errors + 1) / (self.world.requests + 1))
        errors = self.world.errors / self.expectation.clustering + 1
        if not self.expectation.known:
            return Level(reached, errors)
        return Level(max(reached, self.usual.ratio), min(errors, self.usual.errors))


def judge(scene: Scene) -> Judgement:
    """Return what the windows say, the worst first: bad, shared, suspect, quiet."""
    whole = scene.windows.whole(scene.caps)
    trailing = [found for found in map(scene.windows.trailing, TRAILING) if found is not None]
    found = _outages(scene)
    if scene.settings.compare:
        found += _against_before(scene, whole, trailing)
        found += _against_control(scene, whole, trailing)
    found += _against_limit(scene, whole, trailing)
    if not found:
        return _suspicion(scene) or _quiet(scene, whole)
    return min(found, key=lambda j: (not j.bad, not j.shared, not j.suspect))


def latest_is_quiet(scene: Scene) -> bool:
    """Whether the last minutes contradict the ratio that the world had reached."""
    if scene.world is None:
        return False
    latest = scene.windows.trailing(TRAILING[0]) or scene.windows.whole(scene.caps)
    return below(latest.new, scene.world.ratio) and scene.outage.score <= 0


def below(seen: Counts, ratio: float, *, errors: float = math.inf, level: float = EARLIER) -> bool:
    """Whether so few errors would be a surprise at this ratio, estimated from so many errors."""
    size = 1 / (MODEL_VARIANCE + 1 / errors)
    return 1 - tail(seen.errors + 1, seen.requests * ratio, size) <= level


def _level_of_whole(scene: Scene, expected: float) -> float:
    """Return the level of the window since the warm-up: more for few errors and rare looks."""
    rare = math.sqrt(math.sqrt(min(60.0, max(1.0, scene.interval)) / 15))
    return scene.settings.level * WHOLE * _few(expected) * rare


def _few(expected: float) -> float:
    """Return by how much a level grows where few errors are expected."""
    return min(MORE, max(1.0, FEW / expected)) if expected > 0 else MORE


def smallest_outage(settings: Settings, expectation: Expectation) -> float:
    """Return the smallest ratio that is an outage, infinite where nothing is known to compare."""
    if settings.compare and expectation.known:
        return expectation.outage
    return math.inf if settings.limit is None else min(0.9, max(SMALLEST, 2 * settings.limit))


def _outages(scene: Scene) -> list[Judgement]:
    """Look for an outage of the candidate, in the warm-up too."""
    outage, settings, clustering = scene.outage, scene.settings, scene.expectation.clustering
    least, level = smallest_outage(settings, scene.expectation), settings.level * OUTAGE
    if not outage.now:
        return []
    proof = outage.chance(least, clustering)
    if proof > level:
        if outage.chance(least, clustering, whole=True) > level:
            return []
        return [replace(_outage(scene), suspect=True, level=level)]
    accused = replace(_outage(scene), level=level)
    return [_attributed(scene, accused, _errors(outage), outage.counts.strata)]


def _outage(scene: Scene) -> Judgement:
    """Return what is said of the outage: it is told against what is usual."""
    seen = scene.outage.counts.candidate
    if scene.settings.compare and scene.expectation.known:
        p = scene.usual.chance(scene.expectation, scene.settings.caution, of=_errors(scene.outage))
        found = _found("before", seen, scene.expectation.observed, p, 0.0)
    else:
        limit = scene.settings.limit or 0.0
        p = scene.outage.chance(limit, scene.expectation.clustering, whole=True)
        found = _found("limit", seen, limit, p, 0.0)
    return replace(found, outage=True)


def _errors(outage: Outage) -> Errors:
    seen = outage.counts.candidate
    return Errors(max(outage.seconds, 1.0), seen.requests, seen.errors)


def _against_before(scene: Scene, whole: Sums, trailing: list[Sums]) -> list[Judgement]:
    """Test the windows against the time before the deploy."""
    if not scene.expectation.known:
        return []
    found = []
    expected = whole.requests * scene.usual.ratio
    windows = [(whole, whole.held, _level_of_whole(scene, expected))]
    part = scene.settings.level * TRAILING_LEVEL
    windows += [(sums, sums.tightly, part) for sums in trailing]
    for sums, held, level in windows:
        errors = Errors(sums.seconds, sums.requests, held)
        p = _excess(scene, scene.usual, errors)
        if p > level:
            if p <= 10 * level:
                accused = _found("before", sums.new, scene.expectation.observed, p, level)
                found.append(replace(accused, suspect=True))
            continue
        accused = _found("before", sums.new, scene.expectation.observed, p, level)
        found.append(_attributed(scene, accused, errors, sums.strata))
    return found


def _excess(scene: Scene, level: Level, errors: Errors) -> float:
    """Return the p-value of a window, 1 where it is not worth acting on."""
    if errors.requests <= 0 or not scene.settings.worth(errors.ratio, level.ratio):
        return 1.0
    return level.chance(scene.expectation, scene.settings.caution, of=errors)


def _against_control(scene: Scene, whole: Sums, trailing: list[Sums]) -> list[Judgement]:
    """Test the windows against the old pods in the same intervals."""
    level = scene.settings.level
    windows = [(whole, BESIDE * level), *((sums, TRAILING_BESIDE * level) for sums in trailing)]
    for sums, part in windows:
        p = _beside(scene, sums.strata)
        if p is not None and p <= part:
            ratio = sums.strata.old / sums.strata.exposure
            found = _found("control", sums.new, ratio, p, part)
            return [replace(found, bad=True, accused_by_old=True)]
    return []


def _beside(scene: Scene, strata: Strata) -> float | None:
    """Return the p-value of the candidate next to the old pods."""
    if strata.exposure <= 0:
        return None
    return chance_beside(
        strata,
        scene.settings,
        usual=scene.expectation.ratio,
        clustering=scene.expectation.clustering,
        times=TIMES if scene.old.in_trouble or scene.world is not None else 1.0,
    )


def _against_limit(scene: Scene, whole: Sums, trailing: list[Sums]) -> list[Judgement]:
    """Test the windows against the absolute limit."""
    limit = scene.settings.limit
    if limit is None:
        return []
    part = scene.settings.level * TRAILING_LEVEL
    windows = [(whole, _level_of_whole(scene, whole.requests * limit))]
    windows += [(sums, part) for sums in trailing]
    for sums, level in windows:
        if sums.to_limit <= limit * sums.requests:
            continue
        p = tail(sums.to_limit, sums.requests * limit, 1 / LIMIT_VARIANCE)
        if p > level:
            continue
        accused = _found("limit", sums.new, limit, p, level)
        if _limit_was_exceeded_before(scene, sums, level):
            return [replace(accused, shared=True)]
        errors = Errors(sums.seconds, sums.requests, sums.to_limit)
        return [_attributed(scene, accused, errors, sums.strata)]
    return []


def _limit_was_exceeded_before(scene: Scene, sums: Sums, level: float) -> bool:
    """Whether the limit was exceeded before the deploy, and it has not become clearly worse."""
    limit, usual = scene.settings.limit, scene.usual
    if not scene.expectation.known or limit is None or usual.ratio <= limit:
        return False
    requests = usual.errors / usual.ratio
    if tail(usual.errors - 1, requests * limit, 1 / LIMIT_VARIANCE) > 0.05:
        return False  # a few errors in a short baseline prove nothing and excuse nothing
    return _excess(scene, usual, Errors(sums.seconds, sums.requests, sums.held)) > level


def _attributed(scene: Scene, accused: Judgement, errors: Errors, strata: Strata) -> Judgement:
    """Decide whose fault a proven excess is: the deploy's, or shared, or not known yet."""
    if not scene.settings.attribute:
        return replace(accused, bad=True)
    if scene.world is not None and _excess(scene, scene.raised, errors) > accused.level:
        return replace(accused, shared=True, world=True)
    beside = _beside(scene, strata)
    needed = ATTRIBUTION if accused.outage else OF_FEW * _few(accused.expected) ** 1.5
    if scene.world is not None:
        needed = accused.level
    if beside is not None and beside <= needed:
        return replace(accused, bad=True, accused_by_old=True)
    if scene.old.alive:
        if scene.world is not None or scene.old.in_trouble or _as_bad(strata):
            return replace(accused, shared=True, world=True)
        if not scene.leaving:
            return replace(accused, suspect=True)
    if scene.world is None and _began_later(scene, accused) and not _held_anyway(scene, accused):
        return replace(accused, suspect=True, unattributed=True)
    return replace(accused, bad=True)


def _as_bad(strata: Strata) -> bool:
    """Whether the old pods are surely at least half as bad as the candidate at the same time."""
    if strata.old <= 0:
        return False
    _, weight = strata.of_one_error(0.0)
    return tail(strata.old / weight, strata.new / 2 / weight, 1 / MODEL_VARIANCE) <= IMPLICATION


def _began_later(scene: Scene, accused: Judgement) -> bool:
    """Whether the candidate was surely better before the last old pod had gone, and after."""
    seen, since = scene.seen, scene.excess.counts
    if seen.beside.requests <= 0:
        return False
    if below(seen.beside, accused.counts.ratio):
        return True
    if scene.excess.began < _clear(scene) or since.requests <= 0:
        return False
    requests, errors = seen.candidate.requests, seen.candidate.errors
    before = Counts(requests - since.requests, errors - since.errors)
    return below(before, since.ratio, errors=since.errors + 1, level=EARLIER_AT_BEST)


def _held_anyway(scene: Scene, accused: Judgement) -> bool:
    """Whether the settings hold against the deploy what began when the old pods had gone."""
    late = scene.settings.late
    if late == "any" or accused.reference == "limit":
        return True
    return late == "outage" and accused.outage and scene.outage.began >= _clear(scene)


def _clear(scene: Scene) -> float:
    """Return from when on, in seconds since the deploy, old pods cannot have shared a fault."""
    return scene.old.gone + max(CLEAR, scene.interval)


def _suspicion(scene: Scene) -> Judgement | None:
    """Look at all since the deploy, the warm-up too: what is early, and cheap to be wrong about."""
    seen, usual = scene.seen.candidate, scene.usual
    if not (scene.settings.compare and scene.expectation.known) or seen.requests <= 0:
        return None
    if seen.ratio < max(NOTICEABLE * usual.ratio, usual.ratio + NOTICEABLE_DIFFERENCE):
        return None
    clustering = scene.expectation.clustering
    errors = Errors(scene.elapsed, seen.requests / clustering, seen.errors / clustering)
    p = usual.chance(scene.expectation, 1.0, of=errors)
    level = scene.settings.level * SUSPICION
    if p > level:
        return None
    return replace(_found("before", seen, scene.expectation.observed, p, level), suspect=True)


def _quiet(scene: Scene, whole: Sums) -> Judgement:
    """Return what is said when nothing is wrong."""
    usual, limit = scene.usual, scene.settings.limit
    if whole.requests <= 0:
        return Judgement()
    if scene.settings.compare and scene.expectation.known:
        p = _excess(scene, usual, Errors(whole.seconds, whole.requests, whole.held))
        expected = whole.requests * usual.ratio
        return _found(
            "before", whole.new, scene.expectation.observed, p, _level_of_whole(scene, expected)
        )
    if limit is not None:
        return _found("limit", whole.new, limit, 1.0, 0.0)
    if whole.strata.exposure > 0:
        return _found("control", whole.new, whole.strata.old / whole.strata.exposure, 1.0, 0.0)
    return Judgement(counts=whole.new)


def _found(reference: str, seen: Counts, ratio: float, p: float, level: float) -> Judgement:
    return Judgement(
        reference=reference,
        counts=seen,
        expected=seen.requests * ratio,
        expected_ratio=ratio,
        p_value=p,
        level=level,
    )
