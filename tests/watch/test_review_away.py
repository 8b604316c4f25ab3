"""A server that is away while a watch ends: nobody else is blamed, nothing is sent afterwards."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.scripted import connect
from cluster.wire import Wire
from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.model import Action, Verdict
from faults.proxy import FaultProxy, status
from watch.shop import FIRST, NAME, NAMESPACE, SECOND, Shop, policy

BAD = {"ERROR_RATIO": "0.8"}
ONE_BY_ONE = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


@contextmanager
def through(url: str, embedded: EmbeddedCluster, folder: Path) -> Iterator[Shop]:
    """Give a shop whose watch reaches the cluster by another address."""
    folder.mkdir()
    with connect(folder, url) as cluster:
        yield Shop(embedded, cluster, folder / "kubeconfig")


def paused(shop: Shop) -> bool:
    """Tell whether the Deployment is paused."""
    found = shop.embedded.store.get("deployments.apps", NAMESPACE, NAME)
    return bool(found["spec"].get("paused"))


def test_a_pause_that_cannot_be_ended_is_not_left_to_a_guard_that_does_not_exist(
    shop: Shop, tmp_path: Path
) -> None:
    """That the lease could not be renewed does not mean that somebody else has it: it is told that
    the rollout is still paused, and the command that ends it."""
    shop.release(replicas=4, strategy=ONE_BY_ONE)
    shop.complete()
    rules = policy(watch={"for": 3.0}, hold={"at": "25%", "for": 0.5})
    with (
        Wire(shop.embedded.url) as wire,
        through(wire.url, shop.embedded, tmp_path / "wire") as cut_off,
    ):
        slow = {"WARMUP_SECONDS": "1"}
        shop.release(SECOND, slow, replicas=4, strategy=ONE_BY_ONE)
        with cut_off.watching(rules, lease=1.0) as (_, heard, outcome):
            heard.wait_for("hold", "is paused")
            wire.unplugged = True
            wire.cut()
            ended = outcome()
        assert paused(shop)
    assert (ended.action, ended.exit_code) == (Action.NONE, 12), ended.reason
    assert any("guard resume" in line for line in heard.lines("warning"))
    assert not any("other guard" in line for line in heard.lines("hold"))


def test_after_an_interruption_nothing_more_is_sent(busy: Shop, tmp_path: Path) -> None:
    """A rollback that the server did not take before the watch was interrupted is not sent again
    behind the back of whoever was told so, however long the process lives on."""
    with (
        FaultProxy(busy.embedded.url) as proxy,
        through(proxy.url, busy.embedded, tmp_path / "proxy") as shop,
    ):
        busy.release(SECOND, BAD)
        fault = proxy.fail(status(503), "write", path=f"/deployments/{NAME}$")
        with shop.watching(policy()) as (watch, heard, outcome):
            heard.wait_for("verdict", "regressed")
            end = time.monotonic() + 30
            while not fault.hits:
                assert time.monotonic() < end, "the rollback was never sent"
                time.sleep(0.02)
            watch.interrupt("Ctrl-C")
            ended = outcome()
        fault.end()
        for thread in threading.enumerate():
            if thread.name == "rollback":
                thread.join(20)
    assert (ended.verdict, ended.action) == (Verdict.REGRESSED, Action.INTERRUPTED)
    assert busy.image() == SECOND != FIRST
