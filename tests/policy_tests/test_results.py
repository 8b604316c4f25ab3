"""What came of tests: cases that ought to fail do, and every form says why."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from deploy_guard.policy_tests.suite import run

from .cases import POLICY

TESTS = """\
version: 1
defaults:
  signals:
    errors: {requests: 40/s, errors: 0.5%}
    latency: {requests: 40/s, slow: 0.3%}
    queue: {value: 10}
    payments: {answers: ok}
cases:
  - name: nothing changes
    expect: healthy
  - name: a jump to 20 %
    signals: {errors: {errors: {before: 0.5%, new: 20%}}}
    expect: EXPECTED
"""
Guard = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a directory with a policy in policies/."""
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies/shop.yaml").write_text(POLICY)
    return tmp_path


@pytest.fixture
def guard(folder: Path) -> Guard:
    """Run `guard test` in the directory."""

    def run_it(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "deploy_guard", "test", *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run_it


def _write(folder: Path, expected: str) -> Path:
    file = folder / "policies/shop.test.yaml"
    file.write_text(TESTS.replace("EXPECTED", expected))
    return file


WRONG = {  # of a regression of the signal errors, 45 s after the deploy
    "healthy": "expected healthy, got regressed at 45 s (errors)",
    "inconclusive": "expected inconclusive, got regressed",
    "no data": "expected no data, got regressed",
    "regressed by 44s": "1 s too late",
    "regressed after 46s": "1 s too early",
    "regressed (latency)": "expected regressed (latency), got regressed at 45 s (errors)",
    "{verdict: regressed, reason: old pods}": "because of 'old pods', got 'errors: errors",
}


@pytest.mark.parametrize("expected", WRONG)
def test_a_case_that_ends_otherwise_fails(folder: Path, expected: str) -> None:
    """A wrong verdict, time, signal or reason is a failure at the place of `expect`."""
    results = run([_write(folder, expected)])
    passed, failed = results.cases
    assert passed.problem is None and failed.problem is not None
    assert WRONG[expected] in failed.problem.message
    assert (failed.problem.line, failed.problem.column) == (13, 13)
    assert failed.problem.code == "test-failed" and failed.problem.source.strip()
    assert results.exit_code == 3 and results.failed == 1


@pytest.mark.parametrize(
    "expected",
    [
        "regressed",
        "regressed by 45s",
        "regressed after 45s",
        "regressed after 30s by 60s (errors)",
        "{verdict: regressed, signal: errors, reason: ON THE NEW PODS}",
    ],
)
def test_a_case_that_ends_as_expected_passes(folder: Path, expected: str) -> None:
    """Times are inclusive, and a reason is found in any case."""
    results = run([_write(folder, expected)])
    assert results.exit_code == 0 and results.failed == 0 and len(results.cases) == 2


def test_text_shows_what_happened(folder: Path, guard: Guard) -> None:
    """A failed case has its place, what was expected, each signal's words, and a chart."""
    _write(folder, "regressed by 30s")
    done = guard()
    assert done.returncode == 3 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "policies/shop.test.yaml"
    assert lines[1].split() == ["✓", "nothing", "changes", "healthy", "after", "10", "m"]
    assert lines[2].split()[:6] == ["✗", "a", "jump", "to", "20", "%"]
    text = done.stdout
    assert "at:       policies/shop.test.yaml:13:13" in text
    assert "expected: regressed by 30 s" in text
    assert re.search(r"errors +bad +errors 210 of 1,050 \(20 %\)", text)
    assert re.search(r"latency +too little", text)
    assert "● new pods" in text and "│ expected by 30 s" in text and "┄ limit 5 %" in text
    assert lines[-1].startswith("2 cases in 1 file: 1 passed, 1 failed")


def test_json_has_all_of_it(folder: Path, guard: Guard) -> None:
    """The document has every case with its verdict, time and evidence."""
    _write(folder, "healthy")
    done = guard("policies", "-o", "json")
    whole = json.loads(done.stdout)
    assert (whole["version"], whole["passed"], whole["exit_code"]) == (1, False, 3)
    assert (whole["cases"], whole["failed"]) == (2, 1) and done.returncode == 3
    good, bad = whole["files"][0]["cases"]
    assert good["passed"] and good["verdict"] == "healthy" and good["problem"] is None
    assert (bad["verdict"], bad["seconds"], bad["accused"]) == ("regressed", 45.0, ["errors"])
    assert bad["problem"]["file"] == "policies/shop.test.yaml" and bad["problem"]["line"] == 13
    assert {one["signal"]: one["finding"] for one in bad["evidence"]}["errors"] == "bad"


def test_junit_has_a_suite_for_each_file(folder: Path, guard: Guard) -> None:
    """A failed case is a failure; a file that is invalid is an error."""
    _write(folder, "healthy")
    (folder / "policies/other.test.yaml").write_text("version: 1\n")
    root = Xml.fromstring(guard("-o", "junit").stdout)  # noqa: S314 (it is our own)
    assert root.attrib == {"name": "guard test", "tests": "3", "failures": "1", "errors": "1"}
    suites = {suite.attrib["name"]: suite for suite in root}
    assert suites["policies/other.test.yaml"].find("testcase/error") is not None
    failure = suites["policies/shop.test.yaml"].find("testcase/failure")
    assert failure is not None and failure.text is not None
    assert "got regressed" in failure.attrib["message"] and "new pods" in failure.text


def test_github_marks_the_line(folder: Path, guard: Guard) -> None:
    """Each failure is a workflow command at the line of `expect`."""
    _write(folder, "healthy")
    lines = guard("-o", "github").stdout.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("::error file=policies/shop.test.yaml,line=13,col=13")


def test_cases_are_chosen_by_their_names(folder: Path, guard: Guard) -> None:
    """-k runs the cases that have all its words; none is a mistake of the caller."""
    _write(folder, "healthy")
    done = guard("-k", "Changes NOTHING")
    assert done.returncode == 0 and "1 case in 1 file: 1 passed" in done.stdout
    assert "1 not chosen" in done.stdout
    none = guard("-k", "nowhere")
    assert none.returncode == 2 and "no case has 'nowhere' in its name" in none.stderr


def test_policies_without_tests_are_noted(folder: Path, guard: Guard) -> None:
    """A directory's policies that no test is about are counted; that is no failure."""
    _write(folder, "regressed")
    (folder / "policies/lonely.yaml").write_text(POLICY)
    (folder / "policies/base.yaml").write_text("version: 1\nabstract: true\n")
    (folder / "policies/prod.values.yaml").write_text("a: 1\n")
    done = guard("policies")
    assert done.returncode == 0
    assert done.stderr == "note: 1 policy has no tests: policies/lonely.yaml\n"


def test_nothing_to_test_is_told(folder: Path, guard: Guard) -> None:
    """A directory without tests fails: tests that are not run would pass unseen."""
    done = guard()
    assert done.returncode == 3 and "the directory has no tests" in done.stdout
    (folder / "policies").rename(folder / "others")
    assert guard().returncode == 2


def test_a_gate_is_not_simulated(folder: Path, guard: Guard) -> None:
    """A policy with a gate is tested without it, and a note says so."""
    (folder / "policies/shop.yaml").write_text(POLICY + "hold: {at: 25%}\n")
    _write(folder, "regressed by 60s")
    done = guard()
    assert done.returncode == 0 and "gate (hold) is not simulated" in done.stderr


VALUED = POLICY.replace("limit: 5%", 'limit: "{{ values.limit }}"') + (
    "values:\n  limit: {type: percentage, default: 5%}\n"
)


def test_values_of_the_command_line_win(folder: Path, guard: Guard) -> None:
    """--set tries the same tests with another value; one that no policy declares is a mistake."""
    (folder / "policies/shop.yaml").write_text(VALUED)
    _write(folder, "regressed")
    assert guard().returncode == 0
    done = guard("--set", "limit=0.1%")
    assert done.returncode == 3 and "✗ nothing changes" in done.stdout
    unknown = guard("--set", "limits=1%")
    assert unknown.returncode == 3 and "did you mean 'limit'" in unknown.stdout
