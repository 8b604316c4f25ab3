"""Which record is meant, and what is said of a file that is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.conftest import GUARD, clean_environment
from decide.building import baseline, fine, policy, ratio, watched
from deploy_guard.errors import GuardError
from deploy_guard.explanation import explain
from deploy_guard.explanation.choosing import choose

from .recording import written

ENTRIES = watched(fine, before=baseline())


def guard(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run guard explain."""
    return subprocess.run(
        [*GUARD, "explain", *map(str, arguments)],
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_of_several_records_the_newest(tmp_path: Path) -> None:
    """A directory that was used again has its later records below it; the last one is taken."""
    first = written(tmp_path, policy(ratio()), ENTRIES)
    second = written(tmp_path, policy(ratio()), ENTRIES)
    assert second.parent.parent == first.parent
    second.write_text(second.read_text().replace('"started_at":17', '"started_at":18', 1))
    chosen = choose(tmp_path)
    assert (chosen.file, chosen.older) == (second, (first,))
    assert choose(first).file == first
    done = guard(tmp_path)
    assert done.returncode == 0
    assert f"{tmp_path} has several records; this is the newest, {second}" in done.stderr
    assert f"older: {first}" in done.stderr


def test_a_directory_of_records(tmp_path: Path) -> None:
    """The directory above several records is taken as well."""
    file = written(tmp_path / "a", policy(ratio()), ENTRIES)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "record.jsonl").write_text("no record\n")
    assert choose(tmp_path).file == file


def test_a_directory_without_a_record(tmp_path: Path) -> None:
    """It is said what was looked for."""
    with pytest.raises(GuardError, match=r"expected record\.jsonl in it"):
        choose(tmp_path)


def test_a_file_that_is_none_and_one_of_a_newer_guard(tmp_path: Path) -> None:
    """Both end with 1 and clear words, without a stack trace."""
    file = tmp_path / "record.jsonl"
    file.write_text("hello\n")
    done = guard(file)
    assert done.returncode == 1
    assert "is not a record of a watch" in done.stderr
    file.write_text(json.dumps({"version": 2, "guard": "9.1"}) + "\n")
    done = guard(file)
    assert done.returncode == 1
    assert "has version 2, this guard reads up to 1" in done.stderr
    assert "read it with guard 9.1 or newer" in done.stderr
    file.write_bytes(os.urandom(4000))
    done = guard(file)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_the_command(tmp_path: Path) -> None:
    """Text and JSON go to stdout, nothing to stderr, and the exit code is 0."""
    written(tmp_path / "report", policy(ratio()), ENTRIES)
    done = guard(tmp_path / "report")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert done.stdout.startswith("deployment/checkout -n shop: healthy\n")
    told = json.loads(guard(tmp_path / "report", "-o", "json").stdout)
    assert told["replayed"]["verdict"] == "healthy"
    lines = guard(tmp_path / "report", "--no-charts", "--every", "5m").stdout
    assert "● new pods" not in lines
    assert "every 5 m" in lines


def test_a_terminal_that_knows_no_signs(tmp_path: Path) -> None:
    """Where stdout is ASCII, every sign has a replacement."""
    written(tmp_path, policy(ratio()), ENTRIES)
    done = guard(tmp_path, PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()


POLICY = """\
version: 1
name: other
values:
  most: {type: percentage, default: 20%}
prometheus: {url: http://prometheus:9090}
watch: {for: 10m}
signals:
  - name: errors
    provider: prometheus
    ratio: {errors: errors_total, requests: requests_total}
    limit: "{{ values.most }}"
    compare: false
"""


def test_another_policy_with_values(tmp_path: Path) -> None:
    """--with takes files as -p does, with --set; a problem of the policy ends with 3."""
    written(tmp_path / "report", policy(ratio()), watched(fine))
    file = tmp_path / "other.yaml"
    file.write_text(POLICY)
    done = guard(tmp_path / "report", "--with", file, "-o", "json", "--set", "most=0.01%")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["with"]["replayed"]["verdict"] == "regressed"
    file.write_text(POLICY.replace("limit:", "limits:"))
    done = guard(tmp_path / "report", "--with", file)
    assert done.returncode == 3
    assert "other.yaml:11:" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--every", "0s"], "--every must be longer than 0s"),
        (["--every", "soon"], "is not a duration"),
        (["--set", "a=1"], "--set and --values need --with"),
    ],
)
def test_arguments_that_cannot_be_right(tmp_path: Path, arguments: list[str], words: str) -> None:
    """They end with 2, before anything is read."""
    done = guard(tmp_path, *arguments)
    assert done.returncode == 2
    assert words in done.stderr


def test_values_of_the_environment_are_for_other_commands(tmp_path: Path) -> None:
    """GUARD_SET may be there for the watch; without --with it is no mistake."""
    file = written(tmp_path, policy(ratio()), ENTRIES)
    assert guard(file, GUARD_SET="a=1").returncode == 0
    assert explain(file).other is None


def test_nothing_that_talks_to_anybody_is_loaded(tmp_path: Path) -> None:
    """An explanation needs no Kubernetes client and no HTTP: it asks nobody."""
    file = written(tmp_path, policy(ratio()), ENTRIES)
    code = (
        "import sys; from deploy_guard.cli.ending import run; run(sys.argv[1:]);"
        "print([m for m in ('kubernetes', 'requests', 'urllib3') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "explain", str(file)],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.endswith("[]\n")
