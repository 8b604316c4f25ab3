"""What all judges of signals share: the interface, counting of samples and gaps, the history.

A judge is a value: `take` returns a new one. It decides one signal; the fold over all signals is
in `deploy_guard.decide`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, Self

from deploy_guard.model import Evidence, NoData, Sample

HISTORY = 240  # values kept for spark lines


def longest_gap(interval: float) -> float:
    """Return the seconds without a sample after which the last one no longer speaks of now."""
    return max(60.0, 4 * interval)


class Judge(Protocol):
    """Judges one signal from its samples."""

    def take(self, sample: Sample) -> Self:
        """Return the judge after one more sample."""
        ...

    def again(self) -> Self:
        """Return a judge that knows the same baseline and starts to judge anew, without warm-up."""
        ...

    def evidence(self, at: float) -> Evidence:
        """Return what the samples so far say, in words and numbers."""
        ...

    def value(self, sample: Sample) -> float | None:
        """Return the number of this sample's candidate that a chart shows, None without one."""
        ...


@dataclass(frozen=True, slots=True)
class Watched:
    """A signal under watch: its judge, and the counts of what could and could not be read."""

    name: str
    provider: str
    judge: Judge
    interval: float
    optional: bool = False
    limit_text: str = ""
    samples: int = 0  # of the candidate
    no_data: int = 0
    last_sample_at: float | None = None
    problem: str = ""
    history: tuple[float | None, ...] = ()

    def take(self, item: Sample | NoData) -> Watched:
        """Return the signal after one more reading."""
        if isinstance(item, NoData):
            return replace(
                self,
                no_data=self.no_data + 1,
                problem=f"{item.reason}: {item.detail}" if item.detail else str(item.reason),
                history=(*self.history, None)[-HISTORY:],
            )
        judged = replace(self, judge=self.judge.take(item), problem="")
        if item.candidate is None:
            return judged
        return replace(
            judged,
            samples=self.samples + 1,
            last_sample_at=item.at,
            history=(*self.history, self.judge.value(item))[-HISTORY:],
        )

    def again(self) -> Watched:
        """Return the signal with its baseline and its history, judged anew."""
        return replace(
            self,
            judge=self.judge.again(),
            samples=0,
            no_data=0,
            last_sample_at=None,
            problem="",
        )
