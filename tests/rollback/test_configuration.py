"""A rollback and the configuration: together, alone, with as many restarts as needed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.scripted import connect
from configuration.shop import WEB, Shop, config_map, secret
from deploy_guard.cluster.client import MERGE_PATCH
from deploy_guard.cluster.errors import ApiError
from deploy_guard.cluster.rollouts import live_hash
from deploy_guard.cluster.snapshot import take
from deploy_guard.cluster.target import workload_path
from deploy_guard.configuration.objects import path_of
from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.errors import ExitCode
from deploy_guard.model import Event
from deploy_guard.rollback.by_hand import ByHand, rollback_by_hand
from deploy_guard.rollback.carrying_out import carry_out
from deploy_guard.rollback.planning import Way
from deploy_guard.rollback.preparing import NOT_RESTORED, prepare, renew
from faults.proxy import FaultProxy, hang, status

RESTORE = Way(restore_config=True, by="ann@ws")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A workload that reads a ConfigMap and a Secret; a snapshot of both was taken."""
    with EmbeddedCluster(start_up=0.02, service=False) as embedded:
        embedded.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
        with Shop(embedded, tmp_path) as shop:
            shop.apply(config_map("app", url="good"), secret("key", token="hunter2-old"))
            shop.release("1", maps=("app",), secrets=("key",))
            shop.take(at=time.time())
            yield shop


def told(shop: Shop, **options: Any) -> tuple[ByHand, list[Event]]:
    """Roll back by hand with the configuration; return the result and all events."""
    events: list[Event] = []
    options.setdefault("way", RESTORE)
    return rollback_by_hand(shop.cluster, WEB, report=events.append, **options), events


def url(shop: Shop, name: str = "app") -> str:
    """Return what the ConfigMap says now."""
    return str(shop.cluster.get(path_of(WEB, "ConfigMap", name))["data"]["url"])


def live(shop: Shop) -> tuple[str, str]:
    """Return the live image, and the time of the restart that the template names."""
    template = shop.workload()["spec"]["template"]
    notes = template["metadata"].get("annotations") or {}
    image = str(template["spec"]["containers"][0]["image"])
    return image, str(notes.get("kubectl.kubernetes.io/restartedAt", ""))


def deploy_badly(shop: Shop) -> None:
    """Deploy a new version together with changed configuration."""
    shop.apply(config_map("app", url="bad", extra="new"), secret("key", token="hunter2-new"))
    shop.release("2", maps=("app",), secrets=("key",))


def test_template_and_configuration_go_back_together(shop: Shop) -> None:
    """The old revision serves with the contents that it had; keys that were added are gone."""
    deploy_badly(shop)
    result, events = told(shop)
    assert result.exit_code is ExitCode.OK
    assert (live(shop)[0], url(shop)) == ("web:1", "good")
    assert "extra" not in shop.cluster.get(path_of(WEB, "ConfigMap", "app"))["data"]
    assert result.restores_config
    texts = " ".join(event.text for event in events)
    assert "ConfigMap app key url: bad → good" in texts
    assert "hunter2" not in texts


def test_without_being_asked_configuration_stays_and_is_told(shop: Shop) -> None:
    """A plain rollback touches no ConfigMap, but shows what differs and how to restore it."""
    deploy_badly(shop)
    result, events = told(shop, way=Way())
    assert (live(shop)[0], url(shop)) == ("web:1", "bad")
    assert any("--restore-config" in e.text for e in events if e.kind == "problem")
    assert any("not restored: ConfigMap app key url" in e.text for e in events)
    assert not result.restores_config


def test_a_restart_with_changed_configuration_is_taken_back(shop: Shop) -> None:
    """The revision before the restart runs the same bits, but ran with other configuration."""
    shop.apply(config_map("app", url="bad"))
    restarted = {"kubectl.kubernetes.io/restartedAt": "2026-11-23T12:00:00Z"}
    body = {"spec": {"template": {"metadata": {"annotations": restarted}}}}
    shop.cluster.patch(workload_path(WEB), body, content_type=MERGE_PATCH)
    shop.embedded.wait_complete("shop", "web")
    result, _ = told(shop)
    assert result.exit_code is ExitCode.OK, result.text
    assert (live(shop), url(shop)) == (("web:1", ""), "good")


def test_configuration_changed_in_place_is_restored_with_one_restart(shop: Shop) -> None:
    """No older revision would cure it: the template stays, and pods that read it are restarted."""
    shop.release("2", maps=("app",), secrets=("key",))
    shop.take(at=time.time() + 1)
    shop.apply(config_map("app", url="bad"))
    result, events = told(shop)
    assert result.exit_code is ExitCode.OK, result.text
    image, restarted = live(shop)
    assert (image, url(shop)) == ("web:2", "good")
    assert restarted
    assert not any(event.kind == "problem" and "regressed" in event.text for event in events)


def test_twice_is_once(shop: Shop) -> None:
    """Run again, nothing is left to be restored, and nothing goes further back."""
    shop.release("2", maps=("app",), secrets=("key",))
    shop.take(at=time.time() + 1)
    shop.apply(config_map("app", url="bad"))
    told(shop)
    before = live(shop)
    result, events = told(shop)
    assert result.exit_code is ExitCode.OK
    assert (live(shop), url(shop)) == (before, "good")
    assert any(event.kind == "nothing" for event in events)


def test_files_need_no_restart(shop: Shop) -> None:
    """The kubelet renews files in running pods: the contents go back, no pod is restarted."""
    shop.release("2", files=("app",))
    shop.take(at=time.time() + 1)
    shop.apply(config_map("app", url="bad"))
    result, _ = told(shop)
    assert result.exit_code is ExitCode.OK, result.text
    assert (live(shop), url(shop)) == (("web:2", ""), "good")
    again, _ = told(shop)
    assert again.exit_code is ExitCode.OK
    assert live(shop)[0] == "web:2"


def test_a_dry_run_writes_nothing(shop: Shop) -> None:
    """Everything is shown, patch and contents, and nothing is stored."""
    deploy_badly(shop)
    result, _ = told(shop, dry_run=True)
    assert result.exit_code is ExitCode.OK
    assert (live(shop)[0], url(shop)) == ("web:2", "bad")


def test_without_a_snapshot_that_is_said(shop: Shop) -> None:
    """Asked to restore what nobody kept, guard rolls the template back and says so."""
    shop.release("2", maps=("app",))
    shop.release("3", maps=("app",))
    result, events = told(shop)
    assert result.exit_code is ExitCode.OK
    assert live(shop)[0] == "web:2"
    assert any("no snapshot of the configuration" in event.text for event in events)


def test_what_a_rollback_left_is_restored_by_the_next(shop: Shop) -> None:
    """The command that a rollback without configuration tells to run afterwards does what it says,
    once: the version that was returned to stays, restarted with the contents that it had."""
    deploy_badly(shop)
    told(shop, way=Way())
    result, _ = told(shop)
    assert result.exit_code is ExitCode.OK, result.text
    image, restarted = live(shop)
    assert (image, url(shop)) == ("web:1", "good")
    assert restarted
    again, _ = told(shop)
    assert again.exit_code is ExitCode.OK
    assert live(shop) == (image, restarted)


def test_contents_that_cannot_be_read_any_more_are_told(shop: Shop, tmp_path: Path) -> None:
    """What second 0 could read and the decision cannot is not left out silently: the template goes
    back alone and that is told; where there is nothing else to be done, the rollback fails."""
    for in_place in (False, True):
        if in_place:
            shop.release("2", maps=("app",))
            shop.take(at=time.time() + 1)
            shop.apply(config_map("app", url="worse"))
        else:
            deploy_badly(shop)
        (tmp_path / str(in_place)).mkdir()
        with (
            FaultProxy(shop.embedded.url) as proxy,
            connect(tmp_path / str(in_place), proxy.url) as cluster,
        ):
            snapshot = take(cluster, WEB)
            candidate = live_hash(snapshot) or ""
            first = prepare(cluster, snapshot, candidate_hash=candidate, way=RESTORE)
            assert first.restores
            proxy.fail(status(403), "read", path="(configmaps|secrets)/")
            if in_place:
                with pytest.raises(ApiError, match="ConfigMap app"):
                    renew(cluster, first, snapshot, candidate_hash=candidate, reason="bad")
            else:
                fresh = renew(cluster, first, snapshot, candidate_hash=candidate, reason="bad")
                assert fresh.plan.possible
                loud = [p.text for p in fresh.plan.problems if p.kind == NOT_RESTORED]
                assert len(loud) == 1 and "ConfigMap app" in loud[0]


@pytest.mark.parametrize("in_place", [False, True])
def test_contents_that_do_that_do_not_come_hold_up_no_template(
    shop: Shop, tmp_path: Path, in_place: bool
) -> None:
    """After the decision the template waits some seconds for a server that does not give the
    configuration, then goes back without it, and that is told loudly. Where there is nothing but
    configuration to be restored, it is waited for."""
    if in_place:
        shop.release("2", maps=("app",), secrets=("key",))
        shop.take(at=time.time() + 1)
        shop.apply(config_map("app", url="bad"))
    else:
        deploy_badly(shop)
    (tmp_path / "proxy").mkdir()
    with (
        FaultProxy(shop.embedded.url) as proxy,
        connect(tmp_path / "proxy", proxy.url) as cluster,
    ):
        snapshot = take(cluster, WEB)
        candidate = live_hash(snapshot) or ""
        first = prepare(cluster, snapshot, candidate_hash=candidate, way=RESTORE)
        assert first.restores
        wait = 6.0 if in_place else None
        proxy.fail(hang, "read", path="configmaps", seconds=wait)
        began = time.monotonic()
        fresh = renew(
            cluster, first, snapshot, candidate_hash=candidate, reason="bad", patience=1.0
        )
        warnings: list[str] = []
        done = carry_out(cluster, fresh, tell=lambda kind, text: warnings.append(f"{kind}: {text}"))
        took = time.monotonic() - began
    shop.embedded.wait_complete("shop", "web")
    loud = [w for w in warnings if w.startswith("warning: THE CONFIGURATION IS NOT RESTORED")]
    if in_place:
        assert (live(shop)[0], url(shop), done.restored_config) == ("web:2", "good", True)
        assert not loud
    else:
        assert (live(shop)[0], url(shop), done.restored_config) == ("web:1", "bad", False)
        assert len(loud) == 1
        assert took < 10
