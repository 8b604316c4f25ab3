"""A check as JUnit XML, which Jenkins, GitLab and others show: one test case for each file.

A file with errors is a failed case with all of them as its text; warnings and notes are what the
case printed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree as Xml

from deploy_guard.check.reports import FileReport, many
from deploy_guard.check.repository import relative, shown
from deploy_guard.policy.problems import Problem, Severity, render, visible

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def suite(reports: Iterable[FileReport], *, root: Path) -> str:
    """Return the document, without newline; paths are from `root`, the top of the repository.

    It is all ASCII, so that it is right in whatever encoding it is written.
    """
    cases = [_case(report, root) for report in reports]
    failures = sum(case.find("failure") is not None for case in cases)
    counts = {"tests": str(len(cases)), "failures": str(failures), "errors": "0", "skipped": "0"}
    suites = Xml.Element("testsuites", {"name": "guard check", **counts})
    Xml.SubElement(suites, "testsuite", {"name": "guard check", **counts}).extend(cases)
    Xml.indent(suites)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{Xml.tostring(suites).decode("ascii")}'


def _case(report: FileReport, root: Path) -> Xml.Element:
    """Return the test case of one file."""
    path = report.name if report.path == "-" else shown(relative(report.path, root))
    name = _clean(path)
    case = Xml.Element("testcase", {"classname": "guard check", "name": name, "file": name})
    errors = [p for p in report.problems if p.severity is Severity.ERROR]
    others = [p for p in report.problems if p.severity is not Severity.ERROR]
    if errors:
        about = {"type": errors[0].code, "message": _clean(_message(errors, report.name))}
        Xml.SubElement(case, "failure", about).text = _clean(render(errors))
    if others:
        Xml.SubElement(case, "system-out").text = _clean(render(others))
    return case


def _message(errors: list[Problem], name: str) -> str:
    """Return the first error, and how many there are if it is not alone."""
    first = errors[0]
    if first.file != name:  # in a file that this one extends
        return f"{visible(first.place)}: {first.message}"
    more = f" ({many(len(errors), 'error')} in all)" if len(errors) > 1 else ""
    where = f"line {first.line}, column {first.column}: " if first.line else ""
    return f"{where}{first.message}{more}"


def _clean(text: str) -> str:
    """Replace what XML cannot have."""
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", text)
