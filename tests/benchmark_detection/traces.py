"""Traces made by hand, for tests that know what must come out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from benchmarks.detection.traces import Traces


def hand_made(
    ratios: Sequence[float], *, before: Sequence[float] = (0.001,) * 240, poll: float = 15.0
) -> Traces:
    """Return one deploy with 1,000 requests per read and exactly these ratios, the last for good.

    Polls fall on the minutes.
    """
    number = int(1800 // poll)
    watch = np.array([*ratios, *[ratios[-1]] * number][:number])[None, :]
    base = np.array(before)[None, :]
    n, m = np.full(base.shape, 1000.0), np.full(watch.shape, 1000.0)
    ends = np.array([[poll * (read + 1) for read in range(number)]])
    return Traces(poll, ends, n, 1000 * base, m, 1000 * watch)
