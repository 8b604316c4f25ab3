"""What a pod's own metrics page has, where there is no Prometheus to ask.

Decides which page of which pod is read: by the annotations that Prometheus' scrapers know, then by
the container's ports and the usual paths. There is no history: the numbers are all that the pod
counted since it is ready.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploy_guard.drafting.known import FAMILIES
from deploy_guard.drafting.sources import Peer, Peers, Pick, Rates, Scope, Sighting
from deploy_guard.model import Pod
from deploy_guard.policy.promql import parse_selector
from deploy_guard.signals.exposition import Found, Page, TooManySeries
from deploy_guard.signals.pod_pages import PageReader, PodFailed

MOST_PAGES = 8  # that are tried
SECONDS = 3.0  # for one page
PATHS = ("/metrics", "/actuator/prometheus")
_ALWAYS = ("process_start_time_seconds", "process_cpu_seconds_total", "go_goroutines")
SCOPE = Scope(page=True)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a pod has its metrics page; `port` is a number, or the name of a container port."""

    port: int | str
    path: str


def places(pod: Mapping[str, Any]) -> list[Place]:
    """Return where a pod may have its page, the likeliest first; `pod` is the raw object."""
    notes = pod["metadata"].get("annotations") or {}
    ports = [
        port
        for container in pod["spec"].get("containers") or ()
        for port in container.get("ports") or ()
        if port.get("protocol", "TCP") == "TCP"
    ]
    path = notes.get("prometheus.io/path") or ""
    paths = [path] if path.startswith("/") else [*PATHS]
    found = []
    told = str(notes.get("prometheus.io/port") or "")
    if told.isdecimal() and 0 < int(told) < 65_536:
        found += [Place(_named(int(told), ports), path) for path in paths]
    ports.sort(key=lambda port: "metric" not in str(port.get("name", "")))
    for one in ports:
        number = int(one["containerPort"])
        found += [Place(_named(number, ports), path) for path in dict.fromkeys((*paths, *PATHS))]
    return list(dict.fromkeys(found))[:MOST_PAGES]


def _named(number: int, ports: Sequence[Mapping[str, Any]]) -> int | str:
    """Return the name of a port where it has one: the name outlives another number."""
    names = [port["name"] for port in ports if port["containerPort"] == number and port.get("name")]
    return str(names[0]) if names else number


def read(
    tries: Sequence[tuple[Place, PageReader]], *, namespace: str, pod: Pod
) -> tuple[Place, Page] | str:
    """Return the first page that has metrics, or why there is none.

    The reason is that of a page that answered, else that of the likeliest place.
    """
    unknown = failed = ""
    for place, reader in tries:
        try:
            page = Page(reader(namespace, pod, SECONDS))
        except PodFailed as error:
            failed = failed or error.detail
            continue
        if any(page.select(parse_selector(name)) is not None for name in (*_names(), *_ALWAYS)):
            return place, page
        unknown = unknown or f":{place.port}{place.path} has no metric that is known here"
    return unknown or failed or "the pod has no port that could have a metrics page"


def _names() -> Iterator[str]:
    for family in FAMILIES:
        yield from family.counters
        yield f"{family.histogram}_bucket"


class PageSource:
    """Answers from one page; `age` is how long its pod has counted, `pods` how many there are."""

    def __init__(self, page: Page, *, now: float, age: float, pods: int) -> None:
        self.problems: list[str] = []
        self._page, self._now = page, now
        self._age, self._pods = max(1.0, age), pods

    @property
    def seconds(self) -> float:
        """All the time since the pod began to count."""
        return self._age

    def metrics(self) -> list[Sighting]:
        """Return the known metrics of the page."""
        names = frozenset(name for name in _names() if self._page.has_samples(name))
        declared = [name for name in _names() if name not in names and self._is_declared(name)]
        if declared and not names:
            self.problems.append(
                f"{declared[0]} is declared and has counted nothing yet: draft again when there "
                "was traffic"
            )
        return [Sighting(SCOPE, names, FAMILIES)] if names else []

    def labels(self, pick: Pick) -> frozenset[str]:
        """Return the labels of the samples."""
        return frozenset(label for found in self._select(pick) for label in found.labels)

    def values(self, pick: Pick, label: str) -> tuple[str, ...]:
        """Return the values of a label."""
        return tuple(sorted({found.labels.get(label, "") for found in self._select(pick)}))

    def rates(self, pick: Pick) -> Rates:
        """Return the mean rate since the pod began to count, of all pods."""
        return self._rates(self._select(pick))

    def buckets(self, pick: Pick) -> Mapping[str, Rates]:
        """Return the mean rates by bucket."""
        found = self._by(pick, "le")
        return {bound: self._rates(some) for bound, some in found.items()}

    def peers(self, pick: Pick, label: str, most: int) -> Peers:
        """Return the busiest values of a label."""
        rates = {
            name: sum(self._rates(some).values()) for name, some in self._by(pick, label).items()
        }
        busiest = sorted(rates, key=lambda name: (-rates[name], name))[:most]
        return Peers(tuple(Peer(name, rates[name]) for name in busiest), len(rates))

    def interval(self, pick: Pick) -> float | None:  # noqa: ARG002 - of a source
        """Return nothing: a page is read when guard reads it."""
        return None

    def _is_declared(self, name: str) -> bool:
        return self._page.select(parse_selector(name)) is not None

    def _by(self, pick: Pick, label: str) -> dict[str, list[Found]]:
        groups: dict[str, list[Found]] = {}
        for found in self._select(pick):
            groups.setdefault(found.labels.get(label, ""), []).append(found)
        return groups

    def _rates(self, found: Sequence[Found]) -> Rates:
        total = sum(one.value for one in found if math.isfinite(one.value))
        return {self._now: total / self._age * self._pods} if found else {}

    def _select(self, pick: Pick) -> list[Found]:
        try:
            return self._page.select(parse_selector(pick.selector)) or []
        except TooManySeries as error:
            text = str(error)
        except ValueError:
            text = f"{pick.metric}: the page cannot be read"
        if text not in self.problems:
            self.problems.append(text)
        return []
