"""Several signals of one deploy: five ratios, or a latency histogram at three bounds.

Decides how their counts are drawn. The level is divided evenly among them where they are judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from benchmarks.detection.families import Family, healthy, wander
from benchmarks.detection.setting import Array, Setting
from benchmarks.detection.traces import Traces, between, draw

SIGNALS = 5
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # Prometheus' defaults
SLOW_SHARES = (0.3, 0.05, 0.01)  # as in `deploy_guard.decide.latency`
MEDIAN, SIGMA = 0.1, 0.8  # seconds, and the deviation of the latency's logarithm


def independent(family: Family, setting: Setting) -> Sequence[Traces]:
    """Draw the signals of each deploy, which have nothing to do with each other."""
    return [
        draw(random, setting, family.shape(random, setting))
        for random in (setting.random(f"{family.name} {number}") for number in range(SIGNALS))
    ]


def alike(family: Family, setting: Setting) -> Sequence[Traces]:
    """Draw signals that are all under the same weather; only their counts differ by chance."""
    random = setting.random(family.name)
    weather = family.shape(random, setting)
    return [draw(random, setting, weather) for _ in range(SIGNALS)]


def single(family: Family, setting: Setting) -> Sequence[Traces]:
    """Draw one signal."""
    return [healthy(family, setting)]


@dataclass(frozen=True, slots=True)
class Latency:
    """Lognormal latencies; the deploy multiplies the median.

    Before and after, the logarithm of the median wanders with this deviation and a memory of 8
    minutes.
    """

    name: str
    times: float = 1.0
    sd: float = 0.0

    def traces(self, setting: Setting) -> Sequence[Traces]:
        """Draw requests, and the slow ones at the bounds that the baseline chooses."""
        random = setting.random(self.name)
        median = np.where(setting.times >= 0, self.times, 1.0) * MEDIAN
        logs = np.log(median) + wander(random, setting, sd=self.sd, tau=480.0)
        load = np.full(setting.shape, float(setting.rate))
        first, edges = setting.baseline, setting.polls(random)
        reads = np.arange(0, first + 1, setting.step)[None, :]
        base_n, base_slow = _histogram(random, load[:, :first], logs[:, :first], reads)
        n, slow = _histogram(random, load[:, first:], logs[:, first:], edges)
        ends, rows = edges[:, 1:].astype(float), np.arange(setting.count)
        return [
            Traces(setting.step, ends, base_n, base_slow[at, rows], n, slow[at, rows])
            for at in chosen(base_n.sum(1), base_slow.sum(2))
        ]


def _histogram(
    random: np.random.Generator, load: Array, logs: Array, edges: NDArray[np.int64]
) -> tuple[Array, Array]:
    """Draw the requests between edges, and those slower than each bucket's bound."""
    expected = between(load, edges)
    requests = random.poisson(expected)
    slow, left, before = [], requests, expected
    for bound in BUCKETS:
        slower = between(load * norm.sf((np.log(bound) - logs) / SIGMA), edges)
        share = np.divide(slower, before, where=before > 0, out=before * 0.0)
        left = random.binomial(left, np.clip(share, 0, 1))
        slow.append(left.astype(float))
        before = slower
    return requests.astype(float), np.array(slow)


def chosen(requests: Array, slow: Array) -> list[NDArray[np.int64]]:
    """Return each deploy's bounds whose share of slow requests is nearest to the wanted ones.

    `slow` is bounds × deploys. Near is near in logarithms, and a bound is chosen once.
    """
    shares = np.log((slow + 0.5) / (requests + 1))
    found = []
    for wanted in SLOW_SHARES:
        away = np.abs(shares - np.log(wanted))
        found.append(np.argmin(away, axis=0))
        shares[found[-1], np.arange(slow.shape[1])] = np.inf
    return found


LATENCIES = (
    Latency("latency, steady"),
    Latency("latency, median wanders", sd=0.15),
    Latency("latency × 1.5", times=1.5),
)
