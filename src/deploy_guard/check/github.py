"""A check as workflow commands of GitHub Actions: each problem is shown at its line of the change.

The form is that of `@actions/core`: which characters are escaped differs between a property and
the message.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from deploy_guard.check.reports import FileReport, Told
from deploy_guard.check.repository import relative, shown
from deploy_guard.policy.problems import Problem, Severity, visible

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def commands(reports: Iterable[FileReport], *, root: Path) -> Iterator[str]:
    """Yield one command for each problem; paths are from `root`, the top of the repository.

    A mistake in a file that several policies extend is told once.
    """
    told = Told()
    for report in reports:
        for problem in told.new(report):
            yield _command(problem, root)


def _command(problem: Problem, root: Path) -> str:
    """Return the command of one problem; the log shows only its message, so the place is in it."""
    nowhere = problem.file == "<stdin>" or (not problem.line and problem.file.startswith("--set "))
    file = "" if nowhere else shown(relative(problem.file, root))
    properties = {"file": file} if file else {}
    place = visible(file or problem.file)
    if problem.line:
        end = problem.column + problem.length
        properties |= {"line": str(problem.line), "col": str(problem.column)}
        properties |= {"endColumn": str(end)}
        place = f"{place}:{problem.line}:{problem.column}"
    properties["title"] = f"deploy-guard: {problem.code}"
    told = f"{place}: {problem.message}"
    if problem.help:
        told += f"\nhelp: {problem.help}"
    written = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::{_COMMANDS[problem.severity]} {written}::{_data(told)}"


def _data(text: str) -> str:
    """Escape a message."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Escape the value of a property."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
