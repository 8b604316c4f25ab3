"""`guard rollback` killed with -9 before and after each of its writes, and then run again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from killing.proxy import SIDES, Side
from killing.scenes import Scene, bad_release, killed_at_each_write
from rollback.shop import WEB

ROLLBACK = ("rollback", "deployment/web", "-y", "--reason", "INC-12")


@pytest.mark.parametrize("side", SIDES)
def test_killed_at_any_write_a_second_run_finishes_it(tmp_path: Path, side: Side) -> None:
    """Whichever write a rollback dies at, running it again ends in the good release, sent once:
    every pod runs it, nothing is paused, the note says why, and a third run writes nothing."""
    for scene, death in killed_at_each_write(bad_release, ROLLBACK, side=side, folder=tmp_path):
        again = scene.guard(ROLLBACK)
        assert again.returncode == 0, f"{death}: {again.stdout}{again.stderr}"
        assert _good_runs(scene), str(death)
        assert json.loads(scene.shop.notes["deploy-guard/rollback"])["reason"] == "INC-12"
        sent = len(scene.sent("/spec/template"))
        assert sent == (2 if death.prevented("/spec/template") else 1), str(death)
        written = len(scene.proxy.writes)
        assert scene.guard(ROLLBACK).returncode == 0
        news = [write.short for write in scene.proxy.writes[written:]]
        assert not [write for write in news if "leases" not in write], str(death)


@pytest.mark.parametrize("side", SIDES)
def test_killed_at_any_write_the_verdict_is_not_lost(tmp_path: Path, side: Side) -> None:
    """Whichever write a rollback dies at, after a second run no later one returns to the release
    that was rolled back."""
    for scene, death in killed_at_each_write(bad_release, ROLLBACK, side=side, folder=tmp_path):
        scene.guard(ROLLBACK)
        scene.shop.settle()
        assert "regressed" in scene.guard(("history", str(WEB))).stdout, str(death)


def _good_runs(scene: Scene) -> bool:
    """Tell whether every pod runs the good release and the rollout is not paused."""
    scene.shop.settle()
    images = {
        pod["spec"]["containers"][0]["image"] for pod in scene.shop.embedded.pods("shop", "web")
    }
    return images == {"web:good"} and not scene.shop.deployment()["spec"].get("paused")
