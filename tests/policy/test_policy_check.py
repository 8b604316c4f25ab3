"""`guard check` without a cluster: what it reads, what it shows, and its exit code."""

import io
import os
import unicodedata
from pathlib import Path

import pytest

from deploy_guard.check import check, document, each, show
from deploy_guard.check.github import commands
from deploy_guard.errors import ExitCode
from deploy_guard.policy.problems import Problem, Severity, render
from deploy_guard.policy.values import read_values

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


def test_a_file_with_several_spellings_is_checked_once(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Dots, absolute paths and links to directories are the same file; a link to it is another."""
    link = tmp_path_factory.mktemp("other") / "link"
    link.symlink_to(folder)
    (folder / "linked.yaml").symlink_to("good.yaml")
    names = ["good.yaml", "./good.yaml", "../" + folder.name + "/good.yaml", "linked.yaml"]
    report = check([*(f"{folder}/{name}" for name in names), link / "good.yaml"])
    assert [Path(file.path).name for file in report.files] == ["good.yaml", "linked.yaml"]


def test_the_text_of_an_editor_is_checked_instead_of_its_file(folder: Path) -> None:
    """Standard input with a name is that file, in problems and in the policy's own name."""
    file = f"{folder}/bad.yaml"
    good = io.BytesIO(GOOD.replace("name: shop\n", "").encode())
    (report,) = check(["-", file], stdin=good, stdin_name=file).files
    assert report.path == file and report.problems == ()
    assert report.policy is not None and report.policy.name == "bad"
    wrong = check(["-"], stdin=io.BytesIO(b"version: 2\n"), stdin_name=file)
    assert f"{file}:1:10: error: 'version': expected 1, got '2'" in show(wrong).splitlines()


def test_files_are_checked_when_they_are_asked_for(tmp_path: Path) -> None:
    """One file at a time is read, so that a directory of any size takes the memory of one."""
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(GOOD)
    reports = each([tmp_path])
    assert next(reports).policy is not None
    (tmp_path / "b.yaml").write_text("x")
    assert next(reports).policy is None
    assert list(reports) == []


def test_a_policy_test_is_told_how_to_run_it(tmp_path: Path) -> None:
    """A test that is named is no policy; in a directory tests are left out."""
    test = tmp_path / "shop.test.yaml"
    test.write_text("cases: []\n")
    report = check([test])
    assert [(p.code, p.help) for p in report.files[0].problems] == [
        ("policy-test", f"run it: guard test {test}")
    ]
    assert report.exit_code is ExitCode.INVALID_POLICY
    (only,) = check([tmp_path]).files[0].problems
    assert (only.code, only.help) == ("no-policy", f"run them: guard test {tmp_path}")
    (tmp_path / "shop.yaml").write_text(GOOD)
    assert check([tmp_path]).exit_code is ExitCode.OK


def test_a_file_of_values_is_told_how_to_use_it(tmp_path: Path) -> None:
    """One that is named is no policy."""
    values = tmp_path / "prod.values.yaml"
    values.write_text("limit: 5%\n")
    (problem,) = check([values]).files[0].problems
    assert (problem.code, problem.help) == ("values-file", f"guard check POLICY --values {values}")


def test_a_value_that_no_policy_declares_is_no_file(tmp_path: Path) -> None:
    """It is told at the end, and not counted among the files; GitHub is told of no file."""
    (tmp_path / "shop.yaml").write_text(GOOD)
    values = read_values([], ["lenght=5m"])
    shown = show(check([tmp_path], values=values))
    assert shown.endswith("1 file checked: 1 error")
    (command,) = commands(check([tmp_path], values=values).files, root=tmp_path)
    assert command.startswith("::error title=deploy-guard%3A unknown-value::--set lenght: ")


def test_a_link_shows_nothing_but_policies(tmp_path: Path) -> None:
    """A change that somebody proposes cannot make the check print a key of the machine."""
    (tmp_path / "key.pem").write_text("hunter2: x\n")
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies/key.yaml").symlink_to("../key.pem")
    (problem,) = check([tmp_path / "policies"]).files[0].problems
    assert (problem.code, problem.line) == ("unreadable", 0)
    assert "is no policy file" in problem.message and "hunter2" not in repr(problem)


def test_a_link_to_nothing_says_where_it_leads(tmp_path: Path) -> None:
    """A link whose file is gone is told as such, named or found in a directory."""
    (tmp_path / "gone.yaml").symlink_to("nowhere/shop.yaml")
    for path in (tmp_path, tmp_path / "gone.yaml"):
        (problem,) = check([path]).files[0].problems
        assert problem.message == "the file is a link to 'nowhere/shop.yaml', which does not exist"
        assert problem.file == str(tmp_path / "gone.yaml")


def test_a_pipe_without_a_writer_is_not_waited_for(tmp_path: Path) -> None:
    """A named pipe is told at once; in a directory it is no policy."""
    os.mkfifo(tmp_path / "pipe.yaml")
    (problem,) = check([tmp_path / "pipe.yaml"]).files[0].problems
    assert problem.message == "the file is a pipe: expected a text"
    assert [p.code for p in check([tmp_path]).files[0].problems] == ["no-policy"]


def test_what_another_command_writes_is_read() -> None:
    """The pipe of a shell's `<(command)` has a writer, and is read."""
    ours, theirs = os.pipe()
    with os.fdopen(theirs, "wb") as stream:
        stream.write(GOOD.encode())
    try:
        assert check([f"/dev/fd/{ours}"]).exit_code is ExitCode.OK
    finally:
        os.close(ours)


def test_a_directory_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    """What may be read is checked, beside a problem for each directory that may not."""
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner").chmod(0)
    try:
        if os.access(tmp_path / "inner", os.R_OK):
            pytest.skip("this user may read everything")
        report = check([tmp_path])
    finally:
        (tmp_path / "inner").chmod(0o700)
    assert [(Path(file.path).name, file.policy is None) for file in report.files] == [
        ("inner", True),
        ("good.yaml", False),
    ]


def test_thousands_of_problems_are_told_in_a_bounded_text(tmp_path: Path) -> None:
    """Each file shows its first hundred problems, however many there are."""
    lines = "\n".join(f"  key{n}: 1" for n in range(9_000))
    (tmp_path / "bad.yaml").write_text(f"version: 1\nwatch:\n{lines}\n")
    shown = show(check([tmp_path]))
    assert shown.count(": error: unknown key") == 100  # errors come before the warning
    assert "8901 more problems are not shown" in shown
    assert len(shown.splitlines()) < 1000


def test_a_hundred_warnings_hide_no_error_and_are_none(tmp_path: Path) -> None:
    """Of more problems than are shown the errors are; a policy that only has warnings is valid."""
    names = "".join(f"  v{n}: {{type: text, default: a}}\n" for n in range(150))
    file = tmp_path / "policy.yaml"
    file.write_text(f"version: 1\nvalues:\n{names}")
    report = check([file])
    assert report.exit_code is ExitCode.OK
    assert report.files[0].policy is not None
    last = report.files[0].problems[-1]
    assert (last.code, last.severity) == ("too-many", Severity.WARNING)
    assert last.message == "51 more problems are not shown"
    file.write_text(f"version: 1\nvalues:\n{names}watch: {{for: 5x, interval: 5y}}\n")
    problems = check([file]).files[0].problems
    assert [p.line for p in problems if p.severity is Severity.ERROR] == [153, 153]
    assert (len(problems), problems[-1].severity) == (101, Severity.WARNING)


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
