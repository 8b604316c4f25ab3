"""The live view's table of signals: which columns fit, and which rows when not all fit."""

from __future__ import annotations

from dataclasses import dataclass

from deploy_guard.model import Finding, SignalSummary
from deploy_guard.outputs import format as fmt

_NUMBER = 8
_WIDEST_NAME = 24
_WIDEST_LIMIT = 20
_TREND = (6, 60)  # narrowest and widest
_DATA = 8


@dataclass(frozen=True, slots=True)
class Columns:
    """The width of each column; 0 where there is no room for it."""

    name: int
    finding: int
    baseline: int = 0
    limit: int = 0
    trend: int = 0
    data: int = 0


def signal_rows(
    signals: tuple[SignalSummary, ...], *, width: int, height: int
) -> list[list[tuple[str, str]]]:
    """Return the table in at most `height` rows; what does not fit is counted, worst shown first.

    Each signal has one row, and a second one with its reason when that matters.
    """
    if not signals or height < 2:
        return []
    columns = fit_columns(signals, width)
    head = [(_head(columns), "dim")]
    blocks = [_block(signal, columns, width) for signal in signals]
    if 1 + sum(len(block) for block in blocks) <= height:
        return [head, *(row for block in blocks for row in block)]
    if 1 + len(signals) <= height:
        return [head, *_some_reasons(blocks, spare=height - 1 - len(signals))]
    worst = sorted(signals, key=lambda s: fmt.WORST_FIRST.index(s.finding))
    shown, hidden = worst[: height - 2], worst[height - 2 :]
    rest = f"  … and {len(hidden)} more: {_counted(hidden)}"
    return [head, *(_row(s, columns) for s in shown), [(fmt.fit(rest, width), "dim")]]


def fit_columns(signals: tuple[SignalSummary, ...], width: int) -> Columns:
    """Choose the columns that fit: first what is judged, then the trend, then the counts."""
    name = min(_WIDEST_NAME, width // 4, max(6, *(fmt.cells(s.name) for s in signals)))
    finding = max(fmt.cells(finding_words(s.finding)) for s in signals)
    if width >= 72:
        finding = max(
            fmt.cells(finding_words(f)) for f in Finding
        )  # stays still when findings change
    room = width - name - finding - _NUMBER - 2
    widest = _WIDEST_LIMIT if width >= 100 else 12 if width >= 72 else _NUMBER
    wanted = max(fmt.cells(limit_words(s, widest)) for s in signals)
    baseline = _NUMBER if room > _NUMBER else 0
    room -= baseline + 1
    limit = min(max(wanted, 5), widest, room - 1) if room > _NUMBER else 0
    room -= limit + 1
    data = _DATA if room > _DATA + _TREND[0] + 1 else 0
    room -= data + 1 if data else 0
    trend = min(_TREND[1], room - 1) if room > _TREND[0] else 0
    return Columns(name, finding, baseline, limit, trend, data)


def _head(columns: Columns) -> str:
    cells = [
        ("signal", columns.name, False),
        ("finding", columns.finding, False),
        ("now", _NUMBER, True),
        ("baseline", columns.baseline, True),
        ("limit", columns.limit, True),
        ("trend", columns.trend, False),
        ("data", columns.data, True),
    ]
    return " ".join(cell(word, width, right=right) for word, width, right in cells if width)


def _row(signal: SignalSummary, columns: Columns) -> list[tuple[str, str]]:
    now = fmt.value(signal.current, signal.unit)
    style = fmt.STYLES[signal.finding]
    row = [
        (fmt.pad(fmt.clean(signal.name, longest=100), columns.name) + " ", "bold"),
        (fmt.pad(finding_words(signal.finding), columns.finding) + " ", style),
        (cell(now, _NUMBER, right=True), style if signal.finding is Finding.BAD else ""),
    ]
    if columns.baseline:
        before = fmt.value(signal.baseline, signal.unit)
        row.append((" " + cell(before, columns.baseline, right=True), ""))
    if columns.limit:
        row.append((" " + cell(limit_words(signal, columns.limit), columns.limit, right=True), ""))
    if columns.trend:
        marks = (signal.limit, signal.baseline)
        trend = fmt.spark(signal.history, width=columns.trend, marks=marks)
        row.append((" " + fmt.pad(trend, columns.trend), style))
    if columns.data:
        polls = f"{signal.samples}/{signal.samples + signal.no_data}"
        row.append((" " + cell(polls, columns.data, right=True), ""))
    return row


def _block(signal: SignalSummary, columns: Columns, width: int) -> list[list[tuple[str, str]]]:
    """Return the signal's row, and the row of its reason when it has one worth a line."""
    reason = signal.problem
    if signal.finding in (Finding.BAD, Finding.SHARED, Finding.SUSPECT):
        reason = signal.text or signal.problem
    rows = [_row(signal, columns)]
    if reason:
        rows.append([(fmt.fit("    " + fmt.clean(reason, longest=500), width), "dim")])
    return rows


def _some_reasons(
    blocks: list[list[list[tuple[str, str]]]], *, spare: int
) -> list[list[tuple[str, str]]]:
    """Return all signals' rows, and as many reasons as there are rows to spare."""
    rows = []
    for block in blocks:
        rows.append(block[0])
        if len(block) > 1 and spare > 0:
            rows.append(block[1])
            spare -= 1
    return rows


def finding_words(finding: Finding) -> str:
    """Return a finding with its symbol."""
    return f"{fmt.SYMBOLS[finding]} {finding.value}"


def limit_words(signal: SignalSummary, width: int) -> str:
    """Return the limit in words where they fit, else its number."""
    whole = fmt.clean(signal.limit_text, longest=100)
    if whole and (fmt.cells(whole) <= width or signal.limit is None):
        return whole
    return fmt.value(signal.limit, signal.unit)


def cell(word: str, width: int, *, right: bool) -> str:
    """Return the word in exactly `width` columns, at the left or at the right."""
    if not right:
        return fmt.pad(word, width)
    word = fmt.fit(word, width)
    return " " * (width - fmt.cells(word)) + word


def _counted(signals: list[SignalSummary]) -> str:
    found = [s.finding for s in signals]
    kinds = [f for f in fmt.WORST_FIRST if f in found]
    return ", ".join(f"{found.count(kind)} {kind.value}" for kind in kinds)
