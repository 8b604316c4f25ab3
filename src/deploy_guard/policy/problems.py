"""What is wrong with a policy: values with a place, and how they are shown.

Decides the form of a problem and nothing about which problems there are. Imports no pydantic, so
that the command line can show a `PolicyError` without paying for it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

from deploy_guard.errors import ExitCode, GuardError

_WIDTH = 120  # of a source line that is shown; longer ones are cut around the caret
SHOWN = 100  # problems of one file; a file with more is not read to its end by anyone


class Severity(StrEnum):
    """How bad a problem is: only errors make a policy invalid."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of a policy file, with its place.

    `line` and `column` count from 1, in characters; 0 means the file as a whole. `length` is how
    many characters on that line are meant. `source` is what may be shown of the line, and `caret`
    where the place is in that, from 0. `code` is stable; `docs` is the section of the policy
    reference that helps.
    """

    code: str
    message: str
    file: str
    line: int = 0
    column: int = 0
    length: int = 1
    help: str = ""
    severity: Severity = Severity.ERROR
    source: str = ""
    caret: int = 0
    docs: str = ""

    @property
    def place(self) -> str:
        """The place as editors and terminals understand it: ``file:line:column``."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class PolicyError(GuardError):
    """One or more policies are invalid; `problems` has every problem of every file."""

    exit_code = ExitCode.INVALID_POLICY

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        errors = [p for p in problems if p.severity is Severity.ERROR]
        first, more = errors[0], len(errors) - 1
        rest = f" (and {more} more)" if more else ""
        super().__init__(f"{first.place}: {first.message}{rest}", help=first.help)

    def __reduce__(self) -> tuple[type[PolicyError], tuple[Sequence[Problem]]]:
        return PolicyError, (self.problems,)


def first_of(problems: Sequence[Problem]) -> tuple[list[Problem], list[Problem]]:
    """Return those problems of one file that are shown, and one that says how many are not.

    Errors come before warnings; what is shown keeps its order. What is not shown is as bad as the
    worst of it.
    """
    ranks = {severity: number for number, severity in enumerate(Severity)}
    order = sorted(range(len(problems)), key=lambda at: ranks[problems[at].severity])
    shown = [problems[at] for at in sorted(order[:SHOWN])]
    if not (left := order[SHOWN:]):
        return shown, []
    words = f"{len(left)} more problem{'s are' if len(left) > 1 else ' is'} not shown"
    worst = problems[left[0]]
    return shown, [Problem("too-many", words, worst.file, severity=worst.severity)]


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return ``did you mean 'x'?`` for the known word that is nearest, or nothing."""
    by_lower = {name.lower(): name for name in known}
    near = get_close_matches(word.lower()[:60], by_lower, n=1, cutoff=0.6)
    return f"did you mean '{by_lower[near[0]]}'?" if near else ""


def quoted(names: Iterable[str]) -> str:
    """Join names as a sentence lists them: ``'a', 'b' or 'c'``."""
    words = [f"'{name}'" for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def render(problems: Sequence[Problem], *, colour: bool = False) -> str:
    """Write problems for people: place, message, source line, caret, help; a blank line between."""
    return "\n\n".join(_render_one(problem, colour=colour) for problem in problems)


def _render_one(problem: Problem, *, colour: bool) -> str:
    """Write one problem."""
    tone = {"error": "31", "warning": "33", "note": "36"}[problem.severity]

    def paint(text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if colour else text

    place = paint(visible(problem.place), "1")
    head = f"{place}: {paint(f'{problem.severity}:', f'1;{tone}')} {visible(problem.message)}"
    lines = [head]
    if problem.line and problem.source.strip():
        text, caret = _excerpt(problem)
        margin = " " * len(str(problem.line))
        lines += [
            f"{margin} |",
            f"{problem.line} | {text}".rstrip(),
            f"{margin} | {paint(caret, f'1;{tone}')}",
        ]
    if problem.help:
        margin = " " * len(str(problem.line)) if problem.line else " "
        lines.append(f"{margin} = {paint('help:', '1')} {visible(problem.help)}")
    return "\n".join(lines)


def _excerpt(problem: Problem) -> tuple[str, str]:
    """Return the part of the source line around the place, and the carets below it."""
    start = problem.caret
    first = max(0, start - _WIDTH // 2) if len(problem.source) > _WIDTH else 0
    shown = problem.source[first : first + _WIDTH]
    before, meant = shown[: start - first], shown[start - first :][: max(1, problem.length)]
    caret = " " * _columns(visible(before)) + "^" * max(1, _columns(visible(meant)))
    return visible(shown), caret


def visible(text: str) -> str:
    """Replace what a terminal would act upon, or not show, by something that it shows."""
    return "".join(
        c if c.isprintable() else " " if c in "\t\n\r" else "\N{REPLACEMENT CHARACTER}"
        for c in text
    )


def _columns(text: str) -> int:
    """Count the columns that a text takes on a terminal."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    narrow = sum(unicodedata.combining(c) > 0 for c in text)
    return len(text) + wide - narrow
