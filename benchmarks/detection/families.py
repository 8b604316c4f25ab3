"""Noise of healthy deploys: ways in which errors are not independent, none the deploy's fault.

Decides what each family is, and which were for choosing constants (`TUNING`) and which are only for
reporting (`REPORTING`). m(t) below is the factor on the healthy ratio; z is an Ornstein–Uhlenbeck
process (in discrete time: AR(1)) with mean 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.signal import lfilter

from benchmarks.detection.real import worldcup_load
from benchmarks.detection.setting import Array, Setting, Weather
from benchmarks.detection.traces import Traces, draw

Shape = Callable[[np.random.Generator, Setting], Weather]
DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of noise: its formula in words, and errors per request before the deploy.

    `mean` is the expectation of all errors by that of all requests, in healthy ratios.
    """

    name: str
    formula: str
    shape: Shape
    mean: float = 1.0


def healthy(family: Family, setting: Setting) -> Traces:
    """Return traces of deploys that change nothing."""
    random = setting.random(family.name)
    return draw(random, setting, family.shape(random, setting))


def wander(random: np.random.Generator, setting: Setting, *, sd: float, tau: float) -> Array:
    """Return z: stationary, normal, with this standard deviation, memory exp(-t/tau)."""
    memory = np.exp(-1 / tau)
    pushes = random.standard_normal(setting.shape) * sd * np.sqrt(1 - memory**2)
    pushes[:, 0] = random.standard_normal(setting.count) * sd
    found: Array = lfilter([1.0], [1.0, -memory], pushes, axis=1)
    return found


def independent(_random: np.random.Generator, _setting: Setting) -> Weather:
    """Return errors as textbooks have them."""
    return Weather()


def overdispersed(random: np.random.Generator, setting: Setting) -> Weather:
    """Return a factor that is drawn anew every 15 s."""
    blocks = -(-setting.shape[1] // 15)
    factor = random.gamma(4.0, 0.25, (setting.count, blocks))
    return Weather(factor=np.repeat(factor, 15, axis=1)[:, : setting.shape[1]])


def autocorrelated(
    random: np.random.Generator, setting: Setting, *, sd: float, tau: float
) -> Weather:
    """Return a factor that wanders about 1 and forgets after tau seconds."""
    return Weather(factor=np.exp(wander(random, setting, sd=sd, tau=tau) - sd**2 / 2))


def long_memory(random: np.random.Generator, setting: Setting) -> Weather:
    """Return a factor with memory on all scales, nearly 1/f noise."""
    z = sum(wander(random, setting, sd=0.25, tau=tau) for tau in (20, 120, 720, 4320))
    return Weather(factor=np.exp(z - 4 * 0.25**2 / 2))


def drift(random: np.random.Generator, setting: Setting) -> Weather:
    """Return a factor that grows or shrinks all the time, at most twofold in all."""
    slope = random.uniform(-0.35, 0.35, (setting.count, 1))
    factor = np.exp(slope * np.linspace(-1, 1, setting.shape[1]))
    return Weather(factor=factor / (np.sinh(0.35) / 0.35))


def diurnal(random: np.random.Generator, setting: Setting) -> Weather:
    """Return load and factor that follow the time of day."""
    phase = random.uniform(0, 2 * np.pi, (setting.count, 1))
    wave = 1 + 0.5 * np.sin(2 * np.pi * setting.times / DAY + phase)
    return Weather(load=wave, factor=wave / 1.125)


def clusters(_random: np.random.Generator, _setting: Setting, *, size: float) -> Weather:
    """Return errors that are retried and fail again."""
    return Weather(cluster=size)


def bursts(
    random: np.random.Generator, setting: Setting, *, every: float, length: int, times: float
) -> Weather:
    """Return short bursts at random times."""
    begins = random.random(setting.shape) < 1 / every
    window = lfilter(np.ones(length), [1.0], begins, axis=1) > 0.5
    return Weather(factor=np.where(window, times, 1.0))


def cron(random: np.random.Generator, setting: Setting) -> Weather:
    """Return bursts by the clock."""
    offset = random.uniform(0, 600, (setting.count, 1))
    return Weather(factor=np.where((setting.times + offset) % 600 < 20, 8.0, 1.0))


def level_shifts(random: np.random.Generator, setting: Setting) -> Weather:
    """Return a level that doubles for some minutes and reverts, again and again."""
    up, down = 1 / 180, 1 / 720  # chances per second to revert, and to double
    high = np.empty(setting.shape, dtype=bool)
    high[:, 0] = random.random(setting.count) < 0.2
    for second in range(1, setting.shape[1]):
        flips = random.random(setting.count)
        before = high[:, second - 1]
        high[:, second] = np.where(before, flips >= up, flips < down)
    return Weather(factor=np.where(high, 2.0, 1.0) / 1.2)


def load_dependent(random: np.random.Generator, setting: Setting) -> Weather:
    """Return errors that grow with the load's square."""
    load = np.exp(wander(random, setting, sd=0.3, tau=600) - 0.3**2 / 2)
    return Weather(load=load, factor=load**2 / np.exp(3 * 0.3**2))


def warm_up(
    _random: np.random.Generator, setting: Setting, *, added: float, length: float
) -> Weather:
    """Return errors of pods that are not warm yet."""
    warm = (setting.times >= 0) & (setting.times < length)
    return Weather(added=np.where(warm, added, 0.0)[None, :])


def real_load(random: np.random.Generator, setting: Setting) -> Weather:
    """Return 90 minutes of a real site's load, with independent errors."""
    return Weather(load=worldcup_load(random, setting))


def ar(sd: float, tau: float) -> tuple[str, Shape]:
    """Return formula and shape of an autocorrelated family."""
    formula = f"m = exp(z − sd²/2), sd {sd:g}, memory {tau / 60:g} min"
    return formula, partial(autocorrelated, sd=sd, tau=tau)


TUNING = (
    Family("iid", "m = 1", independent),
    Family("overdispersed", "m gamma, mean 1, sd 0.5, anew every 15 s", overdispersed),
    Family("AR 5 min", *ar(0.5, 300)),
    Family("drift", "log m linear over baseline and watch, from −s to s, |s| ≤ 0.35", drift),
    Family("diurnal", "load and m follow 1 + 0.5·sin of the day, phase at random", diurnal),
    Family("clusters", "an error is 3 errors on average, geometric", partial(clusters, size=3.0)),
    Family(
        "bursts",
        "m = 10 for 10 s, every 15 min on average",
        partial(bursts, every=900.0, length=10, times=10.0),
        1 + 9 * (1 - (1 - 1 / 900) ** 10),
    ),
    Family("warm-up", "2 % more errors for 30 s", partial(warm_up, added=0.02, length=30.0)),
    Family("AR 2 min, strong", *ar(0.8, 120)),
    Family("AR 10 min", *ar(0.6, 600)),
)
REPORTING = (
    Family("AR 8 min", *ar(0.5, 480)),
    Family("AR 20 min", *ar(0.5, 1200)),
    Family("long memory", "log m: four z of sd 0.25, memory 20 s, 2, 12 and 72 min", long_memory),
    Family(
        "level shifts",
        "doubles for 3 min on average, every 15 min on average, and reverts",
        level_shifts,
    ),
    Family("cron", "m = 8 for 20 s every 10 min", cron, 1 + 7 * 20 / 600),
    Family(
        "long bursts",
        "m = 5 for 30 s, every 20 min on average",
        partial(bursts, every=1200.0, length=30, times=5.0),
        1 + 4 * (1 - (1 - 1 / 1200) ** 30),
    ),
    Family("load-dependent", "m = load²; log load: z of sd 0.3, memory 10 min", load_dependent),
    Family(
        "clusters of 8", "an error is 8 errors on average, geometric", partial(clusters, size=8.0)
    ),
    Family("World Cup load", "m = 1; load of the 1998 World Cup site", real_load),
)
HARD = (  # reported, but not what a default setting must survive
    Family(
        "warm-up 5 %, 45 s", "5 % more errors for 45 s", partial(warm_up, added=0.05, length=45.0)
    ),
    Family(
        "warm-up 30 %, 15 s", "30 % more errors for 15 s", partial(warm_up, added=0.3, length=15.0)
    ),
)
