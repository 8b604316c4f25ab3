"""CSV files that people export: rows with their line, moments, numbers; every problem with a place.

Decides how a cell is read. What the columns mean is decided by whoever reads the file.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator
from datetime import datetime

from deploy_guard.errors import UsageError
from deploy_guard.outputs.format import LATEST, clean

SHOWN = 20  # problems of one file; nobody reads more
_BOM = "\ufeff"  # what some programs put before the first character
_LONGEST = 60  # characters of a cell that is told


class TableError(UsageError):
    """A file has lines that cannot be read; `problems` has the first ones with file and line."""

    def __init__(self, name: str, problems: list[str], count: int) -> None:
        self.problems = tuple(problems)
        lines = "line" if count == 1 else "lines"
        super().__init__(f"{name} cannot be used: {count:,} {lines} with a problem")


class Table:
    """The rows of a CSV file after its header; collects problems until `close`."""

    def __init__(self, lines: Iterable[str], name: str) -> None:
        self.name = name
        self._problems: list[str] = []
        self._count = 0
        self._rows = csv.reader(lines, strict=True)
        header = next(self._read(), [])
        header = [cell.removeprefix(_BOM) for cell in header]
        self.columns = {text.strip().lower(): index for index, text in enumerate(header)}
        self._width = len(header)
        if len(self.columns) < len(header):
            self.problem("the header names a column twice")
        if "time" not in self.columns:
            hint = ": expected commas between cells" if ";" in "".join(header) else ""
            self.problem(f"the header has no column 'time'{hint}")
        self.check()

    @property
    def line(self) -> int:
        """The line that was read last."""
        return self._rows.line_num

    def rows(self) -> Iterator[list[str]]:
        """Yield the rows that are not empty; a row of another width is a problem."""
        for row in self._read():
            if not row:
                continue
            if len(row) != self._width:
                self.problem(f"{len(row)} cells where the header has {self._width}")
            else:
                yield row

    def problem(self, text: str) -> None:
        """Note a problem of the line that was read last."""
        self._count += 1
        if len(self._problems) < SHOWN:
            self._problems.append(f"{self.name}:{max(1, self.line)}: {text}")

    def check(self) -> None:
        """Raise TableError with every problem so far, if there is any."""
        if self._count:
            raise TableError(self.name, self._problems, self._count)

    def _read(self) -> Iterator[list[str]]:
        try:
            yield from self._rows
        except csv.Error as error:
            self.problem(f"not CSV: {error}")
        except UnicodeDecodeError as error:
            self.problem(f"not UTF-8 after this line: {error.reason}")


def moment(text: str) -> float:
    """Read a moment, RFC 3339 or Unix seconds, as Unix seconds.

    Raises ValueError with what was expected.
    """
    expected = "expected a time such as 2026-05-01T12:00:00Z or Unix seconds"
    try:
        at = float(text)
    except ValueError:
        try:
            parsed = datetime.fromisoformat(text.strip())
            if parsed.tzinfo is None:
                raise ValueError(f"{_told(text)} has no time zone: {expected}")
            at = parsed.timestamp()
        except (ValueError, OverflowError) as error:
            if "time zone" in str(error):
                raise
            raise ValueError(f"{expected}, not {_told(text)}") from None
    if not 0 <= at <= LATEST:
        hint = ": milliseconds?" if 0 <= at / 1000 <= LATEST else ""
        raise ValueError(f"{expected}, not {_told(text)}{hint}")
    return at


def amount(text: str) -> float:
    """Read a number that is not negative and not infinite; raises ValueError."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise ValueError(f"expected a number that is not negative, not {_told(text)}")
    return value


def number(text: str) -> float:
    """Read a number that is finite; raises ValueError."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"expected a number, not {_told(text)}")
    return value


def _told(text: str) -> str:
    return repr(clean(text, longest=_LONGEST))
