"""`python -m benchmarks.detection`: measure, print the tables, draw the plot.

Decides the command line and the sizes of a run. `--write` puts tables and plot into the docs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.detection import measure, plot, report
from benchmarks.detection.families import HARD, REPORTING, TUNING
from benchmarks.detection.measure import Found, Plan, Rollbacks
from benchmarks.detection.regressions import WHOLE, Case
from benchmarks.detection.rules import GUARD, Rule, chosen
from benchmarks.detection.traces import Control

DOCS = Path(__file__).parents[2] / "docs"
BEGIN, END = "<!-- results of the benchmark -->", "<!-- end of the results -->"
GROUPS = (("tuning", TUNING), ("reporting", REPORTING), ("hard", HARD))
PLOTTED = Case(0.001, 0.01, 100)
SHORT = Plan((1, 10, 100, 1000), {2: 4, 15: 20, 60: 50}, {2: 20, 15: 40, 60: 100})
LONG = Plan((1, 10, 100, 1000, 10_000), {2: 1000, 15: 1000, 60: 1000}, {2: 400, 15: 400, 60: 400})


@dataclass(frozen=True, slots=True)
class Results:
    """The Markdown of a run, and its plot if the rules have what it shows."""

    tables: str
    picture: str | None


def run(plan: Plan, rules: Sequence[Rule]) -> Results:
    """Measure everything, and say on stderr how far it is."""
    mine = [rule for rule in rules if rule.name == GUARD]
    poll = min(plan.polls, key=lambda poll: abs(poll - 15))
    false: list[Rollbacks] = []
    for use, group in GROUPS:
        _say(f"healthy deploys, {use}")
        false += measure.false_rollbacks(rules, group, plan)
    _say("regressions")
    found = list(measure.regressions(rules, plan))
    beside = measure.regressions(mine, plan, control=Control(WHOLE))
    found += [replace(one, rule=f"{GUARD}, old pods") for one in beside]
    _say("shared faults and real traces")
    sections = _healthy(false) if mine else []
    sections += _all_rules(false)
    for interval in plan.polls:
        title = f"Seconds to detect, polls of {interval} s"
        sections.append((title, "Median/95 %/missed.", report.times(found, interval)))
    if mine:
        title = f"Not the deploy's fault: rollbacks, polls of {poll} s"
        about = "Percent of deploys with the 95 % interval, by how long the old pods live."
        faults = report.shared(list(measure.shared_faults(mine, plan, poll=poll)))
        sections.append((title, about, faults))
    real = report.real(list(measure.nginx(rules)), list(measure.nezha(rules)))
    sections.append(("Real traces", "Rollbacks of deploys that changed nothing, and faults.", real))
    tables = "\n\n".join(f"### {title}\n\n{about}\n\n{table}" for title, about, table in sections)
    return Results(tables, picture(false, found, poll))


def _healthy(false: Sequence[Rollbacks]) -> list[tuple[str, str, str]]:
    about = (
        "Percent of healthy deploys and the 95 % interval; after ≤ the worst cell, where a cell "
        "has at least 100 deploys."
    )
    return [("False rollbacks of guard, by poll interval", about, report.by_poll(false, GROUPS))]


def _all_rules(false: Sequence[Rollbacks]) -> list[tuple[str, str, str]]:
    about = "Percent of healthy deploys with the 95 % interval, all poll intervals together."
    return [
        (
            f"False rollbacks of all rules, {100 * ratio:g} % of errors before",
            about,
            report.by_rule(false, ratio, GROUPS),
        )
        for ratio in measure.RATIOS
    ]


def picture(false: Sequence[Rollbacks], found: Sequence[Found], poll: int) -> str | None:
    """Draw the held-out families against the plotted case, at the same healthy ratio.

    None without oracle+30.
    """
    seen = {one.rule: one for one in found if (one.case, one.poll) == (PLOTTED, poll)}
    if "oracle+30" not in seen:
        return None
    points = []
    names = [family.name for family in REPORTING]
    at_poll = [one for one in false if (one.poll, one.ratio) == (poll, PLOTTED.ratio)]
    for rule in dict.fromkeys(one.rule for one in false):
        sums = report.pooled(at_poll, rule, names)
        low, high = measure.wilson(sums.fired, sums.deploys)
        one, share = seen[rule], sums.fired / sums.deploys
        points.append(plot.Point(rule, share, low, high, one.median, one.late, ours=rule == GUARD))
    title = (
        f"False rollbacks on held-out noise, and the time to see {PLOTTED.name}; polls of {poll} s"
    )
    return plot.svg(points, title=title, best=seen["oracle+30"].median)


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
    print(f"{time.process_time():.0f} s: {text}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables to stdout."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection")
    parser.add_argument("--short", action="store_true", help="minutes instead of hours")
    parser.add_argument("--seed", type=int, default=1, help="other seeds, other traces")
    parser.add_argument("--polls", default="2,15,60", help="seconds between polls")
    parser.add_argument("--rules", default="", help="names, with commas between; default: all")
    parser.add_argument("--plot", type=Path, help="write the plot to this file")
    parser.add_argument("--write", action="store_true", help="write tables and plot to docs/")
    options = parser.parse_args(arguments)
    try:
        rules = chosen([name.strip() for name in options.rules.split(",") if name.strip()])
        plan = sized(SHORT if options.short else LONG, options.polls, options.seed)
    except ValueError as error:
        parser.error(str(error))
    results = run(plan, rules)
    print(results.tables)
    if options.plot is not None and results.picture is not None:
        options.plot.write_text(results.picture, encoding="utf-8")
    if options.write:
        short = " --short" if options.short else ""
        write(results, DOCS, f"python -m benchmarks.detection{short} --seed {options.seed} --write")
    _say("done")


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
        worse={poll: plan.worse[nearest[poll]] for poll in wanted},
        seed=seed,
    )


if __name__ == "__main__":
    main()
