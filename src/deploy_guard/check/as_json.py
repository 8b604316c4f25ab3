"""A check as a JSON document for machines; its form is documented in docs/check.md."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from deploy_guard.check.reports import FileReport, Tally
from deploy_guard.errors import ExitCode
from deploy_guard.policy.problems import Problem, Severity


def document(reports: Iterable[FileReport]) -> dict[str, Any]:
    """Return the JSON document; of each report only what is in it is kept."""
    tally = Tally()
    files = [_file(report) for report in tally.counted(reports)]
    return {
        "version": 1,
        "valid": tally.exit_code is ExitCode.OK,
        "exit_code": int(tally.exit_code),
        "errors": tally.problems[Severity.ERROR],
        "warnings": tally.problems[Severity.WARNING],
        "files": files,
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
