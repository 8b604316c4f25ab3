"""Where a draft gets its numbers from: what is asked, whoever answers.

Decides how a choice of series is written, for PromQL and for a pod's own page. Who answers is
`from_prometheus` or `from_pods`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from deploy_guard.drafting.known import Family

Rates = Mapping[float, float]  # requests a second by the moment, in Unix seconds


@dataclass(frozen=True, slots=True)
class Scope:
    """How series are tied to the workload: conditions with template variables, and the pod's label.

    `pod` is empty where pods are not told apart. A pod's own page needs neither.
    """

    conditions: tuple[str, ...] = ()
    pod: str = ""
    page: bool = False

    @property
    def tells_pods(self) -> bool:
        """Whether old and new pods are told apart."""
        return self.page or bool(self.pod)


@dataclass(frozen=True, slots=True)
class Pick:
    """Some series of one metric."""

    metric: str
    scope: Scope
    conditions: tuple[str, ...] = ()

    def where(self, *conditions: str) -> Pick:
        """Return those of the series for which more conditions hold."""
        return replace(self, conditions=(*self.conditions, *conditions))

    @property
    def selector(self) -> str:
        """The series as a selector; a template where the scope has variables."""
        inside = ", ".join((*self.scope.conditions, *self.conditions))
        return f"{self.metric}{{{inside}}}" if inside else self.metric

    def query(self, *keep: str) -> str:
        """Return the query of a policy: the counter of each pod, with some more labels."""
        if self.scope.page:
            return self.selector
        if not self.scope.pod:
            return f"sum by ({', '.join(keep)}) ({self.selector})" if keep else self._whole
        labels = ", ".join(("pod", *keep))
        series = self.selector
        if self.scope.pod != "pod":
            series = f'label_replace({series}, "pod", "$1", "{self.scope.pod}", "(.+)")'
        return f"sum by ({labels}) ({series})"

    @property
    def _whole(self) -> str:
        return f"sum({self.selector})"


def equals(label: str, value: str) -> str:
    """Return the condition that a label has exactly this value."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{label}="{escaped}"'


@dataclass(frozen=True, slots=True)
class Peer:
    """One value of a label, and how many requests a second it has."""

    name: str
    rate: float


@dataclass(frozen=True, slots=True)
class Peers:
    """The busiest values of a label, the busiest first, and how many there are in all."""

    busiest: tuple[Peer, ...]
    count: int


@dataclass(frozen=True, slots=True)
class Sighting:
    """Names of metrics that are tied to the workload in one way, and what they may be."""

    scope: Scope
    names: frozenset[str]
    families: tuple[Family, ...]


class Source(Protocol):
    """Answers questions about the metrics of one workload.

    `problems` has what could not be asked: a question without an answer is answered by nothing.
    """

    problems: list[str]

    @property
    def seconds(self) -> float:
        """Return the time that each moment of the rates stands for."""
        ...

    def metrics(self) -> Sequence[Sighting]:
        """Return which metrics there are."""
        ...

    def labels(self, pick: Pick) -> frozenset[str]:
        """Return the names of the labels of some series."""
        ...

    def values(self, pick: Pick, label: str) -> tuple[str, ...]:
        """Return the values of a label of some series."""
        ...

    def rates(self, pick: Pick) -> Rates:
        """Return how fast a counter grew at each moment of the history."""
        ...

    def buckets(self, pick: Pick) -> Mapping[str, Rates]:
        """Return how fast each bucket of a histogram grew, by its label ``le``."""
        ...

    def peers(self, pick: Pick, label: str, most: int) -> Peers:
        """Return the busiest values of a label."""
        ...

    def interval(self, pick: Pick) -> float | None:
        """Return the seconds between two samples, None where that says nothing."""
        ...
