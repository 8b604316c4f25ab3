"""`guard rollback` killed with -9 before and after each of its writes, and then run again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster.scripted import kubeconfig
from deploy_guard.embedded.cluster import EmbeddedCluster
from killing.proxy import SIDES, KillingProxy, Side
from killing.running import run_and_kill, run_guard
from rollback.shop import Shop

ROLLBACK = ("rollback", "deployment/web", "-y", "--reason", "INC-12")
MOST_WRITES = 30


@contextmanager
def bad_release(folder: Path) -> Iterator[tuple[Shop, KillingProxy, Path]]:
    """Give a shop with a good and then a bad release, and a kubeconfig that leads to a proxy."""
    folder.mkdir()
    with (
        EmbeddedCluster(start_up=0.02, service=False) as embedded,
        Shop(embedded, folder) as shop,
        KillingProxy(embedded.url) as proxy,
    ):
        embedded.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
        shop.release("good")
        shop.release("bad")
        yield shop, proxy, kubeconfig(folder / "guard", proxy.url)


@pytest.mark.parametrize("side", SIDES)
def test_killed_at_any_write_a_second_run_finishes_it(tmp_path: Path, side: Side) -> None:
    """Whichever write a rollback dies at, running it again ends in the good release, once: every
    pod runs it, nothing is paused, and the note says where it came from."""
    for number in range(1, MOST_WRITES):
        with bad_release(tmp_path / str(number)) as (shop, proxy, config):
            first = run_and_kill(proxy, ROLLBACK, config, number=number, side=side)
            if not proxy.killed.wait(0 if first.returncode >= 0 else 20):
                assert first.returncode == 0, first.stderr
                break
            at = proxy.writes[-1].short
            again = run_guard(ROLLBACK, config)
            assert again.returncode == 0, f"killed {side} {at}: {again.stdout}{again.stderr}"
            shop.settle()
            assert shop.image.endswith(":good"), f"killed {side} {at}"
            assert not shop.deployment()["spec"].get("paused")
            note = json.loads(shop.notes["deploy-guard/rollback"])
            assert note["reason"] == "INC-12"
            templates = [
                write
                for write in proxy.writes
                if write.method == "PATCH" and "/spec/template" in json.dumps(write.content)
            ]
            assert len(templates) <= (1 if side == "after" else 2)
    assert number > 1, "no write was seen"
