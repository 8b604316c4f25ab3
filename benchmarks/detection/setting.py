"""Settings of the cells: traffic, polls, weather and old pods, all per second.

Decides what is known of the traffic; how it becomes counts is decided in `traces`.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Rows = NDArray[np.intp]  # numbers of deploys


@dataclass(frozen=True, slots=True)
class Setting:
    """One cell of the benchmark: times in whole seconds, `rate` in requests per second.

    `ratio` is the healthy share of errors. The baseline is read every 15 s, or as rarely as the
    `ratio` is the healthy share of errors. The baseline is read every 15 s, or as rarely as the
    watch polls; 0 s of it are none. `block` numbers the parts of a cell that is drawn in several.
    With `uneven` polls each interval is between half and one and a half of `poll`.
    """

    rate: float
    ratio: float
    poll: int = 15
    count: int = 100
    baseline: int = 3600
    watch: int = 1800
    seed: int = 1
    block: int = 0
    uneven: bool = False

    @property
    def step(self) -> int:
        """Seconds between two reads of the baseline."""
        return max(15, self.poll)

    @property
    def times(self) -> Array:
        """The beginning of each second, counted from the deploy."""
        return np.arange(-self.baseline, self.watch, dtype=np.float64)

    @property
    def shape(self) -> tuple[int, int]:
        """Deploys × seconds."""
        return self.count, self.baseline + self.watch

    def random(self, name: str) -> np.random.Generator:
        """Return the random numbers of this cell; no other cell has the same."""
        key = f"{name} {self.rate:g} {self.ratio:g} {self.poll} {self.baseline} {self.watch}"
        return np.random.default_rng([self.seed, zlib.crc32(key.encode()), self.block])

    def polls(self, random: np.random.Generator) -> NDArray[np.int64]:
        """Return the moments of the polls in seconds from the deploy, which is the first edge.

        Nobody deploys just when a poll is due. Uneven polls that would be after the watch are at
        its end, without an interval before them.
        """
        shape = (self.count, self.watch // self.poll)
        if self.uneven:
            low, high = max(1, self.poll // 2), self.poll + self.poll // 2
            gaps = random.integers(low, high + 1, (shape[0], 2 * shape[1]))
            ends = np.minimum(self.watch, gaps.cumsum(1))
            ends = ends[:, : int((ends < self.watch).sum(1).max()) + 1]
        else:
            phase = random.integers(1, self.poll + 1, self.count)
            ends = phase[:, None] + self.poll * np.arange(shape[1])
        return np.concatenate([np.zeros_like(ends[:, :1]), ends], axis=1)


@dataclass(frozen=True, slots=True)
class Weather:
    """How load and errors behave, per second; all broadcast to deploys × seconds.

    The requests of a second have the mean rate · `load`, and each of them is an error with the
    probability ratio · `factor` + `added`. Errors come in groups of `cluster` on average: one
    request and its retries, which are requests too. The new pods fail a share of `deploy` more.
    """

    load: Array | float = 1.0
    factor: Array | float = 1.0
    added: Array | float = 0.0
    cluster: float = 1.0
    deploy: Array | float = 0.0


@dataclass(frozen=True, slots=True)
class Control:
    """The old pods: they live for `life` seconds, and the new pods' share of the traffic grows.

    It grows evenly from a third to all at the end of their life; where they live to the end of
    the watch, both groups have one half.
    """

    life: int

    def share(self, setting: Setting) -> Array:
        """Return the new pods' share of the traffic, per second since the deploy."""
        seconds = np.arange(setting.watch, dtype=np.float64)
        if self.life >= setting.watch:
            return np.full(setting.watch, 0.5)
        return np.minimum(1.0, 1 / 3 + 2 / 3 * seconds / self.life)
