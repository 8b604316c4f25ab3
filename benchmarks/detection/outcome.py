"""What a rule did with many deploys: times, shares and their confidence intervals.

Decides how results are summed up; what they mean is decided in `report` and `bars`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from benchmarks.detection.cells import Cell
from benchmarks.detection.setting import Array


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds at which something happened in so many deploys, sorted; it did not in the others.

    `early` is the number of those in which it happened before there was anything to see.
    """

    count: int = 0
    early: int = 0
    seconds: tuple[float, ...] = ()

    @classmethod
    def of(cls, times: Array, since: float) -> Times:
        """Sort times from the deploy, infinite for never, into those before and after `since`."""
        after = times[np.isfinite(times) & (times >= since)] - since
        return cls(len(times), int((times < since).sum()), tuple(sorted(after.tolist())))

    def __add__(self, other: Times) -> Times:
        seconds = tuple(sorted(self.seconds + other.seconds))
        return Times(self.count + other.count, self.early + other.early, seconds)

    @property
    def fired(self) -> int:
        """The number of deploys in which it happened at all."""
        return self.early + len(self.seconds)

    @property
    def share(self) -> float:
        """The share of deploys in which it happened at all."""
        return self.fired / self.count

    def within(self, seconds: float) -> int:
        """Return the number of deploys in which it happened so soon."""
        return self.early + bisect_right(self.seconds, seconds)

    def quantile(self, share: float) -> float:
        """Return the time within which it happened in this share of deploys, the early left out.

        The smallest such time; infinite if it happened in fewer.
        """
        left = self.count - self.early
        rank = max(1, math.ceil(share * left - 1e-9))
        return self.seconds[rank - 1] if rank <= len(self.seconds) else math.inf

    @property
    def missed(self) -> float:
        """The share in which it did not happen, the early left out."""
        left = self.count - self.early
        return 1 - len(self.seconds) / left if left else math.nan


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rule said of a cell: rollbacks, first suspicions, "not the deploy's fault"."""

    declared: Times
    suspected: Times = Times()
    shared: Times = Times()

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.declared + other.declared,
            self.suspected + other.suspected,
            self.shared + other.shared,
        )


@dataclass(frozen=True, slots=True)
class Found:
    """The outcome of one rule in one whole cell."""

    cell: Cell
    rule: str
    outcome: Outcome

    @property
    def poll(self) -> int:
        """The poll interval in seconds."""
        return self.cell.setting.poll


def pooled(found: Iterable[Found]) -> Outcome:
    """Add up the outcomes of several cells."""
    return sum((one.outcome for one in found), Outcome(Times()))


def wilson(fired: int, deploys: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share.

    Wilson, Probable Inference, the Law of Succession, and Statistical Inference, 1927.
    """
    z = 1.959963984540054
    share, scale = fired / deploys, 1 + z**2 / deploys
    middle = share + z**2 / (2 * deploys)
    half = z * np.sqrt(share * (1 - share) / deploys + z**2 / (4 * deploys**2))
    low = float(middle - half) / scale if fired > 0 else 0.0
    high = float(middle + half) / scale if fired < deploys else 1.0
    return low, high
