"""A service's history as CSV, and its policy: quiet, unless a test makes it noisy."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

FIRST = 1_700_000_100  # a whole number of minutes
STEP = 60
Share = Callable[[int], float]

POLICY = """\
version: 1
name: errors
watch: {{for: 10m, interval: 15s, baseline: 30m, sensitivity: {sensitivity}}}
signals:
  - provider: prometheus
    name: http-errors
    ratio: {{errors: errors_total, requests: requests_total}}
"""


def policy_file(folder: Path, *, sensitivity: str = "1%") -> str:
    """Write a policy with one ratio and return its path."""
    file = folder / "policy.yaml"
    file.write_text(POLICY.format(sensitivity=sensitivity))
    return str(file)


def rows(
    hours: float = 24, *, share: Share = lambda _: 0.002, requests: int = 600, seed: int = 1
) -> list[tuple[int, int, int]]:
    """Return time, requests and errors of each minute; `share` of a minute's number fails."""
    draw = random.Random(seed)
    found = []
    for number in range(round(hours * 60)):
        wrong = share(number)
        errors = sum(draw.random() < wrong for _ in range(requests))
        found.append((FIRST + number * STEP, requests, errors))
    return found


def csv_file(folder: Path, found: list[tuple[int, int, int]], name: str = "errors.csv") -> str:
    """Write rows as CSV and return the path."""
    file = folder / name
    lines = [f"{at},{requests},{errors}" for at, requests, errors in found]
    file.write_text("\n".join(["time,requests,errors", *lines]) + "\n")
    return str(file)


def minute(number: int) -> int:
    """Return the time at which a minute of `rows` ends."""
    return FIRST + number * STEP
