"""Deploys that are worse, and faults that old and new pods share.

Decides the cases; the rules' times are measured in `measure`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.detection.families import autocorrelated, independent
from benchmarks.detection.traces import Control, Setting, Traces, Weather, draw

WHOLE = 1800  # seconds: the control lives for the whole watch


@dataclass(frozen=True, slots=True)
class Case:
    """A deploy after which a share `worse` of the requests fail instead of `ratio`."""

    ratio: float
    worse: float
    rate: float
    baseline: int = 3600

    @property
    def name(self) -> str:
        """What the tables call it."""
        hours = f", {self.baseline // 3600} h before" if self.baseline != 3600 else ""
        return f"{100 * self.ratio:g} → {100 * self.worse:g} % @{self.rate:g}{hours}"

    def setting(self, *, poll: int, count: int, seed: int) -> Setting:
        """Return the cell that measures it."""
        return Setting(self.rate, self.ratio, poll, count, seed=seed, baseline=self.baseline)

    def traces(self, setting: Setting, *, control: Control | None = None) -> Traces:
        """Draw the traces; old pods, if any, are as healthy as before."""
        random = setting.random(f"{self.name} {control}")
        after = np.where(setting.times >= 0, self.worse - self.ratio, 0.0)[None, :]
        bad = draw(random, setting, Weather(added=after), control=control)
        if control is None:
            return bad
        good = draw(setting.random(f"{self.name} {control}"), setting, Weather(), control=control)
        return Traces(
            bad.step,
            bad.poll,
            bad.phase,
            bad.base_requests,
            bad.base_errors,
            bad.requests,
            bad.errors,
            good.old_requests,
            good.old_errors,
        )


CASES = (
    Case(0.001, 0.002, 100),
    Case(0.001, 0.002, 1000),
    Case(0.001, 0.005, 10),
    Case(0.001, 0.005, 10, 6 * 3600),
    Case(0.001, 0.005, 100),
    Case(0.001, 0.01, 1),
    Case(0.001, 0.01, 1, 6 * 3600),
    Case(0.001, 0.01, 10),
    Case(0.001, 0.01, 100),
    Case(0.001, 0.05, 100),
    Case(0.01, 0.02, 100),
    Case(0.001, 0.5, 1),
    Case(0.001, 0.5, 100),
)
LIVES = (30, 60, 120, WHOLE)


@dataclass(frozen=True, slots=True)
class Shared:
    """A fault of the world: it begins while the old pods live, and stays to the end.

    `added` is the share of requests that fail in it, `times` a factor on all errors, `sd` that
    of a factor which wanders with a memory of 2 minutes all the time.
    """

    name: str
    added: float = 0.0
    times: float = 1.0
    sd: float = 0.0

    def traces(self, setting: Setting, control: Control) -> Traces:
        """Draw the traces; the fault begins in the first half of the control's life.

        In its first 5 minutes, if it lives to the end.
        """
        random = setting.random(f"{self.name} {control}")
        latest = 300 if control.life >= setting.watch else control.life / 2
        begins = random.uniform(0, latest, (setting.count, 1))
        there = setting.times >= begins
        noise = (
            autocorrelated(random, setting, sd=self.sd, tau=120.0)
            if self.sd
            else independent(random, setting)
        )
        weather = Weather(
            factor=noise.factor * np.where(there, self.times, 1.0),
            added=np.where(there, self.added, 0.0),
        )
        return draw(random, setting, weather, control=control)


SHARED = (
    Shared("nothing"),
    Shared("outage 20 %", added=0.2),
    Shared("outage 50 %", added=0.5),
    Shared("outage 90 %", added=0.9),
    Shared("level ×3", times=3.0),
    Shared("AR 2 min, strong", sd=0.8),
)
