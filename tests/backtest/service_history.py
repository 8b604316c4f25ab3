"""Days of a service as Prometheus has them: pods of several revisions, one of which fails.

Text in the OpenMetrics format, scraped once a minute, the same for the same seed.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

SCRAPE = 60
BEGIN = 1_735_689_600  # 2025-01-01, a whole number of hours
HOUR = 3600
NAMES = ("bbbbb", "ccccc", "ddddd", "fffff", "ggggg", "hhhhh", "jjjjj", "kkkkk", "lllll", "mmmmm")


@dataclass(frozen=True)
class Release:
    """A revision of the service: deployed `at`, its template's hash, the share of its errors."""

    at: int
    hash: str
    errors: float = 0.01
    slow: float = 0.05


RELEASES = (
    Release(BEGIN - HOUR, "5f9c7d8b49"),
    Release(BEGIN + 6 * HOUR + 7, "6d4cf56db6"),
    Release(BEGIN + 12 * HOUR + 20, "7b8d9c5f4x", errors=0.25, slow=0.4),
    Release(BEGIN + 12 * HOUR + 620, "6d4cf56db7"),
)


@dataclass
class _Pod:
    name: str
    release: Release
    first: int
    last: int
    requests: int = 0
    errors: int = 0
    quick: int = 0


def pods(releases: Sequence[Release], *, replicas: int, end: int) -> list[_Pod]:
    """Return all pods: of each release one after the other within a minute."""
    found = []
    for number, release in enumerate(releases):
        later = releases[number + 1].at if number + 1 < len(releases) else end
        for place in range(replicas):
            wait = 20 + 40 * place // replicas
            # A revision that comes back has pods of other names.
            name = f"web-{release.hash}-{NAMES[(number * replicas + place) % len(NAMES)]}"
            found.append(_Pod(name, release, release.at + wait, later + wait))
    return found


def history(
    releases: Sequence[Release] = RELEASES,
    *,
    end: int = BEGIN + 24 * HOUR,
    replicas: int = 3,
    requests: int = 120,
    seed: int = 1,
    hole: tuple[int, int] = (0, 0),
) -> str:
    """Return the samples from BEGIN until `end`; `requests` a minute of each pod.

    Between the two moments of `hole` nothing was scraped.
    """
    chance = random.Random(seed)
    families: dict[str, list[str]] = {
        "http_requests": ["# TYPE http_requests counter"],
        "lat": ["# TYPE lat histogram"],
        "busy": ["# TYPE busy gauge"],
        "sums": ["# TYPE sums counter"],
    }
    everything = pods(releases, replicas=replicas, end=end)
    total = failed = 0
    for at in range(BEGIN, end + 1, SCRAPE):
        for pod in everything:
            if not pod.first <= at <= pod.last:
                continue
            count = round(chance.gauss(requests, requests**0.5))
            errors = sum(chance.random() < pod.release.errors for _ in range(count))
            pod.requests, pod.errors = pod.requests + count, pod.errors + errors
            pod.quick += sum(chance.random() >= pod.release.slow for _ in range(count))
            total, failed = total + count, failed + errors
            if not hole[0] <= at < hole[1]:
                _scrape(families, pod, at, busy=chance.random())
        if not hole[0] <= at < hole[1]:
            families["sums"].append(f'sums_total{{code="200"}} {total - failed} {at}')
            families["sums"].append(f'sums_total{{code="500"}} {failed} {at}')
    return "\n".join(line for lines in families.values() for line in lines) + "\n# EOF\n"


def _scrape(families: dict[str, list[str]], pod: _Pod, at: int, *, busy: float) -> None:
    label = f'pod="{pod.name}"'
    ok = pod.requests - pod.errors
    families["http_requests"].append(f'http_requests_total{{{label},code="200"}} {ok} {at}')
    if pod.errors:
        line = f'http_requests_total{{{label},code="500"}} {pod.errors} {at}'
        families["http_requests"].append(line)
    for bound, count in (("0.1", pod.quick), ("+Inf", pod.requests)):
        families["lat"].append(f'lat_bucket{{{label},le="{bound}"}} {count} {at}')
    families["lat"] += [f"lat_count{{{label}}} {pod.requests} {at}", f"lat_sum{{{label}}} 1 {at}"]
    families["busy"].append(f"busy{{{label}}} {busy:.3f} {at}")
