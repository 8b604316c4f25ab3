"""Whether Prometheus still takes in numbers, or only answers with the last ones it has.

For five minutes an instant query gives a series' last sample, however old, and counters that do
not grow look like a service without requests: a watch would end well with nobody looking. Decides
from the samples' own times since when nothing new has come. Their clock is not compared with ours:
only whether it moves.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping

from deploy_guard.policy.promql import without_strings

UNKNOWN = 150.0  # seconds without a new sample while it is not known how often there should be one
MISSED = 3.0  # so many scrapes may be late or fail
LONGEST = 300.0  # Prometheus' own: after that the series is gone
_REMEMBERED = 5  # intervals between scrapes that were seen
_SELECTOR = re.compile(r"(?:[a-zA-Z_:][a-zA-Z0-9_:]*)?\s*\{[^{}]*\}")
_NAME_ALONE = re.compile(r"(?:^|\()\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?:\)\s*)*$")


def question(query: str) -> str | None:
    """Return PromQL for the times of the newest samples behind a query, None if it has no metric.

    The first metric speaks for all: `timestamp` takes a selector, not an aggregation.
    """
    bare = without_strings(query)
    if found := _SELECTOR.search(bare):
        return f"max by (pod) (timestamp({query[found.start() : found.end()].strip()}))"
    if found := _NAME_ALONE.search(bare):
        return f"max by (pod) (timestamp({found[1]}))"
    return None


class Ingestion:
    """Follows the times of the newest samples, by pod."""

    def __init__(self) -> None:
        self._newest: dict[str, float] = {}
        self._moved_at: float | None = None
        self._steps: deque[float] = deque(maxlen=_REMEMBERED)

    def silence(self, newest: Mapping[str, float], now: float) -> float | None:
        """Return the seconds for which nothing new has come, None while that is as usual."""
        steps = [at - self._newest[pod] for pod, at in newest.items() if pod in self._newest]
        grown = [step for step in steps if step > 0]
        if grown:
            self._steps.append(max(grown))
        if grown or self._moved_at is None or newest.keys() - self._newest.keys():
            self._moved_at = now
        self._newest = dict(newest)
        silent = now - self._moved_at
        return silent if silent > self._patience() else None

    def _patience(self) -> float:
        return min(LONGEST, MISSED * max(self._steps)) if self._steps else UNKNOWN
