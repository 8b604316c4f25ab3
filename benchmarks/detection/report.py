"""The tables, as Markdown.

Decides what a reader sees of the measurements; measures nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from benchmarks.detection.families import HARD, REPORTING, TUNING, Family
from benchmarks.detection.measure import Found, Rollbacks, wilson
from benchmarks.detection.regressions import LIVES, WHOLE
from benchmarks.detection.rules import GUARD
from benchmarks.detection.sequential import bound
from benchmarks.detection.traces import Array


def families() -> str:
    """Say what each family is, and what it is for."""
    uses = [(TUNING, "tuning"), (REPORTING, "reporting"), (HARD, "reported, not required")]
    rows = [[family.name, family.formula, use] for group, use in uses for family in group]
    return _table(["family", "m(t), the factor on the healthy ratio", "for"], rows)


def by_poll(found: Sequence[Rollbacks], groups: Sequence[tuple[str, Sequence[Family]]]) -> str:
    """Lay out guard's false rollbacks, a column for each poll interval."""
    mine = [one for one in found if one.rule == GUARD]
    polls = sorted({one.poll for one in mine})
    rows = []
    for use, group in groups:
        for family in group:
            here = [one for one in mine if one.kind == family.name]
            cells = [_pooled([one for one in here if one.poll == poll]) for poll in polls]
            rows.append([family.name, use, *(_share(one) + _worst(one) for one in cells)])
        names = {family.name for family in group}
        sums = [_pooled([o for o in mine if o.poll == p and o.kind in names]) for p in polls]
        rows.append([f"**all of {use}**", use, *(f"**{_share(one)}**" for one in sums)])
    return _table(["family", "for", *(f"polls of {poll} s" for poll in polls)], rows)


def by_rule(
    found: Sequence[Rollbacks], ratio: float, groups: Sequence[tuple[str, Sequence[Family]]]
) -> str:
    """Lay out every rule's false rollbacks at one healthy ratio, all poll intervals together."""
    found = [one for one in found if one.ratio == ratio]
    rules = _in_order(one.rule for one in found)
    rows = []
    for _, group in groups:
        for family in group:
            mine = [one for one in found if one.kind == family.name]
            pooled = [_pooled([one for one in mine if one.rule == rule]) for rule in rules]
            rows.append([family.name, *(_share(one) for one in pooled)])
    return _table(["family", *rules], rows)


def times(found: Sequence[Found], poll: int) -> str:
    """Lay out the times to detect at one poll interval: median / 95 % / missed."""
    mine = [one for one in found if one.poll == poll]
    rules = _in_order(one.rule for one in mine)
    rows = []
    for name in _in_order(one.case.name for one in mine):
        row = {one.rule: one for one in mine if one.case.name == name}
        case = next(iter(row.values())).case
        seconds = bound(case.ratio, case.worse, case.rate)
        least = f"{seconds:.1f}" if seconds >= 0.1 else "< 0.1"
        rows.append([name, least, *(_time(row[rule].times, row[rule]) for rule in rules)])
    return _table(["case", "bound", *rules], rows)


def shared(found: Sequence[tuple[int, Rollbacks]]) -> str:
    """Lay out the rollbacks for faults of the world, by the life of the old pods."""
    mine = [(life, one) for life, one in found if one.rule == GUARD]
    rows = []
    for kind in _in_order(one.kind for _, one in mine):
        cells = [
            _share(one)
            for life in LIVES
            for lived, one in mine
            if (lived, one.kind) == (life, kind)
        ]
        rows.append([kind, *cells])
    lives = ["the whole watch" if life == WHOLE else f"{life} s" for life in LIVES]
    return _table(["fault", *lives], rows)


def real(nginx: Sequence[Rollbacks], nezha: Sequence[tuple[str, Array, Rollbacks]]) -> str:
    """Lay out what the rules did with real counters."""
    rows = []
    for one, (rule, seconds, quiet) in zip(nginx, nezha, strict=True):
        hits = [f"{time:.0f}" if math.isfinite(time) else "–" for time in seconds]
        rows.append(
            [
                rule,
                f"{one.fired} of {one.deploys}",
                ", ".join(hits),
                f"{quiet.fired} of {quiet.deploys}",
            ]
        )
    head = ["rule", "nginx.org, false", "Nezha, seconds to each visible fault", "Nezha, false"]
    return _table(head, rows)


def pooled(found: Iterable[Rollbacks], rule: str, names: Iterable[str]) -> Rollbacks:
    """Add up a rule's false rollbacks in these families."""
    wanted = set(names)
    return _pooled([one for one in found if one.rule == rule and one.kind in wanted])


def _pooled(found: Sequence[Rollbacks]) -> Rollbacks:
    first = found[0]
    return Rollbacks(
        first.rule,
        first.kind,
        first.poll,
        first.ratio,
        deploys=sum(one.deploys for one in found),
        fired=sum(one.fired for one in found),
        cells=sum(one.cells for one in found),
        worst=max(one.worst for one in found),
    )


def _share(one: Rollbacks) -> str:
    low, high = wilson(one.fired, one.deploys)
    return f"{_percent(one.fired / one.deploys)} ({_percent(low)}–{_percent(high)})"


def _worst(one: Rollbacks) -> str:
    """Say what the worst cell was, where a cell has enough traces to mean anything."""
    return f" ≤ {_percent(one.worst)}" if one.deploys >= 100 * one.cells else ""


def _percent(share: float) -> str:
    return f"{100 * share:.1f}" if 0 < share < 0.0995 else f"{100 * share:.0f}"


def _time(seconds: Array, found: Found) -> str:
    if not any(math.isfinite(time) for time in seconds):
        return "never"
    median, late = (
        "∞" if math.isinf(time) else f"{time:.0f}" for time in (found.median, found.late)
    )
    missed = f"/{100 * found.missed:.0f} %" if found.missed else ""
    return f"{median}/{late}{missed}"


def _in_order(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
