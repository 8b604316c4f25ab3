"""The bars: what is wanted of the detector, what was measured, and whether it is met.

Decides which measurement answers which bar; the bars are those of the project, not tuned here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.detection.families import REPORTING, TUNING
from benchmarks.detection.outcome import Found, pooled, wilson
from benchmarks.detection.regressions import CASES, HOURS_6, WHOLE, WITH_CONTROL, Case
from benchmarks.detection.rules import ALONE, BY_NAME, GUARD, ORACLE_30, OURS
from benchmarks.detection.tables import (
    Section,
    enough,
    in_order,
    percent,
    seconds,
    table,
    where,
    with_interval,
)

MEAN, WORST, CELL = 0.01, 0.02, 1000  # false rollbacks: of a family, of a cell; deploys in a cell
NAMES = {case.name: case for case in (*CASES, *WITH_CONTROL)}
CLOSE, BESIDE = 1.3, 1.25  # factors on oracle+30, and on the time without old pods
MET, NOT_MET, OPEN = "met", "**not met**", "open: too few deploys"


@dataclass(frozen=True, slots=True)
class Bar:
    """One line: what is wanted, what was measured, and whether it is met."""

    wanted: str
    measured: str
    verdict: str


def bars(found: Sequence[Found]) -> Iterator[Bar]:
    """Compare the measurements with every bar that they can answer."""
    mine = where(found, rule=GUARD)
    yield from _false(where(mine, part="healthy"))
    yield from _shared(where(mine, part="shared"))
    regressions = where(found, part="regressions")
    for poll in sorted({one.poll for one in regressions}):
        here = where(regressions, poll=poll)
        yield from _peers(here, where(found, part="healthy", poll=poll), poll)
        yield from _close(here, poll)
    yield from _targets(where(regressions, rule=GUARD))
    yield from _beside(where(found, part="control"))


def section(found: Sequence[Found]) -> Section:
    """Lay out all bars."""
    rows = [[bar.wanted, bar.measured, bar.verdict] for bar in bars(found)]
    return Section(
        "The bars",
        "Each bar, what was measured, and whether it is met. Intervals are 95 %; a share is held "
        "against its bar as it is, *within chance* means that the interval has the bar inside.",
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
        sums = {name: pooled(where(cells, kind=name)).declared for name in _kinds(cells)}
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


def _shared(mine: Sequence[Found]) -> Iterator[Bar]:
    outages = [one for one in mine if _outage(one) and int(one.cell.variant) >= 60]
    beside = [one for one in mine if int(one.cell.variant) == WHOLE]
    mild = [one for one in beside if one.cell.kind.startswith(("level", "AR"))]
    later = [one for one in mine if one.cell.kind.startswith("level") and _later(one)]
    wanted = (
        ("shared outages, old pods live ≥ 60 s: ≤ 1 % rolled back", outages),
        ("shared ×3 level or noise, old pods live to the end: ≤ 1 % rolled back", mild),
        ("×3 level that begins after the old pods have gone: not rolled back", later),
    )
    for text, cells in wanted:
        if not cells:
            continue
        times = pooled(cells).declared
        worst = max(cells, key=lambda one: one.outcome.declared.share)
        measured = f"{with_interval(times.fired, times.count)} %"
        if worst.outcome.declared.fired:
            where_ = f"{_cell(worst)}, {worst.cell.variant} s"
            measured += f"; worst is {where_}: {percent(worst.outcome.declared.share)} %"
        yield Bar(text, measured, _held(times.fired, times.count, MEAN))


def _later(one: Found) -> bool:
    return one.cell.kind.endswith("after")


def _outage(one: Found) -> bool:
    return one.cell.kind.startswith("outage") and not _later(one)


def holding(healthy: Sequence[Found], ratio: float) -> list[str]:
    """Return the peers that hold the level in every family for reporting at this ratio.

    A family's mean, and each cell that has enough deploys.
    """
    held = []
    for name, rule in BY_NAME.items():
        cells = [
            one
            for one in where(healthy, rule=name, ratio=ratio)
            if one.cell.kind in {family.name for family in REPORTING}
        ]
        if name in OURS or rule.clairvoyant or not cells:
            continue
        means = [pooled(where(cells, kind=kind)).declared.share for kind in _kinds(cells)]
        worst = [one.outcome.declared.share for one in enough(cells, CELL)]
        if max(means) <= MEAN and max(worst, default=0.0) <= WORST:
            held.append(name)
    return held


def _peers(found: Sequence[Found], healthy: Sequence[Found], poll: int) -> Iterator[Bar]:
    mine = where(found, rule=GUARD)
    if not mine or not healthy:
        return
    behind, held = [], {}
    for one in mine:
        ratio = one.cell.setting.ratio
        held[ratio] = holding(healthy, ratio)
        median = one.outcome.declared.quantile(0.5)
        for peer in held[ratio]:
            other = where(found, rule=peer, kind=one.cell.kind)[0].outcome.declared.quantile(0.5)
            if other < median:
                behind.append(f"{one.cell.kind}: {seconds(median)} s, {peer} {seconds(other)} s")
    peers = "; ".join(
        f"at {100 * r:g} %: {', '.join(h) or 'none'}" for r, h in sorted(held.items())
    )
    yield Bar(
        f"polls of {poll} s: never behind a peer that holds the level",
        f"holding it {peers}. {'Behind in ' + '; '.join(behind) if behind else 'Never behind'}",
        NOT_MET if behind else MET,
    )


def _close(found: Sequence[Found], poll: int) -> Iterator[Bar]:
    """Compare the medians of clear regressions with those of oracle+30."""
    factors = {}
    for name in _kinds(found):
        case = NAMES.get(name)
        if case is None or case.rate < 100 or case.worse < 4.99 * case.ratio or not case.plain:
            continue
        ours, best = (where(found, rule=rule, kind=name) for rule in (GUARD, ORACLE_30))
        if ours and best:
            factors[name] = _median(ours) / _median(best)
    if factors:
        each = "; ".join(f"{name}: {factor:.2f}" for name, factor in factors.items())
        met = max(factors.values()) <= CLOSE
        wanted = f"polls of {poll} s: ≥ 5× at ≥ 100 per second within 1.3 × oracle+30"
        yield Bar(wanted, each, MET if met else NOT_MET)


def _median(found: Sequence[Found]) -> float:
    return found[0].outcome.declared.quantile(0.5)


def _targets(mine: Sequence[Found]) -> Iterator[Bar]:
    quick, slow = (2,), sorted({one.poll for one in mine})
    targets: list[tuple[Case, str, float, Iterable[int]]] = [
        (Case(0.001, 0.01, 100), "proven", 45, quick),
        (Case(0.001, 0.01, 100), "suspected", 15, quick),
        (Case(0.001, 0.5, 100), "proven", 5, quick),
        (Case(0.001, 0.005, 10, HOURS_6), "proven", 250, slow),
        (Case(0.001, 0.01, 1, HOURS_6), "proven", 700, slow),
    ]
    for case, what, bar, polls in targets:
        for poll in polls:
            for one in where(mine, kind=case.name, poll=poll):
                said = one.outcome.suspected if what == "suspected" else one.outcome.declared
                median = said.quantile(0.5)
                wanted = f"polls of {poll} s: {case.name} {what} within {bar:g} s"
                yield Bar(wanted, f"{seconds(median)} s", MET if median <= bar else NOT_MET)


def _beside(found: Sequence[Found]) -> Iterator[Bar]:
    """Compare the medians with and without old pods, where nothing disturbs those."""
    for poll in sorted({one.poll for one in found}):
        factors = {}
        for one in where(found, rule=GUARD, poll=poll):
            name, life = one.cell.kind, one.cell.variant
            other = where(found, rule=ALONE, kind=name, variant=life, poll=poll)
            if other and NAMES[name].plain and _median(other) < float("inf"):
                factors[f"{name}, {life} s"] = _median([one]) / _median(other)
        if factors:
            worst = max(factors, key=lambda name: factors[name])
            above = sum(factor > BESIDE for factor in factors.values())
            yield Bar(
                f"polls of {poll} s: with old pods at most 1.25 × the time without",
                f"{above} of {len(factors)} above; worst is {worst}: {factors[worst]:.2f}",
                NOT_MET if above else MET,
            )


def _kinds(found: Sequence[Found]) -> list[str]:
    return in_order(one.cell.kind for one in found)
