"""One small chart for each signal: new pods, old pods, what was before, the limit, the marks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from deploy_guard import text
from deploy_guard.explanation.model import Explanation, Point
from deploy_guard.model import KUBERNETES, Evidence
from deploy_guard.outputs import format as fmt
from deploy_guard.outputs.charts import Line, Mark, chart

HEIGHT = 6
WIDEST = 90
BEFORE = 0.2  # of the time after the deploy: so much of the baseline is shown
LEAST_BEFORE = 5.0  # seconds


def charts(found: Explanation, *, width: int) -> list[tuple[str, str]]:
    """Return the name and the chart of every signal that has a number to show."""
    drawn = []
    for evidence in found.replay.decision.evidence:
        if evidence.signal != KUBERNETES and (
            picture := _chart(found, evidence, columns=min(WIDEST, width - 16))
        ):
            drawn.append((evidence.signal, picture))
    return drawn


def _chart(found: Explanation, evidence: Evidence, *, columns: int) -> str:
    name, unit = evidence.signal, evidence.unit
    first = found.replay.points.get(name, ())
    second = found.second.points.get(name, ()) if found.second is not None else ()
    deployed = found.header.deployed_at
    end = max((p.at for p in (*first, *second)), default=deployed)
    begin = deployed - max(LEAST_BEFORE, BEFORE * (end - deployed))
    step = max((end - begin) / columns, 1e-9)
    lines = [
        Line("new pods", _means(((p.at, p.new) for p in first), begin, step)),
        Line("old pods, before", _means(_old(first, second), begin, step)),
    ]
    if second:
        lines.append(Line("after the rollback", _means(_new(second), begin, step)))
    if not any(line.points for line in lines):
        return ""
    return chart(
        [line for line in lines if line.points],
        width=columns,
        height=HEIGHT,
        x=lambda at: fmt.offset(at - deployed),
        y=lambda value: text.quantity(value, unit),
        marks=_marks(found),
        limit=evidence.limit,
    )


def _new(points: Iterable[Point]) -> Iterable[tuple[float, float | None]]:
    return ((p.at, p.new) for p in points)


def _old(*parts: Iterable[Point]) -> Iterable[tuple[float, float | None]]:
    return ((p.at, p.old) for points in parts for p in points)


def _means(
    points: Iterable[tuple[float, float | None]], begin: float, step: float
) -> Sequence[tuple[float, float]]:
    """Return the mean of each column's readings."""
    columns: dict[int, list[float]] = {}
    for at, value in points:
        if value is not None and math.isfinite(value) and at >= begin:
            columns.setdefault(math.floor((at - begin) / step), []).append(value)
    return [
        (begin + (column + 0.5) * step, sum(values) / len(values))
        for column, values in sorted(columns.items())
    ]


def _marks(found: Explanation) -> list[Mark]:
    marks = [Mark("deploy", found.header.deployed_at)]
    if found.replay.decision.verdict is not None:
        marks.append(Mark("verdict", found.replay.decision.at))
    back = [e.at for e in found.parts.events if e.kind == "rollback"]
    if back and found.second is not None:
        marks.append(Mark("serves again", back[-1]))
    return marks
