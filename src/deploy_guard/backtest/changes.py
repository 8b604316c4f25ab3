"""When there was something new in the series of a signal, told by their values.

A watch asks Prometheus for the times of the newest samples, to notice that it takes in no more.
History could be asked as well, for twice the load. Decides it from what is there: numbers that
changed are new. Where they did not change often before the deploy, as without requests, nothing is
told from them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise

from deploy_guard.backtest.tracks import Grid
from deploy_guard.signals.prometheus_ingestion import UNKNOWN


class Changes:
    """The moments at which the series of each pod changed; Unix seconds."""

    def __init__(self, grids: Iterable[Grid], *, deployed_at: float) -> None:
        self._by_pod: dict[str, list[float]] = {}
        for grid in grids:
            for track in grid.tracks:
                found = self._by_pod.setdefault(track.pod, [])
                last: float | None = None
                for tick, value in enumerate(track.values, track.first):
                    if value is not None and value != last:
                        found.append(grid.time(tick))
                        last = value
        for found in self._by_pod.values():
            found.sort()
        self.tell = self._were_often(deployed_at)

    def _were_often(self, deployed_at: float) -> bool:
        """Tell whether before the deploy numbers changed so often that a pause says something."""
        moments = sorted({t for found in self._by_pod.values() for t in found if t <= deployed_at})
        gaps = [later - earlier for earlier, later in pairwise([*moments, deployed_at])]
        return sum(gaps) > UNKNOWN > max(gaps)

    def newest(self, at: float, present: Sequence[str]) -> dict[str, float]:
        """Return when each of the pods that are present last changed."""
        found: dict[str, float] = {}
        for pod in dict.fromkeys(present):
            moments = self._by_pod.get(pod, [])
            if number := bisect_right(moments, at + 1e-6):
                found[pod] = moments[number - 1]
        return found
