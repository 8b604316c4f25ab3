"""A cluster that goes away, and a Deployment that is another one: what a watch makes of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from deploy_guard.cluster.clock import Clock
from deploy_guard.cluster.snapshot import Snapshot, take
from deploy_guard.cluster.workload import revision_of
from deploy_guard.model import Action, Event, Recovery, Verdict
from deploy_guard.outputs.base import Item
from deploy_guard.watch.polling import Broken
from deploy_guard.watch.scene import Changed, Ended, Scene
from signals.web_server import Reply, WebServer
from watch.shop import FIRST, SECOND, TARGET, THIRD, Heard, Shop, policy

BAD = {"ERROR_RATIO": "0.8"}


@dataclass
class Acting:
    """An output that does something of its own when it is told something."""

    act: Callable[[Item], None]

    def show(self, item: Item) -> None:
        """Do it, in the thread of the watch."""
        self.act(item)


def probe(url: str) -> dict[str, Any]:
    """Return a signal that does not need the cluster."""
    return {"name": "probe", "provider": "http", "url": url, "expect": {"status": [200]}}


def test_a_cluster_that_cannot_be_seen_at_the_end_is_not_healthy(busy: Shop) -> None:
    """Good answers of a probe do not replace the cluster, whose last word is from before."""
    busy.release(SECOND)
    busy.complete()
    with WebServer(lambda _: Reply()) as web:
        rules = policy(watch={"for": 3.0}, signals=[probe(web.url)])
        with busy.watching(rules) as (_, heard, outcome):
            heard.wait_for("signal", "probe: good")
            busy.embedded.close()
            ended = outcome()
    assert ended.verdict is Verdict.INCONCLUSIVE, ended.reason
    assert "the cluster cannot be seen" in ended.reason
    assert (ended.action, ended.exit_code) == (Action.NONE, 12)


class Fixed:
    """A follower that has seen one thing."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot

    def latest(self) -> Snapshot:
        """Return it."""
        return self.snapshot


def test_a_deployment_made_anew_with_the_same_template_is_another_one(shop: Shop) -> None:
    """Deleted without its ReplicaSets and made again, seen as one change: it ends with 13."""
    shop.release()
    shop.complete()
    snapshot = take(shop.cluster, TARGET)
    assert snapshot.workload is not None
    scene = Scene(shop.cluster, TARGET, Heard(), time.time)
    scene.follower = Fixed(snapshot)  # type: ignore[assignment]
    scene.uid = snapshot.workload["metadata"]["uid"]
    scene.items.put(Changed())
    assert isinstance(scene.next(), Changed)
    snapshot.workload["metadata"]["uid"] = "another"
    scene.items.put(Changed())
    with pytest.raises(Ended, match="made anew") as ended:
        scene.next()
    assert ended.value.action is Action.SUPERSEDED


def test_what_was_condemned_is_remembered_although_a_newer_deploy_came(busy: Shop) -> None:
    """A newer deploy between verdict and rollback is left alone; its rollback skips the bad one."""
    busy.release(SECOND, BAD)

    def rival(item: Item) -> None:
        if isinstance(item, Event) and item.kind == "verdict":
            busy.release(THIRD)
            busy.embedded.wait_for(lambda: len(busy.replicasets()) == 3)

    outcome = busy.watch(policy(), output=Acting(rival)).run()
    assert (outcome.action, outcome.exit_code) == (Action.SUPERSEDED, 13)
    assert busy.image() == THIRD
    verdicts = {r.images[0]: r.verdict for r in map(revision_of, busy.replicasets())}
    assert verdicts[SECOND] is Verdict.REGRESSED


@pytest.mark.parametrize("wrong", [1200.0, -120.0], ids=["ahead", "behind"])
def test_a_runner_whose_clock_is_wrong_judges_by_the_clusters(busy: Shop, wrong: float) -> None:
    """Minutes ahead must not make new pods look unready for minutes, behind not hide them."""
    busy.release(SECOND)
    heard = Heard()
    clock = Clock(wall=lambda: time.time() + wrong)
    outcome = busy.watch(policy(watch={"for": 3.0}), output=heard, clock=clock).run()
    assert outcome.verdict is Verdict.HEALTHY, outcome.reason
    assert any("this machine's clock" in text for text in heard.lines("warning"))
    assert abs(outcome.ended_at - time.time()) < 30


def test_a_broken_signal_after_the_rollback_does_not_hide_the_rollback(busy: Shop) -> None:
    """What ends the second look early does not unsay what was decided and done before it."""
    busy.release(SECOND, BAD)

    def breaks(item: Item) -> None:
        if isinstance(item, Event) and "serves again" in item.text:
            watch.scene.items.put(Broken("errors", RuntimeError("boom")))

    watch = busy.watch(policy(), output=Acting(breaks))
    outcome = watch.run()
    assert (outcome.action, outcome.exit_code) == (Action.ROLLED_BACK, 10)
    assert outcome.recovered is Recovery.UNKNOWN
    assert any("cannot be verified" in event.text for event in outcome.timeline)
    assert busy.image() == FIRST


def test_a_newer_deploy_right_after_the_rollback_is_not_taken_for_the_target(busy: Shop) -> None:
    """The second look is at the target's pods or at none: not at those of somebody's release."""
    busy.release(SECOND, BAD)

    def rival(item: Item) -> None:
        if isinstance(item, Event) and "serves again" in item.text:
            busy.release(THIRD)
            busy.embedded.wait_for(lambda: len(busy.replicasets()) == 3)

    outcome = busy.watch(policy(), output=Acting(rival)).run()
    assert (outcome.action, outcome.exit_code) == (Action.ROLLED_BACK, 10)
    assert outcome.recovered is Recovery.UNKNOWN
    assert busy.image() == THIRD


def test_an_interruption_passes_through_a_credential_plugin(shop: Shop) -> None:
    """Ctrl-C while credentials are refreshed is no error of the credentials."""

    def hook(_: object) -> None:
        raise Ended(Action.INTERRUPTED, "Ctrl-C")

    shop.cluster.api.configuration.refresh_api_key_hook = hook
    shop.cluster.api.configuration.api_key["authorization"] = "Bearer x"
    with pytest.raises(Ended):
        shop.cluster.get("/version")
