"""Files to one policy: which are read, how several become one, and back from JSON."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy_guard.errors import ExitCode, UsageError
from deploy_guard.policy.load import dump, find, inspect, load_all, load_file, restore
from deploy_guard.policy.models import HttpSignal, LatencyLimit, Policy, PrometheusSignal
from deploy_guard.policy.problems import PolicyError

from .good import GOOD

SIGNAL = """\
signals:
  - name: {name}
    provider: pods
    port: http
    value: up
    below: 1
"""
Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a file and returns its path."""

    def write_file(name: str, text: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    return write_file


def test_values_have_their_units(write: Write) -> None:
    """Durations become seconds, percentages fractions, and defaults are filled in."""
    policy = load_file(write("a.yaml", GOOD))
    assert (policy.watch.duration, policy.watch.sensitivity) == (600.0, 0.01)
    errors, slow, queue, _, payments = policy.signals
    assert isinstance(errors, PrometheusSignal) and errors.limit == 0.05
    assert isinstance(slow, PrometheusSignal)
    assert slow.limit == LatencyLimit(share=0.99, below=0.5)
    assert isinstance(queue, PrometheusSignal) and (queue.above, queue.hold) == (100.0, 60.0)
    assert isinstance(payments, HttpSignal) and payments.expect.status == [200]
    assert policy.kubernetes.unready == 300.0


def test_templates_are_kept_as_text(write: Write) -> None:
    """Loading renders nothing: the workload is not known yet."""
    signal = load_file(write("a.yaml", GOOD)).signals[0]
    assert isinstance(signal, PrometheusSignal) and signal.ratio is not None
    assert '{namespace="{{ namespace }}"}' in signal.ratio.errors


def test_the_name_is_the_files_unless_given(write: Write) -> None:
    """A policy without a name is called as its file."""
    assert load_file(write("checkout.yaml", "version: 1\n")).name == "checkout"
    assert load_file(write("b.yaml", "version: 1\nname: shop\n")).name == "shop"


def test_a_policy_survives_json(write: Write) -> None:
    """What `dump` gives is JSON, and `restore` makes an equal policy of it."""
    policy = load_file(write("a.yaml", GOOD))
    again = restore(json.loads(json.dumps(dump(policy))))
    assert again == policy
    assert dump(again) == dump(policy)


def test_numbers_in_quotes_stay_text_through_json(write: Write) -> None:
    """An expected text "1" is not the number 1, before and after JSON."""
    for written, value in [('"1"', "1"), ("1", 1), ("null", None), ("true", True), ("1.5", 1.5)]:
        text = GOOD.replace("equals: ok", f"equals: {written}")
        policy = load_file(write("a.yaml", text))
        for one in (policy, restore(json.loads(json.dumps(dump(policy))))):
            signal = one.signals[4]
            assert isinstance(signal, HttpSignal) and signal.expect.json_ is not None
            assert signal.expect.json_.equals == value
            assert type(signal.expect.json_.equals) is type(value)


def test_a_record_that_is_no_policy_is_refused() -> None:
    """Restoring something else is a ValueError."""
    with pytest.raises(ValueError, match="version"):
        restore({"signals": []})


def test_several_files_are_one_policy(write: Write) -> None:
    """Signals are put together in the order of the files, sections come from where they are."""
    first = write("a.yaml", "version: 1\nwatch: {for: 5m}\n" + SIGNAL.format(name="one"))
    second = write("b.yaml", "version: 1\nrollback: {enabled: false}\n" + SIGNAL.format(name="two"))
    policy = load_all([first, second])
    assert [signal.name for signal in policy.signals] == ["one", "two"]
    assert (policy.watch.duration, policy.rollback.enabled) == (300.0, False)
    assert policy.name == "a, b"


def test_a_section_may_be_repeated_with_the_same_meaning(write: Write) -> None:
    """5m in one file and 300s in another are the same, whatever the order of the keys."""
    first = write("a.yaml", "version: 1\nwatch: {for: 5m, interval: 10s}\n")
    second = write("b.yaml", "version: 1\nwatch: {interval: 10s, for: 300s}\n")
    assert load_all([first, second]).watch.duration == 300.0


def test_a_section_with_two_meanings_names_both_places(write: Write) -> None:
    """Different values of one section are an error in the later file that names the earlier."""
    first = write("a.yaml", "version: 1\n\nwatch: {for: 5m}\n")
    second = write("b.yaml", "version: 1\nwatch: {for: 6m}\n")
    with pytest.raises(PolicyError) as caught:
        load_all([first, second])
    problem = next(p for p in caught.value.problems if p.code == "conflict")
    assert problem.place == f"{second}:2:1"
    assert f"{first}:3" in problem.message


def test_a_name_in_two_files_is_an_error(write: Write) -> None:
    """Signals of two files need different names; the place of the first is named."""
    first = write("a.yaml", "version: 1\n" + SIGNAL.format(name="same"))
    second = write("b.yaml", "version: 1\n" + SIGNAL.format(name="same"))
    with pytest.raises(PolicyError) as caught:
        load_all([first, second])
    problem = caught.value.problems[0]
    assert (problem.code, problem.place) == ("duplicate-name", f"{second}:3:11")
    assert f"{first}:3" in problem.message


def test_a_connection_in_one_file_serves_the_others(write: Write) -> None:
    """Whether Prometheus is known is asked of all files together."""
    start, end = GOOD.index("prometheus:\n"), GOOD.index("kubernetes:")
    first = write("a.yaml", GOOD[:start] + GOOD[end:])
    second = write("b.yaml", "version: 1\n" + GOOD[start:end])
    connection = load_all([first, second]).prometheus
    assert connection is not None and connection.url == "http://prometheus:9090"


def test_the_problems_of_all_files_come_together(write: Write) -> None:
    """One error per file is told at once, in the order of the files."""
    files = [write(f"{name}.yaml", "version: 1\nx: 1\n") for name in "ba"]
    with pytest.raises(PolicyError) as caught:
        load_all(files)
    places = [p.file for p in caught.value.problems if p.code == "unknown-key"]
    assert places == [str(file) for file in files]
    assert caught.value.exit_code is ExitCode.INVALID_POLICY
    assert "(and 1 more)" in caught.value.message


def test_the_url_of_the_command_line_wins(write: Write) -> None:
    """It replaces the policy's URL and keeps the credentials; alone it makes a connection."""
    with_one = load_file(write("a.yaml", GOOD), prometheus_url="http://other:9090").prometheus
    assert with_one is not None and with_one.url == "http://other:9090"
    assert with_one.bearer is not None and with_one.timeout == 10.0
    alone = load_file(write("b.yaml", "version: 1\n"), prometheus_url="http://other").prometheus
    assert alone is not None and alone.url == "http://other"


@pytest.mark.parametrize("url", ["other:9090", "http://", "http://a:b@other", ""])
def test_a_bad_url_of_the_command_line_is_a_usage_error(url: str, write: Write) -> None:
    """It is the command that is wrong then, not the policy; the URL is not repeated."""
    with pytest.raises(UsageError) as caught:
        load_file(write("a.yaml", GOOD), prometheus_url=url)
    assert "a:b" not in str(caught.value) + caught.value.help


def test_standard_input_is_a_file() -> None:
    """`-` reads standard input, and problems call it so."""
    loaded = inspect(["-"], stdin=io.BytesIO(b"version: 1\nx: 1\n"))
    assert [p.place for p in loaded.problems if p.code == "unknown-key"] == ["<stdin>:2:1"]


@pytest.mark.parametrize("name", ["nothing.yaml", "."])
def test_a_file_that_cannot_be_read_is_a_problem(name: str, tmp_path: Path) -> None:
    """An absent file, or a directory read as a file, is told as unreadable."""
    problem = inspect([tmp_path / name]).problems[0]
    assert (problem.code, problem.line) == ("unreadable", 0)
    assert problem.file == str(tmp_path / name)


def test_a_directory_stands_for_its_yaml_files(write: Write, tmp_path: Path) -> None:
    """YAML files at any depth, by name; other files and hidden directories are left out."""
    for name in ["b.yaml", "a.yml", "sub/c.yaml", ".git/d.yaml", "readme.md"]:
        write(name, "version: 1\n")
    names = [str(Path(file).relative_to(tmp_path)) for file in find([tmp_path])]
    assert names == ["a.yml", "b.yaml", "sub/c.yaml"]


def test_a_file_that_is_named_twice_is_read_once(write: Write, tmp_path: Path) -> None:
    """A file and its directory are not two policies."""
    file = write("a.yaml", "version: 1\n")
    assert find([file, tmp_path]) == [str(file)]


def test_a_directory_without_policies_is_an_error(tmp_path: Path) -> None:
    """Nothing checked is not the same as nothing wrong."""
    with pytest.raises(PolicyError) as caught:
        find([tmp_path])
    assert caught.value.problems[0].code == "no-policy"


def test_policies_can_be_made_in_code() -> None:
    """Field names and plain numbers are accepted where no YAML is involved."""
    policy = Policy.model_validate({"version": 1, "watch": {"duration": 5, "interval": 0.1}})
    assert (policy.watch.duration, policy.watch.interval) == (5.0, 0.1)


def test_a_pipe_in_a_directory_is_no_policy(write: Write, tmp_path: Path) -> None:
    """What is no file is left out, for reading it might never end; a broken link is told."""
    write("policy.yaml", GOOD)
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "gone.yaml").symlink_to("nowhere.yaml")
    names = sorted(Path(file).name for file in find([tmp_path]))
    assert names == ["gone.yaml", "policy.yaml"]


def test_a_directory_that_cannot_be_listed_is_a_problem(tmp_path: Path) -> None:
    """Policies that nobody saw are not valid: the directory that hides them is named."""
    inner = tmp_path / "inner"
    inner.mkdir()
    inner.chmod(0)
    try:
        if os.access(inner, os.R_OK):
            pytest.skip("this user may read everything")
        with pytest.raises(PolicyError, match="inner: the directory cannot be read: permission"):
            find([tmp_path])
    finally:
        inner.chmod(0o700)


def test_an_empty_name_is_not_the_current_directory() -> None:
    """`-p "$POLICY"` with a variable that is not set is told as such."""
    with pytest.raises(PolicyError, match="'': the name of the file is empty"):
        load_all([""])


def test_utf_16_is_told() -> None:
    """Shells that write UTF-16 are the usual reason for a file that is not UTF-8."""
    (problem,) = inspect(["-"], stdin=io.BytesIO(GOOD.encode("utf-16"))).problems
    assert (problem.code, problem.help) == ("binary", "it looks like UTF-16; save it as UTF-8")


def test_no_standard_input_is_a_problem() -> None:
    """A process without standard input cannot read a policy from it, and says so."""
    code = (
        "import sys; from deploy_guard.policy.load import inspect; print(inspect(['-']).problems)"
    )
    done = subprocess.run(
        ["sh", "-c", '"$0" -c "$1" <&-', sys.executable, code],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "standard input is closed" in done.stdout and done.stderr == ""


def test_tests_and_values_beside_policies_are_none(tmp_path: Path) -> None:
    """A directory's *.test.yaml and *.values.yaml are left out; named themselves they are read."""
    names = ["a.yaml", "a.test.yaml", "a.test.yml", "prod.values.yaml", "prod.values.yml"]
    for name in names:
        (tmp_path / name).write_text("version: 1\n")
    assert find([tmp_path]) == [str(tmp_path / "a.yaml")]
    assert find([tmp_path / "a.test.yaml"]) == [str(tmp_path / "a.test.yaml")]
