"""One metrics page of a pod: finds the samples that a selector matches.

Decides which lines are worth parsing; the parsing is prometheus_client's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from prometheus_client import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from deploy_guard.policy.promql import Selector


@dataclass(frozen=True, slots=True)
class Found:
    """A sample of a page."""

    labels: dict[str, str]
    value: float


class Page:
    """The text of one metrics page."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        self._is_openmetrics = text.rstrip().endswith("# EOF")

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        """The lines by the name at their beginning: parsing all of a page is slow."""
        found: dict[str, list[str]] = {}
        for line in self._lines:
            if match := _NAME.match(line):
                found.setdefault(match[0], []).append(line)
        return found

    def select(self, selector: Selector) -> list[Found] | None:
        """Return the samples that match; None when the page has no such metric at all.

        A metric that is declared but has no sample yet is there: it counts nothing so far.
        Raises ValueError for a page that is no metrics page.
        """
        lines = self._by_name.get(selector.metric)
        if not lines:
            return [] if self._is_declared(selector.metric) else None
        return [
            Found(sample.labels, float(sample.value))
            for family in self._parse(selector.metric, lines)
            for sample in family.samples
            if sample.name == selector.metric and selector.matches(sample.labels)
        ]

    def _parse(self, metric: str, lines: list[str]) -> Iterator[Metric]:
        if self._is_openmetrics:
            lines = [line.rsplit(" # {", 1)[0] for line in lines]  # exemplars
            lines = [f"# TYPE {metric} unknown", *lines, "# EOF"]
            return iter(
                parse_openmetrics(  # type: ignore[no-untyped-call]
                    "\n".join(lines) + "\n"
                )
            )
        return iter(parse_text("\n".join(lines) + "\n"))

    def _is_declared(self, metric: str) -> bool:
        names = {metric, re.sub(r"_(total|bucket|count|sum)$", "", metric)}
        return any(
            line.startswith("# TYPE ") and line.split()[2:3] and line.split()[2] in names
            for line in self._lines
        )


_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
