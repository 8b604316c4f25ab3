"""The bars: what is wanted of the detector, what was measured, and whether it is met.

Decides which measurement answers which bar about false rollbacks; those about time are in
`time_bars`. The bars are the project's, not tuned here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.detection.families import REPORTING, TUNING
from benchmarks.detection.outcome import Found, pooled, wilson
from benchmarks.detection.regressions import WHOLE
from benchmarks.detection.rules import GUARD
from benchmarks.detection.tables import (
    Section,
    enough,
    in_order,
    percent,
    table,
    where,
    with_interval,
)
from benchmarks.detection.time_bars import CELL, MEAN, MET, NOT_MET, WORST, Bar, time_bars

OPEN = "open: too few deploys"
HARSH = "outage 50 %, clusters of 5, warm-up"


def bars(found: Sequence[Found]) -> Iterator[Bar]:
    """Compare the measurements with every bar that they can answer."""
    mine = where(found, rule=GUARD)
    yield from _false(where(mine, part="healthy"))
    shared = where(mine, part="shared")
    for poll in sorted({one.poll for one in shared}):
        yield from _shared(where(shared, poll=poll), poll)
    yield from time_bars(found)


def section(found: Sequence[Found]) -> Section:
    """Lay out all bars."""
    rows = [[bar.wanted, bar.measured, bar.verdict] for bar in bars(found)]
    return Section(
        "The bars",
        "Each bar, what was measured, and whether it is met. Intervals are 95 %; a share is held "
        "against its bar as it is, *within chance* means that the interval has the bar inside. In "
        "a short run medians and the peers that hold the level are of few deploys.",
        table(["wanted", "measured", ""], rows),
    )


def _held(fired: int, deploys: int, bar: float) -> str:
    low, high = wilson(fired, deploys)
    verdict = MET if fired <= bar * deploys else NOT_MET
    return f"{verdict}, within chance" if low <= bar < high else verdict


def _false(mine: Sequence[Found]) -> Iterator[Bar]:
    for use, group in (("tuning", TUNING), ("reporting", REPORTING)):
        cells = [one for one in mine if one.cell.kind in {family.name for family in group}]
        if not cells:
            continue
        sums = {
            name: pooled(where(cells, kind=name)).declared
            for name in in_order(one.cell.kind for one in cells)
        }
        name, times = max(sums.items(), key=lambda item: item[1].share)
        yield Bar(
            f"false rollbacks, {use}: each family's mean ≤ 1 %",
            f"worst is {name}: {with_interval(times.fired, times.count)} %",
            _held(times.fired, times.count, MEAN),
        )
        large = enough(cells, CELL)
        if not large:
            yield Bar(f"false rollbacks, {use}: no cell above 2 %", "–", OPEN)
            continue
        worst = max(large, key=lambda one: one.outcome.declared.share)
        above = [one for one in large if one.outcome.declared.share > WORST]
        yield Bar(
            f"false rollbacks, {use}: no cell above 2 %",
            f"{len(above)} of {len(large)} cells above; worst is {_cell(worst)}: "
            f"{percent(worst.outcome.declared.share)} %",
            NOT_MET if above else MET,
        )


def _cell(one: Found) -> str:
    setting = one.cell.setting
    return f"{one.cell.kind} @{setting.rate:g}, {100 * setting.ratio:g} %, {setting.poll} s"


def _shared(mine: Sequence[Found], poll: int) -> Iterator[Bar]:
    """Ask who was taken for guilty of faults of the world, and of those that begin later."""
    outages = [f"outage {share} %" for share in (20, 50, 90)]
    wanted = (
        ("shared outages, old pods live ≥ 60 s", 60, outages, False),
        ("a shared outage, clusters and warm-up, old pods live ≥ 60 s", 60, [HARSH], False),
        ("a shared ×3 level, old pods live to the end", WHOLE, ["level ×3"], False),
        ("shared noise, old pods live to the end", WHOLE, ["AR 2 min, strong"], False),
        ("a ×3 level 3 min after the old pods", 0, ["level ×3, 3 min after"], False),
        ("an outage 3 min after the old pods", 0, ["outage 50 %, 3 min after"], True),
    )
    for text, life, kinds, guilty in wanted:
        cells = [one for one in mine if one.cell.kind in kinds and int(one.cell.variant) >= life]
        if not cells:
            continue
        times = pooled(cells).declared
        spared = times.count - times.fired
        bar = "≥ 99 % rolled back, by default" if guilty else "≤ 1 % rolled back"
        worst = max(cells, key=lambda one: one.outcome.declared.share)
        measured = f"{with_interval(times.fired, times.count)} %"
        if times.fired and not guilty:
            place = f"{_cell(worst)}, old pods {worst.cell.variant} s"
            measured += f"; worst is {place}: {percent(worst.outcome.declared.share)} %"
        verdict = _held(spared if guilty else times.fired, times.count, MEAN)
        yield Bar(f"polls of {poll} s: {text}: {bar}", measured, verdict)
