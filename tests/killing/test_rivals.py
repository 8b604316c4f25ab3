"""Two guards on one target: cut off and come back, waiting for each other, taken over from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.scripted import connect, kubeconfig
from cluster.wire import Wire
from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.lease import Held
from deploy_guard.cluster.lease_record import lease_path
from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.errors import ExitCode
from deploy_guard.model import Action
from deploy_guard.rollback.holding import HELD
from killing.proxy import KillingProxy
from killing.running import run_guard
from watch.shop import FIRST, NAME, NAMESPACE, SECOND, TARGET, Shop, policy

LONG = policy(watch={"for": 60.0})
GATE = policy(watch={"for": 60.0}, hold={"at": "25%", "for": 60.0})
ONE_BY_ONE = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop with one version, complete."""
    with EmbeddedCluster(start_up=0.05) as embedded:
        kubeconfig = embedded.kubeconfig_file(tmp_path / "kubeconfig", namespace=NAMESPACE)
        with Cluster.connect(kubeconfig=str(kubeconfig)) as cluster:
            shop = Shop(embedded, cluster, kubeconfig)
            shop.release(FIRST)
            shop.complete()
            yield shop


def holder(shop: Shop) -> str:
    """Return who holds the lease."""
    return str(shop.cluster.get(lease_path(TARGET))["spec"]["holderIdentity"])


def live(shop: Shop) -> dict[str, Any]:
    """Return the Deployment as it is."""
    return shop.embedded.store.get("deployments.apps", NAMESPACE, NAME)


def test_a_guard_that_was_cut_off_writes_no_more_once_another_has_taken_over(
    shop: Shop, tmp_path: Path
) -> None:
    """The second one goes on with the watch and with its pause; the first one comes back, finds
    the lease taken, and ends with 13 without having written anything: the pause stays."""
    folder = tmp_path / "first"
    folder.mkdir()
    with (
        KillingProxy(shop.embedded.url) as proxy,
        Wire(proxy.url) as wire,
        connect(folder, wire.url) as cut_off,
    ):
        first = Shop(shop.embedded, cut_off, shop.kubeconfig)
        shop.release(SECOND, {"WARMUP_SECONDS": "1"}, strategy=ONE_BY_ONE)
        with first.watching(GATE, lease=2.0) as (_, told, first_ends):
            told.wait_for("hold", "is paused")
            before = holder(shop)
            wire.unplugged = True
            wire.cut()
            with shop.watching(GATE, lease=2.0) as (_, heard, _):
                heard.wait_for("hold", "this watch goes on with it")
                heard.wait_for("preflight", "ended without a verdict: this watch goes on")
                second, written = holder(shop), len(proxy.writes)
                assert second != before
                wire.unplugged = False
                outcome = first_ends()
                news = [write.short for write in proxy.writes[written:]]
                assert not [write for write in news if "leases" not in write]
                assert holder(shop) == second
                assert (
                    live(shop)["spec"]["paused"] and HELD in live(shop)["metadata"]["annotations"]
                )
    assert (outcome.exit_code, outcome.action) == (ExitCode.SUPERSEDED, Action.SUPERSEDED)
    told.wait_for("hold", "the pause is left to the other guard")
    assert not live(shop)["spec"].get("paused")  # the second one ended it when it was interrupted


def test_a_second_guard_waits_and_then_says_who_is_at_work(shop: Shop) -> None:
    """It exits with 1 when the lease is renewed all the time, and changes nothing."""
    shop.release(SECOND)
    with shop.watching(LONG, lease=1.0) as (_, told, _):
        told.wait_for("preflight", "watching for")
        first = holder(shop)
        with shop.watching(LONG, lease=1.0) as (_, heard, ends):
            heard.wait_for("preflight", "waiting until it is free or renewed")
            with pytest.raises(Held, match=r"another guard works on it: \S+@\S+, since") as held:
                ends()
        assert held.value.exit_code == ExitCode.FAILED
        assert holder(shop) == first


def test_a_rollback_by_hand_refuses_beside_a_guard_and_can_take_over(
    shop: Shop, tmp_path: Path
) -> None:
    """Without --take-over it names the guard and exits with 1; with it the rollback is done, and
    the watch ends with 13 and takes nothing back itself."""
    path = kubeconfig(tmp_path / "hand", shop.embedded.url)
    command = ("rollback", str(TARGET), "-n", NAMESPACE, "-y")
    shop.release(SECOND)
    with shop.watching(LONG, lease=1.0) as (_, told, ends):
        told.wait_for("preflight", "watching for")
        refused = run_guard(command, path)
        assert refused.returncode == ExitCode.FAILED
        assert "another guard works on it" in refused.stderr
        assert shop.image() == SECOND
        taken = run_guard((*command, "--take-over"), path)
        assert taken.returncode == ExitCode.OK, taken.stderr
        assert ends().exit_code == ExitCode.SUPERSEDED
    assert shop.image() == FIRST
    numbers = [
        rs["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
        for rs in shop.replicasets()
    ]
    assert sorted(numbers) == ["2", "3"]
