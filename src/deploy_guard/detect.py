"""Compare the candidate's failed requests with the baseline's: when is it worse beyond chance?

Pure: state + one increment -> state; no clock, no randomness, no I/O, bounded memory and work per
increment. Knows nothing of signals, policies or pods: it counts requests and errors (or quick and
slow requests).

The comparison, in words. Three windows of the candidate's counts are tested at each look: all
since the deploy (outages only: `OUTAGE`, so that a warm-up is not taken for one), all since the
warm-up, and the last `TRAILING` seconds after the warm-up. In each, the errors are compared with
what the reference leads us to expect: the time before the deploy, the old pods over the same
intervals, or an absolute limit. The p-value is the upper tail of a negative binomial
distribution, which is the predictive distribution of a Poisson count whose rate was itself
estimated from few errors and varies from minute to minute (overdispersion, estimated from the
baseline). The level of the whole watch is divided evenly over all looks and windows (Bonferroni),
so it holds however often one looks, as long as the noise is like the baseline's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from deploy_guard.model import Counts

TRAILING = 120.0  # seconds of the trailing window
OUTAGE = 0.2  # during the warm-up only a ratio of at least this is a regression
BIN = 60.0  # seconds of the groups from which the baseline's overdispersion is estimated
WINDOWS = 3
ATTRIBUTION = 2e-3  # the old pods acquit the world, and condemn the deploy, at this p-value
SUSPICION = 1e-3
UNKNOWN_VARIANCE = 0.25  # relative variance of the ratio where the baseline is too short to tell
MODEL_VARIANCE = 0.025  # always added: no baseline is exactly like the present
MAX_VARIANCE = 4.0

NOTHING = Counts(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Settings:
    """What is worth acting on, and how sure one must be.

    `level` is the accepted chance of a false alarm over the whole watch of `looks` increments;
    `ratio` (times) and `difference` (fraction) are the smallest regression worth acting on;
    `warm_up` is in seconds; `limit` is an absolute ratio, None for none.
    """

    level: float = 0.01
    looks: int = 120
    ratio: float = 1.5
    difference: float = 0.0005
    warm_up: float = 30.0
    limit: float | None = None
    compare: bool = True


@dataclass(frozen=True, slots=True)
class Baseline:
    """What was before the deploy: totals, and groups of `BIN` seconds for the overdispersion."""

    total: Counts = NOTHING
    seconds: float = 0.0
    bins: tuple[Counts, ...] = ()
    open_bin: Counts = NOTHING
    open_seconds: float = 0.0

    def add(self, seconds: float, counts: Counts) -> Baseline:
        """Return the baseline with one more increment."""
        opened, length = self.open_bin + counts, self.open_seconds + seconds
        full = length >= BIN - 1e-9
        return Baseline(
            total=self.total + counts,
            seconds=self.seconds + seconds,
            bins=(*self.bins, opened) if full else self.bins,
            open_bin=NOTHING if full else opened,
            open_seconds=0.0 if full else length,
        )

    @property
    def ratio(self) -> float:
        """Errors per request with one error added, so that no baseline is without errors."""
        return (self.total.errors + 1.0) / self.total.requests if self.known else math.nan

    @property
    def known(self) -> bool:
        """Whether anything was seen before the deploy."""
        return self.total.requests > 0

    def variance(self) -> float:
        """Return the relative variance of the ratio between bins, beyond Poisson's own.

        Method of moments, (Σ(x-μ)² - Σμ) / Σμ², enlarged because it is an estimate.
        """
        if len(self.bins) < 5:
            return UNKNOWN_VARIANCE
        ratio = self.total.errors / self.total.requests
        expected = [b.requests * ratio for b in self.bins]
        squares = sum(m * m for m in expected)
        if squares <= 0:
            return MODEL_VARIANCE
        spread = sum((b.errors - m) ** 2 for b, m in zip(self.bins, expected, strict=True))
        moments = (spread - sum(expected)) / squares
        return min(MAX_VARIANCE, 2.5 * max(0.0, moments) + MODEL_VARIANCE)


@dataclass(frozen=True, slots=True)
class Pair:
    """Counts of a window: all of the candidate, and of both groups while the old pods lived."""

    candidate: Counts = NOTHING
    beside: Counts = NOTHING  # the candidate's, in the intervals that have a control
    control: Counts = NOTHING

    def add(self, candidate: Counts, control: Counts | None) -> Pair:
        """Return the window with one more interval."""
        if control is None or control.requests <= 0:
            return Pair(self.candidate + candidate, self.beside, self.control)
        return Pair(self.candidate + candidate, self.beside + candidate, self.control + control)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the counts say after one more increment.

    `bad`: beyond chance and worth acting on. `shared`: as bad, but the old pods, or the time
    before, are as bad too. `suspect`: not proven. `reference` says what `expected` errors and
    `p_value` refer to: ``before``, ``control`` or ``limit``.
    """

    bad: bool = False
    shared: bool = False
    suspect: bool = False
    reference: str = ""
    counts: Counts = NOTHING
    expected: float = math.nan
    expected_ratio: float = math.nan
    p_value: float = 1.0
    level: float = 0.0


@dataclass(frozen=True, slots=True)
class State:
    """All that the comparison remembers; its size does not grow with the length of the watch."""

    settings: Settings = field(default_factory=Settings)
    baseline: Baseline = field(default_factory=Baseline)
    variance: float = UNKNOWN_VARIANCE
    elapsed: float = 0.0
    whole: Pair = field(default_factory=Pair)
    mature: Pair = field(default_factory=Pair)
    recent: tuple[tuple[float, Counts, Counts | None], ...] = ()
    judgement: Judgement = field(default_factory=Judgement)


def learn(state: State, seconds: float, counts: Counts) -> State:
    """Return the state with one more increment of the baseline."""
    baseline = state.baseline.add(seconds, counts)
    variance = state.variance
    if len(baseline.bins) != len(state.baseline.bins):
        variance = baseline.variance()
    return replace(state, baseline=baseline, variance=variance)


def step(state: State, seconds: float, candidate: Counts, control: Counts | None = None) -> State:
    """Return the state after one more increment of the watch, with its judgement."""
    warm = state.elapsed >= state.settings.warm_up
    recent = state.recent
    if warm:
        recent = (*recent, (seconds, candidate, control))
        total = sum(s for s, _, _ in recent)
        while len(recent) > 4 and total - recent[0][0] >= TRAILING:
            total -= recent[0][0]
            recent = recent[1:]
    after = replace(
        state,
        elapsed=state.elapsed + seconds,
        whole=state.whole.add(candidate, control),
        mature=state.mature.add(candidate, control) if warm else state.mature,
        recent=_bounded(recent),
    )
    return replace(after, judgement=_judge(after))


def _bounded(
    recent: tuple[tuple[float, Counts, Counts | None], ...],
) -> tuple[tuple[float, Counts, Counts | None], ...]:
    """Merge the oldest increments where polls are so quick that the window would grow long."""
    if len(recent) <= 256:
        return recent
    (s1, a1, c1), (s2, a2, c2) = recent[:2]
    control = c1 if c2 is None else c2 if c1 is None else c1 + c2
    return ((s1 + s2, a1 + a2, control), *recent[2:])


def _judge(state: State) -> Judgement:
    trailing = Pair()
    for _, candidate, control in state.recent:
        trailing = trailing.add(candidate, control)
    judgements = [
        _judge_window(state, state.whole, least=OUTAGE),
        _judge_window(state, state.mature, least=0.0),
        _judge_window(state, trailing, least=0.0),
    ]
    was_shared = state.judgement.shared
    for found in judgements:
        if found.bad and not was_shared:
            return found
    for found in judgements:
        if found.shared or found.bad:
            # Shared while the old pods lived, and still bad now that they are gone: the world has
            # not recovered, and nothing new accuses the deploy.
            return replace(found, bad=False, shared=True)
    suspects = [j for j in judgements if j.suspect]
    return min(suspects or [judgements[1]], key=lambda j: j.p_value)


def _judge_window(state: State, pair: Pair, *, least: float) -> Judgement:
    """Test one window against the limit, the time before and the old pods."""
    settings, seen = state.settings, pair.candidate
    level = settings.level / (max(1, settings.looks) * WINDOWS)
    quiet = Judgement(counts=seen, level=level)
    if seen.requests <= 0:
        return quiet
    tests = [
        t
        for t in (_against_limit(state, seen), _against_before(state, seen))
        if t is not None and seen.ratio >= least
    ]
    beside = _against_control(settings, pair) if pair.beside.ratio >= least else None
    accused = min(tests, key=lambda j: j.p_value, default=quiet)
    if accused.p_value <= level:
        if _acquitted_by_before(state, seen):
            return replace(accused, shared=True, level=level)
        if beside is None or beside.p_value <= ATTRIBUTION:
            return replace(accused, bad=True, level=level)
        shared = _control_is_bad_too(state, pair)
        return replace(accused, shared=shared, suspect=not shared, level=level)
    if settings.compare and beside is not None and beside.p_value <= level:
        return replace(beside, bad=True, level=level)
    return replace(accused, suspect=accused.p_value <= SUSPICION, level=level)


def _against_limit(state: State, seen: Counts) -> Judgement | None:
    limit = state.settings.limit
    if limit is None:
        return None
    expected = seen.requests * limit
    p = tail(seen.errors, expected, 1 / MODEL_VARIANCE) if seen.ratio > limit else 1.0
    return Judgement(
        reference="limit", counts=seen, expected=expected, expected_ratio=limit, p_value=p
    )


def _against_before(state: State, seen: Counts) -> Judgement | None:
    baseline, settings = state.baseline, state.settings
    if not settings.compare or not baseline.known:
        return None
    ratio = baseline.ratio
    expected = seen.requests * ratio
    p = 1.0
    if _worth(settings, seen.ratio, ratio):
        size = 1 / (1 / (baseline.total.errors + 1) + state.variance)
        p = tail(seen.errors, expected, size)
    return Judgement(
        reference="before", counts=seen, expected=expected, expected_ratio=ratio, p_value=p
    )


def _against_control(settings: Settings, pair: Pair) -> Judgement | None:
    """Test the candidate against the old pods in the same intervals; None without old pods."""
    old, new = pair.control, pair.beside
    if old.requests <= 0 or new.requests <= 0:
        return None
    ratio = (old.errors + 1) / old.requests
    expected = new.requests * ratio
    p = 1.0
    if _worth(settings, new.ratio, ratio):
        p = tail(new.errors, expected, 1 / (1 / (old.errors + 1) + MODEL_VARIANCE))
    return Judgement(
        reference="control", counts=new, expected=expected, expected_ratio=ratio, p_value=p
    )


def _worth(settings: Settings, seen: float, reference: float) -> bool:
    return seen >= max(settings.ratio * reference, reference + settings.difference)


def _acquitted_by_before(state: State, seen: Counts) -> bool:
    """Whether a limit that is exceeded now was exceeded just as much before the deploy."""
    baseline = state.baseline
    if not baseline.known or state.settings.limit is None:
        return False
    before = baseline.total.ratio
    size = 1 / (1 / (baseline.total.errors + 1) + state.variance)
    return before > state.settings.limit and tail(seen.errors, seen.requests * before, size) > 0.05


def _control_is_bad_too(state: State, pair: Pair) -> bool:
    """Whether the old pods are worse than they were before the deploy (or than the limit)."""
    old = pair.control
    if state.baseline.known:
        expected = old.requests * state.baseline.ratio
        size = 1 / (1 / (state.baseline.total.errors + 1) + state.variance)
    elif state.settings.limit is not None:
        expected, size = old.requests * state.settings.limit, 1 / MODEL_VARIANCE
    else:
        return False
    return tail(old.errors, expected, size) <= 0.01


def tail(count: float, mean: float, size: float) -> float:
    """Return P(K ≥ count) for a negative binomial K with the given mean and size.

    P = I_{mean/(mean+size)}(count, size), the regularised incomplete beta function
    (NIST DLMF 8.17; the variance of K is mean + mean²/size). `count` may be fractional.
    """
    if count <= 0:
        return 1.0
    if mean <= 0:
        return 0.0
    return incomplete_beta(count, size, mean / (mean + size))


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b), for a, b > 0 and 0 ≤ x ≤ 1.

    Continued fraction of NIST DLMF 8.17.22 by Lentz's method.
    """
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    if x > (a + 1) / (a + b + 2):
        return 1.0 - incomplete_beta(b, a, 1 - x)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    tiny = 1e-300
    c, d = 1.0, 1.0 / _away(1.0 - (a + b) * x / (a + 1), tiny)
    value = d
    for m in range(1, 100_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1.0 / _away(1.0 + even * d, tiny)
        c = _away(1.0 + even / c, tiny)
        value *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1.0 / _away(1.0 + odd * d, tiny)
        c = _away(1.0 + odd / c, tiny)
        value *= d * c
        if abs(d * c - 1.0) < 1e-13:
            break
    return min(1.0, front * value / a)


def _away(value: float, tiny: float) -> float:
    return value if abs(value) > tiny else tiny


Increment = tuple[float, float, float]  # seconds, requests, errors


def replay(
    baseline: Sequence[Increment],
    watch: Sequence[Increment],
    control: Sequence[Increment | None] | None = None,
) -> float | None:
    """Return the seconds from the deploy to the declared regression, or None, at the defaults.

    `baseline` and `watch` are increments (seconds, requests, errors), oldest first; `control` has
    the old pods' increments over the same intervals as `watch`, None where none lives any more.
    """
    state = State(Settings(looks=max(1, len(watch))))
    for seconds, requests, errors in baseline:
        state = learn(state, seconds, Counts(requests, errors))
    for i, (seconds, requests, errors) in enumerate(watch):
        beside = control[i] if control is not None else None
        old = Counts(beside[1], beside[2]) if beside is not None else None
        state = step(state, seconds, Counts(requests, errors), old)
        if state.judgement.bad:
            return state.elapsed
    return None
