"""Faults that are not the deploy's: old and new pods have them alike.

Decides the faults and when they begin; who is taken for guilty is measured in `measure`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.detection.families import autocorrelated, independent
from benchmarks.detection.regressions import WHOLE
from benchmarks.detection.setting import Control, Setting, Weather
from benchmarks.detection.traces import Traces, draw

LIVES = (30, 60, 120, WHOLE)
LATER = 180  # seconds after the old pods have gone


@dataclass(frozen=True, slots=True)
class Shared:
    """A fault of the world: it begins while the old pods live, and stays to the end.

    `added` is the share of requests that fail in it, `times` a factor on all errors, `sd` that
    of a factor which wanders with a memory of 2 minutes all the time. Errors come in groups of
    `cluster` before and after; `warm_up` adds 2 % for 30 s on the new pods. One that is `later`
    begins three minutes after the old pods have gone.
    """

    name: str
    added: float = 0.0
    times: float = 1.0
    sd: float = 0.0
    cluster: float = 1.0
    warm_up: bool = False
    later: bool = False

    def traces(self, setting: Setting, control: Control) -> Traces:
        """Draw the traces; the fault begins in the first half of the control's life.

        In its first 5 minutes, if it lives to the end.
        """
        random = setting.random(f"{self.name} {control}")
        latest = 300 if control.life >= setting.watch else control.life / 2
        begins = random.uniform(0, latest, (setting.count, 1))
        if self.later:
            begins[:] = control.life + LATER
        there = setting.times >= begins
        noise = (
            autocorrelated(random, setting, sd=self.sd, tau=120.0)
            if self.sd
            else independent(random, setting)
        )
        warm = self.warm_up & (setting.times >= 0) & (setting.times < 30)
        weather = Weather(
            factor=noise.factor * np.where(there, self.times, 1.0),
            added=np.where(there, self.added, 0.0),
            cluster=self.cluster,
            deploy=np.where(warm, 0.02, 0.0)[None, :],
        )
        return draw(random, setting, weather, control=control)


SHARED = (
    Shared("nothing"),
    Shared("outage 20 %", added=0.2),
    Shared("outage 50 %", added=0.5),
    Shared("outage 90 %", added=0.9),
    Shared("outage 50 %, clusters of 5, warm-up", added=0.5, cluster=5.0, warm_up=True),
    Shared("level ×3", times=3.0),
    Shared("AR 2 min, strong", sd=0.8),
)
AFTERWARDS = (
    Shared("outage 50 %, 3 min after", added=0.5, later=True),
    Shared("level ×3, 3 min after", times=3.0, later=True),
)
