"""`guard check` without a cluster: what it reads, what it shows, and its exit code."""

import io
import unicodedata
from pathlib import Path

import pytest

from deploy_guard.check import check, document, show
from deploy_guard.errors import ExitCode
from deploy_guard.policy.problems import Problem, Severity, render

from .good import GOOD


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a directory with a good policy, a broken one, and one with a note."""
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(GOOD.replace("      errors: sum", "      erors: sum"))
    noted = GOOD.replace('sum by (pod) (all_total{namespace="{{ namespace }}"})', "sum(all_total)")
    (tmp_path / "noted.yaml").write_text(noted)
    return tmp_path


def test_a_good_policy_is_exit_zero(folder: Path) -> None:
    """A valid file is named with its number of signals, and nothing else is said."""
    report = check([folder / "good.yaml"])
    assert report.exit_code is ExitCode.OK
    assert show(report) == f"✓ {folder}/good.yaml  valid: 5 signals\n\n1 file checked: no errors"


def test_an_error_is_exit_three_and_shown_with_its_line(folder: Path) -> None:
    """The text has place, message, source line, caret and help, then a line for the file."""
    report = check([folder / "bad.yaml"])
    assert report.exit_code is ExitCode.INVALID_POLICY
    assert show(report).splitlines() == [
        f"{folder}/bad.yaml:23:7: error: unknown key 'erors' in 'ratio'",
        "   |",
        '23 |       erors: sum by (pod) (failed_total{namespace="{{ namespace }}"})',
        "   |       ^^^^^",
        "   = help: did you mean 'errors'?",
        "",
        f"✗ {folder}/bad.yaml  invalid: 1 error",
        "",
        "1 file checked: 1 error",
    ]


def test_a_directory_is_checked_file_by_file(folder: Path) -> None:
    """Each file is its own policy: equal signal names in two files are no problem."""
    report = check([folder])
    names = [(Path(file.path).name, file.policy is not None) for file in report.files]
    assert names == [("bad.yaml", False), ("good.yaml", True), ("noted.yaml", True)]
    assert show(report).splitlines()[-1] == "3 files checked: 1 error, 1 note"


def test_a_note_does_not_fail_the_check(folder: Path) -> None:
    """Notes are shown, and the exit code stays 0."""
    report = check([folder / "noted.yaml"])
    assert report.exit_code is ExitCode.OK
    assert "note: 'requests' does not keep the label 'pod'" in show(report)


def test_a_file_that_is_named_twice_is_checked_once(folder: Path) -> None:
    """Shells and pre-commit hooks may name a file and its directory."""
    assert len(check([folder / "good.yaml", folder]).files) == 3


def test_what_cannot_be_read_fails_the_check(folder: Path, tmp_path: Path) -> None:
    """An absent file and a directory without policies are errors next to the other files."""
    (tmp_path / "empty").mkdir()
    report = check([folder / "good.yaml", tmp_path / "absent.yaml", tmp_path / "empty"])
    assert report.exit_code is ExitCode.INVALID_POLICY
    codes = [problem.code for file in report.files for problem in file.problems]
    assert codes == ["unreadable", "no-policy"]


def test_standard_input_is_checked() -> None:
    """`-` is read once and called <stdin>."""
    report = check(["-"], stdin=io.BytesIO(b"version: 2\n"))
    assert "<stdin>:1:10: error: 'version': expected 1, got '2'" in show(report)


def test_a_connection_from_the_command_line_counts(tmp_path: Path) -> None:
    """With --prometheus-url a policy needs no connection of its own."""
    start, end = GOOD.index("prometheus:\n"), GOOD.index("kubernetes:")
    (tmp_path / "a.yaml").write_text(GOOD[:start] + GOOD[end:])
    assert check([tmp_path]).exit_code is ExitCode.INVALID_POLICY
    assert check([tmp_path], prometheus_given=True).exit_code is ExitCode.OK


def test_the_json_document(folder: Path) -> None:
    """The document has a version, the exit code, each file, and each problem with its place."""
    whole = document(check([folder / "bad.yaml"]).files)
    file = whole.pop("files")[0]
    assert whole == {"version": 1, "valid": False, "exit_code": 3, "errors": 1, "warnings": 0}
    assert file == {
        "path": f"{folder}/bad.yaml",
        "valid": False,
        "signals": [],
        "problems": [
            {
                "code": "unknown-key",
                "severity": "error",
                "message": "unknown key 'erors' in 'ratio'",
                "help": "did you mean 'errors'?",
                "file": f"{folder}/bad.yaml",
                "line": 23,
                "column": 7,
                "length": 5,
                "docs": "policy-reference.md#signals",
            }
        ],
    }


def test_a_problem_of_a_whole_file_has_no_line_in_json(tmp_path: Path) -> None:
    """Where there is no line the document says null, not 0."""
    whole = document(check([tmp_path / "absent.yaml"]).files)
    problem = whole["files"][0]["problems"][0]
    assert (problem["line"], problem["column"], problem["length"]) == (None, None, None)


def test_colour_is_only_added(folder: Path) -> None:
    """Without its escape sequences the coloured text is the plain one."""
    import re

    report = check([folder])
    coloured = show(report, colour=True)
    assert "\x1b[" in coloured and "\x1b[" not in show(report)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == show(report)


def _problem(source: str, column: int, length: int) -> Problem:
    return Problem("key", "message", "a.yaml", 7, column, length, source=source, caret=column - 1)


def _caret_columns(text: str) -> tuple[str, str]:
    lines = text.splitlines()
    return lines[2].removeprefix("7 | "), lines[3].removeprefix("  | ")


def test_a_long_line_is_cut_around_the_place() -> None:
    """The caret stays below the word that is meant, in a line of readable length."""
    source = "a" * 5000 + "HERE" + "b" * 5000
    line, caret = _caret_columns(render([_problem(source, 5001, 4)]))
    assert len(line) <= 120
    assert line[caret.index("^") :].startswith("HERE") and caret.count("^") == 4


def test_carets_count_terminal_columns() -> None:
    """Wide characters before the place take two columns, tabs one."""
    line, caret = _caret_columns(render([_problem("名:\tHERE", 4, 4)]))
    width = sum(
        2 if unicodedata.east_asian_width(c) == "W" else 1 for c in line[: line.index("HERE")]
    )
    assert caret == " " * width + "^^^^"


def test_nothing_in_a_file_can_steer_the_terminal() -> None:
    """Control and direction characters of names and lines are shown as replacements."""
    text = render([Problem("key", "\x1b[2J\u202e", "a\x07.yaml", 1, 1, 1, source="\x9b1m x")])
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(text)


def test_nothing_in_a_files_name_can_steer_the_terminal(tmp_path: Path) -> None:
    """Escapes and line breaks in names are shown as something harmless, valid or not."""
    (tmp_path / "a\x1b[31m\nb.yaml").write_text(GOOD)
    (tmp_path / "c\x1b[31m\nd.yaml").write_text("x")
    shown = show(check([tmp_path])).splitlines()
    assert "\x1b" not in "".join(shown)
    assert [line for line in shown if line.startswith(("b.yaml", "d.yaml"))] == []


def test_warnings_are_counted_in_the_last_line() -> None:
    """The summary names errors always, warnings and notes when there are any."""
    report = check(["-"], stdin=io.BytesIO(b"version: 1\n"))
    assert report.count(Severity.WARNING) == 1
    assert show(report).splitlines()[-1] == "1 file checked: no errors, 1 warning"
