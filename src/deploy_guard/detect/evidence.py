"""What is worth acting on, what a judgement says, and the tests' probabilities.

Decides which distribution predicts a count; what follows from it is decided in `judging`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from deploy_guard.detect.baseline import NOTHING, OUTAGE, Baseline, Expectation
from deploy_guard.detect.distributions import tail
from deploy_guard.detect.windows import Caps, Strata
from deploy_guard.model import Counts

Late = Literal["outage", "any", "none"]

CONTROL_VARIANCE = 0.01  # no two groups of pods are exactly alike
LIMIT_VARIANCE = 0.001  # a limit is known exactly; only errors that come in clusters blur it


@dataclass(frozen=True, slots=True)
class Settings:
    """What is worth acting on, and how sure one must be.

    `level` is the accepted chance of a false alarm over the whole watch; `ratio` (times) and
    `difference` (fraction) are the smallest regression worth acting on; `warm_up` is in seconds;
    `limit` is an absolute ratio, None for none; without `compare` there is only the limit. `late`
    says what is held against the deploy of what began when the last old pod was gone, after the
    candidate had been well next to them. Without `attribute` nobody asks whose fault it is.
    """

    level: float = 0.01
    ratio: float = 1.5
    difference: float = 0.0005
    warm_up: float = 30.0
    limit: float | None = None
    compare: bool = True
    late: Late = "outage"
    attribute: bool = True

    def worth(self, seen: float, reference: float) -> bool:
        """Whether a ratio is so much above the reference that acting on it is worth it."""
        return seen >= max(self.ratio * reference, reference + self.difference)

    @property
    def caution(self) -> float:
        """By how much an estimated variance is enlarged: 3 at a level of 1 %, more below.

        False alarms under noise with a long memory come from a variance that was estimated too
        small, and not from chance, so a smaller level has to enlarge it, too.
        """
        return 3 * max(0.5, math.log(1 / self.level) / math.log(100))


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the counts say after one more increment.

    `bad`: beyond chance and worth acting on; `accused_by_old` if old pods at the same time are
    better. `shared`: as bad, but the old pods (`world`), or the time before, are as bad too.
    `suspect`: not proven, or proven and nobody can tell yet whose fault it is; `unattributed` if
    nobody will, as it began when the old pods were gone. `reference` says what `expected` errors
    and `p_value` refer to: ``before``, ``control`` or ``limit``, empty for nothing. `level` is
    what the p-value has to reach in this window.
    """

    bad: bool = False
    accused_by_old: bool = False
    shared: bool = False
    world: bool = False
    suspect: bool = False
    unattributed: bool = False
    outage: bool = False
    reference: str = ""
    counts: Counts = NOTHING
    expected: float = math.nan
    expected_ratio: float = math.nan
    p_value: float = 1.0
    level: float = 0.0


@dataclass(frozen=True, slots=True)
class Errors:
    """So many errors of so many requests in so many seconds."""

    seconds: float
    requests: float
    errors: float

    @property
    def ratio(self) -> float:
        """Errors per request, 0 without requests."""
        return self.errors / self.requests if self.requests > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Level:
    """A ratio that is usual, and how well it is known: from how many errors."""

    ratio: float
    errors: float

    def chance(self, expectation: Expectation, caution: float, *, of: Errors) -> float:
        """Return P(at least so many errors) if nothing has changed.

        The predictive distribution of a Poisson count whose rate was itself estimated from few
        errors and varies: negative binomial.
        """
        variance = expectation.variance(of.seconds, caution)
        return tail(of.errors, of.requests * self.ratio, 1 / (1 / self.errors + variance))


@dataclass(frozen=True, slots=True)
class Known:
    """What is known before the first increment of the watch: settings and the baseline.

    `smallest_outage` is a ratio, infinite where nothing is known to compare with.
    """

    settings: Settings
    expectation: Expectation
    usual: Level
    caps: Caps
    smallest_outage: float
    caution: float

    @classmethod
    def of(cls, settings: Settings, baseline: Baseline) -> Known:
        """Return what these settings and this baseline make us expect."""
        expectation = baseline.expectation()
        limit = math.inf if settings.limit is None else settings.limit
        if settings.compare and expectation.known:
            outage = expectation.outage
        else:
            outage = max(OUTAGE, 2 * limit) if limit <= 0.45 else math.inf
        usual = Level(expectation.ratio, expectation.errors)
        caps = Caps(expectation.ratio, limit)
        return cls(settings, expectation, usual, caps, outage, settings.caution)

    def chance(self, level: Level, errors: Errors) -> float:
        """Return P(at least so many errors) at a level, with the caution of the settings."""
        return level.chance(self.expectation, self.caution, of=errors)

    @property
    def compares(self) -> bool:
        """Whether there is a time before the deploy to compare with."""
        return self.settings.compare and self.expectation.known


def chance_beside(
    strata: Strata, settings: Settings, *, usual: float, clustering: float, times: float = 1.0
) -> float | None:
    """Return P(the candidate is so much worse than the old pods at the same time by chance).

    1 if it is not worse by as much as is worth acting on, None where they never served in the
    same interval. `usual` is the ratio before, NaN if not known; `clustering` is errors per
    cause; the candidate has to be worse than so many `times` the old pods' errors.
    """
    if strata.exposure <= 0:
        return None
    before = 0.0 if math.isnan(usual) else usual
    stands_in = max(before, 1 / strata.exposure)
    weight, old_weight = strata.of_one_error(stands_in)
    one, new_one = clustering * old_weight, clustering * weight
    old = times * strata.old
    at_least = old + one  # one error more, so that nobody is without errors
    new = strata.new / strata.exposure
    if not settings.worth(new, old / strata.exposure):
        return 1.0
    if not settings.worth(new, before):
        return 1.0
    size = 1 / (1 / (strata.old / one + 1) + CONTROL_VARIANCE)
    return tail(strata.new / new_one, at_least / new_one, size)
