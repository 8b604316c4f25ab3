"""The text of one policy file: where an index is in lines and columns, and what may be shown."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field, replace

from deploy_guard.policy.problems import Problem, Severity, visible
from deploy_guard.policy.secrets import hide

_LONGEST = 2000  # characters of a line that are looked at to show it
_BLANK = "***"
_BREAK = re.compile(r"\r\n|\n|\r")


@dataclass(slots=True)
class Source:
    """A file's name and text; `hidden` are spans of indexes that may hold secrets."""

    file: str
    text: str
    hidden: list[tuple[int, int]] = field(default_factory=list)
    _starts: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self._starts = [0, *(match.end() for match in _BREAK.finditer(self.text))]

    def spot(self, index: int) -> tuple[int, int]:
        """Return line and column of an index, both from 1, in characters."""
        line = bisect_right(self._starts, index)
        return line, index - self._starts[line - 1] + 1

    def problem(
        self,
        code: str,
        message: str,
        start: int,
        end: int | None = None,
        *,
        help: str = "",
        severity: Severity = Severity.ERROR,
        docs: str = "",
    ) -> Problem:
        """Return a problem at the text from `start` to `end`, cut to its first line."""
        start = min(max(start, 0), len(self.text))
        line, column = self.spot(start)
        last = self._end_of(line)
        length = max(1, min(end if end is not None else start + 1, last) - start)
        text, help = visible(message), visible(help)
        return Problem(code, text, self.file, line, column, length, help, severity, docs=docs)

    def _end_of(self, line: int) -> int:
        """Return the index just after the last character of a line."""
        end = self._starts[line] if line < len(self._starts) else len(self.text)
        return self._starts[line - 1] + len(self.text[self._starts[line - 1] : end].rstrip("\r\n"))

    def illustrate(self, problem: Problem) -> Problem:
        """Return a problem with what may be shown of its line, and the place in that."""
        if not problem.line:
            return problem
        text, caret = self._shown(problem.line, problem.column)
        return replace(problem, source=text, caret=caret)

    def _shown(self, line: int, column: int) -> tuple[str, int]:
        """Return a line with every possible secret blanked, and where the column is in it.

        A very long line is cut around the column.
        """
        begin, end = self._starts[line - 1], self._end_of(line)
        begin = max(begin, begin + column - _LONGEST // 2)
        caret = self._starts[line - 1] + column - 1 - begin
        text = self.text[begin : min(end, begin + _LONGEST)]
        for low, high in sorted(self.hidden, reverse=True):
            low, high = max(0, low - begin), min(len(text), high - begin)  # noqa: PLW2901
            if low >= high:
                continue
            text = text[:low] + _BLANK + text[high:]
            if caret >= high:
                caret += len(_BLANK) - (high - low)
            elif caret > low:
                caret = low
        before = hide(text[:caret])
        text = hide(text)
        return text, len(before) if text.startswith(before) else min(caret, len(text))
