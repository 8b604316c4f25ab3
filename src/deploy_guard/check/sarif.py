"""A check as SARIF 2.1.0, which code hosts and editors show at the lines that are meant.

Braces of messages are left as they are: no message has arguments, and no viewer that was seen
takes doubled braces back.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

from deploy_guard import __version__
from deploy_guard.check.reports import FileReport, Told
from deploy_guard.check.repository import relative
from deploy_guard.policy.codes import CODES
from deploy_guard.policy.problems import Problem

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
CATEGORY = "deploy-guard/check/"  # two checks of one commit replace each other on GitHub
_RULES = {code: number for number, code in enumerate(CODES)}


def log(reports: Iterable[FileReport], *, root: Path, docs: str = "") -> dict[str, Any]:
    """Return the SARIF log of a check; URIs are from `root`, the top of the repository.

    `docs` is the address under which the pages of the documentation are, if they are anywhere.
    """
    artifacts, results = [], []
    told = Told()  # a mistake in a file that several policies extend is one
    for report in reports:
        artifacts.append({"location": _location(report.name, root), "roles": ["analysisTarget"]})
        results += [_result(problem, root) for problem in told.new(report)]
    driver: dict[str, Any] = {
        "name": "deploy-guard",
        "version": __version__,
        "semanticVersion": __version__,
        "rules": [_rule(code, told, docs) for code, told in CODES.items()],
    }
    if docs:
        driver["informationUri"] = docs
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": CATEGORY},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": True}],
        "artifacts": artifacts,
        "results": results,
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def documentation() -> str:
    """Return where the documentation of the installed package is published; empty if nowhere."""
    try:
        links = metadata.metadata("deploy-guard").get_all("Project-URL") or []
    except metadata.PackageNotFoundError:
        return ""
    by_name = dict(str(link).partition(", ")[::2] for link in links)
    return by_name.get("Documentation", "")


def _rule(code: str, told: str, docs: str) -> dict[str, Any]:
    """Return the rule of a kind of problem."""
    level, _, rest = told.partition(": ")
    level = level.lower() if level in {"Note", "Warning"} else "error"
    text = rest[:1].upper() + rest[1:] if level != "error" else told
    rule = {
        "id": code,
        "shortDescription": {"text": text},
        "help": {"text": f"{text}\nEach problem has a help of its own: guard check FILE"},
        "defaultConfiguration": {"level": level},
    }
    if docs:
        rule["helpUri"] = f"{docs.rstrip('/')}/policy-reference.md#problems"
    return rule


def _result(problem: Problem, root: Path) -> dict[str, Any]:
    """Return the result of one problem; a problem of a whole file has no region."""
    place: dict[str, Any] = {"artifactLocation": _location(problem.file, root)}
    if problem.line:
        end = problem.column + problem.length
        place["region"] = {
            "startLine": problem.line,
            "startColumn": problem.column,
            "endColumn": end,
        }
    help = f"\nhelp: {problem.help}" if problem.help else ""
    text = f"{problem.message}{help}".replace("](", "] (")  # no link that a policy's author made
    return {
        "ruleId": problem.code,
        "ruleIndex": _RULES[problem.code],
        "level": problem.severity.value,
        "message": {"text": text},
        "locations": [{"physicalLocation": place}],
    }


def _location(path: str, root: Path) -> dict[str, str]:
    """Return the URI of a file: relative in the repository, else absolute."""
    if path == "<stdin>":
        return {"uri": "stdin"}
    name = relative(path, root)
    uri = quote_from_bytes(name.encode(errors="surrogateescape"))
    if name.startswith("/"):
        return {"uri": f"file://{uri}"}
    return {"uri": uri, "uriBaseId": "%SRCROOT%"}
