"""Deploys that are worse: plain ones, ones under noise, ones that begin to fail late.

Decides the cases; the rules' times are measured in `measure`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from benchmarks.detection.families import REPORTING, TUNING, Family
from benchmarks.detection.setting import Control, Setting
from benchmarks.detection.traces import Traces, draw

WHOLE = 1800  # seconds: the control lives for the whole watch
NOISES = {family.name: family for family in (*TUNING, *REPORTING)}
IID = NOISES["iid"]
LATE = 600  # seconds after the deploy


@dataclass(frozen=True, slots=True)
class Case:
    """A deploy after which a share `worse` of the requests fail instead of `ratio`.

    It begins `since` seconds after the deploy. Noise is a factor on either ratio. Old pods, if any,
    have the noise and not the regression.
    """

    ratio: float
    worse: float
    rate: float
    baseline: int = 3600
    noise: Family = IID
    since: int = 0

    @property
    def name(self) -> str:
        """What the tables call it."""
        parts = [f"{100 * self.ratio:g} → {100 * self.worse:g} % @{self.rate:g}"]
        if self.baseline != 3600:
            parts.append(f"{self.baseline // 3600} h before")
        if self.noise.name != IID.name:
            parts.append(f"under {self.noise.name}")
        if self.since:
            parts.append(f"begins after {self.since // 60} min")
        return ", ".join(parts)

    @property
    def plain(self) -> bool:
        """Whether errors are independent and the regression begins with the deploy."""
        return self.noise.name == IID.name and not self.since

    def setting(self, *, poll: int, count: int, seed: int) -> Setting:
        """Return the cell that measures it."""
        return Setting(self.rate, self.ratio, poll, count, seed=seed, baseline=self.baseline)

    def traces(self, setting: Setting, control: Control | None = None) -> Traces:
        """Draw the traces."""
        random = setting.random(f"{self.name} {control}")
        noise = self.noise.shape(random, setting)
        after = np.where(setting.times >= self.since, self.worse - self.ratio, 0.0)[None, :]
        weather = replace(noise, deploy=after * noise.factor)
        return draw(random, setting, weather, control=control)


HOURS_6 = 6 * 3600
CASES = (
    Case(0.001, 0.002, 100),
    Case(0.001, 0.002, 1000),
    Case(0.001, 0.005, 10),
    Case(0.001, 0.005, 10, HOURS_6),
    Case(0.001, 0.005, 100),
    Case(0.001, 0.01, 1),
    Case(0.001, 0.01, 1, HOURS_6),
    Case(0.001, 0.01, 10),
    Case(0.001, 0.01, 100),
    Case(0.001, 0.05, 100),
    Case(0.01, 0.02, 100),
    Case(0.01, 0.05, 1000),
    Case(0.001, 0.5, 1),
    Case(0.001, 0.5, 100),
)
HARDER = (
    Case(0.01, 0.05, 1000, noise=NOISES["AR 5 min"]),
    Case(0.001, 0.01, 100, noise=NOISES["clusters"]),
    Case(0.001, 0.01, 100, noise=NOISES["bursts"]),
    Case(0.001, 0.01, 100, noise=NOISES["load-dependent"]),
    Case(0.001, 0.01, 100, since=LATE),
    Case(0.001, 0.5, 100, since=LATE),
)
WITH_CONTROL = (
    *(case for case in CASES if case.baseline == 3600),
    Case(0.01, 0.05, 1000, noise=NOISES["AR 5 min"]),
    Case(0.001, 0.01, 100, noise=NOISES["AR 2 min, strong"]),
)
