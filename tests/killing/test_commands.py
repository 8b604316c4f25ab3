"""The other commands that write, killed with -9 before and after each write, and run again."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy_guard.rollback.revisions import history
from killing.proxy import SIDES, Side
from killing.test_watch import assert_settled
from killing.watching import NEW, SECRET, Story, Watched, step_of, watched
from rollback.shop import WEB

NAMED = (str(WEB), "-n", "shop")
ROLLBACK = ("rollback", *NAMED, "--fast", "--restore-config", "-y", "--reason", "errors")
RESTORE = ("rollback", *NAMED, "--restore-config", "-y")
BAD = Story("rollback", bad=True, rollback={"restore_config": True})
IN_PLACE = Story("in place", bad=False, rollback={"restore_config": True}, in_place=True)
GOOD = Story("snapshot", bad=False)
HELD = Story("resume", bad=False, hold={"at": "25%", "for": "1s"})
ROLLBACK_WRITES = (
    "take lease",
    "configmaps",
    "secrets",
    "roll back",
    "verdict",
    "RollbackStarted",
    "restore strategy",
    "RollbackCompleted",
    "release lease",
)
IN_PLACE_WRITES = (
    "take lease",
    "configmaps",
    "secrets",
    "roll back",
    "RollbackStarted",
    "RollbackCompleted",
    "release lease",
)
SNAPSHOT_WRITES = ("configmaps", "secrets", "snapshot")
RESUME_WRITES = ("resume", "RolloutResumed")


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("step", ROLLBACK_WRITES)
def test_a_fast_rollback_with_configuration_is_finished_by_the_next(
    tmp_path: Path, step: str, side: Side
) -> None:
    """The configuration, the good version and the strategy are back, once; the verdict stands."""
    with watched(BAD, tmp_path) as scene:
        scene.killed(step, side, ROLLBACK)
        again = scene.guard(ROLLBACK)
        assert again.returncode == 0, again.stdout + again.stderr
        assert_settled(scene, BAD)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("step", IN_PLACE_WRITES)
def test_configuration_changed_in_place_is_put_back_and_the_version_stays(
    tmp_path: Path, step: str, side: Side
) -> None:
    """Killed after the contents are back and before the restart, the next run restarts the pods
    once: it does not take the version for bad, as nothing else differs any more."""
    with watched(IN_PLACE, tmp_path) as scene:
        scene.killed(step, side, RESTORE)
        again = scene.guard(RESTORE)
        assert again.returncode == 0, again.stdout + again.stderr
        scene.shop.settle()
        assert scene.shop.image == NEW
        assert scene.contents() == ("good", SECRET)
        numbers = sorted(p.revision.number for p in history(scene.shop.look().revisions))
        assert numbers == [1, 2, 3, 4]  # the newest is that of the restart
        assert "kubectl.kubernetes.io/restartedAt" in str(scene.shop.deployment()["spec"])
        assert scene.verdicts() == {}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("step", SNAPSHOT_WRITES)
def test_a_snapshot_is_finished_by_the_next(tmp_path: Path, step: str, side: Side) -> None:
    """One copy of each object, and a note that names them."""
    command = ("snapshot", *NAMED)
    with watched(GOOD, tmp_path) as scene:
        scene.killed(step, side, command)
        again = scene.guard(command)
        assert again.returncode == 0, again.stderr
        assert len(copies(scene, "configmaps")) == len(copies(scene, "secrets")) == 1
        names = {*copies(scene, "configmaps"), *copies(scene, "secrets")}
        notes = [
            revision["metadata"]["annotations"].get("deploy-guard/config", "")
            for revision in scene.shop.look().revisions
            if NEW in str(revision["spec"]["template"])
        ]
        assert all(name in notes[0] for name in names)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("step", RESUME_WRITES)
def test_what_a_dead_guard_left_paused_is_resumed_by_the_next_command(
    tmp_path: Path, step: str, side: Side
) -> None:
    """`guard resume` need not wait for the lease of a guard that died on this machine, and can
    die itself; a third one finds nothing to do."""
    command = ("resume", *NAMED)
    with watched(HELD, tmp_path) as scene:
        scene.killed("hold", "after")
        scene.killed(step, side, command)
        again = scene.guard(command)
        assert again.returncode == 0, again.stderr
        scene.shop.settle()
        assert "nothing to do" in scene.guard(command).stdout
        assert "deploy-guard/held" not in scene.shop.notes


def test_these_are_all_their_writes(tmp_path: Path) -> None:
    """Commands that nobody kills have exactly the writes at which they are killed above."""
    for story, command, writes in (
        (BAD, ROLLBACK, ROLLBACK_WRITES),
        (IN_PLACE, RESTORE, IN_PLACE_WRITES),
        (GOOD, ("snapshot", *NAMED), SNAPSHOT_WRITES),
    ):
        folder = tmp_path / story.name
        folder.mkdir()
        with watched(story, folder) as scene:
            assert scene.guard(command).returncode == 0
            assert sorted(scene.steps) == sorted(writes)  # copies are made at the same time
    with watched(HELD, tmp_path) as scene:
        scene.killed("hold", "after")
        known = len(scene.steps)
        assert scene.guard(("resume", *NAMED)).returncode == 0
        assert tuple(step_of(write) for write in scene.proxy.writes[known:]) == RESUME_WRITES


def copies(scene: Watched, resource: str) -> list[str]:
    """Return the names of the copies that guard keeps."""
    stored, _ = scene.shop.embedded.store.list_all(resource, "shop")
    label = "app.kubernetes.io/managed-by"
    return [o["metadata"]["name"] for o in stored if label in (o["metadata"].get("labels") or {})]
