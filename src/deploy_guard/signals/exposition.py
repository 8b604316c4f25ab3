"""One metrics page of a pod: finds the samples that a selector matches.

Decides which lines are worth parsing; the parsing is prometheus_client's. The pods of a workload
have the same labels at every reading, only the numbers change: what stands before the number is
parsed once and remembered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from deploy_guard.policy.promql import Selector

MOST_SERIES = 20_000  # of one metric on one page; the first time, 10,000 take about a second


@dataclass(frozen=True, slots=True)
class Found:
    """A sample of a page."""

    labels: Mapping[str, str]
    value: float


class TooManySeries(Exception):
    """A metric whose labels ran away: to parse it all would take longer than guard has."""

    def __init__(self, metric: str, count: int) -> None:
        super().__init__(f"{metric} has {count:,} series, more than {MOST_SERIES:,} are not read")


class Page:
    """The text of one metrics page."""

    def __init__(self, text: str) -> None:
        self._lines = text.replace("\r\n", "\n").split("\n")  # other breaks may stand in labels
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
        Raises ValueError for a page that is no metrics page, and TooManySeries.
        """
        lines = self._by_name.get(selector.metric)
        if not lines:
            return [] if self._is_declared(selector.metric) else None
        if len(lines) > MOST_SERIES:
            raise TooManySeries(selector.metric, len(lines))
        found = (_sample(selector.metric, line, self._is_openmetrics) for line in lines)
        return [
            sample for sample in found if sample is not None and selector.matches(sample.labels)
        ]

    def has_samples(self, metric: str) -> bool:
        """Tell whether any line of the page is a sample of this metric."""
        return metric in self._by_name

    def _is_declared(self, metric: str) -> bool:
        """Tell whether a TYPE line names the metric, or the family that it belongs to."""
        family = re.sub(r"_(total|bucket|count|sum)$", "", metric)
        kinds = ["histogram"] if metric.endswith("_bucket") else _COUNTING
        for line in self._lines:
            if not line.startswith("# TYPE "):
                continue
            name, kind = [*line.split()[2:4], "", ""][:2]
            if name == metric or (name == family and kind in kinds):
                return True
        return False


_COUNTING = ["counter", "histogram", "summary"]  # types whose samples' names have an ending
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PLAIN = re.compile(
    rf"(?P<head>[^{{\s]*\s*\{{(?:[^\"}}]|{_QUOTED})*\}}|\S+)[ \t]+"
    r"(?P<number>[-+.0-9a-zA-Z]+)(?:[ \t]+[-+.0-9eE]+)?[ \t]*"
)
_REMEMBERED = 50_000  # heads of lines, some hundred bytes each


def _sample(metric: str, line: str, is_openmetrics: bool) -> Found | None:
    """Return the sample of a line, None if it is of another metric after all; raises ValueError."""
    plain = _PLAIN.fullmatch(line)
    if plain is None and is_openmetrics:
        line = line.rsplit(" # {", 1)[0]  # an exemplar
        plain = _PLAIN.fullmatch(line)
    if plain is None:
        return next(_parse(metric, line, is_openmetrics), None)
    labels = _labels(metric, plain["head"], is_openmetrics)
    return None if labels is None else Found(labels, float(plain["number"]))


@lru_cache(maxsize=_REMEMBERED)
def _labels(metric: str, head: str, is_openmetrics: bool) -> Mapping[str, str] | None:
    """Return the labels of a line by what stands before its number."""
    found = next(_parse(metric, f"{head} 0", is_openmetrics), None)
    return None if found is None else found.labels


def _parse(metric: str, line: str, is_openmetrics: bool) -> Iterator[Found]:
    """Let prometheus_client parse a line."""
    if is_openmetrics:
        families = parse_openmetrics(  # type: ignore[no-untyped-call]
            f"# TYPE {metric} unknown\n{line}\n# EOF\n"
        )
    else:
        families = parse_text(f"{line}\n")
    for family in families:
        for sample in family.samples:
            if sample.name == metric:
                yield Found(sample.labels, float(sample.value))
