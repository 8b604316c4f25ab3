"""What was before the deploy: sums of bounded size, and what they make us expect.

Decides how the baseline's ratio and its overdispersion at several time scales are estimated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from deploy_guard.model import Counts

NOTHING = Counts(0.0, 0.0)
LEAST = 1e-6  # fewer requests are none
SCALES = (15.0, 60.0, 300.0)  # seconds; below the first and above the last nothing is estimated
FULL = 3600.0  # seconds of baseline after which its own level is taken for known
MODEL_VARIANCE = 0.025  # always added: no baseline is exactly like the present
UNKNOWN_VARIANCE = 0.25  # added instead where the baseline is very short
PRIOR_VARIANCE = 0.05  # of a ratio of which nothing is known; also the prior's weight, see below
PRIOR_DEVIATION = 0.1
MAX_VARIANCE = 4.0
RECENT = 300.0  # seconds just before the deploy whose level counts when it is clearly higher
OUTAGE = 0.1  # a ratio below this is no outage


def possible(counts: Counts) -> Counts:
    """Return counts that can be: no more errors than requests, nothing below zero.

    Two counters that are read one after the other may say otherwise.
    """
    n, x = counts.requests, counts.errors
    if n < LEAST:
        return NOTHING
    return counts if 0 <= x <= n else Counts(n, min(n, max(0.0, x)))


@dataclass(frozen=True, slots=True)
class Groups:
    """Sums over groups of at least `length` seconds, from which their variance is estimated."""

    length: float
    opened: Counts = NOTHING
    open_seconds: float = 0.0
    number: int = 0
    last: Counts = NOTHING  # the newest group
    total: Counts = NOTHING
    requests_squared: float = 0.0
    errors_squared: float = 0.0
    product: float = 0.0  # of requests and errors
    worst: float = 0.0  # the highest ratio of a group, two standard deviations less

    def add(self, seconds: float, counts: Counts) -> Groups:
        """Return the sums with one more increment, which closes the open group if it is full."""
        opened = self.opened + counts
        length = self.open_seconds + seconds
        n, x = opened.requests, opened.errors
        if length < self.length - 1e-9:
            return Groups(
                self.length,
                opened,
                length,
                self.number,
                self.last,
                self.total,
                self.requests_squared,
                self.errors_squared,
                self.product,
                self.worst,
            )
        return Groups(
            self.length,
            NOTHING,
            0.0,
            self.number + 1,
            opened,
            self.total + opened,
            self.requests_squared + n * n,
            self.errors_squared + x * x,
            self.product + n * x,
            max(self.worst, (x - 2 * math.sqrt(x)) / n) if n > 0 else self.worst,
        )

    def variance(self, ratio: float) -> float | None:
        """Return the relative variance of the ratio between groups, beyond Poisson's own.

        Method of moments, v = [Σ(x-μ)² · m/(m-1) - Σμ] / Σμ² with μ = n·ratio, for m groups; None
        for less than three. Few errors say little about it: its standard error is about
        se² = (2M² + M) / (m·M⁴) for the mean M of μ, and v is drawn towards `PRIOR_VARIANCE` as in
        the posterior mean of normal distributions, (v·s² + prior·se²) / (s² + se²). The prior's
        own deviation s is `PRIOR_DEVIATION` or v, whichever is larger, so that what is far off it
        is believed.
        """
        m, expected = self.number, ratio * self.total.requests
        squares = ratio**2 * self.requests_squared
        if m < 3 or squares <= 0:
            return None
        spread = self.errors_squared - 2 * ratio * self.product + squares
        v = max(0.0, (spread * m / (m - 1) - expected) / squares)
        mean = expected / m
        se2 = (2 * mean**2 + mean) / (m * mean**4)
        s2 = max(PRIOR_DEVIATION, v) ** 2
        return (v * s2 + PRIOR_VARIANCE * se2) / (s2 + se2)


@dataclass(frozen=True, slots=True)
class Baseline:
    """Counts before the deploy; a month takes no more room than an hour."""

    total: Counts = NOTHING
    seconds: float = 0.0
    scales: tuple[Groups, ...] = tuple(Groups(length) for length in SCALES)
    recent: tuple[tuple[float, Counts], ...] = ()
    # sums over neighbouring groups of the first scale: squares of the differences
    steps: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def known(self) -> bool:
        """Whether anything was seen before the deploy."""
        return self.total.requests > 0

    def add(self, seconds: float, counts: Counts) -> Baseline:
        """Return the baseline with one more increment."""
        before = self.scales[0]
        scales = tuple(groups.add(seconds, counts) for groups in self.scales)
        steps = self.steps
        if scales[0].number > before.number > 0:
            dn = scales[0].last.requests - before.last.requests
            dx = scales[0].last.errors - before.last.errors
            steps = (steps[0] + dx * dx, steps[1] + dx * dn, steps[2] + dn * dn)
        recent = _recent(self.recent, seconds, counts)
        return Baseline(self.total + counts, self.seconds + seconds, scales, recent, steps)

    def with_counts(self, counts: Counts) -> Baseline:
        """Return the baseline with counts that say nothing of how the ratio varies."""
        return Baseline(self.total + counts, self.seconds, self.scales, self.recent, self.steps)

    def expectation(self) -> Expectation:
        """Return what the baseline makes us expect of the time after it."""
        if not self.known:
            return Expectation()
        ratio = (self.total.errors + 1) / self.total.requests
        found = [groups.variance(ratio) for groups in self.scales]
        slowest = 0.0
        variances: list[float] = []
        for v in reversed(found):  # slow noise is there at quick scales, too
            slowest = max(slowest, slowest if v is None else v)
            variances.append(slowest)
        shortness = FULL / max(self.seconds, 1.0)
        least = min(UNKNOWN_VARIANCE, MODEL_VARIANCE * max(1.0, shortness))
        return Expectation(
            observed=self.total.ratio,
            ratio=max(ratio, _clearly(_sum(self.recent))),
            errors=self.total.errors + 1,
            variances=tuple(reversed(variances)),
            least=least if found[0] is not None else UNKNOWN_VARIANCE,
            clustering=self._clustering(ratio),
            outage=min(0.9, max(OUTAGE, 5 * ratio, 3 * self.scales[0].worst)),
        )

    def _clustering(self, ratio: float) -> float:
        """Return errors per independent cause: 1 where they do not come in groups, as retries do.

        Half the mean square of the differences between neighbouring groups, by their mean: what
        changes slowly cancels out (von Neumann, Distribution of the Ratio of the Mean Square
        Successive Difference to the Variance, 1941).
        """
        pairs = self.scales[0].number - 1
        expected = ratio * self.scales[0].total.requests * pairs / max(1, pairs + 1)
        if pairs < 2 or expected <= 0:
            return 1.0
        dxdx, dxdn, dndn = self.steps
        return max(1.0, (dxdx - 2 * ratio * dxdn + ratio**2 * dndn) / 2 / expected)


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is expected of a healthy candidate.

    `observed` is the baseline's errors per request; `ratio` is what counts: with one error added,
    so that no baseline is without errors, and infinite without a baseline; `errors` is how many
    it was estimated from; `variances` are those of the ratio at `SCALES`; `clustering` is errors
    per independent cause; `outage` is the smallest ratio that is one.
    """

    observed: float = math.nan
    ratio: float = math.inf
    errors: float = 0.0
    variances: tuple[float, ...] = tuple(0.0 for _ in SCALES)
    least: float = UNKNOWN_VARIANCE
    clustering: float = 1.0
    outage: float = math.inf

    @property
    def known(self) -> bool:
        """Whether there was a baseline."""
        return self.ratio < math.inf

    def variance(self, seconds: float, factor: float) -> float:
        """Return the relative variance of the mean ratio over a window of so many seconds.

        Straight between the scales in the logarithm of time; `factor` enlarges what was estimated,
        because it is an estimate and because real noise has heavier tails.
        """
        short, middle, long = SCALES
        seconds = max(seconds, short)
        quick, slow, slowest = self.variances
        if seconds <= middle:
            share = math.log(seconds / short) / math.log(middle / short)
            v = quick + share * (slow - quick)
        else:
            share = min(1.0, math.log(seconds / middle) / math.log(long / middle))
            v = slow + share * (slowest - slow)
        return min(MAX_VARIANCE, factor * v + self.least)

    def size(self, seconds: float, factor: float) -> float:
        """Return the size of the negative binomial distribution that predicts the errors.

        Its relative variance beyond Poisson's is that of the estimated ratio plus the noise's.
        """
        return 1 / (1 / self.errors + self.variance(seconds, factor))


def _recent(
    recent: tuple[tuple[float, Counts], ...], seconds: float, counts: Counts
) -> tuple[tuple[float, Counts], ...]:
    """Return what covers the last `RECENT` seconds, in pieces of the first scale or longer."""
    if recent and recent[-1][0] < SCALES[0]:
        recent = (*recent[:-1], (recent[-1][0] + seconds, recent[-1][1] + counts))
    else:
        recent = (*recent, (seconds, counts))
    covered = sum(length for length, _ in recent)
    while covered - recent[0][0] >= RECENT:
        covered -= recent[0][0]
        recent = recent[1:]
    return recent


def _sum(recent: tuple[tuple[float, Counts], ...]) -> Counts:
    return sum((counts for _, counts in recent), start=NOTHING)


def _clearly(counts: Counts) -> float:
    """Return the ratio less two standard deviations, 0 without requests."""
    if counts.requests <= 0:
        return 0.0
    return max(0.0, counts.errors - 2 * math.sqrt(counts.errors)) / counts.requests
