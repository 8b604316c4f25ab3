"""What guard loads before it does anything: the list of modules, not the milliseconds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deploy_guard.cli import guard

HEAVY = {"kubernetes", "requests", "pydantic", "rich", "numpy", "urllib3", "yaml", "aiohttp"}
LOADED = """
import json, sys
from deploy_guard.cli.ending import run
code = run(sys.argv[1:])
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def loaded(*arguments: str) -> tuple[int, set[str]]:
    """Return the exit code of a command and the packages that it loaded."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments], capture_output=True, text=True, check=True
    )
    code, modules = json.loads(done.stdout.splitlines()[-1])
    return code, set(modules)


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["-h"], *([name, "--help"] for name in guard.commands)],
    ids=" ".join,
)
def test_help_loads_no_heavy_package(arguments: list[str]) -> None:
    """Help and version answer without loading what only the commands themselves need."""
    code, modules = loaded(*arguments)
    assert code == 0
    assert modules & HEAVY == set()


def test_a_mistyped_command_loads_no_heavy_package() -> None:
    """A wrong argument is told as quickly as help."""
    code, modules = loaded("rollback", "deployment/checkout", "--to-revision", "x")
    assert code == 2
    assert modules & HEAVY == set()


def test_check_loads_nothing_that_talks_to_a_cluster(tmp_path: Path) -> None:
    """An offline check needs pydantic alone: no Kubernetes client, no HTTP, no terminal drawing."""
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\n")
    code, modules = loaded("check", str(policy))
    assert code in (0, 3)
    assert "pydantic" in modules
    assert modules & {"kubernetes", "requests", "urllib3", "rich", "numpy"} == set()


@pytest.mark.parametrize("command", ["rollback", "history"])
def test_rollback_by_hand_needs_no_policy_and_no_drawing(command: str) -> None:
    """Up to the kubeconfig, guard's own modules load nothing heavy."""
    arguments = ["-y"] if command == "rollback" else []
    code, modules = loaded(command, "deployment/web", *arguments, "--kubeconfig", "missing")
    assert code == 1
    assert modules & HEAVY == set()
