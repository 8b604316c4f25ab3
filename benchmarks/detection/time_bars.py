"""The bars about time: how soon, next to the oracle, the peers, and itself without old pods.

Decides which measurement answers which bar; the bars are the project's, not tuned here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.detection.families import REPORTING
from benchmarks.detection.outcome import Found, pooled
from benchmarks.detection.regressions import CASES, HOURS_6, WITH_CONTROL, Case
from benchmarks.detection.rules import ALONE, BY_NAME, GUARD, ORACLE_30, OURS
from benchmarks.detection.tables import enough, in_order, seconds, where

MEAN, WORST, CELL = 0.01, 0.02, 1000  # false rollbacks: of a family, of a cell; deploys in a cell
NAMES = {case.name: case for case in (*CASES, *WITH_CONTROL)}
CLOSE, BESIDE = 1.3, 1.25  # factors on oracle+30, and on the time without old pods
MET, NOT_MET = "met", "**not met**"


@dataclass(frozen=True, slots=True)
class Bar:
    """One line: what is wanted, what was measured, and whether it is met."""

    wanted: str
    measured: str
    verdict: str


def time_bars(found: Sequence[Found]) -> Iterator[Bar]:
    """Compare the times with every bar that they can answer."""
    regressions = where(found, part="regressions")
    for poll in sorted({one.poll for one in regressions}):
        here = where(regressions, poll=poll)
        yield from _peers(here, where(found, part="healthy", poll=poll), poll)
        yield from _close(here, poll)
    yield from _targets(where(regressions, rule=GUARD))
    yield from _beside(where(found, part="control"))


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
        each = "; ".join(f"{name}: {_times(factor)}" for name, factor in factors.items())
        met = max(factors.values()) <= CLOSE
        wanted = f"polls of {poll} s: ≥ 5× at ≥ 100 per second within 1.3 × oracle+30"
        yield Bar(wanted, each, MET if met else NOT_MET)


def _times(factor: float) -> str:
    return "∞" if math.isinf(factor) else f"{factor:.2f}"


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
            if other and NAMES[name].plain and math.isfinite(_median(other)):
                factors[f"{name}, {life} s"] = _median([one]) / _median(other)
        if factors:
            worst = max(factors, key=lambda name: factors[name])
            above = sum(factor > BESIDE for factor in factors.values())
            yield Bar(
                f"polls of {poll} s: with old pods at most 1.25 × the time without",
                f"{above} of {len(factors)} above; worst is {worst}: {_times(factors[worst])}",
                NOT_MET if above else MET,
            )


def _kinds(found: Sequence[Found]) -> list[str]:
    return in_order(one.cell.kind for one in found)
