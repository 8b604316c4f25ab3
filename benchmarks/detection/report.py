"""The sections of the report.

Decides what a reader sees of the measurements, and in which order; measures nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from benchmarks.detection.edges import EDGES
from benchmarks.detection.families import HARD, REPORTING, TUNING
from benchmarks.detection.outcome import Found, Times, pooled
from benchmarks.detection.real_results import Real
from benchmarks.detection.regressions import WHOLE
from benchmarks.detection.rules import ALONE, GUARD
from benchmarks.detection.sequential import bound
from benchmarks.detection.tables import (
    Section,
    in_order,
    seconds,
    share,
    spread,
    table,
    where,
    with_interval,
    worst,
)

GROUPS = (("tuning", TUNING), ("reporting", REPORTING), ("not required", HARD))
CELL = 1000  # deploys in a cell from which on its share means something by itself
SOON = 300.0  # seconds: a suspicion that comes while the rollout is going on


def families() -> str:
    """Say what each family is, and what it is for."""
    uses = [(TUNING, "tuning"), (REPORTING, "reporting"), (HARD, "reported, not required")]
    rows = [[family.name, family.formula, use] for group, use in uses for family in group]
    return table(["family", "m(t), the factor on the healthy ratio", "for"], rows)


def sections(found: Sequence[Found]) -> Iterator[Section]:
    """Return the sections for which something was measured."""
    healthy = where(found, part="healthy")
    if mine := where(healthy, rule=GUARD):
        yield _by_poll(mine)
        yield _suspicions(mine)
    for ratio in sorted({one.cell.setting.ratio for one in healthy}):
        yield _by_rule(where(healthy, ratio=ratio), ratio)
    regressions = where(found, part="regressions")
    for poll in _polls(regressions):
        yield _times(where(regressions, poll=poll), poll)
    control = where(found, part="control")
    for poll in _polls(control):
        yield _beside(where(control, poll=poll), poll)
    shared = where(found, part="shared", rule=GUARD)
    for poll in _polls(shared):
        yield _faults(where(shared, poll=poll), poll)
    if edges := where(found, part="edges", rule=GUARD):
        yield _edges(edges)
    if several := where(found, part="signals", rule=GUARD):
        yield _signals(several)


def _polls(found: Sequence[Found]) -> list[int]:
    return sorted({one.poll for one in found})


def _by_poll(mine: Sequence[Found]) -> Section:
    polls, rows = _polls(mine), []
    for use, group in GROUPS:
        names = [family.name for family in group]
        for name in names:
            here = where(mine, kind=name)
            each = [share(where(here, poll=poll)) for poll in polls]
            rows.append([name, use, *each, share(here), worst(here, CELL)])
        here = [one for one in mine if one.cell.kind in names]
        each = [share(where(here, poll=poll)) for poll in polls]
        cells = [f"**{text}**" for text in (f"all of {use}", use, *each, share(here))]
        rows.append([*cells, f"**{worst(here, CELL)}**"])
    return Section(
        "False rollbacks of guard",
        "Percent of healthy deploys, and the 95 % interval. The worst cell is one rate, ratio and "
        f"poll interval, of those with at least {CELL:,} deploys.",
        table(["family", "for", *(f"polls of {p} s" for p in polls), "all", "worst cell"], rows),
    )


def _suspicions(mine: Sequence[Found]) -> Section:
    polls, rows = _polls(mine), []
    for use, group in GROUPS:
        names = [family.name for family in group]
        for name in names:
            rows.append([name, use, *_suspected(where(mine, kind=name), polls)])
        here = [one for one in mine if one.cell.kind in names]
        rows.append([f"**{text}**" for text in (f"all of {use}", use, *_suspected(here, polls))])
    head = [f"{poll} s, {when}" for poll in polls for when in ("first 5 min", "whole watch")]
    return Section(
        "False suspicions of guard",
        "Percent of healthy deploys that were suspected at some time, by poll interval.",
        table(["family", "for", *head], rows),
    )


def _suspected(found: Sequence[Found], polls: Sequence[int]) -> Iterator[str]:
    for poll in polls:
        times = pooled(where(found, poll=poll)).suspected
        yield with_interval(times.within(SOON), times.count)
        yield with_interval(times.fired, times.count)


def _by_rule(found: Sequence[Found], ratio: float) -> Section:
    rules = in_order(one.rule for one in found)
    rows = [
        [name, *(share(where(found, kind=name, rule=rule)) for rule in rules)]
        for name in in_order(one.cell.kind for one in found)
    ]
    return Section(
        f"False rollbacks of all rules, {100 * ratio:g} % of errors before",
        "Percent of healthy deploys with the 95 % interval, all poll intervals together; the "
        "reference is defined for polls of 15 s only.",
        table(["family", *rules], rows),
    )


def _times(found: Sequence[Found], poll: int) -> Section:
    rules, rows = in_order(one.rule for one in found), []
    for name in in_order(one.cell.kind for one in found):
        here = {one.rule: one for one in where(found, kind=name)}
        cell = next(iter(here.values())).cell
        least = bound(cell.truth.healthy, cell.truth.worse, cell.setting.rate)
        row = [name, f"{least:.1f}" if least >= 0.1 else "< 0.1"]
        if GUARD in here:
            row.append(spread(here[GUARD].outcome.suspected))
        rows.append([*row, *(spread(here[rule].outcome.declared) for rule in rules)])
    head = ["case", "bound", *(["guard suspects"] if GUARD in rules else []), *rules]
    return Section(
        f"Seconds to detect, polls of {poll} s",
        "Median/95 %/missed. Where the regression begins late, from its beginning on; what fired "
        "before was false. The bound and the oracles know nothing of noise.",
        table(head, rows),
    )


def _beside(found: Sequence[Found], poll: int) -> Section:
    rules, rows = in_order(one.rule for one in found), []
    for name in in_order(one.cell.kind for one in found):
        for life in in_order(one.cell.variant for one in found):
            here = {one.rule: one.outcome for one in where(found, kind=name, variant=life)}
            row = [name, _life(life), *(spread(here[rule].declared) for rule in rules)]
            if {GUARD, ALONE} <= here.keys():
                row.append(_factor(here[GUARD].declared, here[ALONE].declared))
                row.append(spread(here[GUARD].suspected))
            rows.append(row)
    more = ["guard: median with / without", "guard suspects"] if {GUARD, ALONE} <= {*rules} else []
    return Section(
        f"Seconds to detect beside healthy old pods, polls of {poll} s",
        "Median/95 %/missed, by how long the old pods live. *guard without old pods* sees the same "
        "counts of the new pods and no old ones.",
        table(["case", "old pods live", *rules, *more], rows),
    )


def _factor(mine: Times, other: Times) -> str:
    with_it, without = mine.quantile(0.5), other.quantile(0.5)
    if math.isinf(without):
        return "–" if math.isinf(with_it) else "0"
    return "∞" if math.isinf(with_it) else f"{with_it / without:.2f}"


def _life(seconds_: str) -> str:
    return "the whole watch" if int(seconds_) == WHOLE else f"{seconds_} s"


def _faults(mine: Sequence[Found], poll: int) -> Section:
    lives = in_order(one.cell.variant for one in mine)
    rows = []
    for name in in_order(one.cell.kind for one in mine):
        row = [name]
        for life in lives:
            here = where(mine, kind=name, variant=life)
            row.append(f"{share(here)} ≤ {worst(here, 0)}" if here else "–")
        said = pooled(where(mine, kind=name)).shared
        rows.append([*row, with_interval(said.fired, said.count)])
    head = [f"old pods live {_life(life)}" for life in lives]
    return Section(
        f"Not the deploy's fault, polls of {poll} s",
        "Percent of deploys that guard rolled back, and the 95 % interval, all rates together; "
        "after ≤ the worst rate. Last, how often it said at some time that it is not the deploy's "
        "fault.",
        table(["fault", *head, "said so"], rows),
    )


def _edges(mine: Sequence[Found]) -> Section:
    polls = _polls(mine)
    variants = in_order(one.cell.variant for one in mine)
    rows = []
    for edge in EDGES:
        row = [edge.name]
        for name in variants[:-1]:
            row.append(share(where(mine, kind=edge.name, variant=name)))
        for poll in polls:
            one = where(mine, kind=edge.name, variant=variants[-1], poll=poll)[0]
            row.append(spread(one.outcome.declared))
        rows.append(row)
    head = [f"false, {name}" for name in variants[:-1]]
    head += [f"{variants[-1]}, polls of {poll} s" for poll in polls]
    return Section(
        "Gaps, lost counts, uneven polls, no traffic, other baselines",
        "False rollbacks in percent with the 95 % interval, all poll intervals together, 100 "
        "requests per second, 0.1 % of errors; then seconds to detect, median/95 %/missed.",
        table(["what is unusual", *head], rows),
    )


def _signals(mine: Sequence[Found]) -> Section:
    polls, rows = _polls(mine), []
    for kind, variant in dict.fromkeys((one.cell.kind, one.cell.variant) for one in mine):
        row = [kind if variant in {"", "worse"} else f"{kind}: {variant}"]
        for poll in polls:
            here = where(mine, kind=kind, variant=variant, poll=poll)
            text = spread(here[0].outcome.declared) if variant == "worse" else share(here)
            row.append(text)
        rows.append(row)
    return Section(
        "Several signals of one deploy",
        "Percent of healthy deploys that any of the signals rolled back, with the 95 % interval; a "
        "latency histogram is three signals. For the regression, seconds to detect: median/95 "
        "%/missed. 100 requests per second.",
        table(["signals", *(f"polls of {poll} s" for poll in polls)], rows),
    )


def real(found: Sequence[Real]) -> Section:
    """Lay out what the rules did with real counters."""
    rows = [
        [
            one.rule,
            f"{one.nginx.fired} of {one.nginx.count}",
            ", ".join(seconds(time) if math.isfinite(time) else "–" for time in one.visible),
            f"{one.quiet.fired} of {one.quiet.count}",
        ]
        for one in found
    ]
    head = ["rule", "nginx.org, false", "Nezha, seconds to each visible fault", "Nezha, false"]
    about = "Rollbacks of deploys that changed nothing, and faults."
    return Section("Real traces", about, table(head, rows))
