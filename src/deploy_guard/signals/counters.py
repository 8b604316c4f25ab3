"""From the totals of counters to what they grew by: resets, births, gaps. Pure.

Decides what an increment is when a counter fell, appeared or was away. Knows nothing of where the
totals come from or which group a pod belongs to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

LAG = 1 / 8  # a smaller fall is no restart; VictoriaMetrics' removeCounterResets has the same rule
AGGREGATE = "*"  # begins the name of what is not one pod but a sum over many
_Origin = tuple[str, tuple[tuple[str, str], ...]]  # pod and labels


class Series(NamedTuple):
    """Names one counter of a pod.

    `part` is what it counts: ``requests``, ``errors``, or a bucket's bound; `labels` tell it from
    others of the same pod and part, and parts with equal labels live and die together.
    """

    pod: str
    part: str
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Growth:
    """What the counters of one pod and part grew by; `born` is the share of those just seen."""

    grown: float = 0.0
    born: float = 0.0

    @property
    def total(self) -> float:
        """All of it."""
        return self.grown + self.born


Increments = dict[str, dict[str, Growth]]  # by pod, then by part


class Counters:
    """Remembers the last total of every series.

    A series that is away keeps its total: when it comes back, the difference is what happened
    meanwhile. The rules when a total is not the last one plus something:

    - It fell: the process began anew, so the total is the increment; other parts with the same
      labels began anew with it, even when they grew past their old totals.
    - It fell by less than `LAG` of itself: another replica of the server answered, which is a
      little behind. Nothing is counted until the old total is passed.
    - A sum over many pods (`AGGREGATE`) falls when one of them goes; how much the others grew is
      then unknown, and nothing is counted.
    - It is new, of a pod that was read before: it began at zero.
    - It is new, with its pod: it began at zero if `began_at_zero` says so, else it has a past of
      unknown length, and its first total is only a start.
    """

    def __init__(self) -> None:
        self._totals: dict[Series, float] = {}
        self._pods: set[str] = set()

    def advance(
        self,
        totals: Mapping[Series, float],
        *,
        began_at_zero: Callable[[str], bool],
        present: Iterable[str] = (),
    ) -> Increments:
        """Take the next totals; return the increments of every pod that has a start.

        `present` names pods that were read, also those without a series.
        """
        fallen = self._fallen(totals)
        unknown = {pod for pod, _ in fallen if pod.startswith(AGGREGATE)}
        increments: Increments = {}
        new_pods = ({series.pod for series in totals} | set(present)) - self._pods
        with_past = {pod for pod in new_pods if not began_at_zero(pod)}
        for pod in set(present) - with_past:
            increments.setdefault(pod, {})
        for series, total in totals.items():
            origin = (series.pod, series.labels)
            if series.pod in with_past or series.pod in unknown:
                continue
            growth = increments.setdefault(series.pod, {}).setdefault(series.part, Growth())
            last = self._totals.get(series)
            if origin in fallen:
                growth.grown += total
            elif last is None:
                growth.born += total
            else:
                growth.grown += max(0.0, total - last)
        self._remember(totals, fallen)
        self._pods |= new_pods
        return increments

    def _fallen(self, totals: Mapping[Series, float]) -> set[_Origin]:
        return {
            (series.pod, series.labels)
            for series, total in totals.items()
            if _fell(series, self._totals.get(series, total), total)
        }

    def _remember(self, totals: Mapping[Series, float], fallen: set[_Origin]) -> None:
        for series in self._totals if fallen else ():
            if (series.pod, series.labels) in fallen and not series.pod.startswith(AGGREGATE):
                self._totals[series] = 0.0  # a part that is away began anew too
        for series, total in totals.items():
            last = 0.0 if series.pod.startswith(AGGREGATE) else self._totals.get(series, 0.0)
            self._totals[series] = max(last, total)


def _fell(series: Series, last: float, total: float) -> bool:
    tolerated = 0.0 if series.pod.startswith(AGGREGATE) else LAG * last
    return last - total > tolerated
