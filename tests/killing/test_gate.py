"""`guard watch` with a gate, killed with -9 before and after each patch of the Deployment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster.scripted import kubeconfig
from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.rollback.holding import HELD
from killing.proxy import SIDES, KillingProxy, Side, Write
from killing.running import run_and_kill
from killing.scenes import Scene
from rollback.shop import Shop

ONE_BY_ONE = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
POLICY = """\
version: 1
watch: {for: 3s, interval: 1s, warm_up: 0s}
hold: {at: 25%, for: 1s}
"""
PAUSE, RESUME = 1, 2  # which patch of the Deployment it is


@contextmanager
def rolling(folder: Path) -> Iterator[Scene]:
    """Give a shop in which a release has replaced one pod, and waits with the next for a word."""
    with (
        EmbeddedCluster(start_up=0.05, service=False) as embedded,
        Shop(embedded, folder) as shop,
        KillingProxy(embedded.url) as proxy,
    ):
        shop.release("old", replicas=4, strategy=ONE_BY_ONE)
        shop.release("new", replicas=4, strategy=ONE_BY_ONE, minReadySeconds=300, wait=False)
        yield Scene(shop, proxy, kubeconfig(folder / "guard", proxy.url))


def watch(folder: Path) -> tuple[str, ...]:
    """Return the arguments of a watch with a gate."""
    (folder / "policy.yaml").write_text(POLICY)
    return ("watch", "deployment/web", "-p", str(folder / "policy.yaml"))


def of_the_deployment(write: Write) -> bool:
    """Whether it is one of the patches that pause and resume."""
    return write.method == "PATCH" and "/deployments/web" in write.path


def kill(scene: Scene, folder: Path, number: int, side: Side) -> None:
    """Run a watch that dies at its first or second patch of the Deployment."""
    run = run_and_kill(
        scene.proxy,
        watch(folder),
        scene.kubeconfig,
        number=number,
        side=side,
        among=of_the_deployment,
    )
    assert run.returncode < 0, run.stdout + run.stderr


def let_go(scene: Scene) -> None:
    """Let the rollout go on as fast as it can, unless it is paused."""
    scene.shop.patch({"spec": {"minReadySeconds": 0}})


def is_held(scene: Scene) -> bool:
    """Whether the Deployment is paused; a note of guard's always says why."""
    paused = bool(scene.shop.deployment()["spec"].get("paused"))
    assert paused == (HELD in scene.shop.notes)
    return paused


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("number", [PAUSE, RESUME], ids=["pause", "resume"])
def test_killed_at_a_patch_the_next_watch_finishes_it(
    tmp_path: Path, number: int, side: Side
) -> None:
    """It goes on with the hold, or finds none: every pod is new in the end, nothing is paused."""
    with rolling(tmp_path) as scene:
        kill(scene, tmp_path, number, side)
        held = (number, side) in [(PAUSE, "after"), (RESUME, "before")]
        assert is_held(scene) is held
        let_go(scene)
        again = scene.guard(watch(tmp_path))
        assert again.returncode == 0, again.stdout + again.stderr
        assert ("this watch goes on with it" in again.stderr) is held
        assert not is_held(scene)
        scene.shop.settle()


def test_killed_while_it_holds_guard_resume_ends_it(tmp_path: Path) -> None:
    """Without a watch and without waiting for the lease of a process that is gone."""
    with rolling(tmp_path) as scene:
        kill(scene, tmp_path, PAUSE, "after")
        assert is_held(scene)
        done = scene.guard(("resume", "deployment/web"))
        assert done.returncode == 0, done.stderr
        assert done.stdout.rstrip().endswith("is resumed") and not is_held(scene)
        let_go(scene)
        scene.shop.settle()


def test_killed_while_it_holds_guard_rollback_takes_it_back(tmp_path: Path) -> None:
    """The patch that brings the old template back ends the pause, too."""
    with rolling(tmp_path) as scene:
        kill(scene, tmp_path, PAUSE, "after")
        let_go(scene)
        done = scene.guard(("rollback", "deployment/web", "-y"))
        assert done.returncode == 0, done.stdout + done.stderr
        assert not is_held(scene) and scene.shop.image == "web:old"
