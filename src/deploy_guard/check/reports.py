"""What a check found, as values: of one file, of all, and how much of it there is.

Decides what counts as a failed check. What is wrong with a policy is the policy's own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deploy_guard.errors import ExitCode
from deploy_guard.policy.problems import Problem, Severity

if TYPE_CHECKING:
    from deploy_guard.policy.merge import Places
    from deploy_guard.policy.models import Policy


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file that was checked; `policy` is None when it is invalid.

    `path` is as it was given, ``-`` for standard input without a name. `places` tells where the
    policy's parts stand. An `abstract` policy is only there to be extended. `of_values`: it is no
    policy, but a value that was given to all of them.
    """

    path: str
    policy: Policy | None
    problems: tuple[Problem, ...]
    places: Places | None = None
    abstract: bool = False
    of_values: bool = False

    @property
    def name(self) -> str:
        """What problems call the file."""
        return "<stdin>" if self.path == "-" else self.path

    def count(self, severity: Severity) -> int:
        """Return how many problems of a severity the file has."""
        return sum(problem.severity is severity for problem in self.problems)


class Told:
    """Remembers problems: a mistake in a file that several policies extend is told with each."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def new(self, report: FileReport) -> list[Problem]:
        """Return those problems of a file that were not told before, and remember them."""
        found = {_mistake(problem): problem for problem in report.problems}
        fresh = [problem for mistake, problem in found.items() if mistake not in self._seen]
        self._seen |= found.keys()
        return fresh


def _mistake(problem: Problem) -> int:
    """Return a number that tells a mistake from others, which takes less memory than its words."""
    return hash((problem.code, problem.file, problem.line, problem.column, problem.message))


@dataclass(slots=True)
class Tally:
    """Counts files and mistakes as they go by, so that nobody has to keep them."""

    files: int = 0
    problems: Counter[Severity] = field(default_factory=Counter)
    told: Told = field(default_factory=Told)

    def counted(self, reports: Iterable[FileReport]) -> Iterator[FileReport]:
        """Yield reports on, counted; what several files have from one base counts once."""
        for report in reports:
            self.files += not report.of_values
            self.problems.update(problem.severity for problem in self.told.new(report))
            yield report

    @property
    def exit_code(self) -> ExitCode:
        """The exit code: 3 if any file is invalid."""
        return ExitCode.INVALID_POLICY if self.problems[Severity.ERROR] else ExitCode.OK

    @property
    def summary(self) -> str:
        """How many files, and what was found, in one line."""
        counts = [
            many(self.problems[severity], severity.value)
            for severity in Severity
            if self.problems[severity] or severity is Severity.ERROR
        ]
        return f"{many(self.files, 'file')} checked: {', '.join(counts)}"


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found, kept as a whole."""

    files: tuple[FileReport, ...]

    def count(self, severity: Severity) -> int:
        """Return how many problems of a severity there are."""
        return sum(file.count(severity) for file in self.files)

    @property
    def exit_code(self) -> ExitCode:
        """The exit code: 3 if any file is invalid."""
        return ExitCode.INVALID_POLICY if self.count(Severity.ERROR) else ExitCode.OK


def many(count: int, noun: str) -> str:
    """Return a count with its noun: ``1 file``, ``2 files``, ``no errors``."""
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"
