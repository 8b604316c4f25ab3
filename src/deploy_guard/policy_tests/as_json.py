"""Tests as a JSON document and as JUnit XML, for machines: docs/policy-tests.md has the forms."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as Xml

from deploy_guard.model import Evidence
from deploy_guard.policy.problems import Problem, render
from deploy_guard.policy_tests.expecting import expected, happened
from deploy_guard.policy_tests.suite import CaseResult, FileResult, Results

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def document(results: Results) -> dict[str, Any]:
    """Return the JSON document, version 1."""
    return {
        "version": 1,
        "passed": int(results.exit_code) == 0,
        "exit_code": int(results.exit_code),
        "cases": len(results.cases),
        "failed": results.failed,
        "seconds": round(results.seconds, 3),
        "files": [_file(file) for file in results.files],
        "notes": results.notes,
    }


def _file(file: FileResult) -> dict[str, Any]:
    return {
        "path": file.path,
        "passed": file.passed,
        "policies": list(file.policies),
        "problems": [_problem(problem) for problem in file.problems],
        "cases": [_case(case) for case in file.cases],
    }


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "code": problem.code,
        "severity": problem.severity.value,
        "message": problem.message,
        "help": problem.help or None,
        "file": problem.file,
        "line": problem.line or None,
        "column": problem.column or None,
    }


def _case(case: CaseResult) -> dict[str, Any]:
    ran = case.ran
    return {
        "name": case.case.name,
        "passed": case.problem is None,
        "expected": expected(case.case.expect),
        "verdict": ran.verdict.value,
        "seconds": ran.at,
        "accused": list(ran.accused),
        "reason": ran.decision.reason,
        "problem": None if case.problem is None else _problem(case.problem),
        "evidence": [_evidence(one) for one in ran.decision.evidence],
    }


def _evidence(one: Evidence) -> dict[str, Any]:
    return {
        "signal": one.signal,
        "finding": one.finding.value,
        "text": one.text,
        "unit": one.unit,
        "current": one.current,
        "baseline": one.baseline,
        "limit": one.limit,
    }


def junit(results: Results, *, relative: Callable[[str], str]) -> str:
    """Return JUnit XML in ASCII, without newline: a suite for each file, a test for each case.

    `relative` gives a path from the top of the repository.
    """
    suites = [_suite(file, relative(file.path)) for file in results.files]
    total = {
        key: str(sum(int(suite.attrib[key]) for suite in suites))
        for key in ("tests", "failures", "errors")
    }
    root = Xml.Element("testsuites", {"name": "guard test", **total})
    root.extend(suites)
    Xml.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{Xml.tostring(root).decode("ascii")}'


def _suite(file: FileResult, path: str) -> Xml.Element:
    path = _clean(path)
    failures = sum(case.problem is not None for case in file.cases)
    invalid = bool(file.problems) and not file.passed and not file.cases
    counts = {"tests": len(file.cases) + invalid, "failures": failures, "errors": int(invalid)}
    about = {"name": path, **{key: str(count) for key, count in counts.items()}}
    suite = Xml.Element("testsuite", about)
    if invalid:
        case = Xml.SubElement(suite, "testcase", {"classname": path, "name": "the file is valid"})
        first = file.problems[0]
        message = {"type": first.code, "message": _clean(f"{first.place}: {first.message}")}
        Xml.SubElement(case, "error", message).text = _clean(render(file.problems))
    for one in file.cases:
        name = {"classname": path, "name": _clean(one.case.name), "file": path}
        case = Xml.SubElement(suite, "testcase", name)
        if one.problem is not None:
            message = {"type": one.problem.code, "message": _clean(one.problem.message)}
            Xml.SubElement(case, "failure", message).text = _clean(_told(one))
    return suite


def _told(case: CaseResult) -> str:
    """Return what explains a failed case."""
    assert case.problem is not None  # noqa: S101 - it failed
    said = [f"{one.signal}: {one.finding}: {one.text}" for one in case.ran.decision.evidence]
    ended = f"{happened(case.ran)}: {case.ran.decision.reason}"
    return "\n".join([render([case.problem]), "", ended, *said])


def _clean(text: str) -> str:
    """Replace what XML cannot have."""
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", text)
