"""The final screen: what happened, why, when, what runs now and what to do next.

Plain text of at most 80 columns that needs no library; colour is added by rich, on terminals only.
"""

from __future__ import annotations

from dataclasses import dataclass

from deploy_guard.model import Evidence, Finding, Outcome
from deploy_guard.outputs import format as fmt
from deploy_guard.outputs import words
from deploy_guard.outputs.deploy_words import unwatched

WIDTH = 80
MOST_FINDINGS = 4
MOST_CHANGES = 3
MOST_STEPS = 6
_LONGEST_REASON = 600
_LONGEST_FINDING = 300
_LONGEST_STEP = 300


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the screen and the style it has where there is colour."""

    text: str
    style: str = ""


def text(outcome: Outcome, *, width: int = WIDTH) -> str:
    """Return the final screen as plain text, ending with a newline."""
    return "".join(line.text + "\n" for line in lines(outcome, width=width))


def lines(outcome: Outcome, *, width: int = WIDTH) -> list[Line]:
    """Return the final screen, line by line."""
    style = {"good": "bold green", "warning": "bold yellow", "bad": "bold red"}
    head = fmt.wrap(fmt.clean(words.headline(outcome)), width=width, rest="  ")
    screen = [Line(each, style[words.mood(outcome)]) for each in head]
    screen += [Line(each) for each in _wrap(fmt.clean(words.watched(outcome)), width, "  ")]
    reason = fmt.clean(words.reason(outcome), longest=_LONGEST_REASON)
    screen += [Line(each) for each in _wrap(reason, width, "  ")] if reason else []
    for warning in words.warnings(outcome):
        screen += [Line(each, "bold red") for each in _wrap(warning, width, "  !! ")]
    if not unwatched(outcome):
        screen += _why(outcome, width)
        screen += _changes(outcome, width)
        screen += _when(outcome, width)
        screen += _now(outcome, width)
    screen += _next(outcome, width)
    return screen


def _wrap(text: str, width: int, first: str) -> list[str]:
    return fmt.wrap(text, width=width, first=first, rest=" " * fmt.cells(first))


def _why(outcome: Outcome, width: int) -> list[Line]:
    found = words.findings(outcome)
    if not found:
        return []
    screen = [Line("Why", "bold")]
    brief = any(evidence.finding in words.SPELLED_OUT for evidence in found)
    spelled = [e for e in found if e.finding is not Finding.GOOD] if _diff(outcome) else found
    for evidence in spelled[:MOST_FINDINGS]:
        whole = not brief or evidence.finding in words.SPELLED_OUT
        screen += _finding(evidence, width, whole=whole)
    rest = words.others(found[len(spelled[:MOST_FINDINGS]) :])
    return screen + [Line(each) for each in (_wrap(rest, width, "  and ") if rest else [])]


def _finding(evidence: Evidence, width: int, *, whole: bool) -> list[Line]:
    """Spell out a finding, or cut it to one line."""
    name = fmt.clean(evidence.signal, longest=60)
    told = fmt.clean(evidence.text, longest=_LONGEST_FINDING) or words.numbers(evidence)
    sentence = f"{fmt.SYMBOLS[evidence.finding]} {name} {evidence.finding.value}"
    sentence += f": {told}" if told else ""
    style = fmt.STYLES[evidence.finding]
    if not whole:
        return [Line("  " + fmt.fit(sentence, width - 2), style)]
    return [Line(each, style) for each in fmt.wrap(sentence, width=width, first="  ", rest="    ")]


def _changes(outcome: Outcome, width: int) -> list[Line]:
    """Show what the deploy changed, where that may be what is wrong with it."""
    found = _diff(outcome)
    if not found:
        return []
    screen = [Line("The deploy changed", "bold")]
    for told in found[:MOST_CHANGES]:
        cleaned = fmt.clean(told, longest=2 * (width - 4))  # two lines
        screen += [Line(each) for each in fmt.wrap(cleaned, width=width, first="  ", rest="    ")]
    if len(found) > MOST_CHANGES:
        screen.append(Line(f"  and {len(found) - MOST_CHANGES} more (guard watch -o json has all)"))
    return screen


def _diff(outcome: Outcome) -> list[str]:
    return words.deployed_changes(outcome) if words.tells_changes(outcome) else []


def _when(outcome: Outcome, width: int) -> list[Line]:
    rows = words.times(outcome)
    return [
        Line("Times (UTC)", "bold"),
        *(Line(fmt.fit(f"  {word:<12} {at}  {since}".rstrip(), width)) for word, at, since in rows),
    ]


def _now(outcome: Outcome, width: int) -> list[Line]:
    screen = [Line("Now", "bold")]
    screen += [Line(each) for each in _wrap(words.running(outcome), width, "  runs     ")]
    if unchanged := words.changed(outcome):
        screen.append(Line(f"  {unchanged}"))
    if state := words.recovery(outcome):
        style = "bold red" if words.warnings(outcome) else ""
        screen += [Line(each, style) for each in _wrap(fmt.clean(state), width, "  signals  ")]
    return screen


def _next(outcome: Outcome, width: int) -> list[Line]:
    steps = outcome.next_steps[:MOST_STEPS]
    if not steps:
        return []
    screen = [Line("Next", "bold")]
    for number, step in enumerate(steps, start=1):
        screen += [
            Line(each)
            for each in _wrap(fmt.clean(step, longest=_LONGEST_STEP), width, f"  {number}. ")
        ]
    return screen
