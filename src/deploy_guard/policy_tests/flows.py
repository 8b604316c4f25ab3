"""Amounts over time: rates that change in steps, what came between two moments, and gaps.

Decides what an amount of a test file means at a moment after the deploy. Which pods serve the
requests is the `world`'s, and how counts are read is `readings`'.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from deploy_guard.model import NoDataReason
from deploy_guard.policy.scalars import parse_duration
from deploy_guard.policy_tests.notation import Amount

_EPSILON = 1e-9
OverTime = Amount | Mapping[str, Amount]
Gap = tuple[float, float, NoDataReason]  # seconds after the deploy: from, to, and why


class Steps:
    """A number that changes at moments: `values[i]` from `starts[i]` on."""

    __slots__ = ("_totals", "starts", "values")

    def __init__(self, starts: Iterable[float], values: Iterable[float]) -> None:
        self.starts = list(starts)
        self.values = list(values)
        totals, total = [0.0], 0.0
        for begin, end, value in zip(self.starts, self.starts[1:], self.values, strict=False):
            total += (end - begin) * value
            totals.append(total)
        self._totals = totals

    def at(self, moment: float) -> float:
        """Return the number at a moment."""
        return self.values[max(0, bisect_right(self.starts, moment + _EPSILON) - 1)]

    def total(self, moment: float) -> float:
        """Return the integral from the first start to a moment, in number · seconds."""
        index = max(0, bisect_right(self.starts, moment) - 1)
        return self._totals[index] + (moment - self.starts[index]) * self.values[index]

    def with_(self, other: Steps, of: Callable[[float, float], float]) -> Steps:
        """Return what a function makes of both numbers at each moment."""
        starts = sorted({*self.starts, *other.starts})
        values = [
            of(
                self.values[max(0, bisect_right(self.starts, t) - 1)],
                other.values[max(0, bisect_right(other.starts, t) - 1)],
            )
            for t in starts
        ]
        return Steps(starts, values)


@dataclass(frozen=True)
class Course:
    """An amount since the deploy: a share, a rate per second or a number, and its gaps."""

    kind: str
    steps: Steps
    gaps: tuple[Gap, ...] = ()


def course(
    amount: OverTime, *, interval: float, counts: bool, before: Amount | None = None
) -> Course:
    """Return what an amount is since the deploy.

    `counts`: a series of numbers is a counter, whose growth gives a rate. `before` holds until the
    first of the times.
    """
    if isinstance(amount, Amount):
        return _series(amount, interval, counts=counts) if amount.series else _steady(amount)
    ordered = [(parse_duration(at), one) for at, one in amount.items()]
    ordered.sort(key=lambda pair: pair[0])
    if ordered[0][0] > 0:
        ordered.insert(0, (0.0, before if before is not None else ordered[0][1]))
    values = [_single(one) for _, one in ordered]
    return Course(ordered[-1][1].kind, Steps([at for at, _ in ordered], values))


def _single(amount: Amount) -> float:
    value = amount.values[0]
    return value if isinstance(value, float) else 0.0


def _steady(amount: Amount) -> Course:
    return Course(amount.kind, Steps([0.0], [_single(amount)]))


def _series(amount: Amount, interval: float, *, counts: bool) -> Course:
    """Return the course of a series: one value an interval, the first at the deploy."""
    gaps = [
        (k * interval, (k + 1) * interval, value)
        for k, value in enumerate(amount.values)
        if isinstance(value, NoDataReason)
    ]
    gaps.append((len(amount.values) * interval, math.inf, NoDataReason.STALE))
    known = [(k * interval, v) for k, v in enumerate(amount.values) if isinstance(v, float)]
    if not known:
        return Course("rate" if counts else amount.kind, Steps([0.0], [0.0]), tuple(gaps))
    if amount.kind == "number" and counts:
        starts, rates = [0.0], [0.0]
        for (begin, low), (end, high) in pairwise(known):
            grown = high - low if high >= low else high  # a counter that fell began anew
            starts.append(begin)
            rates.append(grown / (end - begin))
        starts.append(known[-1][0])
        rates.append(0.0)
        return Course("rate", Steps(starts, rates), tuple(gaps))
    values = [value for _, value in known]
    return Course(amount.kind, Steps([at for at, _ in known], values), tuple(gaps))


def gap_at(gaps: Iterable[Gap], moment: float) -> NoDataReason | None:
    """Return why there is nothing to read at a moment, None when there is."""
    for begin, end, reason in gaps:
        if begin - _EPSILON <= moment < end - _EPSILON:
            return reason
    return None
