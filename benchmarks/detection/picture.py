"""The picture of how a verdict comes about: `python -m benchmarks.detection.picture`.

Decides how the deploy of `example` is drawn, as `docs/verdict.svg`, and nothing of what it shows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from benchmarks.detection.example import (
    BASELINE,
    POLL,
    RATE,
    USUAL,
    WATCH,
    WORSE,
    Deploy,
    Poll,
    replayed,
)
from deploy_guard.detect import BIN
from deploy_guard.model import Counts

PICTURE = Path(__file__).parents[2] / "docs" / "verdict.svg"

# In pixels and seconds from the deploy.
WIDTH, HEIGHT = 800, 580
LEFT, RIGHT = 116, 634
FIRST = -120
STAIRS, STAIR = 76, 19  # labels of the moments
UPPER_TOP, UPPER_BOTTOM, HIGHEST = 166, 324, 0.0115
LOWER_TOP, LOWER_BOTTOM, LEAST = 376, 526, 1e-6
ASIDE = 3  # old and new pods of the same moment stand side by side
PANELS = ((UPPER_TOP, UPPER_BOTTOM), (LOWER_TOP, LOWER_BOTTOM))
BEFORE, OLD, NEW, INK = "#555", "#2471a3", "#c0392b", "#222"


def svg(deploy: Deploy) -> str:
    """Draw a deploy."""
    new, old = deploy.seen
    wrong = f"{_percent(USUAL)} of the requests failed before the deploy, then {_percent(WORSE)} "
    summary = (
        f"{wrong}of the new pods'. Guard suspects it after {deploy.suspected} s. After "
        f"{deploy.proven} s so many errors are beyond chance. After {deploy.acted} s "
        f"{_counted(new)} requests to the new pods since the warm-up failed, and {_counted(old)} "
        f"to the old pods: it is the deploy, which is rolled back. The last new pod is "
        f"gone after {deploy.gone} s."
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img" aria-labelledby="title desc" '
        'font-family="sans-serif" font-size="13">',
        '<title id="title">How a verdict comes about: a bad deploy, second by second</title>',
        f'<desc id="desc">{escape(summary)}</desc>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="6" fill="white"/>',
        _text(16, 27, "A bad deploy, second by second", size=17, weight="bold"),
        _text(16, 49, f"{wrong}of the new pods’ · {RATE} requests per second", colour="#555"),
        *_usual(deploy),
        *_moments(deploy),
        *_upper(deploy),
        *_lower(deploy),
        *_axis(),
    ]
    return "\n".join([*parts, "</svg>", ""])


def _usual(deploy: Deploy) -> Iterator[str]:
    """Draw what shows that nothing is wrong, and what is left out."""
    low, high = deploy.usual
    for top, bottom in PANELS:
        yield _area(0, deploy.warm_up, top, bottom, "#eee")
    for label, down in (("warm-up", 14), ("left out", 29)):
        middle = _x(deploy.warm_up / 2)
        yield _text(middle, UPPER_TOP + down, label, colour="#555", size=12, anchor="middle")
    yield _area(FIRST, WATCH, _up(high), _up(low), "#d5e8d4")
    yield _line([(LEFT, _up(USUAL)), (RIGHT, _up(USUAL))], colour="#6a9a68", dashes="5 4")
    yield _text(LEFT + 6, _up(high) - 6, "usual (95 % of the time)", colour="#3a7a3a")


def _moments(deploy: Deploy) -> Iterator[str]:
    """Draw a line for each moment with its label, each on a stair of its own."""
    labels = [
        (0, "deploy", INK),
        (deploy.suspected, f"{deploy.suspected} s: suspected", INK),
        (deploy.proven, f"{deploy.proven} s: beyond chance. Whose fault?", INK),
        (deploy.acted, f"{deploy.acted} s: old pods fine → rolled back", NEW),
        (deploy.gone, f"{deploy.gone} s: last new pod gone", INK),
    ]
    for number, (second, label, colour) in enumerate(labels):
        x, y = _x(second), STAIRS + STAIR * number
        for top, bottom in ((y - 11, UPPER_BOTTOM), (LOWER_TOP, LOWER_BOTTOM)):
            yield _line([(x, top), (x, bottom)], colour=colour, width=2 if colour == NEW else 1)
        weight = "bold" if colour == NEW else "normal"
        yield _text(x + 6, y, label, colour=colour, weight=weight)


def _upper(deploy: Deploy) -> Iterator[str]:
    """Draw the part of the requests that failed, in bins: before, old pods, new pods."""
    yield _text(16, UPPER_TOP - 34, "Failed requests", weight="bold")
    yield _text(16, UPPER_TOP - 16, f"a mark for every {BIN:g} s", colour="#555")
    for share in (0, 0.005, 0.01):
        yield _text(LEFT - 8, _up(share) + 4, _percent(share), anchor="end")
    yield _line([(LEFT, UPPER_BOTTOM), (RIGHT, UPPER_BOTTOM)])
    for end, old, new in _bins(deploy.polls):
        x = _x(end - BIN / 2)
        if end <= 0:
            yield _circle(x, _up(old.ratio))
            continue
        yield _square(x - ASIDE, _up(old.ratio))
        if new.requests:
            yield _diamond(x + ASIDE, _up(new.ratio))
    legend = ((_circle, "before", BEFORE), (_square, "old pods", OLD), (_diamond, "new pods", NEW))
    for number, (mark, label, colour) in enumerate(legend):
        y = UPPER_TOP + 70 + 21 * number
        yield mark(RIGHT + 22, y)
        yield _text(RIGHT + 36, y + 4.5, label, colour=colour, weight="bold")


def _lower(deploy: Deploy) -> Iterator[str]:
    """Draw how likely so many errors since the warm-up would be, down to where guard acts."""
    title = "How likely the new pods’ errors since the warm-up would be if nothing had changed"
    yield _text(16, LOWER_TOP - 20, title, weight="bold")
    for zeros in range(round(-math.log10(LEAST)) + 1):
        y = _down(10**-zeros)
        yield _line([(LEFT, y), (RIGHT, y)], colour="#ddd")
        yield _text(LEFT - 8, y + 4, f"1 in {10**zeros:,}" if zeros else "certain", anchor="end")
    level = [(_x(chance.end), _down(chance.level)) for chance in deploy.chances]
    yield _line([*level, (RIGHT, level[-1][1])], colour=INK, width=1.5, dashes="5 4")
    yield _text(RIGHT + 8, level[-1][1] + 4, "↓ beyond chance")
    fall = [(_x(chance.end), _down(chance.p_value)) for chance in deploy.chances]
    yield _line([(_x(deploy.warm_up), _down(1)), *fall], colour=NEW, width=2.5)
    yield _circle(*fall[[chance.end for chance in deploy.chances].index(deploy.proven)], INK)
    yield _diamond(*fall[-1])
    new, old = deploy.seen
    yield _text(
        RIGHT + 8, LOWER_TOP + 18, f"failed, {deploy.warm_up:g} to {deploy.acted} s:", colour="#555"
    )
    yield _text(RIGHT + 8, LOWER_TOP + 37, f"new {_counted(new)}", colour=NEW, weight="bold")
    yield _text(RIGHT + 8, LOWER_TOP + 56, f"old {_counted(old)}", colour=OLD, weight="bold")


def _axis() -> Iterator[str]:
    yield _line([(LEFT, LOWER_BOTTOM), (RIGHT, LOWER_BOTTOM)])
    for second in range(FIRST, WATCH + 1, 60):
        x = _x(second)
        yield _line([(x, LOWER_BOTTOM), (x, LOWER_BOTTOM + 6)])
        label = f"{second / 60:+g} min".replace("-", "−") if second else "deploy"
        yield _text(x, LOWER_BOTTOM + 22, label, anchor="middle")
    known = f"← {BASELINE // 60} min before the deploy are known"
    yield _text(LEFT - 20, LOWER_BOTTOM + 43, known, colour="#555")


def _bins(polls: Sequence[Poll]) -> Iterator[tuple[int, Counts, Counts]]:
    """Add up the polls that are drawn to bins, each with its end, the old and the new pods'."""
    each = round(BIN / POLL)
    shown = [poll for poll in polls if poll.end > FIRST]
    for first in range(0, len(shown), each):
        some = shown[first : first + each]
        nothing = Counts(0, 0)
        old = sum((poll.old for poll in some), start=nothing)
        new = sum((poll.new for poll in some), start=nothing)
        yield some[-1].end, old, new


def _x(second: float) -> float:
    return LEFT + (RIGHT - LEFT) * (second - FIRST) / (WATCH - FIRST)


def _up(share: float) -> float:
    return UPPER_BOTTOM - (UPPER_BOTTOM - UPPER_TOP) * min(1.0, share / HIGHEST)


def _down(p_value: float) -> float:
    """Place a probability on a logarithmic axis, at its end what is less than that."""
    part = math.log(max(p_value, LEAST)) / math.log(LEAST)
    return LOWER_TOP + (LOWER_BOTTOM - LOWER_TOP) * part


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def _counted(counts: Counts) -> str:
    return f"{counts.errors:,.0f} of {counts.requests:,.0f}"


def _circle(x: float, y: float, colour: str = BEFORE) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'


def _square(x: float, y: float) -> str:
    at = f'x="{x - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" height="9"'
    return f'<rect {at} fill="white" stroke="{OLD}" stroke-width="2"/>'


def _diamond(x: float, y: float) -> str:
    return f'<path d="M{x:.1f} {y - 6.5:.1f}l6.5 6.5-6.5 6.5-6.5-6.5z" fill="{NEW}"/>'


def _area(since: float, until: float, top: float, bottom: float, colour: str) -> str:
    at = f'x="{_x(since):.1f}" y="{top:.1f}" width="{_x(until) - _x(since):.1f}"'
    return f'<rect {at} height="{bottom - top:.1f}" fill="{colour}"/>'


def _line(
    points: Iterable[tuple[float, float]], *, colour: str = INK, width: float = 1, dashes: str = ""
) -> str:
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    look = f'fill="none" stroke="{colour}" stroke-width="{width:g}"{dashed}'
    return f'<polyline points="{places}" {look}/>'


def _text(
    x: float,
    y: float,
    text: str,
    *,
    colour: str = INK,
    size: int = 13,
    anchor: str = "start",
    weight: str = "normal",
) -> str:
    look = f'fill="{colour}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {look}>{escape(text)}</text>'


if __name__ == "__main__":
    PICTURE.write_text(svg(replayed()), encoding="utf-8")
