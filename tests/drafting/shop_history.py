"""Histories of many kinds of metrics, in the OpenMetrics format, as scrapers would have left them.

Each family belongs to a workload of its own, so that one server holds them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

STEP = 60  # seconds between two samples
SPAN = 3 * 3600  # seconds of history
PODS = ("5d4f8c7b9d-x2x4z", "5d4f8c7b9d-k7h2p")
BOUNDS = {0.05: 0.6, 0.1: 0.9, 0.25: 0.996, 0.5: 0.9995, 1.0: 1.0}  # seconds, and how many at most


@dataclass
class History:
    """Collects samples up to a moment; `text` is what promtool reads."""

    now: int
    span: int = SPAN
    step: int = STEP
    _families: dict[str, tuple[str, list[str]]] = field(default_factory=dict)

    def moments(self) -> range:
        """Return the times of all scrapes."""
        return range(self.now - self.span, self.now + 1, self.step)

    def counter(self, name: str, labels: Mapping[str, str], rate: float) -> None:
        """Add a counter that grows by so much a second; its name ends in _total, or as it is."""
        stem = name.removesuffix("_total")
        kind = "counter" if name.endswith("_total") else "unknown"
        begin = self.now - self.span
        self._add(stem, kind, name, labels, ((at, rate * (at - begin)) for at in self.moments()))

    def histogram(
        self, name: str, labels: Mapping[str, str], rate: float, *, per_second: float = 1.0
    ) -> None:
        """Add a histogram of which each second has so many requests, with BOUNDS in its unit."""
        begin = self.now - self.span
        shares = [(f"{bound * per_second:g}", share) for bound, share in BOUNDS.items()]
        for bound, share in [*shares, ("+Inf", 1.0)]:
            values = ((at, rate * share * (at - begin)) for at in self.moments())
            self._add(name, "histogram", f"{name}_bucket", {**labels, "le": bound}, values)
        values = ((at, rate * (at - begin)) for at in self.moments())
        self._add(name, "histogram", f"{name}_count", labels, values)

    def series(
        self, name: str, labels: Mapping[str, str], values: Iterable[tuple[int, float]]
    ) -> None:
        """Add a counter with values of its own."""
        self._add(name.removesuffix("_total"), "counter", name, labels, values)

    def _add(
        self,
        family: str,
        kind: str,
        name: str,
        labels: Mapping[str, str],
        values: Iterable[tuple[int, float]],
    ) -> None:
        if kind == "unknown":
            family = name
        inside = ",".join(f'{key}="{escaped(value)}"' for key, value in labels.items())
        lines = self._families.setdefault(family, (kind, []))[1]
        lines += [f"{name}{{{inside}}} {value:g} {at}" for at, value in values]

    def text(self) -> str:
        """Return the whole text."""
        lines = []
        for family, (kind, samples) in self._families.items():
            lines += [f"# TYPE {family} {kind}", *samples]
        return "\n".join([*lines, "# EOF", ""])


def escaped(value: str) -> str:
    """Return a label's value as the format wants it."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def pods(name: str, namespace: str = "namespace", pod: str = "pod") -> list[dict[str, str]]:
    """Return the labels of each pod of a workload, by a scraper's convention."""
    return [{namespace: "shop", pod: f"{name}-{suffix}"} for suffix in PODS]
