"""`guard backtest` as its users run it, on CSV files and records."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import GUARD, clean_environment

from .building import csv_file, minute, policy_file, rows

Run = Callable[..., subprocess.CompletedProcess[str]]
BAD = 900  # the minute of a deploy after which 5 % fail for half an hour


@pytest.fixture
def guard(tmp_path: Path) -> Run:
    """Run guard in an empty directory, without a terminal."""

    def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*GUARD, *arguments],
            env=clean_environment(HOME=str(tmp_path)),
            cwd=tmp_path,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def outage(number: int) -> float:
    """Return the share of errors of a day with a bad deploy."""
    return 0.05 if BAD < number <= BAD + 30 else 0.002


def noise(number: int) -> float:
    """Return the share of errors of a service that has an outage of 5 m three times in two hours.

    The baseline of half an hour may not have seen one.
    """
    return 0.15 if number % 41 < 5 else 0.002


def document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return the JSON document that was printed."""
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_quiet_service_is_not_rolled_back(guard: Run, tmp_path: Path) -> None:
    """No false rollback in 60 ordinary days, and the bad deploy is caught."""
    policy, history = policy_file(tmp_path), csv_file(tmp_path, rows(share=outage))
    arguments = ["--ordinary", "60", "--at", f"{minute(BAD)}=bad", "--at", f"{minute(300)}=good"]
    done = guard("backtest", "-p", policy, "--csv", history, *arguments, "-o", "json")
    assert done.returncode == 0, done.stderr
    found = document(done)
    assert found["version"] == 1
    assert found["false_rollbacks"]["count"] == 0
    assert found["false_rollbacks"]["of"] == 60
    assert (found["caught"]["count"], found["caught"]["of"]) == (1, 1)
    assert (found["wronged"]["count"], found["wronged"]["of"]) == (0, 1)
    good, bad = [d for d in found["deploys"] if not d["ordinary"]]
    assert (good["verdict"], bad["verdict"]) == ("healthy", "regressed")
    assert bad["accused"] == "http-errors"
    assert 60 <= bad["seconds"] <= 300
    assert found["sweep"] is None


def test_a_policy_that_cries_wolf_is_found_out(guard: Run, tmp_path: Path) -> None:
    """Outages that come and go by themselves: the estimate is above what is accepted, exit 3."""
    policy, history = policy_file(tmp_path), csv_file(tmp_path, rows(share=noise))
    limit = ["--max-false-rollbacks", "1"]
    done = guard("backtest", "-p", policy, "--csv", history, "--ordinary", "60", *limit)
    assert done.returncode == 3, done.stdout
    assert "ordinary days that would have been rolled back" in done.stdout
    assert "is above the accepted 1" in done.stdout
    assert "this is more" in done.stdout


def test_the_quiet_one_is_within_what_is_accepted(guard: Run, tmp_path: Path) -> None:
    """The same limit, and a service without outages: exit 0."""
    policy, history = policy_file(tmp_path), csv_file(tmp_path, rows())
    limit = ["--max-false-rollbacks", "1"]
    done = guard("backtest", "-p", policy, "--csv", history, "--ordinary", "60", *limit)
    assert done.returncode == 0
    assert "is within the accepted 1" in done.stdout


def test_a_sweep_shows_the_trade_off(guard: Run, tmp_path: Path) -> None:
    """Every setting has its row, the more sensitive ones are not slower, and it ends in words."""
    policy, history = policy_file(tmp_path), csv_file(tmp_path, rows(requests=300))
    sweep = ["--sweep", "--ordinary", "20", "--deploys-per-month", "4"]
    arguments = ["backtest", "-p", policy, "--csv", history, *sweep]
    found = document(guard(*arguments, "-o", "json"))["sweep"]
    assert [row["sensitivity"] for row in found["settings"]] == [
        0.001,
        0.002,
        0.005,
        0.01,
        0.02,
        0.05,
        0.1,
        0.2,
    ]
    delays = [row["mean_seconds"] for row in found["settings"]]
    assert delays[0] > delays[-1]
    assert {i["kind"] for row in found["settings"] for i in row["injected"]} == {"errors"}
    shown = guard(*arguments).stdout
    assert "1 %*" in shown
    assert "○ upper estimate" in shown
    assert found["why"].split(":")[0] in shown


def test_the_same_seed_gives_the_same_result(guard: Run, tmp_path: Path) -> None:
    """Two runs print the same; another seed draws other days."""
    policy, history = policy_file(tmp_path), csv_file(tmp_path, rows())
    base = ["backtest", "-p", policy, "--csv", history, "--ordinary", "10", "-o", "json"]
    first = guard(*base).stdout
    assert guard(*base).stdout == first
    assert guard(*base, "--seed", "5").stdout != first


def test_standard_input_is_read(guard: Run, tmp_path: Path) -> None:
    """`--csv -` reads what another program writes."""
    text = Path(csv_file(tmp_path, rows(12))).read_text()
    arguments = ["--csv", "-", "--ordinary", "5"]
    done = guard("backtest", "-p", policy_file(tmp_path), *arguments, stdin=text)
    assert done.returncode == 0, done.stderr
    assert "0 of 5 ordinary days" in done.stdout


def test_problems_of_a_file_are_told_line_by_line(guard: Run, tmp_path: Path) -> None:
    """Each has its line; nothing is judged, and the arguments are what is wrong."""
    history = Path(csv_file(tmp_path, rows(2)))
    lines = history.read_text().splitlines()
    lines[4], lines[9] = "noon,1,1", "1700000700,1,2"
    history.write_text("\n".join(lines) + "\n")
    done = guard("backtest", "-p", policy_file(tmp_path), "--csv", str(history))
    assert done.returncode == 2
    assert f"{history}:5: expected a time" in done.stderr
    assert f"{history}:10: more errors than requests" in done.stderr
    assert "2 lines with a problem" in done.stderr
    assert done.stdout == ""


def test_a_list_of_deploys_is_read_from_a_file(guard: Run, tmp_path: Path) -> None:
    """One deploy a line, with what is known of it; those outside of the history are told."""
    (tmp_path / "deploys.txt").write_text(f"{minute(BAD)}=bad\n{minute(300)}=good\n1000000000\n")
    arguments = ["--deploys", "deploys.txt", "--ordinary", "0"]
    history = csv_file(tmp_path, rows(share=outage))
    done = guard("backtest", "-p", policy_file(tmp_path), "--csv", history, *arguments)
    assert done.returncode == 0, done.stderr
    assert "1 of 1 known to be bad" in done.stdout
    assert "1 deploy of the list" in done.stdout


def test_a_file_that_is_too_short_has_nothing_to_judge(guard: Run, tmp_path: Path) -> None:
    """Half an hour holds neither baseline nor watch: that is told, and how to help it."""
    history = csv_file(tmp_path, rows(0.5))
    done = guard("backtest", "-p", policy_file(tmp_path), "--csv", history)
    assert done.returncode == 2
    assert "has no deploy to judge" in done.stderr


def test_deploys_without_data_are_not_judged(guard: Run, tmp_path: Path) -> None:
    """All that can be said is that nothing can: exit 12."""
    found = [row for row in rows(10) if not minute(300) < row[0] <= minute(340)]
    arguments = ["--at", str(minute(301)), "--ordinary", "0"]
    history = csv_file(tmp_path, found)
    done = guard("backtest", "-p", policy_file(tmp_path), "--csv", history, *arguments)
    assert done.returncode == 12
    assert "nothing: no deploy has data" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "source is missing"),
        (["deployment/checkout", "--csv", "a.csv"], "TARGET and --csv exclude each other"),
        (["--records", ".", "--csv", "a.csv"], "--csv and --records exclude each other"),
        (["--records", ".", "--sweep"], "--sweep needs a history"),
        (["--records", ".", "--at", "1700000000"], "--at needs a history"),
        (["--csv", "missing.csv"], "missing.csv cannot be read"),
        (["--csv", "a.csv", "--deploys", "missing.txt"], "missing.txt cannot be read"),
        (["--csv", "a.csv", "--at", "yesterday"], "yesterday"),
        (["--csv", "a.csv", "--ordinary", "-1"], "--ordinary"),
        (["--records", "nowhere"], "nowhere does not exist"),
    ],
)
def test_wrong_arguments_are_told(
    guard: Run, tmp_path: Path, arguments: list[str], problem: str
) -> None:
    """What cannot be right ends with 2 and says what was expected."""
    done = guard("backtest", "-p", policy_file(tmp_path), *arguments)
    assert done.returncode == 2, done.stderr
    assert problem in done.stderr


def test_an_invalid_policy_is_told_first(guard: Run, tmp_path: Path) -> None:
    """A mistake in the policy is told with its place, before any history is read."""
    Path(policy_file(tmp_path)).write_text("version: 1\nsignals: 5\n")
    done = guard("backtest", "-p", "policy.yaml", "--csv", "missing.csv")
    assert done.returncode == 3
    assert "policy.yaml:2" in done.stderr


def test_an_interrupt_while_a_file_is_read_ends_with_130(guard: Run, tmp_path: Path) -> None:
    """Ctrl-C before anything was judged: nothing is printed but that."""
    with subprocess.Popen(
        [*GUARD, "backtest", "-p", policy_file(tmp_path), "--csv", "-"],
        env=clean_environment(HOME=str(tmp_path)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(Path(csv_file(tmp_path, rows(200, requests=1))).read_text())
        process.stdin.flush()  # more than a pipe holds: the file is being read
        process.send_signal(signal.SIGINT)
        out, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert told.strip() == "guard: interrupted"
