"""A StatefulSet that goes back only when a broken pod is deleted, and a guard that dies at it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster.scripted import connect, kubeconfig
from deploy_guard.embedded.cluster import EmbeddedCluster
from killing.proxy import SIDES, KillingProxy, Side
from killing.scenes import Scene
from killing.watching import Watched
from rollback.shop import Shop
from rollback.test_sets import DB, Sets

ROLLBACK = ("rollback", str(DB), "-n", "shop", "-y")
BY_HAND = ("roll back", "verdict", "RollbackStarted", "delete pod", "RollbackCompleted")
POLICY = {"version": 1, "watch": {"for": "20s"}, "rollback": {"timeout": "30s", "verify": "0s"}}


@contextmanager
def stuck(folder: Path) -> Iterator[tuple[Watched, Sets]]:
    """Give a StatefulSet whose last pod cannot start since the last release, and waits."""
    with (
        EmbeddedCluster(start_up=0.02, service=False) as embedded,
        connect(folder, embedded.url) as cluster,
        Shop(embedded, folder) as shop,
        KillingProxy(embedded.url) as proxy,
    ):
        sets = Sets(embedded, cluster)
        for tag in ("0", "1"):
            sets.release(DB, tag)
        sets.break_it(DB)
        policy = folder / "policy.yaml"
        policy.write_text(json.dumps(POLICY))
        yield Watched(shop, proxy, kubeconfig(folder / "guard", proxy.url), policy), sets


def assert_back(scene: Scene, sets: Sets, before: dict[str, str]) -> None:
    """All pods run the good release, and only the broken one was deleted."""
    scene.shop.embedded.wait_complete("shop", "db", kind="StatefulSet")
    assert set(sets.tags(DB).values()) == {"1"}
    after = sets.uids(DB)
    assert [name for name in before if after[name] != before[name]] == ["db-2"]
    notes = sets.look(DB).workload or {}
    assert "deploy-guard/rollback" in notes["metadata"]["annotations"]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("step", BY_HAND)
def test_a_rollback_by_hand_that_dies_is_finished(tmp_path: Path, step: str, side: Side) -> None:
    """Killed between the patch and the deletion of the stuck pod, or anywhere near, the next
    rollback deletes that pod and no other."""
    with stuck(tmp_path) as (scene, sets):
        before = sets.uids(DB)
        scene.killed(step, side, ROLLBACK)
        again = scene.guard(ROLLBACK)
        assert again.returncode == 0, again.stdout + again.stderr
        assert_back(scene, sets, before)
        assert sets.revisions(DB)["2-nopull"][1] is not None


@pytest.mark.parametrize(("step", "side"), [("roll back", "after"), ("delete pod", "before")])
def test_a_watch_that_dies_is_finished(tmp_path: Path, step: str, side: Side) -> None:
    """The next watch finds the rollback in place, deletes the stuck pod, and ends with 10."""
    command: Sequence[str]
    with stuck(tmp_path) as (scene, sets):
        command = ("watch", str(DB), "-n", "shop", "-p", str(scene.policy))
        before = sets.uids(DB)
        scene.killed(step, side, command)
        again = scene.guard(command)
        assert again.returncode == 10, again.stdout + again.stderr
        assert_back(scene, sets, before)
