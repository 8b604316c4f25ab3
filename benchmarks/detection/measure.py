"""Run the rules over the cells: how often they are wrong, how soon they are right.

Decides which cells are measured with how many traces, and how they are summed up; prints nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.detection.families import Family, healthy
from benchmarks.detection.real import nezha_faults, nginx_deploys
from benchmarks.detection.regressions import CASES, LIVES, SHARED, Case
from benchmarks.detection.rules import Rule
from benchmarks.detection.traces import Array, Control, Setting

RATIOS = (0.001, 0.01)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured: rates of the healthy cells, and traces per cell by poll.

    `healthy` and `worse` are numbers of traces in a cell of each kind.
    """

    rates: Sequence[float]
    healthy: Mapping[int, int]
    worse: Mapping[int, int]
    seed: int = 1

    @property
    def polls(self) -> list[int]:
        """The poll intervals, in seconds."""
        return list(self.healthy)


@dataclass(frozen=True, slots=True)
class Rollbacks:
    """Deploys that must not be rolled back: how many, and how many of them were.

    `cells` is the number of settings with as many traces each, and `worst` the largest share in
    one of them.
    """

    rule: str
    kind: str
    poll: int
    ratio: float
    deploys: int
    fired: int
    cells: int
    worst: float


@dataclass(frozen=True, slots=True)
class Found:
    """Deploys that were worse: seconds to each rollback, infinite for none."""

    rule: str
    case: Case
    poll: int
    times: Array

    @property
    def median(self) -> float:
        """Half of all deploys were rolled back within this time."""
        return _quantile(self.times, 0.5)

    @property
    def late(self) -> float:
        """95 % of all deploys were rolled back within this time."""
        return _quantile(self.times, 0.95)

    @property
    def missed(self) -> float:
        """The share that was not rolled back in the watch."""
        return float(np.isinf(self.times).mean())


def _quantile(times: Array, share: float) -> float:
    """Return the smallest time that so many reached; infinite times are times too."""
    return float(np.quantile(times, share, method="inverted_cdf"))


def wilson(fired: int, deploys: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share.

    Wilson, Probable Inference, the Law of Succession, and Statistical Inference, 1927.
    """
    z = 1.959963984540054
    share, scale = fired / deploys, 1 + z**2 / deploys
    middle = share + z**2 / (2 * deploys)
    half = z * np.sqrt(share * (1 - share) / deploys + z**2 / (4 * deploys**2))
    low = float(middle - half) / scale if fired > 0 else 0.0
    high = float(middle + half) / scale if fired < deploys else 1.0
    return low, high


def false_rollbacks(
    rules: Sequence[Rule], families: Sequence[Family], plan: Plan
) -> Iterator[Rollbacks]:
    """Measure healthy deploys of each family, at all rates together."""
    fair = [rule for rule in rules if not rule.clairvoyant]
    for family in families:
        for poll, count in plan.healthy.items():
            for ratio in RATIOS:
                settings = [Setting(r, ratio, poll, count, seed=plan.seed) for r in plan.rates]
                cells = [healthy(family, setting) for setting in settings]
                for rule in fair:
                    found = [rule.times(traces, ratio, np.nan) for traces in cells]
                    yield _false(rule.name, family.name, poll, ratio, found)


def shared_faults(
    rules: Sequence[Rule], plan: Plan, *, poll: int
) -> Iterator[tuple[int, Rollbacks]]:
    """Measure faults that are not the deploy's, with controls that live so many seconds."""
    fair = [rule for rule in rules if not rule.clairvoyant]
    setting = Setting(100, 0.001, poll, plan.worse[poll], seed=plan.seed)
    for shared in SHARED:
        for life in LIVES:
            traces = shared.traces(setting, Control(life))
            for rule in fair:
                found = rule.times(traces, setting.ratio, np.nan)
                yield life, _false(rule.name, shared.name, poll, setting.ratio, [found])


def _false(rule: str, kind: str, poll: int, ratio: float, cells: Sequence[Array]) -> Rollbacks:
    fired = [np.isfinite(times) for times in cells]
    return Rollbacks(
        rule,
        kind,
        poll,
        ratio,
        deploys=sum(len(cell) for cell in fired),
        fired=int(sum(cell.sum() for cell in fired)),
        cells=len(cells),
        worst=max(float(cell.mean()) for cell in fired),
    )


def regressions(
    rules: Sequence[Rule], plan: Plan, *, control: Control | None = None
) -> Iterator[Found]:
    """Measure the time until deploys that are worse are rolled back."""
    for case in CASES:
        for poll, count in plan.worse.items():
            traces = case.traces(
                case.setting(poll=poll, count=count, seed=plan.seed), control=control
            )
            for rule in rules:
                yield Found(rule.name, case, poll, rule.times(traces, case.ratio, case.worse))


def nginx(rules: Sequence[Rule]) -> Iterator[Rollbacks]:
    """Measure healthy deploys over nginx.org's counters."""
    for rule in rules:
        if rule.clairvoyant:
            continue
        cells = []
        for traces in nginx_deploys():
            # The objective of a burn rate is what the baseline had, on average over the rows.
            usual = float(traces.base_errors.sum() / traces.base_requests.sum())
            cells.append(rule.times(traces, usual, np.nan))
        yield _false(rule.name, "nginx.org", 5, np.nan, cells)


def nezha(rules: Sequence[Rule]) -> Iterator[tuple[str, Array, Rollbacks]]:
    """Measure real faults: each rule's times in visible ones, and alarms in the others."""
    faults = nezha_faults()
    for rule in rules:
        if rule.clairvoyant:
            continue
        times = np.array([rule.times(fault.traces, 0.001, np.nan)[0] for fault in faults])
        visible = np.array([fault.visible for fault in faults])
        yield rule.name, times[visible], _false(rule.name, "Nezha", 60, np.nan, [times[~visible]])
