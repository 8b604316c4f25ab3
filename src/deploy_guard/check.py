"""`guard check`: what is wrong with policies, without a cluster; every file on its own.

Decides what counts as a failed check and how it is shown. The rules are the policy's own; reading
signals of a live target is `check_live`'s.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from deploy_guard.errors import ExitCode
from deploy_guard.policy.problems import PolicyError, Problem, Severity, render, visible

if TYPE_CHECKING:
    from deploy_guard.policy.merge import Places
    from deploy_guard.policy.models import Policy

_GREEN = "32"


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file that was checked; `policy` is None when it is invalid.

    `places` tells where the policy's parts stand.
    """

    path: str
    policy: Policy | None
    problems: tuple[Problem, ...]
    places: Places | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found."""

    files: tuple[FileReport, ...]

    def count(self, severity: Severity) -> int:
        """Return how many problems of a severity there are."""
        return sum(p.severity is severity for file in self.files for p in file.problems)

    @property
    def exit_code(self) -> ExitCode:
        """The exit code: 3 if any file is invalid."""
        return ExitCode.INVALID_POLICY if self.count(Severity.ERROR) else ExitCode.OK


def check(
    paths: Sequence[Path | str],
    *,
    prometheus_given: bool = False,
    stdin: BinaryIO | None = None,
) -> Report:
    """Check policy files, each on its own; directories stand for the YAML files below them.

    ``-`` is standard input. `prometheus_given`: the connection comes from the command line.
    """
    from deploy_guard.policy.load import find, inspect

    files: list[FileReport] = []
    for path in paths:
        try:
            names = find([path])
        except PolicyError as error:
            files.append(FileReport(str(path), None, error.problems))
            continue
        for name in names:
            if all(name != file.path for file in files):
                loaded = inspect([name], prometheus_given=prometheus_given, stdin=stdin)
                files.append(FileReport(name, loaded.policy, loaded.problems, loaded.places))
    return Report(tuple(files))


def show(report: Report, form: Literal["text", "json"] = "text", *, colour: bool = False) -> str:
    """Return a report as text for people, or as a JSON document for machines, without newline."""
    if form == "json":
        return json.dumps(document(report), indent=2, ensure_ascii=False)
    blocks = [render(file.problems, colour=colour) for file in report.files if file.problems]
    lines = "\n".join(_line(file, colour=colour) for file in report.files)
    return "\n\n".join([*blocks, lines, _summary(report)])


def _line(file: FileReport, *, colour: bool) -> str:
    """Say of one file whether it is valid."""
    if file.policy is None:
        errors = sum(p.severity is Severity.ERROR for p in file.problems)
        mark, text = "✗", f"invalid: {_many(errors, 'error')}"
    else:
        mark, text = "✓", f"valid: {_many(len(file.policy.signals), 'signal')}"
    if colour:
        mark = f"\x1b[{_GREEN if file.policy else 31}m{mark}\x1b[0m"
    return f"{mark} {visible(file.path)}  {text}"


def _summary(report: Report) -> str:
    """Return the last line: how many files, and what was found."""
    counts = [
        _many(report.count(severity), severity.value)
        for severity in Severity
        if report.count(severity) or severity is Severity.ERROR
    ]
    return f"{_many(len(report.files), 'file')} checked: {', '.join(counts)}"


def _many(count: int, noun: str) -> str:
    """Return a count with its noun: ``1 file``, ``2 files``, ``no errors``."""
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"


def document(report: Report) -> dict[str, Any]:
    """Return the JSON document; its form is documented in docs/policies.md."""
    return {
        "version": 1,
        "valid": report.exit_code is ExitCode.OK,
        "exit_code": int(report.exit_code),
        "errors": report.count(Severity.ERROR),
        "warnings": report.count(Severity.WARNING),
        "files": [_file(file) for file in report.files],
    }


def _file(file: FileReport) -> dict[str, Any]:
    """Return one file of the JSON document."""
    names = [signal.name for signal in file.policy.signals] if file.policy else []
    return {
        "path": file.path,
        "valid": file.policy is not None,
        "signals": names,
        "problems": [problem_document(problem) for problem in file.problems],
    }


def problem_document(problem: Problem) -> dict[str, Any]:
    """Return one problem of the JSON document; line and column are null for a whole file."""
    return {
        "code": problem.code,
        "severity": problem.severity.value,
        "message": problem.message,
        "help": problem.help or None,
        "file": problem.file,
        "line": problem.line or None,
        "column": problem.column or None,
        "length": problem.length if problem.line else None,
        "docs": problem.docs or None,
    }
