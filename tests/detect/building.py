"""Traces, and states that have seen them."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from deploy_guard import detect
from deploy_guard.model import Counts

Increments = list[detect.Increment]


def steady(
    seconds: float, rps: float, ratio: float, *, every: float = 15.0, seed: int | None = None
) -> Increments:
    """Return increments of requests with independent errors; without seed exactly the mean."""
    number = round(seconds / every)
    if seed is None:
        return [(every, rps * every, rps * every * ratio)] * number
    rng = random.Random(seed)
    increments = []
    for _ in range(number):
        requests = poisson(rng, rps * every)
        increments.append(
            (every, float(requests), float(min(requests, binomial(rng, requests, ratio))))
        )
    return increments


def poisson(rng: random.Random, mean: float) -> int:
    """Draw a Poisson number; above 50 by the normal approximation."""
    if mean > 50:
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    number, passed = 0, rng.expovariate(1.0)
    while passed < mean:
        number, passed = number + 1, passed + rng.expovariate(1.0)
    return number


def binomial(rng: random.Random, n: int, p: float) -> int:
    """Draw the number of errors, as Poisson: the same at small ratios, and wilder at large."""
    return poisson(rng, n * p)


BEFORE = steady(3600, 100, 0.001)


def learned(before: Sequence[detect.Increment], **settings: float | None) -> detect.State:
    """Return a state that knows this baseline."""
    state = detect.State(detect.Settings(**settings))  # type: ignore[arg-type]
    for seconds, requests, errors in before:
        state = detect.learn(state, seconds, Counts(requests, errors))
    return state


def stepped(
    state: detect.State,
    watch: Sequence[detect.Increment],
    control: Sequence[detect.Increment | None] = (),
) -> detect.State:
    """Return the state after these increments; with `control`, of the old pods next to them."""
    for i, (seconds, requests, errors) in enumerate(watch):
        beside = control[i] if i < len(control) else None
        old = Counts(beside[1], beside[2]) if beside is not None else None
        state = detect.step(state, seconds, Counts(requests, errors), old)
    return state


BAD, WELL, NONE = (15.0, 1500.0, 750.0), (15.0, 1500.0, 1.5), (15.0, 0.0, 0.0)
