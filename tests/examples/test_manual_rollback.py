"""The manual rollback of the examples, command by command, after a bad deploy."""

from __future__ import annotations

import pytest

from . import commands
from .conftest import Team

BLOCKS = commands.fenced("manual-rollback.md")


@pytest.fixture
def bad(team: Team) -> Team:
    """Give the team after it has deployed a bad version."""
    team.prepare("2.0.0", ERROR_RATIO="0.7")
    team.deploy()
    return team


def block(*, having: str) -> str:
    """Return the one block that has this text."""
    (found,) = (text for text in BLOCKS if having in text)
    return found


def test_the_commands_in_the_order_of_the_page(bad: Team) -> None:
    """Every command does what the page says, one after the other."""
    assert len(BLOCKS) == 5
    history = bad.run(BLOCKS[0])
    assert history.returncode == 0
    assert "→ guard rollback would go to revision 1" in history.stdout
    dry = bad.run(BLOCKS[1])
    assert dry.returncode == 0
    assert bad.image().endswith(":2.0.0")
    code, shown = bad.run_in_terminal(BLOCKS[2], answer=b"y\n")
    assert code == 0
    assert "Roll back?" in shown
    assert bad.image().endswith(":1.0.0")
    again = bad.run(BLOCKS[3])
    assert again.returncode == 0
    assert "nothing to do" in again.stdout


def test_without_a_terminal(bad: Team) -> None:
    """The command of a runbook rolls back without a question."""
    done = bad.run(block(having="--reason"))
    assert done.returncode == 0, done.stderr
    assert bad.image().endswith(":1.0.0")


def test_to_a_revision_by_its_number(bad: Team) -> None:
    """The command with a number goes to that revision."""
    done = bad.run(block(having="--to-revision"))
    assert done.returncode == 0, done.stderr
    assert bad.image().endswith(":1.0.0")
