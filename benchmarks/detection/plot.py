"""The plot: false rollbacks against the time to detect, a point for each rule, as SVG.

Decides the picture only. Written by hand, so that it has no dependency and does not change when
nothing has.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 760, 460
LEFT, RIGHT, TOP, BOTTOM = 70, 640, 56, 390
NEVER = 700  # x of the rules that never fire
QUICK, SLOW = 4.0, 1200.0  # seconds at the ends of the axis
BAR = 0.01  # the accepted share of false rollbacks
LINE = 15  # pixels between two labels


@dataclass(frozen=True, slots=True)
class Point:
    """A rule: share of false rollbacks with its interval, seconds to detect (median and 95 %).

    Infinite seconds mean never.
    """

    name: str
    share: float
    low: float
    high: float
    median: float
    late: float
    ours: bool = False


def svg(points: Sequence[Point], *, title: str, best: float) -> str:
    """Draw the points; `best` is the time of oracle+30, a vertical line."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(LEFT, 22, title, size=15),
        _text(
            LEFT,
            40,
            "better: further down, and further left",
            colour="#666",
        ),
        f'<rect x="{LEFT}" y="{_y(BAR):.1f}" width="{NEVER - LEFT + 40}" '
        f'height="{_y(0) - _y(BAR):.1f}" fill="#dff0df"/>',
        *_axes(),
        _text(LEFT + 6, _y(BAR) + 14, "at most 1 % rolled back without a cause", colour="#3a7a3a"),
        f'<line x1="{_x(best):.1f}" y1="{TOP}" x2="{_x(best):.1f}" y2="{BOTTOM}" '
        'stroke="#888" stroke-dasharray="4 4"/>',
        _text(_x(best) + 5, TOP + 14, "oracle+30: the soonest that", colour="#666"),
        _text(_x(best) + 5, TOP + 29, "survives a warm-up", colour="#666"),
    ]
    labels: list[tuple[float, float]] = []
    for point in sorted(points, key=lambda point: (point.share, point.median)):
        parts += _drawn(point, labels)
    return "\n".join([*parts, "</svg>", ""])


def _drawn(point: Point, labels: list[tuple[float, float]]) -> list[str]:
    """Draw one rule; `labels` has the places of those below it, each is kept free."""
    x, y = _x(point.median), _y(point.share)
    colour = "#c0392b" if point.ours else "#2c5d8f"
    place = y - 5
    while any(abs(x - other) < 140 and abs(place - at) < LINE for other, at in labels):
        place -= 1
    labels.append((x, place))
    low, high, late = _y(point.low), _y(point.high), _x(point.late)
    ends = x > RIGHT
    return [
        f'<line x1="{x:.1f}" y1="{low:.1f}" x2="{x:.1f}" y2="{high:.1f}" stroke="{colour}"/>',
        f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{late:.1f}" y2="{y:.1f}" stroke="{colour}" '
        'stroke-opacity="0.35"/>',
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{6 if point.ours else 4}" fill="{colour}"/>',
        _text(
            x - 9 if ends else x + 9,
            place,
            point.name,
            colour=colour,
            anchor="end" if ends else "start",
            weight="bold" if point.ours else "normal",
        ),
    ]


def _axes() -> list[str]:
    parts = []
    for share in (0, 0.01, 0.05, 0.1, 0.2, 0.5, 1):
        y = _y(share)
        parts.append(
            f'<line x1="{LEFT}" y1="{y:.1f}" x2="{NEVER + 40}" y2="{y:.1f}" stroke="#ddd"/>'
        )
        parts.append(_text(LEFT - 8, y + 4, f"{100 * share:g} %", anchor="end"))
    for seconds in (5, 15, 30, 60, 120, 300, 600, 1200):
        x = _x(seconds)
        parts.append(f'<line x1="{x:.1f}" y1="{BOTTOM}" x2="{x:.1f}" y2="395" stroke="#333"/>')
        parts.append(_text(x, BOTTOM + 18, f"{seconds} s", anchor="middle"))
    parts.append(_text(NEVER, BOTTOM + 18, "never", anchor="middle"))
    across = "across: seconds until a bad deploy is rolled back; the median, and a line to 95 %"
    parts.append(_text(LEFT, BOTTOM + 40, across))
    parts.append(
        _text(LEFT, BOTTOM + 56, "upwards: share of healthy deploys rolled back, 95 % interval")
    )
    return parts


def _x(seconds: float) -> float:
    """Place a time on a logarithmic axis."""
    if math.isinf(seconds):
        return NEVER
    part = math.log(max(seconds, QUICK) / QUICK) / math.log(SLOW / QUICK)
    return LEFT + (RIGHT - LEFT) * part


def _y(share: float) -> float:
    """Place a share on an axis of square roots, on which small shares have room."""
    return BOTTOM - (BOTTOM - TOP) * math.sqrt(share)


def _text(
    x: float,
    y: float,
    text: str,
    *,
    colour: str = "#222",
    size: int = 12,
    anchor: str = "start",
    weight: str = "normal",
) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" font-size="{size}" '
        f'font-weight="{weight}" text-anchor="{anchor}">{escaped}</text>'
    )
