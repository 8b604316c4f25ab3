"""The toy service's metrics in Prometheus' text format.

Decides names, labels and buckets; what is counted when is `service`'s.
Format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds

Labels = tuple[str, ...]


class Counter:
    """A counter with labels."""

    def __init__(self, name: str, text: str, labels: Sequence[str]) -> None:
        self._name, self._text, self._labels = name, text, labels
        self._values: dict[Labels, float] = {}

    def add(self, *values: str, amount: float = 1.0) -> None:
        """Count up; `values` belong to the labels in order."""
        self._values[values] = self._values.get(values, 0.0) + amount

    def lines(self) -> list[str]:
        """Return the lines of the text format."""
        head = _head(self._name, self._text, "counter")
        return head + [
            f"{self._name}{_braces(self._labels, values)} {_number(value)}"
            for values, value in sorted(self._values.items())
        ]


class Histogram:
    """A histogram of durations in seconds, with labels."""

    def __init__(self, name: str, text: str, labels: Sequence[str]) -> None:
        self._name, self._text, self._labels = name, text, labels
        self._counts: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}

    def observe(self, seconds: float, *values: str) -> None:
        """Count one duration; `values` belong to the labels in order."""
        counts = self._counts.setdefault(values, [0] * (len(BUCKETS) + 1))
        counts[bisect.bisect_left(BUCKETS, seconds)] += 1
        self._sums[values] = self._sums.get(values, 0.0) + seconds

    def lines(self) -> list[str]:
        """Return the lines of the text format."""
        found = _head(self._name, self._text, "histogram")
        bounds = [*(_number(bound) for bound in BUCKETS), "+Inf"]
        for values, counts in sorted(self._counts.items()):
            total = 0
            for bound, count in zip(bounds, counts, strict=True):
                total += count
                braces = _braces((*self._labels, "le"), (*values, bound))
                found.append(f"{self._name}_bucket{braces} {total}")
            braces = _braces(self._labels, values)
            found.append(f"{self._name}_sum{braces} {_number(self._sums[values])}")
            found.append(f"{self._name}_count{braces} {total}")
        return found


def gauge_lines(name: str, text: str, value: float) -> list[str]:
    """Return the lines of a gauge without labels."""
    return [*_head(name, text, "gauge"), f"{name} {_number(value)}"]


def _head(name: str, text: str, kind: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]


def _braces(labels: Sequence[str], values: Sequence[str]) -> str:
    if not labels:
        return ""
    pairs = (f'{name}="{_escaped(value)}"' for name, value in zip(labels, values, strict=True))
    return "{" + ",".join(pairs) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
