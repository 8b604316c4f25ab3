"""From the sums to a judgement: is it beyond chance, and whose fault is it?

Decides the levels of the tests and the order in which they speak.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from deploy_guard.detect.baseline import MODEL_VARIANCE
from deploy_guard.detect.distributions import tail
from deploy_guard.detect.evidence import (
    LIMIT_VARIANCE,
    Errors,
    Judgement,
    Known,
    Level,
    chance_beside,
)
from deploy_guard.detect.running import TIMES, OldPods, Outage, Trouble
from deploy_guard.detect.windows import TRAILING, Pair, Strata, Sums, Windows
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
QUIET = 3  # the place of a judgement without a finding
NEARLY = 10.0  # times its level: nearly proven

ATTRIBUTION = 2e-3  # old pods acquit the world, and condemn the deploy, at this p-value;
OF_FEW = 1e-3  # if it is no outage at this one, but more where few errors are expected,
AT_MOST = 0.02  # up to this
IMPLICATION = 0.01  # the old pods are as bad at this p-value
EARLIER = 0.01  # it was not there at another time at this p-value;
EARLIER_AT_BEST = 0.001  # at this one where the other time was chosen to be so
CLEAR = 10.0  # seconds after the last old pod's last request from which on nothing is shared
NOTICEABLE = 2.0  # times the usual ratio, and
NOTICEABLE_DIFFERENCE = 0.001  # more than it: less is not suspected


@dataclass(frozen=True, slots=True)
class Scene:
    """All that a judgement looks at: what is known from before, and the sums of the watch.

    `seen` is all since the deploy, `windows` all since the warm-up; `world` is what the old pods
    did while a fault was theirs too, None for none. `elapsed` is in seconds since the deploy,
    `interval` the length of the last increment in seconds.
    """

    known: Known
    elapsed: float = 0.0
    interval: float = 0.0
    seen: Pair = field(default_factory=Pair)
    windows: Windows = field(default_factory=Windows)
    excess: Trouble = field(default_factory=Trouble)
    outage: Outage = field(default_factory=Outage)
    old: OldPods = field(default_factory=OldPods)
    world: Counts | None = None

    @property
    def leaving(self) -> bool:
        """Whether the old pods' share of the traffic fell by a third: they tell little more."""
        last, old = self.windows.last, self.seen.control.requests
        all_in_all = old + self.seen.beside.requests
        if old <= 0:
            return False
        expected = (last.old_requests + last.requests) * old / all_in_all
        fell = last.old_requests < expected * 2 / 3
        return fell and below(Counts(1.0, last.old_requests), expected, level=EARLIER_AT_BEST)

    @property
    def raised(self) -> Level:
        """The level that the world has been seen to reach by itself, if it has."""
        usual, expectation = self.known.usual, self.known.expectation
        if self.world is None:
            return usual
        # Old pods that left while a fault spread saw less of it than it became.
        reached = min(1.0, TIMES * (self.world.errors + 1) / (self.world.requests + 1))
        errors = self.world.errors / expectation.clustering + 1
        if not expectation.known:
            return Level(reached, errors)
        return Level(max(reached, usual.ratio), min(errors, usual.errors))


def judge(scene: Scene) -> Judgement:
    """Return what the windows say, the worst first: bad, shared, suspect, quiet."""
    whole = scene.windows.whole(scene.known.caps)
    trailing = [found for found in map(scene.windows.trailing, TRAILING) if found is not None]
    found = _outages(scene)
    if scene.known.settings.compare:
        found += _against_before(scene, whole, trailing)
        found += _against_control(scene, whole, trailing)
    found += _against_limit(scene, whole, trailing)
    worst = min(found, key=_order, default=Judgement(counts=whole.new))
    if _order(worst) == QUIET:
        return _suspicion(scene) or worst
    return worst


def _order(judgement: Judgement) -> int:
    if judgement.bad:
        return 0
    if judgement.shared:
        return 1
    return 2 if judgement.suspect else QUIET


def latest_is_quiet(scene: Scene) -> bool:
    """Whether the last minutes contradict the ratio that the world had reached."""
    if scene.world is None:
        return False
    latest = scene.windows.trailing(TRAILING[0]) or scene.windows.whole(scene.known.caps)
    return below(latest.new, scene.world.ratio) and scene.outage.score <= 0


def below(seen: Counts, ratio: float, *, errors: float = math.inf, level: float = EARLIER) -> bool:
    """Whether so few errors would be a surprise at this ratio, estimated from so many errors."""
    size = 1 / (MODEL_VARIANCE + 1 / errors)
    return 1 - tail(seen.errors + 1, seen.requests * ratio, size) <= level


def _level_of_whole(scene: Scene, expected: float) -> float:
    """Return the level of the window since the warm-up: more for few errors and rare looks."""
    return scene.known.settings.level * WHOLE * _few(expected) * _rare(scene)


def _rare(scene: Scene) -> float:
    """Return by how much a level grows where looks are rarer than every 15 s."""
    return math.sqrt(math.sqrt(min(60.0, max(1.0, scene.interval)) / 15))


def _few(expected: float) -> float:
    """Return by how much a level grows where few errors are expected."""
    return min(MORE, max(1.0, FEW / expected)) if expected > 0 else MORE


def _outages(scene: Scene) -> list[Judgement]:
    """Look for an outage of the candidate, in the warm-up too."""
    outage, clustering = scene.outage, scene.known.expectation.clustering
    least, level = scene.known.smallest_outage, scene.known.settings.level * OUTAGE
    if not outage.now:
        return []
    errors = _errors(outage)
    if scene.known.compares:
        usual = _excess(scene, scene.known.usual, errors) > level
    else:
        before = scene.known.expectation.observed
        usual = _over_limit_before(scene) and not scene.known.settings.worth(errors.ratio, before)
    if usual:
        return []  # nothing unusual where most requests failed before, or were as slow
    if outage.chance(least, clustering) <= level:
        accused = replace(_outage(scene), level=level)
        return [_attributed(scene, accused, errors, outage.counts.strata)]
    if outage.chance(least, clustering, whole=True) <= level:
        return [replace(_outage(scene), suspect=True, level=level)]
    return []


def _outage(scene: Scene) -> Judgement:
    """Return what is said of the outage: it is told against what is usual."""
    seen = scene.outage.counts.candidate
    if scene.known.compares:
        p = scene.known.chance(scene.known.usual, _errors(scene.outage))
        found = _found("before", seen, scene.known.expectation.observed, p, 0.0)
    else:
        limit = scene.known.settings.limit or 0.0
        p = scene.outage.chance(limit, scene.known.expectation.clustering, whole=True)
        found = _found("limit", seen, limit, p, 0.0)
    return replace(found, outage=True)


def _errors(outage: Outage) -> Errors:
    seen = outage.counts.candidate
    return Errors(max(outage.seconds, 1.0), seen.requests, seen.errors)


def _against_before(scene: Scene, whole: Sums, trailing: list[Sums]) -> list[Judgement]:
    """Test the windows against the time before the deploy."""
    if not scene.known.compares or whole.requests <= 0:
        return []
    usual = scene.known.usual
    level = _level_of_whole(scene, whole.requests * usual.ratio)
    found = [_window(scene, whole, whole.held, level)]
    part = scene.known.settings.level * TRAILING_LEVEL
    found += [_window(scene, sums, sums.tightly, part) for sums in trailing]
    return found


def _window(scene: Scene, sums: Sums, held: float, level: float) -> Judgement:
    """Test one window; where it is quiet, say what was expected."""
    errors = Errors(sums.seconds, sums.requests, held)
    p = _excess(scene, scene.known.usual, errors)
    accused = _found("before", sums.new, scene.known.expectation.observed, p, level)
    if p <= level:
        return _attributed(scene, accused, errors, sums.strata)
    return replace(accused, suspect=True) if p <= NEARLY * level else accused


def _excess(scene: Scene, level: Level, errors: Errors) -> float:
    """Return the p-value of a window, 1 where it is not worth acting on."""
    if errors.requests <= 0 or not scene.known.settings.worth(errors.ratio, level.ratio):
        return 1.0
    return scene.known.chance(level, errors)


def _against_control(scene: Scene, whole: Sums, trailing: list[Sums]) -> list[Judgement]:
    """Test the windows against the old pods in the same intervals."""
    level = scene.known.settings.level
    windows = [(whole, BESIDE * level), *((sums, TRAILING_BESIDE * level) for sums in trailing)]
    for sums, part in windows:
        p = _beside(scene, sums.strata)
        if p is not None and p <= part:
            ratio = sums.strata.old / sums.strata.exposure
            found = _found("control", sums.new, ratio, p, part)
            return [replace(found, bad=True, accused_by_old=True)]
    if scene.known.compares or whole.strata.exposure <= 0:
        return []
    return [_found("control", whole.new, whole.strata.old / whole.strata.exposure, 1.0, 0.0)]


def _beside(scene: Scene, strata: Strata) -> float | None:
    """Return the p-value of the candidate next to the old pods."""
    if strata.exposure <= 0:
        return None
    return chance_beside(
        strata,
        scene.known.settings,
        usual=scene.known.expectation.observed,
        clustering=scene.known.expectation.clustering,
        times=TIMES if scene.old.in_trouble or scene.world is not None else 1.0,
    )


def _against_limit(scene: Scene, whole: Sums, trailing: list[Sums]) -> list[Judgement]:
    """Test the windows against the absolute limit."""
    limit = scene.known.settings.limit
    if limit is None:
        return []
    part = scene.known.settings.level * TRAILING_LEVEL
    windows = [(whole, _level_of_whole(scene, whole.requests * limit))]
    windows += [(sums, part) for sums in trailing]
    for sums, level in windows:
        if sums.to_limit <= limit * sums.requests:
            continue
        p = tail(sums.to_limit, sums.requests * limit, 1 / LIMIT_VARIANCE)
        if p > level:
            continue
        accused = _found("limit", sums.new, limit, p, level)
        held = Errors(sums.seconds, sums.requests, sums.held)
        if _over_limit_before(scene) and _excess(scene, scene.known.usual, held) > level:
            return [replace(accused, shared=True)]
        errors = Errors(sums.seconds, sums.requests, sums.to_limit)
        return [_attributed(scene, accused, errors, sums.strata)]
    return [_found("limit", whole.new, limit, 1.0, 0.0)]


def _over_limit_before(scene: Scene) -> bool:
    """Whether the limit was surely exceeded before the deploy."""
    limit, usual = scene.known.settings.limit, scene.known.usual
    if not scene.known.expectation.known or limit is None or usual.ratio <= limit:
        return False
    requests = usual.errors / usual.ratio
    # a few errors in a short baseline prove nothing and excuse nothing
    return tail(usual.errors - 1, requests * limit, 1 / LIMIT_VARIANCE) <= 0.05


def _attributed(scene: Scene, accused: Judgement, errors: Errors, strata: Strata) -> Judgement:
    """Decide whose fault a proven excess is: the deploy's, or shared, or not known yet."""
    if not scene.known.settings.attribute:
        return replace(accused, bad=True)
    if scene.world is not None and _excess(scene, scene.raised, errors) > ATTRIBUTION:
        return replace(accused, shared=True, world=True)
    beside = _beside(scene, strata)
    needed = ATTRIBUTION
    if not accused.outage:
        expected = accused.counts.requests * scene.known.usual.ratio
        needed = min(AT_MOST, OF_FEW * _few(expected) ** 1.5)
    if scene.world is not None:
        needed = accused.level
    if beside is not None and beside <= needed:
        return replace(accused, bad=True, accused_by_old=True)
    if scene.old.alive:
        if scene.world is not None or scene.old.in_trouble or _as_bad(strata):
            return replace(accused, shared=True, world=True)
        if not scene.leaving:
            return replace(accused, suspect=True)
    if scene.world is None and _began_later(scene, accused):
        held = _held_anyway(scene, accused)
        return replace(accused, bad=held, suspect=not held, unattributed=True)
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
    late = scene.known.settings.late
    if late == "any" or accused.reference == "limit":
        return True
    return late == "outage" and accused.outage and scene.outage.began >= _clear(scene)


def _clear(scene: Scene) -> float:
    """Return from when on, in seconds since the deploy, old pods cannot have shared a fault."""
    return scene.old.gone + max(CLEAR, scene.interval)


def _suspicion(scene: Scene) -> Judgement | None:
    """Look at all since the deploy, the warm-up too: what is early, and cheap to be wrong about."""
    seen, usual = scene.seen.candidate, scene.known.usual
    if not scene.known.compares or seen.requests <= 0:
        return None
    if seen.ratio < max(NOTICEABLE * usual.ratio, usual.ratio + NOTICEABLE_DIFFERENCE):
        return None
    clustering = scene.known.expectation.clustering
    errors = Errors(scene.elapsed, seen.requests / clustering, seen.errors / clustering)
    p = usual.chance(scene.known.expectation, 1.0, of=errors)
    level = scene.known.settings.level * SUSPICION
    if p > level:
        return None
    return replace(_found("before", seen, scene.known.expectation.observed, p, level), suspect=True)


def _found(reference: str, seen: Counts, ratio: float, p: float, level: float) -> Judgement:
    return Judgement(
        reference=reference,
        counts=seen,
        expected=seen.requests * ratio,
        expected_ratio=ratio,
        p_value=p,
        level=level,
    )
