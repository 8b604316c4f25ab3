"""Markdown tables, and numbers as they stand in them.

Decides how a share, a time, a table is written; not what is shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.detection.outcome import Found, Times, pooled, wilson


@dataclass(frozen=True, slots=True)
class Section:
    """A title, a paragraph about what is shown, and the table."""

    title: str
    about: str
    table: str

    def markdown(self) -> str:
        """Return the section as the page has it."""
        return f"### {self.title}\n\n{self.about}\n\n{self.table}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def percent(share: float) -> str:
    """Write a share without its unit: one decimal below ten percent."""
    return f"{100 * share:.1f}" if 0 < share < 0.0995 else f"{100 * share:.0f}"


def with_interval(fired: int, deploys: int) -> str:
    """Write a share in percent, and its 95 % confidence interval; a dash for nothing measured."""
    if not deploys:
        return "–"
    low, high = wilson(fired, deploys)
    return f"{percent(fired / deploys)} ({percent(low)}–{percent(high)})"


def share(found: Sequence[Found]) -> str:
    """Write which share of the deploys in these cells was rolled back."""
    times = pooled(found).declared
    return with_interval(times.fired, times.count)


def worst(found: Sequence[Found], least: int) -> str:
    """Write the largest share in a cell, of those with enough deploys to mean something."""
    shares = [one.outcome.declared.share for one in enough(found, least)]
    return percent(max(shares)) if shares else "–"


def enough(found: Iterable[Found], least: int) -> list[Found]:
    """Return the cells that have at least so many deploys."""
    return [one for one in found if one.outcome.declared.count >= least]


def seconds(time: float) -> str:
    """Write a time without its unit."""
    return "∞" if math.isinf(time) else f"{time:.0f}"


def spread(times: Times) -> str:
    """Write median/95 %/missed, and what fired before there was anything to see."""
    before = f", {percent(times.early / times.count)} % before" if times.early else ""
    if not times.seconds:
        return f"never{before}"
    missed = f"/{percent(times.missed)} %" if times.missed > 0 else ""
    return f"{seconds(times.quantile(0.5))}/{seconds(times.quantile(0.95))}{missed}{before}"


def in_order(names: Iterable[str]) -> list[str]:
    """Return each name once, in the order in which they came."""
    return list(dict.fromkeys(names))


def where(
    found: Iterable[Found],
    *,
    part: str | None = None,
    rule: str | None = None,
    kind: str | None = None,
    variant: str | None = None,
    poll: int | None = None,
    ratio: float | None = None,
) -> list[Found]:
    """Return the outcomes that are of this part, rule, kind, variant, poll and healthy ratio."""
    return [
        one
        for one in found
        if part in {None, one.cell.part}
        and rule in {None, one.rule}
        and kind in {None, one.cell.kind}
        and variant in {None, one.cell.variant}
        and poll in {None, one.poll}
        and ratio in {None, one.cell.setting.ratio}
    ]
