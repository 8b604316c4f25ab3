"""Configuration that was changed in place: no template is to blame, and twice is once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from configuration.shop import WEB, Shop, config_map
from deploy_guard.cluster.lease import Previous
from deploy_guard.cluster.lease_record import acquisition, leases_path, note_text
from deploy_guard.cluster.rollouts import live_hash
from deploy_guard.cluster.snapshot import take
from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.errors import ExitCode
from deploy_guard.rollback.by_hand import rollback_by_hand
from deploy_guard.rollback.planning import Way
from deploy_guard.rollback.revisions import history
from deploy_guard.watch.session import Watch
from deploy_guard.watch.unfinished import Stage, condemned, read_left
from watch.shop import Heard, policy

RESTORE = Way(restore_config=True, by="ann@ws")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A workload with two revisions; of the live one, which reads a ConfigMap, a snapshot."""
    with EmbeddedCluster(start_up=0.02) as embedded:
        embedded.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
        with Shop(embedded, tmp_path) as shop:
            shop.apply(config_map("app", url="good"))
            yield shop


def changed_in_place(shop: Shop, *, files: bool) -> str:
    """Release twice, take a snapshot, change what the pods read; return the live hash."""
    read: dict[str, Any] = {"files": ("app",)} if files else {"maps": ("app",)}
    shop.release("1", **read)
    shop.release("2", **read)
    shop.take(at=time.time() + 1)
    shop.apply(config_map("app", url="bad"))
    return live_hash(take(shop.cluster, WEB)) or ""


@pytest.mark.parametrize("files", [True, False], ids=["no restart", "restart"])
def test_a_guard_that_died_after_it_had_restored_is_followed(shop: Shop, files: bool) -> None:
    """The next one does not take the verdict for one to be acted upon once more: that would go
    back to an older version, which cures nothing."""
    candidate, now = changed_in_place(shop, files=files), time.time()
    assert rollback_by_hand(shop.cluster, WEB, way=RESTORE).exit_code is ExitCode.OK
    note = condemned(candidate, started_at=now, at=now, reason="errors", accused=())
    snapshot = take(shop.cluster, WEB)
    live = live_hash(snapshot) or ""
    left = read_left(Previous("dead@runner", now, note), snapshot, live, now=now + 90)
    assert left is not None
    assert (left.stage, left.in_place) == (Stage.ROLLED_BACK, True)


@pytest.mark.parametrize("files", [True, False], ids=["no restart", "restart"])
def test_the_template_that_stays_is_not_condemned(shop: Shop, files: bool) -> None:
    """A watch restores the configuration of what it found regressed; its verdict is not written
    on the revision, which serves on and may have to be returned to."""
    candidate, now = changed_in_place(shop, files=files), time.time()
    note = condemned(candidate, started_at=now, at=now, reason="errors", accused=())
    workload = take(shop.cluster, WEB).workload or {}
    lease = acquisition(
        WEB,
        workload,
        None,
        identity="dead@runner_0",
        duration=1,
        now=now - 90,
        note=note_text(note),
    )
    shop.cluster.create(leases_path(WEB), lease)
    rules = policy(rollback={"restore_config": True, "timeout": 20.0, "verify": 1.0})
    ended = Watch(shop.cluster, WEB, rules, output=Heard(), environ={}).run()
    assert (ended.exit_code, ended.configuration_restored) == (ExitCode.ROLLED_BACK, True), ended
    found = {
        p.revision.template_hash: p.revision for p in history(take(shop.cluster, WEB).revisions)
    }
    assert found[candidate].verdict is None
