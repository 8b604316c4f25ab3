"""The example of the docs: what it prints is what the page shows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cli.conftest import GUARD, clean_environment

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "backtest.md"
COMMAND = "$ guard backtest -p examples/backtest/policy.yaml --csv fortnight.csv"


def test_the_example_prints_what_the_page_shows(tmp_path: Path) -> None:
    """The two commands of docs/backtest.md, run as they stand there, print the block below them."""
    _, _, rest = PAGE.read_text().partition(COMMAND)
    options, _, block = rest.partition("\n")
    shown = block.partition("\n```")[0]
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    script = [sys.executable, str(ROOT / "examples/backtest/fortnight.py")]
    with (tmp_path / "fortnight.csv").open("w") as file:
        subprocess.run(script, stdout=file, check=True, timeout=60)
    done = subprocess.run(
        [*GUARD, *COMMAND.split()[2:], *options.split()],
        env=clean_environment(HOME=str(tmp_path)),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.rstrip() == shown, "copy what the command prints into docs/backtest.md"
