"""`python -m benchmarks.detection`: measure, print the tables, draw the plot.

Decides the command line and the sizes of a run. `--write` puts tables and plot into the docs.
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.detection import bars, plot, report
from benchmarks.detection.cells import PARTS, Plan, planned
from benchmarks.detection.families import REPORTING
from benchmarks.detection.measure import Cache, measure
from benchmarks.detection.outcome import Found, pooled, wilson
from benchmarks.detection.real_results import real_results
from benchmarks.detection.regressions import Case
from benchmarks.detection.rules import GUARD, ORACLE_30, Rule, chosen
from benchmarks.detection.tables import in_order, where

DOCS = Path(__file__).parents[2] / "docs"
BEGIN, END = "<!-- results of the benchmark -->", "<!-- end of the results -->"
REAL = "real"
ALL_PARTS = (*PARTS, REAL)
PLOTTED = Case(0.001, 0.01, 100)
SHORT = Plan((1, 10, 100, 1000), (100,), {2: 2, 15: 8, 60: 25}, {2: 6, 15: 16, 60: 32})
LONG = Plan(
    (1, 10, 100, 1000, 10_000),
    (10, 100, 1000),
    {2: 200, 15: 1000, 60: 1000},
    {2: 40, 15: 300, 60: 400},
)


@dataclass(frozen=True, slots=True)
class Results:
    """The Markdown of a run, and its plot if the rules have what it shows."""

    tables: str
    picture: str | None


def run(
    plan: Plan,
    rules: Sequence[Rule],
    parts: Sequence[str] = ALL_PARTS,
    *,
    jobs: int = 1,
    cache: Path | None = None,
) -> Results:
    """Measure these parts, and say on stderr how far it is."""
    cells = planned(plan, [part for part in parts if part != REAL], rules)
    found = measure(cells, jobs=jobs, cache=Cache(cache), say=_say)
    sections = [bars.section(found)] if where(found, rule=GUARD) else []
    sections += report.sections(found)
    if REAL in parts:
        sections.append(report.real(real_results(rules)))
    tables = "\n\n".join(section.markdown() for section in sections)
    return Results(tables, picture(found, min(plan.polls, key=lambda poll: abs(poll - 15))))


def picture(found: Sequence[Found], poll: int) -> str | None:
    """Draw the held-out families against the plotted case, at the same healthy ratio.

    None where one of them was not measured.
    """
    case = where(found, part="regressions", kind=PLOTTED.name, poll=poll)
    seen = {one.rule: one.outcome.declared for one in case}
    names = {family.name for family in REPORTING}
    healthy = where(found, part="healthy", poll=poll, ratio=PLOTTED.ratio)
    healthy = [one for one in healthy if one.cell.kind in names]
    if ORACLE_30 not in seen or not healthy:
        return None
    points = []
    for rule in in_order(one.rule for one in healthy):
        false = pooled(where(healthy, rule=rule)).declared
        low, high = wilson(false.fired, false.count)
        median, late = seen[rule].quantile(0.5), seen[rule].quantile(0.95)
        points.append(plot.Point(rule, false.share, low, high, median, late, ours=rule == GUARD))
    title = (
        f"Healthy deploys under noise, and bad ones ({PLOTTED.name} per second), polls of {poll} s"
    )
    return plot.svg(points, title=title, best=seen[ORACLE_30].quantile(0.5))


def write(results: Results, folder: Path, command: str) -> None:
    """Put the results between the marks of `detection.md` in the folder, the plot beside it."""
    page = folder / "detection.md"
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    body = f"{BEGIN}\n\nWritten by `{command}`.\n\n{results.tables}\n\n{END}"
    page.write_text(before + body + after, encoding="utf-8")
    if results.picture is not None:
        (folder / "detection.svg").write_text(results.picture, encoding="utf-8")


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection")
    parser.add_argument("--short", action="store_true", help="minutes instead of hours")
    parser.add_argument("--part", default="", help=f"of {', '.join(ALL_PARTS)}; default: all")
    parser.add_argument("--rules", default="", help="names, with commas between; default: all")
    parser.add_argument("--polls", default="2,15,60", help="seconds between polls")
    parser.add_argument("--seed", type=int, default=1, help="other seeds, other traces")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--cache", type=Path, help="keep results in this directory, and use them")
    parser.add_argument("--plot", type=Path, help="write the plot to this file")
    parser.add_argument("--write", action="store_true", help="write tables and plot to docs/")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables to stdout."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        rules = chosen(_names(options.rules))
        parts = sections(_names(options.part))
        plan = sized(SHORT if options.short else LONG, options.polls, options.seed)
    except ValueError as error:
        parser.error(str(error))
    try:
        results = run(plan, rules, parts, jobs=options.jobs, cache=options.cache)
    except KeyboardInterrupt:
        kept = f"the same --cache {options.cache} goes on" if options.cache else "nothing is kept"
        sys.exit(f"interrupted: {kept}")
    print(results.tables)
    if options.plot is not None and results.picture is not None:
        options.plot.write_text(results.picture, encoding="utf-8")
    if options.write:
        short = " --short" if options.short else ""
        write(results, DOCS, f"python -m benchmarks.detection{short} --seed {options.seed} --write")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def sections(names: Sequence[str]) -> Sequence[str]:
    """Return the parts of these names, all for none; raise ValueError for an unknown one."""
    for name in names:
        if name not in ALL_PARTS:
            close = difflib.get_close_matches(name, ALL_PARTS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"one of {', '.join(ALL_PARTS)}"
            raise ValueError(f"part {name!r} is unknown: {hint}")
    return names or ALL_PARTS


def sized(plan: Plan, polls: str, seed: int) -> Plan:
    """Return the plan with these poll intervals; raise ValueError for one that is not planned.

    An interval that is not in the plan gets as many traces as the next longer one.
    """
    wanted = [int(poll) for poll in polls.split(",")]
    for poll in wanted:
        if not 1 <= poll <= 60:
            raise ValueError(f"poll interval {poll} is out of range: expected 1 to 60 s")
    nearest = {poll: next((p for p in sorted(plan.healthy) if p >= poll), 60) for poll in wanted}
    return replace(
        plan,
        healthy={poll: plan.healthy[nearest[poll]] for poll in wanted},
        others={poll: plan.others[nearest[poll]] for poll in wanted},
        seed=seed,
    )


if __name__ == "__main__":
    main()
