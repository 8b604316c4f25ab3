"""The table of `guard check --target`: one row a signal, as many columns as fit.

Decides the columns, their widths, and which go first where there is no room. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deploy_guard import text
from deploy_guard.check_live.firing import Firing
from deploy_guard.check_live.firing_words import brief
from deploy_guard.check_live.report import SignalReport
from deploy_guard.model import KUBERNETES
from deploy_guard.outputs import format as fmt
from deploy_guard.outputs.signal_table import cell, finding_words, limit_words

Piece = tuple[str, str]  # a text and its style

HEADS = ("signal", "finding", "series", "pods", "newest", "now", "baseline", "limit", "fires at")
RIGHT = ("series", "pods", "newest", "now", "baseline", "limit")
FIRST_TO_GO = ("series", "pods", "baseline", "limit")  # where there is no room
WIDEST_NAME = 24
NARROWEST_NAME = 8
LIMITS = (12, 20)  # the widest limit on a narrow screen, and on one of
ROOMY = 120  # columns or more


@dataclass(frozen=True, slots=True)
class _Row:
    """One signal: the cells by column, and the styles of some."""

    cells: dict[str, str]
    styles: dict[str, str]


def table(signals: Sequence[SignalReport], *, pods: int, width: int) -> list[list[Piece]]:
    """Return the head and a row for each signal, in at most `width` columns.

    `pods` is how many pods of the workload are ready.
    """
    rows = [_row(signal, pods=pods, width=width) for signal in signals]
    widths = {
        head: max(fmt.cells(head), *(fmt.cells(row.cells[head]) for row in rows)) for head in HEADS
    }
    widths["signal"] = min(widths["signal"], WIDEST_NAME)
    for head in FIRST_TO_GO:
        if _whole(widths) > width:
            del widths[head]
    for head, least in (("signal", NARROWEST_NAME), ("finding", 1), ("fires at", 1)):
        if (over := _whole(widths) - width) > 0:
            widths[head] = max(least, widths[head] - over)
    _spell_out(rows, signals, widths, width)
    head = " ".join(cell(head, widths[head], right=head in RIGHT) for head in widths)
    return [[(head.rstrip(), "dim")], *(_pieces(row, widths) for row in rows)]


def _whole(widths: dict[str, int]) -> int:
    return sum(widths.values()) + len(widths) - 1


def _spell_out(
    rows: Sequence[_Row], signals: Sequence[SignalReport], widths: dict[str, int], width: int
) -> None:
    """Say more of what fires where all of it fits: the last column has what room is left."""
    room = width - _whole(widths) + widths["fires at"]
    told = [_fires(signal.firing, long=True) for signal in signals]
    if max(map(fmt.cells, told)) <= room:
        for row, words in zip(rows, told, strict=True):
            row.cells["fires at"] = words
        widths["fires at"] = room


def _pieces(row: _Row, widths: dict[str, int]) -> list[Piece]:
    found: list[Piece] = []
    for head, size in widths.items():
        words = cell(row.cells[head], size, right=head in RIGHT)
        if head == "fires at":
            words = words.rstrip()
        found.append((words if not found else f" {words}", row.styles.get(head, "")))
    return found


def _row(signal: SignalReport, *, pods: int, width: int) -> _Row:
    summary = signal.summary
    style = fmt.STYLES[summary.finding]
    own, limit = summary.provider == KUBERNETES, LIMITS[width >= ROOMY]
    never = signal.firing is not None and not signal.firing.edges
    cells = {
        "signal": fmt.clean(summary.name, longest=100),
        "finding": finding_words(summary.finding),
        "series": _series(signal),
        "pods": f"{pods}/{pods}" if own else _pods(signal, pods),
        "newest": "now" if own else _newest(signal),
        "now": fmt.NONE if own else _now(signal),
        "baseline": fmt.NONE if own else fmt.value(summary.baseline, summary.unit),
        "limit": _limit(signal, limit),
        "fires at": _fires(signal.firing, long=False),
    }
    styles = {"signal": "bold", "finding": style}
    if never:
        styles["fires at"] = "yellow"
    if signal.recent is not None and signal.recent.old:
        styles["newest"] = "yellow"
    return _Row(cells, styles)


def _series(signal: SignalReport) -> str:
    """Return how many series the last query found: of a ratio its requests."""
    counted = [run.series for run in signal.queries if run.series is not None]
    return f"{counted[-1]:,}" if counted else fmt.NONE


def _pods(signal: SignalReport, pods: int) -> str:
    if signal.pods is not None:
        return f"{signal.pods}/{pods}"
    counted = [run.pods for run in signal.queries if run.series]
    return f"{counted[-1]}/{pods}" if counted and counted[-1] else fmt.NONE


def _now(signal: SignalReport) -> str:
    if signal.probe is not None and not signal.probe.ok:
        return "fails"
    return fmt.value(signal.now, signal.summary.unit)


def _limit(signal: SignalReport, width: int) -> str:
    """Return the limit; that of an API's calls is told by what fires."""
    summary = signal.summary
    if summary.provider in (KUBERNETES, "http"):
        return fmt.NONE
    return fmt.fit(limit_words(summary, width), width)


def _newest(signal: SignalReport) -> str:
    recent = signal.recent
    if recent is None or recent.age is None:
        return fmt.NONE
    if recent.gone:
        age = recent.age if recent.age < 60 else recent.age // 60 * 60
        return f"{text.seconds(age)} ago"
    return "now" if recent.at_source else text.seconds(max(1.0, float(round(recent.age))))


def _fires(firing: Firing | None, *, long: bool) -> str:
    if firing is None:
        return fmt.NONE
    return brief(firing) if long else firing.short
