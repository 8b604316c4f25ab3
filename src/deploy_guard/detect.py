"""Compare the candidate's failed requests with the baseline's: when is it worse beyond chance?

Pure: state + one increment -> state; no clock, no randomness, no I/O, bounded memory and work per
increment. Knows nothing of signals, policies or pods: it counts requests and errors (or quick and
slow requests).

The comparison, in words. Three windows of the candidate's counts are tested at each look: all
since the deploy (outages only: `OUTAGE`, so that a warm-up is not taken for one), all since the
warm-up, and the last `TRAILING` seconds after the warm-up. In each, the errors are compared with
what the references lead us to expect: the time before the deploy, the old pods over the same
intervals, and an absolute limit. The p-value is the upper tail of a negative binomial
distribution, which is the predictive distribution of a Poisson count whose rate was itself
estimated from few errors and varies from minute to minute (overdispersion, estimated from the
baseline). The level of the whole watch is divided evenly over all looks, windows and references
(Bonferroni), so it holds however the looks depend on each other, as long as the noise is like the
baseline's and there are no more looks than were announced.

Old pods that serve next to the candidate have a say: where they are as bad, it is not the deploy
(`shared`), and while they live and have not said enough, it is only suspected. What they said
holds when they are gone, until the counts show that the shared fault has ended.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from deploy_guard.distributions import incomplete_beta, tail
from deploy_guard.model import Counts
from deploy_guard.tallies import BIN, MODEL_VARIANCE, NOTHING, UNKNOWN_VARIANCE, Baseline, Pair

__all__ = [
    "BIN",
    "MODEL_VARIANCE",
    "NOTHING",
    "UNKNOWN_VARIANCE",
    "Baseline",
    "Increment",
    "Judgement",
    "Moments",
    "Pair",
    "Settings",
    "State",
    "incomplete_beta",
    "learn",
    "moments",
    "replay",
    "restart",
    "step",
    "tail",
]

TRAILING = 120.0  # seconds of the trailing window
CHUNK = 10.0  # quicker increments are added up to this many seconds, to bound the window's size
OUTAGE = 0.2  # during the warm-up only a ratio of at least this is a regression
WINDOWS = 3
ATTRIBUTION = 2e-3  # the old pods acquit the world, and condemn the deploy, at this p-value
SUSPICION = 1e-3
IMPLICATION = 0.01  # the old pods are as bad at this p-value
RECOVERY = 0.01  # counts contradict an earlier, higher ratio at this p-value
ALIVE = 10.0  # seconds without a request after which the old pods have nothing more to say
LIMIT_VARIANCE = 0.001  # a limit is known exactly; only errors that come in clusters blur it


@dataclass(frozen=True, slots=True)
class Settings:
    """What is worth acting on, and how sure one must be.

    `level` is the accepted chance of a false alarm over the whole watch of at most `looks`
    increments; `ratio` (times) and `difference` (fraction) are the smallest regression worth
    acting on; `warm_up` is in seconds; `limit` is an absolute ratio, None for none; without
    `compare` there is only the limit.
    """

    level: float = 0.01
    looks: int = 120
    ratio: float = 1.5
    difference: float = 0.0005
    warm_up: float = 30.0
    limit: float | None = None
    compare: bool = True

    @property
    def level_of_one(self) -> float:
        """The level of a single test: one look, window and reference."""
        references = (self.limit is not None) + (2 if self.compare else 0)
        return self.level / (max(1, self.looks) * WINDOWS * max(1, references))

    def worth(self, seen: float, reference: float) -> bool:
        """Whether a ratio is so much above the reference that acting on it is worth it."""
        return seen >= max(self.ratio * reference, reference + self.difference)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the counts say after one more increment.

    `bad`: beyond chance and worth acting on; `accused_by_old` if old pods at the same time are
    better. `shared`: as bad, but the old pods (`world`), or the
    time before, are as bad too. `suspect`: not proven. `reference` says what `expected` errors
    and `p_value` refer to: ``before``, ``control`` or ``limit``, empty for nothing.
    """

    bad: bool = False
    accused_by_old: bool = False
    shared: bool = False
    world: bool = False
    suspect: bool = False
    reference: str = ""
    counts: Counts = NOTHING
    expected: float = math.nan
    expected_ratio: float = math.nan
    p_value: float = 1.0
    level: float = 0.0


@dataclass(frozen=True, slots=True)
class State:
    """All that the comparison remembers; its size does not grow with the length of the watch.

    `condemned` is the ratio that was judged bad before a restart, NaN for none; `restarted` says
    that the counts are those after a rollback.
    """

    settings: Settings = field(default_factory=Settings)
    baseline: Baseline = field(default_factory=Baseline)
    elapsed: float = 0.0
    whole: Pair = field(default_factory=Pair)
    mature: Pair = field(default_factory=Pair)
    recent: tuple[tuple[float, Pair], ...] = ()  # seconds and counts, oldest first
    control_silent: float = math.inf  # seconds since the old pods' last request
    control_alive: bool = False
    judgement: Judgement = field(default_factory=Judgement)
    condemned: float = math.nan
    restarted: bool = False


def learn(state: State, seconds: float, counts: Counts) -> State:
    """Return the state with one more increment of the baseline."""
    return replace(state, baseline=state.baseline.add(seconds, counts))


def step(state: State, seconds: float, candidate: Counts, control: Counts | None = None) -> State:
    """Return the state after one more increment of the watch, with its judgement.

    `control` is None when no old pod is left, and without requests when one is but has none.
    """
    pair = Pair.of(candidate, control)
    warm = state.elapsed >= state.settings.warm_up
    silent = 0.0 if pair.control.requests > 0 else state.control_silent + seconds
    after = replace(
        state,
        elapsed=state.elapsed + seconds,
        whole=state.whole + pair,
        mature=state.mature + pair if warm else state.mature,
        recent=_trailing(state.recent, seconds, pair) if warm else state.recent,
        control_silent=silent,
        control_alive=control is not None and silent <= max(ALIVE, 1.5 * seconds),
    )
    return _judged(after)


def restart(state: State, *, looks: int) -> State:
    """Return a state with the same baseline, no counts and no warm-up, to judge anew.

    A ratio that was bad is remembered: see `recovered`.
    """
    judgement = state.judgement
    condemned = judgement.counts.ratio if judgement.bad or judgement.shared else state.condemned
    settings = replace(state.settings, warm_up=0.0, looks=looks)
    baseline = state.baseline
    if not judgement.world:  # good old pods next to the candidate are what was before, too
        baseline = replace(baseline, total=baseline.total + state.whole.control)
    return State(settings, baseline, condemned=condemned, restarted=True)


def recovered(state: State) -> bool:
    """Whether the counts contradict the ratio that was condemned before the restart, if any."""
    return math.isnan(state.condemned) or _below(state.mature.candidate, state.condemned)


def over_limit(state: State) -> bool:
    """Whether the ratio since the warm-up is above the limit by more than plain chance.

    Proof enough to withhold a clean bill of health, not to act.
    """
    limit, seen = state.settings.limit, state.mature.candidate
    if limit is None or not seen.ratio > limit:
        return False
    return tail(seen.errors, seen.requests * limit, 1e9) <= 0.05


def _trailing(
    recent: tuple[tuple[float, Pair], ...], seconds: float, pair: Pair
) -> tuple[tuple[float, Pair], ...]:
    """Return the trailing window with one more interval, at least four chunks long."""
    if recent and recent[-1][0] + seconds <= CHUNK:
        recent = (*recent[:-1], (recent[-1][0] + seconds, recent[-1][1] + pair))
    else:
        recent = (*recent, (seconds, pair))
    total = sum(s for s, _ in recent)
    while len(recent) > 4 and total - recent[0][0] >= TRAILING:
        total -= recent[0][0]
        recent = recent[1:]
    return recent


def _judged(state: State) -> State:
    """Return the state with the judgement of its windows; `state` still has the previous one."""
    trailing = sum((pair for _, pair in state.recent), start=Pair())
    latest = _judge_window(state, trailing, least=0.0)
    if state.judgement.world and _has_ended(state, latest):
        # What the world did is over and explained: only what comes from here on is judged.
        return replace(state, whole=Pair(), mature=Pair(), recent=(), judgement=Judgement())
    mature = _judge_window(state, state.mature, least=0.0)
    judgements = [_judge_window(state, state.whole, least=OUTAGE), mature, latest]
    for found in judgements:
        if found.bad:
            return replace(state, judgement=found)
    for found in judgements:
        if found.shared:
            return replace(state, judgement=found)
    suspects = [j for j in judgements if j.suspect]
    return replace(state, judgement=min(suspects or [mature], key=lambda j: j.p_value))


def _has_ended(state: State, latest: Judgement) -> bool:
    """Whether the trailing window is quiet and contradicts the shared fault's ratio."""
    quiet = not (latest.bad or latest.shared or latest.suspect)
    return quiet and _below(latest.counts, state.judgement.counts.ratio)


def _below(seen: Counts, ratio: float) -> bool:
    """Whether so few errors would be a surprise at this ratio."""
    return 1 - tail(seen.errors + 1, seen.requests * ratio, 1 / MODEL_VARIANCE) <= RECOVERY


def _judge_window(state: State, pair: Pair, *, least: float) -> Judgement:
    """Test one window against the limit, the time before and the old pods."""
    settings, seen = state.settings, pair.candidate
    level = settings.level_of_one
    quiet = Judgement(counts=seen, level=level)
    if seen.requests <= 0 or seen.ratio < least:
        return quiet
    tests = [t for t in (_against_limit(state, seen), _against_before(state, seen)) if t]
    beside = _against_control(settings, pair)
    if beside is not None and beside.counts.ratio < least:
        beside = None
    accused = min(tests, key=lambda j: j.p_value, default=beside or quiet)
    accused = replace(accused, level=level)
    if tests and accused.p_value <= level:
        return _attributed(state, pair, accused, beside)
    if settings.compare and beside is not None and beside.p_value <= level:
        return replace(beside, bad=True, accused_by_old=True, level=level)
    return replace(accused, suspect=accused.p_value <= SUSPICION)


def _attributed(
    state: State, pair: Pair, accused: Judgement, beside: Judgement | None
) -> Judgement:
    """Decide whose fault a proven excess is: the deploy's, or shared, or not known yet."""
    if accused.reference == "limit" and _limit_was_exceeded_before(state, accused):
        return replace(accused, shared=True)
    world = state.judgement.world
    needed = accused.level if world else ATTRIBUTION
    if beside is not None and beside.p_value <= needed:
        return replace(accused, bad=True, accused_by_old=True)
    if world or _control_is_bad_too(state, pair):
        return replace(accused, shared=True, world=True)
    if beside is None or not state.control_alive:
        return replace(accused, bad=True)
    return replace(accused, suspect=True)


def _against_limit(state: State, seen: Counts) -> Judgement | None:
    limit = state.settings.limit
    if limit is None:
        return None
    expected = seen.requests * limit
    p = tail(seen.errors, expected, 1 / LIMIT_VARIANCE) if seen.ratio > limit else 1.0
    return Judgement(
        reference="limit", counts=seen, expected=expected, expected_ratio=limit, p_value=p
    )


def _against_before(state: State, seen: Counts) -> Judgement | None:
    baseline, settings = state.baseline, state.settings
    if not settings.compare or not baseline.known:
        return None
    p = 1.0
    if settings.worth(seen.ratio, baseline.ratio):
        p = tail(seen.errors, seen.requests * baseline.ratio, baseline.size)
    ratio = baseline.total.ratio
    expected = seen.requests * ratio
    return Judgement(
        reference="before", counts=seen, expected=expected, expected_ratio=ratio, p_value=p
    )


def _against_control(settings: Settings, pair: Pair) -> Judgement | None:
    """Test the candidate against the old pods in the same intervals; None without old pods."""
    strata, old, new = pair.strata, pair.control, pair.beside
    if strata.exposure <= 0:
        return None
    p = 1.0
    weight, old_weight = strata.of_one_error((old.errors + 1) / old.requests)
    at_least = strata.old + old_weight  # one error more, so that nobody is without errors
    if settings.worth(strata.new / strata.exposure, at_least / strata.exposure):
        size = 1 / (1 / (strata.old / old_weight + 1) + MODEL_VARIANCE)
        p = tail(strata.new / weight, at_least / weight, size)
    expected = new.requests * strata.old / strata.exposure
    return Judgement(
        reference="control",
        counts=new,
        expected=expected,
        expected_ratio=strata.old / strata.exposure,
        p_value=p,
    )


def _limit_was_exceeded_before(state: State, accused: Judgement) -> bool:
    """Whether the limit was exceeded before the deploy, and it has not become clearly worse."""
    baseline, limit, seen = state.baseline, state.settings.limit, accused.counts
    if not baseline.known or limit is None or baseline.total.ratio <= limit:
        return False
    total = baseline.total
    if tail(total.errors, total.requests * limit, 1 / LIMIT_VARIANCE) > 0.05:
        return False  # a few errors in a short baseline prove nothing and excuse nothing
    worse = state.settings.worth(seen.ratio, baseline.ratio)
    return not (
        worse and tail(seen.errors, seen.requests * baseline.ratio, baseline.size) <= accused.level
    )


def _control_is_bad_too(state: State, pair: Pair) -> bool:
    """Whether the old pods are worse than they were, or surely half as bad as the candidate.

    The second holds also where only a limit is known, and old pods that were mostly there before
    a shared fault began are below it on the whole.
    """
    strata = pair.strata
    if strata.old > 0:
        _, weight = strata.of_one_error(0.0)
        half = strata.new / 2 / weight
        if tail(strata.old / weight, half, 1 / MODEL_VARIANCE) <= IMPLICATION:
            return True
    old = pair.control
    if state.baseline.known:
        expected, size = old.requests * state.baseline.ratio, state.baseline.size
    elif state.settings.limit is not None:
        expected, size = old.requests * state.settings.limit, 1 / MODEL_VARIANCE
    else:
        return False
    return tail(old.errors, expected, size) <= IMPLICATION


Increment = tuple[float, float, float]  # seconds, requests, errors


@dataclass(frozen=True, slots=True)
class Moments:
    """When a watch first said what, in seconds from the deploy; None for never.

    `suspected` is never later than `declared`; `shared` is when the excess was first known to be
    not the deploy's.
    """

    suspected: float | None = None
    declared: float | None = None
    shared: float | None = None


def moments(
    baseline: Sequence[Increment],
    watch: Sequence[Increment],
    control: Sequence[Increment | None] | None = None,
    *,
    settings: Settings | None = None,
) -> Moments:
    """Replay a watch up to the declared regression and return when it first said what.

    The arguments are those of `replay`; `settings` are the defaults for None.
    """
    state = State(settings or Settings(looks=max(1, len(watch))))
    for seconds, requests, errors in baseline:
        state = learn(state, seconds, Counts(requests, errors))
    suspected = shared = None
    for i, (seconds, requests, errors) in enumerate(watch):
        beside = control[i] if control is not None else None
        old = Counts(beside[1], beside[2]) if beside is not None else None
        state = step(state, seconds, Counts(requests, errors), old)
        judgement = state.judgement
        if suspected is None and (judgement.suspect or judgement.bad):
            suspected = state.elapsed
        if shared is None and judgement.shared:
            shared = state.elapsed
        if judgement.bad:
            return Moments(suspected, state.elapsed, shared)
    return Moments(suspected, None, shared)


def replay(
    baseline: Sequence[Increment],
    watch: Sequence[Increment],
    control: Sequence[Increment | None] | None = None,
) -> float | None:
    """Return the seconds from the deploy to the declared regression, or None, at the defaults.

    `baseline` and `watch` are increments (seconds, requests, errors), oldest first; `control` has
    the old pods' increments over the same intervals as `watch`, None where none lives any more.
    """
    return moments(baseline, watch, control).declared
