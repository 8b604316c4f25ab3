"""`guard check -o github|sarif|junit`: the same problems as in the text, for every known defect."""

import gc
import io
import json
import re
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from jsonschema import Draft202012Validator
from junitparser import JUnitXml, TestSuite

from deploy_guard.check import FileReport, Report, check, document, each, show
from deploy_guard.check.forms import write
from deploy_guard.check.github import commands
from deploy_guard.check.junit import suite
from deploy_guard.check.sarif import log
from deploy_guard.policy.codes import CODES
from deploy_guard.policy.problems import Problem, Severity

from .good import GOOD, marked
from .test_policy_defects import CASES, Case

COMMAND = re.compile(r"::(error|warning|notice) ([^:]*)::(.*)")
LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}


def strict(**properties: Any) -> dict[str, Any]:
    """Return the schema of an object that has all of these properties and no other."""
    return {"type": "object", "properties": properties, "additionalProperties": False}


TEXT = strict(text={"type": "string", "minLength": 1})
LOCATION = strict(
    uri={"type": "string", "pattern": r"^[A-Za-z0-9._~%/:-]+$"}, uriBaseId={"type": "string"}
)
NUMBER = {"type": "integer", "minimum": 1}
LEVEL = {"enum": ["error", "warning", "note"]}
REGION = strict(startLine=NUMBER, startColumn=NUMBER, endColumn=NUMBER)
RESULT = strict(
    ruleId={"enum": list(CODES)},
    ruleIndex={"type": "integer"},
    level=LEVEL,
    message=TEXT,
    locations={
        "items": strict(physicalLocation=strict(artifactLocation=LOCATION, region=REGION)),
        "minItems": 1,
    },
)
RULE = strict(
    id={"type": "string"},
    shortDescription=TEXT,
    help=TEXT,
    helpUri={"type": "string", "pattern": "^https://"},
    defaultConfiguration=strict(level=LEVEL),
)
DRIVER = strict(
    name={"const": "deploy-guard"},
    version={"type": "string"},
    semanticVersion={"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
    informationUri={"type": "string", "pattern": "^https://"},
    rules={"items": RULE, "minItems": 1},
)
RUN = strict(
    tool=strict(driver=DRIVER),
    automationDetails=strict(id={"type": "string", "pattern": "/$"}),
    columnKind={"const": "unicodeCodePoints"},
    invocations={"items": strict(executionSuccessful={"const": True})},
    artifacts={"items": strict(location=LOCATION, roles={"const": ["analysisTarget"]})},
    results={"type": "array", "items": RESULT},
)
# the part of the SARIF 2.1.0 schema that a check uses: names and types are the standard's
SARIF = {
    "properties": {
        "$schema": {"pattern": "sarif-schema-2.1.0.json$"},
        "version": {"const": "2.1.0"},
        "runs": {"items": RUN, "minItems": 1, "maxItems": 1},
    },
    "required": ["$schema", "version", "runs"],
    "additionalProperties": False,
}


def results(reports: tuple[FileReport, ...], root: Path) -> list[dict[str, Any]]:
    """Return the results of the SARIF log, which is valid."""
    whole = json.loads(json.dumps(log(reports, root=root)))
    Draft202012Validator(SARIF).validate(whole)
    found: list[dict[str, Any]] = whole["runs"][0]["results"]
    return found


def cases(reports: tuple[FileReport, ...], root: Path) -> list[Any]:
    """Return the test cases of the JUnit document, as its readers see them."""
    whole = JUnitXml.fromstring(suite(reports, root=root).encode())
    (only,) = whole
    assert isinstance(only, TestSuite)
    assert (only.tests, only.errors) == (len(reports), 0)
    assert only.failures == sum(not case.is_passed for case in only)
    return list(only)


def said(lines: list[str]) -> list[tuple[str, dict[str, str], str]]:
    """Read workflow commands as the runner does."""
    found = []
    for line in lines:
        match = COMMAND.fullmatch(line)
        assert match, line
        kind, properties, message = match.groups()
        pairs = dict(pair.split("=", 1) for pair in properties.split(","))
        found.append((kind, {k: _plain(v) for k, v in pairs.items()}, _plain(message)))
    return found


def _plain(text: str) -> str:
    for escaped, plain in (("%2C", ","), ("%3A", ":"), ("%0A", "\n"), ("%0D", "\r"), ("%25", "%")):
        text = text.replace(escaped, plain)
    return text


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_a_defect_is_the_same_in_every_form(case: Case, tmp_path: Path) -> None:
    """Each form has as many errors as the text, at the same line and column."""
    (tmp_path / "policy.yaml").write_bytes(marked(case.old, case.new)[0].encode())
    report = check([tmp_path / "policy.yaml"])
    (file,) = report.files
    errors = report.count(Severity.ERROR)
    assert show(report).count(": error: ") == document(report.files)["errors"] == errors

    places = [(LEVELS[p.severity], p.line, p.column, p.column + p.length) for p in file.problems]
    regions = [
        (r["level"], *r["locations"][0]["physicalLocation"]["region"].values())
        for r in results(report.files, tmp_path)
    ]
    assert regions == places
    marks = [
        (kind.replace("notice", "note"), *(int(at[key]) for key in ("line", "col", "endColumn")))
        for kind, at, _ in said(list(commands(report.files, root=tmp_path)))
    ]
    assert marks == places
    (one,) = cases(report.files, tmp_path)
    texts = "".join(failure.text for failure in one.result)
    assert texts.count(": error: ") == errors
    assert one.is_passed == (errors == 0) == (file.policy is not None)


def test_a_good_policy_is_told_in_every_form(tmp_path: Path) -> None:
    """Nothing is found, and the forms that name files say that the file was looked at."""
    (tmp_path / "good.yaml").write_text(GOOD)
    files = check([tmp_path]).files
    assert list(commands(files, root=tmp_path)) == []
    assert results(files, tmp_path) == []
    artifacts = log(files, root=tmp_path)["runs"][0]["artifacts"]
    assert [a["location"] for a in artifacts] == [{"uri": "good.yaml", "uriBaseId": "%SRCROOT%"}]
    assert [(case.name, case.is_passed) for case in cases(files, tmp_path)] == [("good.yaml", True)]


def test_a_problem_of_a_whole_file_has_no_line(tmp_path: Path) -> None:
    """A file that cannot be read is told without a line that nobody meant."""
    files = check([tmp_path / "absent.yaml"]).files
    ((kind, at, message),) = said(list(commands(files, root=tmp_path)))
    assert (kind, at) == (
        "error",
        {"file": "absent.yaml", "title": "deploy-guard: unreadable"},
    )
    assert message.startswith("absent.yaml: the file cannot be read")
    (result,) = results(files, tmp_path)
    assert list(result["locations"][0]["physicalLocation"]) == ["artifactLocation"]


def _odd(root: Path, message: str, help: str = "") -> tuple[FileReport, ...]:
    """Return the report of a file in `root` whose name and problem are full of special signs."""
    name = str(root / "a,b: 100%\r\n::error::x\udcff#?.yaml")
    return (FileReport(name, None, (Problem("key", message, name, 3, 5, 2, help=help),)),)


def test_nothing_in_a_policy_can_make_a_command_of_its_own(tmp_path: Path) -> None:
    """Percent signs, line ends, colons and commas are escaped, so that one problem is one line."""
    files = _odd(tmp_path, "50%0A, a: b\n::stop-commands::x", "one\r\ntwo")
    (line,) = commands(files, root=tmp_path)
    assert line.count("\n") == line.count("\r") == 0
    ((_, at, message),) = said([line])
    assert at["file"] == "a,b: 100%\r\n::error::x\ufffd#?.yaml"
    assert message.endswith(":3:5: 50%0A, a: b\n::stop-commands::x\nhelp: one\r\ntwo")


def test_names_of_files_are_uris(tmp_path: Path) -> None:
    """Every byte that URIs cannot have is percent-encoded, and decodes to the file's name."""
    (result,) = results(_odd(tmp_path, "x"), tmp_path)
    location = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert urlsplit(location["uri"]).path == location["uri"]
    assert unquote(location["uri"], errors="surrogateescape") == (
        "a,b: 100%\r\n::error::x\udcff#?.yaml"
    )


def test_no_policy_can_put_a_link_into_an_alert(tmp_path: Path) -> None:
    """What looks like a link of SARIF in a message is none."""
    (result,) = results(_odd(tmp_path, "unknown key '[see](http://x.example)'"), tmp_path)
    assert "](" not in result["message"]["text"]


def test_junit_is_xml_whatever_is_in_it(tmp_path: Path) -> None:
    """Control characters, lone surrogates, markup and other scripts pass a real parser."""
    every = "".join(map(chr, range(0x20))) + "\x7f\x9b\ud800\ufffe\uffff<&>\"']]>名𝄞"
    (case,) = cases(_odd(tmp_path, every, every), tmp_path)
    assert not case.is_passed
    assert "<&>\"']]>名𝄞" in case.result[0].message
    assert "<&>\"']]>名𝄞" in case.result[0].text


def test_the_forms_are_all_ascii(tmp_path: Path) -> None:
    """SARIF and JUnit are right in whatever encoding standard output has."""
    files = _odd(tmp_path, "名𝄞")
    assert suite(files, root=tmp_path).isascii()
    assert json.dumps(log(files, root=tmp_path)).isascii()


def test_a_file_outside_of_the_repository_has_an_absolute_name(tmp_path: Path) -> None:
    """Paths that a code host cannot know are not made to look as if it could."""
    (tmp_path / "bad.yaml").write_text("x")
    files = check([tmp_path / "bad.yaml"]).files
    root = tmp_path / "repository"
    location = results(files, root)[0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert location == {"uri": f"file://{tmp_path}/bad.yaml"}
    ((_, at, _),) = said(list(commands(files, root=root)))
    assert at["file"] == f"{tmp_path}/bad.yaml"


def test_a_repository_that_is_reached_through_a_link_is_the_same(tmp_path: Path) -> None:
    """A workspace that is a link still makes its files relative."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real/bad.yaml").write_text("x")
    (tmp_path / "link").symlink_to("real")
    for path, root in (("real/bad.yaml", "link"), ("link/bad.yaml", "real")):
        files = check([tmp_path / path]).files
        assert {at["file"] for _, at, _ in said(list(commands(files, root=tmp_path / root)))} == {
            "bad.yaml"
        }


def test_rules_link_to_the_documentation_if_it_is_published(tmp_path: Path) -> None:
    """Without an address there is no link, with one each rule has the section on problems."""
    whole = log((), root=tmp_path, docs="https://docs.example/guard/")
    Draft202012Validator(SARIF).validate(whole)
    rules = whole["runs"][0]["tool"]["driver"]["rules"]
    links = {rule["helpUri"] for rule in rules}
    assert links == {"https://docs.example/guard/policy-reference.md#problems"}
    assert [rule["id"] for rule in rules] == list(CODES)
    levels = {rule["id"]: rule["defaultConfiguration"]["level"] for rule in rules}
    assert (levels["no-pods"], levels["no-signals"], levels["key"]) == ("note", "warning", "error")


def test_every_rule_of_a_result_is_the_one_it_names(tmp_path: Path) -> None:
    """The index of a result's rule leads to the rule of its name."""
    (tmp_path / "bad.yaml").write_text("version: 2\nwatch: {foo: 1}\n")
    whole = log(check([tmp_path]).files, root=tmp_path)["runs"][0]
    assert len(whole["results"]) >= 2
    for result in whole["results"]:
        assert whole["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]


@pytest.mark.parametrize("form", ["text", "json", "github", "sarif", "junit"])
def test_no_form_keeps_the_policies(tmp_path: Path, form: str) -> None:
    """When a file is told, the policy of the one before is gone, whatever the form."""
    for number in range(5):
        (tmp_path / f"{number}.yaml").write_text(GOOD)
    seen: list[weakref.ref[object]] = []
    alive: list[int] = []

    def watched() -> Iterator[FileReport]:
        for report in each([tmp_path]):
            seen.append(weakref.ref(report.policy))
            yield report
            del report
            gc.collect()
            alive.append(sum(ref() is not None for ref in seen))

    if form == "json":
        assert document(watched())["valid"]
    else:
        list(write(watched(), form, environ={}, stdout=io.StringIO()))
    assert len(alive) == 5 and max(alive) <= 2


def test_a_mistake_in_a_shared_base_is_told_once(tmp_path: Path) -> None:
    """Where lines are marked it is one mark; every policy that extends the base is invalid."""
    (tmp_path / "base.yaml").write_text("version: 1\nabstract: true\nwatch: {for: 10}\n")
    signal = "{name: a, provider: pods, port: 80, value: x, above: 1}"
    for name in ("one", "two"):
        text = f"version: 1\nextends: base.yaml\nsignals: [{signal}]\n"
        (tmp_path / f"{name}.yaml").write_text(text)
    files = check([tmp_path]).files
    assert [file.policy for file in files] == [None, None, None]
    shown = show(Report(files))
    assert shown.count("base.yaml:3:14: error: ") == 1
    assert shown.count("invalid: 1 error, shown above") == 2
    assert shown.endswith("3 files checked: 1 error")
    assert len(list(commands(files, root=tmp_path))) == len(results(files, tmp_path)) == 1
    whole = document(files)
    assert (whole["errors"], [len(file["problems"]) for file in whole["files"]]) == (1, [1, 1, 1])
    messages = [case.result[0].message for case in cases(files, tmp_path)]
    assert [message.split(": ")[0] for message in messages] == [
        "line 3, column 14",
        f"{tmp_path}/base.yaml:3:14",
        f"{tmp_path}/base.yaml:3:14",
    ]


def test_the_matcher_of_the_docs_reads_every_problem(tmp_path: Path) -> None:
    """The pattern for Visual Studio Code finds file, line, column, severity and message."""
    docs = (Path(__file__).parents[2] / "docs/check.md").read_text()
    block = docs.partition("```json\n")[2].partition("```")[0]
    pattern = json.loads(block)["tasks"][0]["problemMatcher"]["pattern"]
    (tmp_path / "bad: 1.yaml").write_text("version: 2\nwatch: {foo: 1}\n")
    report = check([tmp_path])
    found = [
        [match[pattern[key]] for key in ("file", "line", "column", "severity", "message")]
        for line in show(report).splitlines()
        if (match := re.match(pattern["regexp"], line))
    ]
    assert found == [
        [p.file, str(p.line), str(p.column), p.severity, p.message]
        for p in report.files[0].problems
    ]
