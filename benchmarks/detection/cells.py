"""The plan: a list of cells, each one question about one setting.

Decides what is measured, with how many deploys, and by which rules. A cell depends on nothing but
itself, so that cells can be measured in any order, by any number of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from benchmarks.detection import signals
from benchmarks.detection.edges import EDGES
from benchmarks.detection.families import HARD, REPORTING, TUNING, Family, healthy
from benchmarks.detection.faults import AFTERWARDS, LIVES, SHARED
from benchmarks.detection.regressions import CASES, HARDER, NOISES, WHOLE, WITH_CONTROL, Case
from benchmarks.detection.rules import ALONE, BY_NAME, GUARD, ORACLE_30, Rule
from benchmarks.detection.sequential import Truth
from benchmarks.detection.setting import Control, Setting
from benchmarks.detection.traces import Traces

RATIOS = (0.001, 0.01)
QUICK = 15  # seconds: polls below it take long to measure
BLOCK = 100  # deploys that are drawn at once; more of them take memory, and no other numbers
NO_CONTROL = tuple(name for name in BY_NAME if name != ALONE)
FAIR = tuple(name for name in NO_CONTROL if not BY_NAME[name].clairvoyant)
CONTROLLED = (GUARD, ALONE, "prototype", "oracle", ORACLE_30)
EDGE_FAMILIES = (NOISES["iid"], NOISES["AR 20 min"], NOISES["long bursts"])
EDGE_CASE = Case(0.001, 0.01, 100)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured: deploys per cell by poll interval, in healthy cells and in others.

    `rates` are those of healthy deploys, `shared_rates` those of faults that are shared.
    """

    rates: Sequence[float]
    shared_rates: Sequence[float]
    healthy: Mapping[int, int]
    others: Mapping[int, int]
    seed: int = 1

    @property
    def polls(self) -> list[int]:
        """The poll intervals, in seconds."""
        return list(self.healthy)

    def deploys(self, family: Family, poll: int) -> int:
        """Return how many deploys a healthy cell has.

        Quick polls take long: there are half as many, and for families that are not held out a
        tenth.
        """
        count = self.healthy[poll]
        if poll >= QUICK:
            return count
        return -(-count // 2) if family in REPORTING else -(-count // 10)


@dataclass(frozen=True, slots=True)
class Cell:
    """One question: what `kind` of thing is drawn in which setting, and who is asked.

    `variant` tells cells of one kind apart: the family, the life of the old pods. Times count from
    `truth.since` on.
    """

    part: str
    kind: str
    variant: str
    setting: Setting
    draw: Callable[[Setting], Traces | Sequence[Traces]]
    names: tuple[str, ...]
    truth: Truth

    @property
    def key(self) -> str:
        """What identifies the cell, and all that its traces depend on besides the code."""
        return f"{self.part} | {self.kind} | {self.variant} | {self.setting}"

    @property
    def rules(self) -> list[Rule]:
        """Who is asked at this poll interval."""
        rules = [BY_NAME[name] for name in self.names]
        return [rule for rule in rules if rule.poll in {0, self.setting.poll}]

    @property
    def work(self) -> float:
        """Roughly how long it takes, in any unit."""
        several = signals.SIGNALS if self.part == "signals" else 1
        beside = 3 if self.part in {"control", "shared"} else 1
        baseline = self.setting.baseline / self.setting.step / 10
        polls = self.setting.watch / self.setting.poll
        return self.setting.count * several * beside * (baseline + polls)

    def blocks(self) -> Iterator[Cell]:
        """Return the cell in pieces that fit into memory."""
        for begin in range(0, self.setting.count, BLOCK):
            count = min(BLOCK, self.setting.count - begin)
            yield replace(self, setting=replace(self.setting, count=count, block=begin // BLOCK))


def _healthy(plan: Plan) -> Iterator[Cell]:
    for family in (*TUNING, *REPORTING, *HARD):
        for poll in plan.polls:
            count = plan.deploys(family, poll)
            for ratio in RATIOS:
                for rate in plan.rates:
                    setting = Setting(rate, ratio, poll, count, seed=plan.seed)
                    draw = partial(healthy, family)
                    yield Cell("healthy", family.name, "", setting, draw, FAIR, Truth(ratio))


def _regressions(plan: Plan) -> Iterator[Cell]:
    for case in (*CASES, *HARDER):
        for poll, count in plan.others.items():
            setting = case.setting(poll=poll, count=count, seed=plan.seed)
            truth = Truth(case.ratio, case.worse, case.since)
            yield Cell("regressions", case.name, "", setting, case.traces, NO_CONTROL, truth)


def _control(plan: Plan) -> Iterator[Cell]:
    for case in WITH_CONTROL:
        for poll, count in plan.others.items():
            for life in (60, 120, WHOLE):
                setting = case.setting(poll=poll, count=count, seed=plan.seed)
                draw, truth = (
                    partial(case.traces, control=Control(life)),
                    Truth(case.ratio, case.worse),
                )
                yield Cell("control", case.name, str(life), setting, draw, CONTROLLED, truth)


def _shared(plan: Plan) -> Iterator[Cell]:
    for fault in (*SHARED, *AFTERWARDS):
        for life in LIVES:
            if fault.later and life == WHOLE:
                continue
            for poll, count in plan.others.items():
                for rate in plan.shared_rates:
                    setting = Setting(rate, 0.001, poll, count, seed=plan.seed)
                    draw, names = partial(fault.traces, control=Control(life)), (GUARD, "prototype")
                    yield Cell("shared", fault.name, str(life), setting, draw, names, Truth(0.001))


def _edges(plan: Plan) -> Iterator[Cell]:
    for edge in EDGES:
        for poll, count in plan.others.items():
            usual = Setting(EDGE_CASE.rate, EDGE_CASE.ratio, poll, count, seed=plan.seed)
            setting = edge.setting(usual)
            for family in EDGE_FAMILIES:
                draw, truth = partial(edge.traces, make=partial(healthy, family)), Truth(0.001)
                yield Cell("edges", edge.name, family.name, setting, draw, (GUARD,), truth)
            draw = partial(edge.traces, make=EDGE_CASE.traces)
            truth = Truth(EDGE_CASE.ratio, EDGE_CASE.worse, edge.since)
            yield Cell("edges", edge.name, EDGE_CASE.name, setting, draw, (GUARD,), truth)


def _signals(plan: Plan) -> Iterator[Cell]:
    kinds: list[tuple[str, Callable[[Family, Setting], Sequence[Traces]]]] = [
        ("one signal", signals.single),
        ("five signals, independent noise", signals.independent),
        ("five signals, the same noise", signals.alike),
    ]
    for poll, count in plan.others.items():
        setting = Setting(100, 0.001, poll, count, seed=plan.seed)
        for kind, make in kinds:
            for name in ("AR 20 min", "long bursts"):
                draw = partial(make, NOISES[name])
                yield Cell("signals", kind, name, setting, draw, (GUARD,), Truth(0.001))
        for latency in signals.LATENCIES:
            variant = "" if latency.times == 1 else "worse"
            yield Cell(
                "signals", latency.name, variant, setting, latency.traces, (GUARD,), Truth(0.001)
            )


PARTS: dict[str, Callable[[Plan], Iterator[Cell]]] = {
    "healthy": _healthy,
    "regressions": _regressions,
    "control": _control,
    "shared": _shared,
    "edges": _edges,
    "signals": _signals,
}


def planned(plan: Plan, parts: Sequence[str], rules: Sequence[Rule]) -> list[Cell]:
    """Return the cells of these parts; only these rules are asked, and no cell is without one."""
    wanted = {rule.name for rule in rules}
    if GUARD in wanted:
        wanted.add(ALONE)  # what guard is compared with
    found = []
    for part in parts:
        for cell in PARTS[part](plan):
            names = tuple(name for name in cell.names if name in wanted)
            if names:
                found.append(replace(cell, names=names))
    return found
