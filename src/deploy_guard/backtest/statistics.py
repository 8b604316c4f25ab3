"""How sure a count is: shares with their confidence interval, and how many days a claim needs.

Decides the estimates. What is counted as what is decided in `judging`, what follows in `sweep`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from deploy_guard.detect import incomplete_beta

CONFIDENCE = 0.95
_HALVINGS = 60  # more than a float can tell apart


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something happened: `count` of `of`, and the interval of its share.

    `low` and `high` are the exact interval of Clopper and Pearson at 95 % (Biometrika 26, 1934):
    the share is below `low`, or above `high`, with a chance of at most 2.5 % each. 0 and 1 where
    nothing was counted.
    """

    count: int
    of: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """The share as a fraction, NaN where nothing was counted."""
        return self.count / self.of if self.of else math.nan


def rate(count: int, of: int, *, confidence: float = CONFIDENCE) -> Rate:
    """Return the share of `count` in `of` with its exact interval."""
    if not 0 <= count <= of:
        raise ValueError(f"a count of 0 to {of} was expected, not {count}")
    beyond = (1 - confidence) / 2
    low = 0.0 if count == 0 else _quantile(beyond, count, of - count + 1)
    high = 1.0 if count == of else _quantile(1 - beyond, count + 1, of - count)
    return Rate(count, of, low, high)


def _quantile(probability: float, a: float, b: float) -> float:
    """Return the quantile of the beta distribution, by halving: I_x(a, b) rises with x."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if incomplete_beta(a, b, middle) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def needed(share: float, *, confidence: float = CONFIDENCE) -> int:
    """Return how many trials without a single hit put the upper estimate at `share` or below.

    (1 - share)^n is the chance of no hit in n trials.
    """
    if not 0 < share < 1:
        raise ValueError(f"a share between 0 and 1 was expected, not {share}")
    return math.ceil(math.log((1 - confidence) / 2) / math.log1p(-share))


def median(values: Iterable[float | None]) -> float | None:
    """Return the median; None stands for never, and is the median where half the values are.

    Without any value, None. Between two values in the middle it is the later one: no time is told
    that nothing took.
    """
    found = sorted(math.inf if value is None else value for value in values)
    if not found or math.isinf(found[len(found) // 2]):
        return None
    return found[len(found) // 2]


@dataclass(frozen=True, slots=True)
class PerMonth:
    """How many false rollbacks a month of 30 days has, from `low` to `high`."""

    deploys: float
    estimate: float
    low: float
    high: float


def per_month(found: Rate, deploys: float) -> PerMonth | None:
    """Return the share at so many deploys a month, None where nothing was counted."""
    if not found.of:
        return None
    return PerMonth(deploys, found.share * deploys, found.low * deploys, found.high * deploys)
