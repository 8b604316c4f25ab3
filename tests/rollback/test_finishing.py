"""guard resume: what a dead guard left is ended, what is not guard's is left alone."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from cluster.scripted import Behaviour, ScriptedServer, answer, connect, reset
from deploy_guard.cluster.lease import Lease
from deploy_guard.errors import ExitCode
from deploy_guard.problems import Refused
from deploy_guard.rollback.fast import STRATEGY, fast_operations
from deploy_guard.rollback.finishing import Finished, as_json, finish
from deploy_guard.rollback.holding import HELD, hold
from rollback.front import Front
from rollback.shop import PATH, WEB, Shop

NOTES = {HELD, STRATEGY}


@pytest.fixture
def rolling(shop: Shop) -> Shop:
    """The shop in the middle of a rollout that does not end by itself."""
    shop.release("1", replicas=8)
    shop.release("nopull-2", replicas=8, wait=False)
    return shop


def pause(shop: Shop) -> None:
    """Pause the rollout as a guard does that dies then."""
    hold(shop.cluster, WEB, shop.deployment(), template_hash="abc", why="gate", by="me@here")


def speed_up(shop: Shop) -> None:
    """Set the fast strategy as a guard does that dies then."""
    shop.cluster.patch(PATH, list(fast_operations(shop.deployment(), at=time.time())))


def clean(shop: Shop) -> bool:
    """Whether nothing is paused and no note is left."""
    return "paused" not in shop.deployment()["spec"] and not NOTES & shop.notes.keys()


def test_a_pause_and_a_strategy_are_ended_with_one_patch(rolling: Shop) -> None:
    """Both go at once, and the words say whose they were and what is back."""
    before = rolling.deployment()["spec"]
    speed_up(rolling)
    pause(rolling)
    generation = rolling.deployment()["metadata"]["generation"]
    found = finish(rolling.cluster, WEB, by="you@there")
    after = rolling.deployment()
    assert (found.action, clean(rolling), after["spec"]) == ("resumed", True, before)
    assert after["metadata"]["generation"] == generation + 1
    assert "by me@here (gate), is resumed" in found.text
    assert "is back: RollingUpdate, maxSurge 25%, maxUnavailable 25%" in found.text


def test_it_is_told_on_the_workload(rolling: Shop) -> None:
    """An Event says who resumed it, for kubectl describe."""
    pause(rolling)
    finish(rolling.cluster, WEB, by="you@there")
    events, _ = rolling.embedded.store.list_all("events", "shop")
    told = [e["message"] for e in events if e.get("reason") == "RolloutResumed"]
    assert len(told) == 1 and told[0].endswith("(guard resume, you@there)")


def test_twice_is_once(rolling: Shop) -> None:
    """The second time there is nothing to do, which is no error."""
    pause(rolling)
    assert finish(rolling.cluster, WEB).action == "resumed"
    again = finish(rolling.cluster, WEB)
    assert again.action == "none" and again.text.startswith("nothing to do")


def test_a_human_s_pause_needs_force(rolling: Shop) -> None:
    """Refused with kubectl's own command; with force it is ended, and told as theirs."""
    rolling.patch({"spec": {"paused": True}})
    with pytest.raises(Refused, match="not by guard") as refused:
        finish(rolling.cluster, WEB)
    assert "kubectl rollout resume deployment/web -n shop" in refused.value.help
    assert refused.value.exit_code is ExitCode.NOT_ROLLED_BACK
    found = finish(rolling.cluster, WEB, force=True)
    assert "somebody else had paused" in found.text and found.hold is None
    assert clean(rolling)


def test_a_dry_run_changes_nothing(rolling: Shop) -> None:
    """It says what would be done."""
    pause(rolling)
    before = rolling.deployment()
    found = finish(rolling.cluster.dry_run(), WEB)
    assert found.action == "would_resume" and found.text.startswith("dry run: ")
    assert rolling.deployment()["spec"] == before["spec"]


def test_a_living_guard_is_not_got_in_the_way_of(rolling: Shop) -> None:
    """While another guard has the lease it ends its pause itself, unless it is forced."""
    pause(rolling)
    with Lease.acquire(rolling.cluster, WEB, rolling.deployment(), holder="other@there"):
        with pytest.raises(Refused, match="other@there"):
            finish(rolling.cluster, WEB)
        assert rolling.deployment()["spec"]["paused"] is True
        assert finish(rolling.cluster, WEB, force=True).action == "resumed"
    assert clean(rolling)


def test_a_lease_that_was_released_is_no_living_guard(rolling: Shop) -> None:
    """What a guard left that ended by itself can be ended at once."""
    pause(rolling)
    Lease.acquire(rolling.cluster, WEB, rolling.deployment(), holder="other@there").release()
    assert finish(rolling.cluster, WEB).action == "resumed"


def test_notes_that_hold_no_more_are_removed(rolling: Shop) -> None:
    """A human resumed, and another changed the strategy: nothing of theirs is touched."""
    speed_up(rolling)
    pause(rolling)
    rolling.patch({"spec": {"paused": None, "strategy": {"rollingUpdate": {"maxSurge": 2}}}})
    assert finish(rolling.cluster, WEB).action == "none"
    assert clean(rolling)
    assert rolling.deployment()["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 2


@pytest.mark.parametrize("applied", [True, False], ids=["arrived", "lost"])
@pytest.mark.parametrize("failure", [reset, answer(503, "no")], ids=["reset", "503"])
def test_a_lost_answer_is_looked_up(
    rolling: Shop, tmp_path: Path, failure: Behaviour, applied: bool
) -> None:
    """Whether the patch arrived or not, it is ended, and told as done."""
    pause(rolling)

    with (
        ScriptedServer(Front(rolling, failure, apply=applied)) as server,
        connect(tmp_path, server.url) as cluster,
    ):
        found = finish(cluster, WEB, force=True, sleep=lambda _: None)
    assert found.action == "resumed" and clean(rolling)


def test_the_document(rolling: Shop) -> None:
    """Machines get who paused what and when, and the strategy that is back."""
    speed_up(rolling)
    pause(rolling)
    found = finish(rolling.cluster, WEB)
    document = as_json(found, dry_run=False)
    assert (document["version"], document["action"], document["resumed"]) == (1, "resumed", True)
    assert document["hold"]["why"] == "gate" and document["hold"]["at"].endswith("Z")
    assert document["strategy"]["rollingUpdate"]["maxSurge"] == "25%"
    empty = as_json(Finished(WEB, "none", ""), dry_run=True)
    assert (empty["hold"], empty["strategy"]) == (None, None)
    assert empty.keys() == document.keys()
