"""Two policies side by side on the same record: verdict, when, why, signal by signal."""

from __future__ import annotations

from collections.abc import Iterator

from deploy_guard import text
from deploy_guard.explanation.agreement import verdict_words
from deploy_guard.explanation.comparing import rule_of
from deploy_guard.explanation.model import Explanation, Replay
from deploy_guard.model import Finding
from deploy_guard.outputs import format as fmt

_NAME = (8, 24)  # narrowest and widest
_GAP = 2


def table(found: Explanation, *, width: int) -> Iterator[tuple[str, str]]:
    """Yield lines, each with its style: the table, then what cannot be known."""
    other = found.other
    if other is None:
        return
    recorded = found.replay
    rows = [("", _title("recorded", recorded), _title("with", other.replay))]
    for label, cell in (("verdict", _verdict), ("when", _when), ("why", _why)):
        rows.append((label, cell(found, recorded), cell(found, other.replay)))
    names = [*dict.fromkeys(names_of(recorded) + names_of(other.replay))]
    for name in names:
        with_other = (
            "not in the record" if name in other.absent else _cell(found, other.replay, name)
        )
        rows.append((name, _cell(found, recorded, name), with_other))
    yield "Another policy on the same record", "bold"
    for number, row in enumerate(rows):
        for line in _laid_out(row, width):
            yield line, "bold" if number == 0 else ""
    for doubt in other.doubts:
        about = f"{doubt.signal}: " if doubt.signal else ""
        for line in fmt.wrap(
            fmt.clean(f"{about}{doubt.text}"), width=width, first="  ! ", rest="    "
        ):
            yield line, "yellow"


def names_of(replay: Replay) -> list[str]:
    """Return the names of the signals that a policy judges, the cluster's first."""
    return [watched.name for watched in replay.state.signals]


def _title(what: str, replay: Replay) -> str:
    return f"{what}: {replay.policy.name}" if replay.policy.name else what


def _verdict(found: Explanation, replay: Replay) -> str:  # noqa: ARG001 - as the other cells
    return verdict_words(replay.decision.verdict)


def _when(found: Explanation, replay: Replay) -> str:
    if replay.decision.verdict is None:
        return fmt.NONE
    after = replay.decision.at - found.header.deployed_at
    return f"{fmt.offset(after)} ({fmt.clock(replay.decision.at)})"


def _why(found: Explanation, replay: Replay) -> str:  # noqa: ARG001 - as the other cells
    return replay.decision.reason or "no signal was bad as far as the record goes"


def _cell(found: Explanation, replay: Replay, name: str) -> str:
    """Say how a signal ended, since when, and what limit it had."""
    evidence = next((e for e in replay.decision.evidence if e.signal == name), None)
    if evidence is None:
        return "not in this policy" if name not in names_of(replay) else fmt.NONE
    turns = [t for t in replay.turns if t.signal == name]
    words = f"{fmt.SYMBOLS[evidence.finding]} {evidence.finding}"
    if turns and turns[-1].finding is evidence.finding:
        words += f" since {fmt.offset(turns[-1].at - found.header.deployed_at)}"
    was = next((t for t in turns if t.finding is Finding.SUSPECT), None)
    if was is not None and evidence.finding is not Finding.SUSPECT:
        words += f", suspect at {fmt.offset(was.at - found.header.deployed_at)}"
    if evidence.current is not None and evidence.rule != "cluster":
        words += f"; {text.quantity(evidence.current, evidence.unit)}"
    if limit := rule_of(name, replay.policy):
        words += f" (limit: {limit})"
    return words


def _laid_out(row: tuple[str, str, str], width: int) -> Iterator[str]:
    """Wrap three cells side by side."""
    narrow, wide = _NAME
    name = max(narrow, min(wide, width // 5))
    cell = (width - 2 - name - 2 * _GAP) // 2
    cells = [
        fmt.wrap(fmt.clean(content), width=size)
        for content, size in zip(row, (name, cell, cell), strict=True)
    ]
    for number in range(max(len(lines) for lines in cells)):
        parts = [lines[number] if number < len(lines) else "" for lines in cells]
        left = "  " + fmt.pad(parts[0], name + _GAP) + fmt.pad(parts[1], cell + _GAP)
        yield (left + parts[2]).rstrip()
