"""From exact amounts to counts: whole numbers, as evenly as they can be, or drawn by chance."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

_LARGE = 30.0  # a mean from which on drawing one by one would take long


class Counter:
    """Counts requests and parts of them; each number is a part of the one before it.

    Without a `source` amounts are added up and rounded, so that no fraction is lost and equal
    amounts give the same counts every time. With one, counts are Poisson with the amounts as means.
    """

    def __init__(self, numbers: int, source: str | None = None) -> None:
        self._exact = [0.0] * numbers
        self._told = [0] * numbers
        self._random = None if source is None else random.Random(source)

    def take(self, amounts: Sequence[float]) -> list[float]:
        """Return the counts of an interval with these amounts."""
        if self._random is not None:
            return _drawn(amounts, self._random)
        counted: list[float] = []
        for k, amount in enumerate(amounts):
            self._exact[k] += amount
            due = math.floor(self._exact[k] + 0.5 + 1e-9) - self._told[k]
            due = max(0, due if not counted else min(due, int(counted[-1])))
            self._told[k] += due
            counted.append(float(due))
        return counted


def _drawn(amounts: Sequence[float], source: random.Random) -> list[float]:
    """Draw what is in each number and not in the next, and add it up from the last."""
    total, counted = 0.0, []
    for k in range(len(amounts) - 1, -1, -1):
        inner = amounts[k + 1] if k + 1 < len(amounts) else 0.0
        total += poisson(max(0.0, amounts[k] - inner), source)
        counted.append(total)
    return counted[::-1]


def poisson(mean: float, source: random.Random) -> int:
    """Draw a Poisson number.

    A large mean is reduced by gamma and binomial steps, which is exact (Ahrens and Dieter, 1974).
    """
    drawn = 0
    while mean > _LARGE:
        order = int(7 * mean / 8)
        waited = source.gammavariate(order, 1.0)
        if waited > mean:
            share = mean / waited
            return drawn + sum(source.random() < share for _ in range(order - 1))
        drawn, mean = drawn + order, mean - waited
    limit, product = math.exp(-mean), source.random()
    while product > limit:
        drawn += 1
        product *= source.random()
    return drawn
