"""What the numbers of the days before say of traffic, failures and slowness. Pure.

Decides what is typical and what is the worst of ordinary: not the single worst moment, which may
have been an incident, but what 19 of 20 moments stayed below.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deploy_guard.drafting.sources import Rates

SHORTEST = 1e-6  # seconds of a bound that is worth looking at
ENOUGH = 100.0  # requests that a share is taken of: one error of three is not 33 %
WORST = 0.95
QUIET = 0.05


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests a second: the mean, and what 19 of 20 moments exceed."""

    mean: float = 0.0
    quiet: float = 0.0


@dataclass(frozen=True, slots=True)
class Share:
    """A share of requests: over all, and the worst of ordinary."""

    overall: float
    worst: float

    @property
    def usual(self) -> float:
        """The larger of both: what has to be called ordinary."""
        return max(self.overall, self.worst)


@dataclass(frozen=True, slots=True)
class Bound:
    """A bound of a histogram, as its label says it and in seconds; how many are slower."""

    label: str
    seconds: float
    slower: Share


def traffic(rates: Rates) -> Traffic:
    """Return how many requests there are."""
    values = sorted(rate for rate in rates.values() if math.isfinite(rate))
    if not values:
        return Traffic()
    return Traffic(sum(values) / len(values), values[int(QUIET * len(values))])


def share(part: Rates, whole: Rates, *, seconds: float) -> Share | None:
    """Return which part of the requests it is; None without requests.

    A moment stands for so many `seconds`; moments with few requests are put together.
    """
    parts = total = group_part = group = 0.0
    shares: list[float] = []
    for moment in sorted(whole):
        some, all_of_them = part.get(moment, 0.0) * seconds, whole[moment] * seconds
        if not (math.isfinite(some) and math.isfinite(all_of_them)) or all_of_them <= 0:
            continue
        parts, total = parts + some, total + all_of_them
        group_part, group = group_part + some, group + all_of_them
        if group >= ENOUGH:
            shares.append(group_part / group)
            group_part = group = 0.0
    if total <= 0:
        return None
    overall = min(1.0, parts / total)
    return Share(overall, min(1.0, _high(shares) if shares else overall))


def _high(values: Sequence[float]) -> float:
    """Return what 19 of 20 values do not exceed; of few values the largest."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(WORST * len(ordered)))]


def bounds(buckets: Mapping[str, Rates], *, per_second: float, seconds: float) -> list[Bound]:
    """Return the finite bounds of a histogram, rising, with how many requests were slower.

    Buckets whose label is no number are left out; without the one of infinity there is no answer.
    """
    numbers = {label: _number(label) for label in buckets}
    whole = next((buckets[label] for label, bound in numbers.items() if bound == math.inf), {})
    found = []
    for label, bound in sorted(numbers.items(), key=lambda item: item[1]):
        if not SHORTEST <= bound / per_second < math.inf:
            continue
        quick = buckets[label]
        slow = {at: max(0.0, rate - quick.get(at, 0.0)) for at, rate in whole.items()}
        slower = share(slow, whole, seconds=seconds)
        if slower is not None:
            found.append(Bound(label, bound / per_second, slower))
    return found


def _number(label: str) -> float:
    """Return the number of a label `le`; -1 for none."""
    try:
        value = float(label)
    except ValueError:
        return -1.0
    return -1.0 if math.isnan(value) else value


def quantile(found: Sequence[Bound], q: float) -> float | None:
    """Return the q-quantile in seconds, linear within its bucket; None in the open bucket."""
    low, below = 0.0, 0.0
    for bound in found:
        at_most = 1 - bound.slower.overall
        if at_most >= q:
            inside = at_most - below
            part = (q - below) / inside if inside > 0 else 1.0
            return low + (bound.seconds - low) * part
        low, below = bound.seconds, at_most
    return None
