"""All tests of some files: run, compared with what they expect, counted.

Decides what is a failure and what is worth a note. How it is shown is `as_text`'s, `as_json`'s and
`junit`'s.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from deploy_guard.errors import ExitCode
from deploy_guard.policy.load import find_below
from deploy_guard.policy.load import inspect as inspect_policy
from deploy_guard.policy.problems import Problem, Severity
from deploy_guard.policy.values import Values
from deploy_guard.policy_tests.expecting import mistake
from deploy_guard.policy_tests.load import Loaded, OneCase, find, inspect
from deploy_guard.policy_tests.models import Case
from deploy_guard.policy_tests.running import Ran, Runner

FAILED = "test-failed"


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How a case ended; `problem` says in what it failed, None when it passed."""

    case: Case
    ran: Ran
    problem: Problem | None


@dataclass(frozen=True, slots=True)
class FileResult:
    """A test file: its cases, or the problems for which none was run."""

    path: str
    problems: tuple[Problem, ...] = ()
    cases: tuple[CaseResult, ...] = ()
    policies: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the file is valid and every case passed."""
        return not any(self.failures())

    def failures(self) -> Iterator[Problem]:
        """Yield every problem and every failed case."""
        yield from (p for p in self.problems if p.severity is Severity.ERROR)
        yield from (case.problem for case in self.cases if case.problem is not None)


@dataclass(slots=True)
class Results:
    """What came of the tests. `chosen` are the words of `-k`; `notes` are for stderr."""

    files: list[FileResult] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    left_out: int = 0  # cases that were not chosen

    @property
    def cases(self) -> list[CaseResult]:
        """Every case that was run."""
        return [case for file in self.files for case in file.cases]

    @property
    def failed(self) -> int:
        """How many cases failed."""
        return sum(case.problem is not None for case in self.cases)

    @property
    def exit_code(self) -> ExitCode:
        """The exit code: 3 if any file is invalid or any case failed."""
        bad = any(not file.passed for file in self.files)
        return ExitCode.INVALID_POLICY if bad else ExitCode.OK


def run(paths: Sequence[Path | str], *, values: Values | None = None, chosen: str = "") -> Results:
    """Run the tests in files and directories; of cases those whose name has the `chosen` words."""
    began = time.monotonic()
    results = Results()
    files, problems = find(paths)
    results.files += [FileResult(problem.file, (problem,)) for problem in problems]
    declared: set[str] = set()
    for path in files:
        loaded = inspect(path, values=values)
        declared |= loaded.declared
        cases = [one for one in loaded.cases if is_chosen(one.case.name, chosen)]
        results.left_out += len(loaded.cases) - len(cases)
        if cases or loaded.problems or not chosen:
            results.files.append(_run_file(loaded, cases))
        results.notes += _gates(loaded)
    if values is not None and all(not file.problems for file in results.files):
        unknown = values.undeclared(declared)  # of the command line: any policy may declare them
        results.files += [FileResult(problem.file, (problem,)) for problem in unknown]
    results.notes += untested(paths, results.files)
    results.seconds = time.monotonic() - began
    return results


def is_chosen(name: str, words: str) -> bool:
    """Whether a name has all the words, in any case."""
    return all(word in name.casefold() for word in words.casefold().split())


def _run_file(loaded: Loaded, cases: Sequence[OneCase]) -> FileResult:
    runners = {id(one.policy): Runner(one.policy) for one in cases}
    found: list[CaseResult] = []
    assert loaded.tests is not None or not loaded.cases  # noqa: S101 - cases are of tests
    for one in cases:
        ran = runners[id(one.policy)].run(one.case, loaded.tests.defaults if loaded.tests else None)
        problem = None
        if words := mistake(one.case.expect, ran):
            message = f"{one.case.name}: {words}"
            problem = loaded.problem(FAILED, one.number, "expect", message)
        if problem is None:
            ran = replace(ran, steps=())  # nobody will draw them, and there may be many cases
        found.append(CaseResult(one.case, ran, problem))
    return FileResult(loaded.path, loaded.problems, tuple(found), loaded.policies)


def _gates(loaded: Loaded) -> list[str]:
    """Say that a gate is not simulated."""
    if any(one.policy.hold.wanted for one in loaded.cases):
        return [f"{loaded.path}: the policy's gate (hold) is not simulated: no rollout is paused"]
    return []


def untested(paths: Iterable[Path | str], files: Iterable[FileResult]) -> list[str]:
    """Say which policies of the directories have no tests."""
    tested = {os.path.realpath(policy) for file in files for policy in file.policies}
    missing: list[str] = []
    for path in map(str, paths):
        if not Path(path or "-").is_dir():
            continue
        for policy in find_below(path, onerror=lambda _: None):
            if os.path.realpath(policy) in tested or policy in missing:
                continue
            loaded = inspect_policy([policy], prometheus_given=True, abstract_too=True)
            if loaded.policy is not None and not loaded.abstract:
                missing.append(policy)
    if not missing:
        return []
    shown = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
    have = "policy has" if len(missing) == 1 else "policies have"
    return [f"{len(missing)} {have} no tests: {shown}"]
