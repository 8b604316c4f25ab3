"""`guard watch` killed with -9 before and after each of its writes, and then run again.

Each story names all its writes in order, and a test holds it to that: what is killed at each of
them is killed everywhere.
"""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from deploy_guard.cluster.snapshot import Json
from killing.proxy import SIDES, Side
from killing.running import started_guard
from killing.watching import GOOD, NEW, OLD, SECRET, STRATEGY, SYNC, Story, Watched, watched

GATE = {"at": "25%", "for": "1s"}
PLAIN = Story("regression", bad=True)
FAST = Story("fast", bad=True, rollback={"fast": True})
EVERYTHING = Story(
    "everything",
    bad=True,
    rollback={"fast": True, "restore_config": True, "owner": "suspend"},
    hold=GATE,
    argocd=True,
)
HEALTHY = Story("healthy", bad=False, watch={"for": "1s"})
PASSES = Story("gate", bad=False, hold=GATE, watch={"for": "4s"})

BEGIN, TAKE_BACK = ("take lease", "note watch"), ("roll back", "verdict", "RegressionDetected")
WRITES = {
    PLAIN.name: (
        *BEGIN,
        "note verdict",
        *TAKE_BACK,
        "RollbackStarted",
        "RollbackCompleted",
        "release lease",
    ),
    FAST.name: (
        *BEGIN,
        "note verdict",
        *TAKE_BACK,
        "RollbackStarted",
        "restore strategy",
        "RollbackCompleted",
        "release lease",
    ),
    EVERYTHING.name: (
        *BEGIN,
        "hold",
        "RolloutHeld",
        "note verdict",
        "suspend",
        "configmaps",
        "secrets",
        *TAKE_BACK,
        "RollbackStarted",
        "restore strategy",
        "RollbackCompleted",
        "release lease",
    ),
    HEALTHY.name: (*BEGIN, "verdict", "release lease"),
    PASSES.name: (
        *BEGIN,
        "hold",
        "RolloutHeld",
        "resume",
        "RolloutResumed",
        "verdict",
        "release lease",
    ),
}
KILLED_AT = {
    PLAIN.name: WRITES[PLAIN.name],
    FAST.name: ("roll back", "RollbackStarted", "restore strategy"),
    EVERYTHING.name: WRITES[EVERYTHING.name][2:-2],
    HEALTHY.name: ("note watch", "verdict", "release lease"),
    PASSES.name: ("hold", "RolloutHeld", "resume", "RolloutResumed"),
}
STORIES = (PLAIN, FAST, EVERYTHING, HEALTHY, PASSES)


def deaths() -> Sequence[object]:
    """Return each story with each write that it is killed at, on both sides."""
    return [
        pytest.param(story, step, side, id=f"{story.name}-{side} {step}".replace(" ", "_"))
        for story in STORIES
        for step in KILLED_AT[story.name]
        for side in SIDES
    ]


@pytest.mark.parametrize("story", STORIES, ids=str)
def test_these_are_all_the_writes(tmp_path: Path, story: Story) -> None:
    """A watch that nobody kills has exactly the writes at which it is killed below."""
    with watched(story, tmp_path) as scene:
        run = scene.watch()
        assert run.returncode == (10 if story.bad else 0), run.stdout + run.stderr
        assert tuple(scene.steps) == WRITES[story.name]
        assert_settled(scene, story)


@pytest.mark.parametrize(("story", "step", "side"), deaths())
def test_killed_at_any_write_the_next_watch_ends_what_was_begun(
    tmp_path: Path, story: Story, step: str, side: Side
) -> None:
    """Whichever write a watch dies at, the next one says what it goes on with and ends as the
    first one would have: the condemned version is gone, rolled back from once, to the version
    before it; nothing is paused, no note and no lease is left."""
    with watched(story, tmp_path) as scene:
        scene.killed(step, side)
        again = scene.watch()
        over = (step, side) == ("release lease", "after")
        assert again.returncode == (10 if story.bad and not over else 0), again.stderr
        assert_settled(scene, story)
        if story.bad and not over:
            assert_told(json.loads(again.stdout))
        known = WRITES[story.name].index(step) > WRITES[story.name].index("note watch")
        if known and not over:
            assert "and ended " in again.stderr, again.stderr


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_any_moment_the_next_watch_ends_what_was_begun(tmp_path: Path, seed: int) -> None:
    """The same at moments that have nothing to do with writes, and killed several times."""
    moments = random.Random(seed)
    with watched(EVERYTHING, tmp_path) as scene:
        for _ in range(2):
            with (
                started_guard(scene.command, scene.kubeconfig) as process,
                contextlib.suppress(subprocess.TimeoutExpired),
            ):
                process.wait(moments.uniform(0.3, 3.0))
        again = scene.watch()
        over = "release lease" in scene.steps[: -1 - scene.steps[::-1].index("take lease")]
        assert again.returncode == 10 or (over and again.returncode == 0), again.stderr
        assert_settled(scene, EVERYTHING)


def assert_told(outcome: Json) -> None:
    """The outcome is that of the whole watch, and does not tell which guard did what."""
    assert (outcome["verdict"], outcome["action"]) == ("regressed", "rolled_back")
    assert outcome["candidate"]["images"] == [NEW]
    assert outcome["target_revision"]["images"] == [GOOD]
    image = {"where": "container web image", "before": NEW, "after": GOOD}
    assert outcome["changes"][0] == image
    assert outcome["regressed_at"] <= outcome["rolled_back_at"] <= outcome["restored_at"]
    assert outcome["recovered"] == "recovered"


def assert_settled(scene: Watched, story: Story) -> None:
    """The story came to its end, whoever brought it there, and guard left nothing behind."""
    scene.shop.settle()
    live = scene.shop.deployment()
    assert scene.shop.image == (GOOD if story.bad else NEW)
    numbers = {OLD: [1], GOOD: [2, 4], NEW: [3]} if story.bad else {OLD: [1], GOOD: [2], NEW: [3]}
    assert scene.numbers == numbers
    assert scene.verdicts()[NEW] == ("regressed" if story.bad else "healthy")
    assert not live["spec"].get("paused")
    assert live["spec"]["strategy"] == STRATEGY
    assert not {"deploy-guard/held", "deploy-guard/strategy"} & scene.shop.notes.keys()
    assert not scene.lease()["spec"].get("holderIdentity")
    assert "deploy-guard/watch" not in (scene.lease()["metadata"].get("annotations") or {})
    if story.bad:
        assert json.loads(scene.shop.notes["deploy-guard/rollback"])["reason"].startswith("errors")
    configuration = scene.contents()
    assert configuration == ("good", SECRET)
    suspended = "automated" not in scene.application()["spec"].get("syncPolicy", {})
    assert suspended == (story.rollback.get("owner") == "suspend")
    if not suspended:
        assert scene.application()["spec"]["syncPolicy"]["automated"] == SYNC
