"""Real traffic: load of a real site, real error counters, real faults.

Decides how the recorded files (`traces/README.md`) become traces; adds no noise of its own.
"""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.detection.setting import Array, Setting
from benchmarks.detection.traces import Traces

FOLDER = Path(__file__).with_name("traces")
NEZHA_REQUESTS = 130.0  # per minute; the file has no counts, its fractions fit 120 to 150
AFTERMATH = 300.0  # seconds after a fault was injected that are no baseline
VISIBLE = 2.0  # percentage points that the success rate falls in a fault that users see


@cache
def _worldcup() -> Array:
    with gzip.open(FOLDER / "worldcup98_requests_per_min.csv.gz", "rt", encoding="utf-8") as file:
        return np.array([float(row["count"]) for row in csv.DictReader(file)])


def worldcup_load(random: np.random.Generator, setting: Setting) -> Array:
    """Return pieces of the site's load, each scaled to the mean 1, straight between minutes.

    Pieces with less than one request per second on average are left out.
    """
    counts = _worldcup()
    minutes = -(-setting.shape[1] // 60) + 1
    sums = np.convolve(counts, np.ones(minutes), mode="valid")
    busy = np.flatnonzero(sums >= 60 * minutes)
    rows = []
    for begin in random.choice(busy, setting.count):
        seconds = np.interp(
            np.arange(setting.shape[1]) / 60, np.arange(minutes), counts[begin : begin + minutes]
        )
        rows.append(seconds / seconds.mean())
    return np.array(rows)


def nginx_deploys() -> list[Traces]:
    """Return deploys that changed nothing, at each minute from the 15th to the 30th.

    The errors are the 5xx and the 4xx answers of three zones, six rows a deploy. The rows overlap
    and are not independent of each other.
    """
    with (FOLDER / "nginxplus_counters.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    requests, errors = [], []
    for zone in sorted({row["zone"] for row in rows}):
        mine = [row for row in rows if row["zone"] == zone]
        for column in ("r5xx_total", "r4xx_total"):
            requests.append(_growth([row["responses_total"] for row in mine]))
            errors.append(_growth([row[column] for row in mine]))
    n, x = np.array(requests), np.array(errors)
    deploys = []
    for at in range(180, 361, 12):
        ends = np.broadcast_to(5.0 * np.arange(1, n.shape[1] - at + 1), n[:, at:].shape)
        deploys.append(Traces(5.0, ends, n[:, :at], x[:, :at], n[:, at:], x[:, at:]))
    return deploys


def _growth(totals: list[str]) -> Array:
    """Return the increments of a counter; where it was reset, it began at 0."""
    values = np.array([float(total) for total in totals])
    steps = np.diff(values)
    found: Array = np.where(steps < 0, values[1:], steps)
    return found


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that was injected into Online Boutique, and what the front end's users saw.

    `visible`: the success rate fell clearly; otherwise the deploy is a healthy one as far as
    errors go.
    """

    kind: str
    pod: str
    visible: bool
    traces: Traces


def nezha_faults() -> list[Fault]:
    """Return the faults as deploys at the time of the injection, watched for 5 minutes.

    The baseline is all that came before without the aftermath of other faults; faults with
    less than 5 minutes of it are left out.
    """
    with (FOLDER / "nezha_2022-08-23_faults.csv").open(encoding="utf-8") as file:
        faults = list(csv.DictReader(file))
    with (FOLDER / "nezha_2022-08-23_front_service.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    times = np.array([float(row["TimeStamp"]) for row in rows])
    failed = 1 - np.array([float(row["SuccessRate(%)"]) for row in rows]) / 100
    quiet = np.ones(len(times), dtype=bool)
    for fault in faults:
        since = times - float(fault["inject_timestamp"])
        quiet &= (since <= 0) | (since > AFTERMATH)
    found = []
    for fault in faults:
        since = times - float(fault["inject_timestamp"])
        before = failed[quiet & (since <= 0)]
        after = failed[(since > 0) & (since <= AFTERMATH)]
        if len(before) < 5 or len(after) < 5:
            continue
        found.append(
            Fault(
                fault["inject_type"],
                fault["inject_pod"].split("-")[0],
                bool(after.max() - before.mean() >= VISIBLE / 100),
                _minutes(before, after, float(since[since > 0][0])),
            )
        )
    return found


def _minutes(before: Array, after: Array, phase: float) -> Traces:
    n0, n1 = np.full((1, len(before)), NEZHA_REQUESTS), np.full((1, len(after)), NEZHA_REQUESTS)
    x0, x1 = np.round(before * NEZHA_REQUESTS)[None, :], np.round(after * NEZHA_REQUESTS)[None, :]
    ends = np.array([phase + 60.0 * number for number in range(len(after))])
    return Traces(60.0, ends[None, :], n0, x0, n1, x1)
