"""The commands on a cluster with real controllers and kubelets (and on the embedded one)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import BAD, BETTER, GOOD, NAME, Room

TARGET = f"deployment/{NAME}"
POLICY = """\
version: 1
watch: {for: 90s, interval: 1s}
rollback: {timeout: 2m, verify: 0s}
kubernetes: {unready: 60s}
"""


@pytest.fixture
def policy(tmp_path: Path) -> str:
    """Give a policy without signals: what the cluster itself says is always watched."""
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY)
    return str(file)


def test_a_release_that_cannot_start_is_rolled_back(room: Room, policy: str) -> None:
    """An image that does not exist is a regression: exit 10, and the old image serves again."""
    room.set_image(BAD)
    done = room.guard("watch", TARGET, "-p", policy, "-o", "json")
    assert done.returncode == 10, done.stderr
    document = json.loads(done.stdout)
    assert document["verdict"] == "regressed"
    assert document["candidate"]["images"] == [BAD]
    assert document["target_revision"]["images"] == [GOOD]
    room.wait_until(lambda: room.serves(GOOD))


def test_a_dry_run_leaves_the_bad_release(room: Room, policy: str) -> None:
    """The same in a dry run: exit 11, nothing is changed."""
    room.set_image(BAD)
    done = room.guard("watch", TARGET, "-p", policy, "--dry-run")
    assert done.returncode == 11, done.stderr
    assert room.image() == BAD


def test_a_rollback_by_hand(room: Room) -> None:
    """guard rollback returns to the image before, once: again there is nothing to do."""
    room.set_image(BETTER)
    room.wait_until(lambda: room.serves(BETTER))
    done = room.guard("rollback", TARGET, "-y")
    assert done.returncode == 0, done.stderr
    assert room.serves(GOOD)
    again = room.guard("rollback", TARGET, "-y")
    assert again.returncode == 0
    assert "nothing to do" in again.stdout
    assert room.image() == GOOD


def test_a_rollback_in_the_middle_of_a_rollout(room: Room) -> None:
    """A stuck rollout is taken back at once, while the old pods still serve."""
    room.set_image(BAD)
    done = room.guard("rollback", TARGET, "-y", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["action"] == "rolled_back"
    assert room.serves(GOOD)


def test_the_history_after_a_rollback(room: Room) -> None:
    """guard history knows what is live, its former number, and that the other one was bad."""
    room.set_image(BETTER)
    room.wait_until(lambda: room.serves(BETTER))
    assert room.guard("rollback", TARGET, "-y").returncode == 0
    done = room.guard("history", TARGET, "-o", "json")
    live, other = json.loads(done.stdout)["revisions"]
    assert (live["revision"], live["former_revisions"], live["live"]) == (3, [1], True)
    assert (other["revision"], other["verdict"], other["images"]) == (2, "regressed", [BETTER])
