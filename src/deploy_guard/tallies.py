"""What the comparison remembers of counts: the baseline, and windows of both groups of pods.

Sums only, of bounded size. Decides how the baseline's overdispersion is estimated and how old and
new pods are weighted against each other; `deploy_guard.detect` decides what follows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from deploy_guard.model import Counts

BIN = 60.0  # seconds of the groups from which the baseline's overdispersion is estimated
UNKNOWN_VARIANCE = 0.25  # relative variance of the ratio where the baseline is too short to tell
MODEL_VARIANCE = 0.025  # always added: no baseline is exactly like the present
MAX_VARIANCE = 4.0

NOTHING = Counts(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Baseline:
    """What was before the deploy: totals, and sums over groups of `BIN` seconds.

    The sums are all that the overdispersion needs, so a baseline of a month takes no more room
    than one of an hour.
    """

    total: Counts = NOTHING
    open_bin: Counts = NOTHING
    open_seconds: float = 0.0
    bins: int = 0
    binned: Counts = NOTHING
    requests_squared: float = 0.0
    errors_squared: float = 0.0
    product: float = 0.0  # of requests and errors
    variance: float = UNKNOWN_VARIANCE  # relative variance of the ratio, beyond Poisson's own

    def add(self, seconds: float, counts: Counts) -> Baseline:
        """Return the baseline with one more increment."""
        total, opened = self.total + counts, self.open_bin + counts
        length = self.open_seconds + seconds
        if length < BIN - 1e-9:
            return replace(self, total=total, open_bin=opened, open_seconds=length)
        closed = Baseline(
            total=total,
            bins=self.bins + 1,
            binned=self.binned + opened,
            requests_squared=self.requests_squared + opened.requests**2,
            errors_squared=self.errors_squared + opened.errors**2,
            product=self.product + opened.requests * opened.errors,
        )
        return replace(closed, variance=closed._estimate())

    @property
    def ratio(self) -> float:
        """Errors per request with one error added, so that no baseline is without errors."""
        return (self.total.errors + 1.0) / self.total.requests if self.known else math.nan

    @property
    def known(self) -> bool:
        """Whether anything was seen before the deploy."""
        return self.total.requests > 0

    @property
    def size(self) -> float:
        """The size of the negative binomial distribution that predicts the candidate's errors."""
        return 1 / (1 / (self.total.errors + 1) + self.variance)

    def _estimate(self) -> float:
        """Estimate the relative variance of the ratio between groups.

        Method of moments, (Σ(x-μ)² - Σμ) / Σμ² with μ = ratio · n, enlarged because it is an
        estimate.
        """
        if self.bins < 5 or self.binned.requests <= 0:
            return UNKNOWN_VARIANCE
        ratio = self.binned.ratio
        squares = ratio**2 * self.requests_squared
        if squares <= 0:
            return MODEL_VARIANCE
        spread = self.errors_squared - 2 * ratio * self.product + squares
        moments = (spread - self.binned.errors) / squares
        return min(MAX_VARIANCE, 2.5 * max(0.0, moments) + MODEL_VARIANCE)


@dataclass(frozen=True, slots=True)
class Strata:
    """Sums over intervals in which both groups had requests, each interval weighted by itself.

    In an interval with n requests of the candidate and m of the old pods the weights are
    w = m/(n+m) and 1-w, so that both groups have the same exposure n·w = m·(1-w). Under "no
    difference" the weighted errors of both groups then have the same expectation, whatever the
    ratio did from interval to interval and however the shares moved during the rollout (the idea
    of Mantel and Haenszel, 1959). Summing first and comparing afterwards would not: old pods that
    served mostly before a shared fault would acquit it.
    """

    exposure: float = 0.0  # Σ n·w
    new: float = 0.0  # weighted errors of the candidate
    new_squares: float = 0.0  # Σ x·w²
    old: float = 0.0  # weighted errors of the old pods
    old_squares: float = 0.0
    old_exposure_squares: float = 0.0  # Σ m·(1-w)²

    @classmethod
    def of(cls, new: Counts, old: Counts) -> Strata:
        """Return the sums of one interval."""
        w = old.requests / (new.requests + old.requests)
        return cls(
            exposure=new.requests * w,
            new=new.errors * w,
            new_squares=new.errors * w**2,
            old=old.errors * (1 - w),
            old_squares=old.errors * (1 - w) ** 2,
            old_exposure_squares=old.requests * (1 - w) ** 2,
        )

    def __add__(self, other: Strata) -> Strata:
        return Strata(
            self.exposure + other.exposure,
            self.new + other.new,
            self.new_squares + other.new_squares,
            self.old + other.old,
            self.old_squares + other.old_squares,
            self.old_exposure_squares + other.old_exposure_squares,
        )

    def of_one_error(self, at_least: float) -> tuple[float, float]:
        """Return the mean weight of an error of the candidate and of the old pods.

        `at_least` is a ratio that stands in for errors which did not happen.
        """
        new = self.new_squares / self.new if self.new > 0 else 1.0
        old = (self.old_squares + at_least * self.old_exposure_squares) / (
            self.old + at_least * self.exposure
        )
        return new, old


@dataclass(frozen=True, slots=True)
class Pair:
    """Counts of a window: all of the candidate, and of both groups while the old pods lived."""

    candidate: Counts = NOTHING
    beside: Counts = NOTHING  # the candidate's, in the intervals that have a control
    control: Counts = NOTHING
    strata: Strata = field(default_factory=Strata)

    @classmethod
    def of(cls, candidate: Counts, control: Counts | None) -> Pair:
        """Return the counts of one interval; a group without requests says nothing."""
        if control is None or control.requests <= 0:
            return cls(candidate)
        if candidate.requests <= 0:
            return cls(candidate, candidate, control)
        return cls(candidate, candidate, control, Strata.of(candidate, control))

    def __add__(self, other: Pair) -> Pair:
        return Pair(
            self.candidate + other.candidate,
            self.beside + other.beside,
            self.control + other.control,
            self.strata + other.strata,
        )
