"""Charts in the terminal: lines over time, limits, marked moments. Drawn by plotille.

Decides the layout; which numbers are shown is the caller's business. Colour is left to the caller
too: the lines differ by their marks, so that a chart can be pasted into a ticket.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MARKS = "●○×+△"  # of the lines, in their order
TOGETHER = "◉"  # points of several lines in one place
LIMIT = "┄"
NOTHING = 1e-300  # a difference that cannot be divided into columns
BLANK = "\N{BRAILLE PATTERN BLANK}"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart: its name, and points (x, y); NaN is a gap."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment on the x axis that is marked, such as the deploy."""

    name: str
    x: float


def chart(
    lines: Sequence[Line],
    *,
    width: int = 72,
    height: int = 10,
    x: Callable[[float], str],
    y: Callable[[float], str],
    marks: Sequence[Mark] = (),
    limit: float | None = None,
) -> str:
    """Return a chart as text, `width` columns and `height` rows beside axes and legend.

    `x` and `y` write a number of their axis. Empty without any finite point.
    """
    points = [p for line in lines for p in line.points if math.isfinite(p[0] + p[1])]
    if not points:
        return ""
    low_x, high_x = _range([p[0] for p in points] + [m.x for m in marks])
    values = [p[1] for p in points] + ([] if limit is None else [limit])
    low_y, high_y = _range([*values, 0.0] if min(values) >= 0 else values)
    import plotille

    # the ends of both axes are the middle of the outermost dots: two a column, four a row
    right = low_x + (high_x - low_x) * 2 * width / (2 * width - 1)
    top = low_y + (high_y - low_y) * 4 * height / (4 * height - 1)
    canvas = plotille.Canvas(width, height, xmin=low_x, ymin=low_y, xmax=right, ymax=top)
    if limit is not None:
        for column in range(0, width, 2):
            canvas.point(low_x + column * (right - low_x) / width, limit, marker=LIMIT)
    for mark in marks:
        canvas.line(mark.x, low_y, mark.x, high_y)
    signs: dict[tuple[int, int], str] = {}
    for sign, line in zip(MARKS, lines, strict=False):
        for point_x, point_y in line.points:
            if math.isfinite(point_x + point_y):
                cell = (
                    round((point_x - low_x) / (right - low_x) * 2 * width) // 2,
                    round((point_y - low_y) / (top - low_y) * 4 * height) // 4,
                )
                marker = sign if signs.get(cell, sign) == sign else TOGETHER
                signs[cell] = marker
                canvas.point(point_x, point_y, marker=marker)
    together = TOGETHER in signs.values()
    drawn = [row.replace(BLANK, " ").rstrip() for row in canvas.plot().splitlines()]
    labels = [y(high_y), *[""] * (len(drawn) - 2), y(low_y)]
    margin = max(len(label) for label in labels)
    rows = [f"{label:>{margin}} ┤{row}" for label, row in zip(labels, drawn, strict=True)]
    rows = [row.rstrip() for row in rows]
    axis = f"{' ' * margin}  {x(low_x)}{x(high_x):>{max(1, width - len(x(low_x)))}}"
    legend = _legend(lines, marks, x, limit, y, together=together)
    return "\n".join([*rows, axis, *_in_rows(legend, columns=margin + 2 + width)])


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Return the least and the greatest value, apart from each other."""
    low, high = min(values), max(values)
    if high - low > NOTHING:
        return low, high
    return low, low + (abs(low) if abs(low) > NOTHING else 1.0)


def _legend(
    lines: Sequence[Line],
    marks: Sequence[Mark],
    x: Callable[[float], str],
    limit: float | None,
    y: Callable[[float], str],
    *,
    together: bool,
) -> list[str]:
    signs = [f"{sign} {line.name}" for sign, line in zip(MARKS, lines, strict=False)]
    if together:
        signs.append(f"{TOGETHER} several in one place")
    if limit is not None:
        signs.append(f"{LIMIT} limit {y(limit)}")
    return signs + [f"│ {mark.name} {x(mark.x)}" for mark in marks]


def _in_rows(signs: Sequence[str], *, columns: int) -> list[str]:
    """Return signs side by side, in as many rows as they need to be no wider than the chart."""
    rows = [f"  {signs[0]}"]
    for sign in signs[1:]:
        longer = f"{rows[-1]}   {sign}"
        rows = [*rows[:-1], longer] if len(longer) <= columns else [*rows, f"  {sign}"]
    return rows
