"""What a watch must not go back to: what somebody undid, and what a restart is not the cause of."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from deploy_guard.cluster.rollouts import live_hash
from deploy_guard.cluster.snapshot import take
from deploy_guard.embedded.store import Object
from deploy_guard.model import Action, Verdict
from deploy_guard.watch.second_zero import NUMBERS, wait_for_candidate
from watch.shop import FIRST, NAME, NAMESPACE, SECOND, TARGET, Heard, Shop, policy

BAD = {"ERROR_RATIO": "0.8"}


def change(shop: Shop, how: Any) -> Object:
    """Change the Deployment as another client."""
    return shop.embedded.store.update("deployments.apps", NAMESPACE, NAME, how)


def restart(deployment: Object) -> None:
    """Do what `kubectl rollout restart` does."""
    notes = deployment["spec"]["template"]["metadata"].setdefault("annotations", {})
    notes["kubectl.kubernetes.io/restartedAt"] = "2026-11-23T12:00:00Z"


def test_a_watch_after_an_undo_never_rolls_forward_to_what_was_undone(shop: Shop) -> None:
    """Somebody undid version 2 before guard began: errors of version 1 do not bring it back."""
    shop.release(FIRST, BAD)
    shop.complete()
    shop.release(SECOND)
    shop.complete()
    shop.release(FIRST, BAD)
    shop.embedded.load(NAMESPACE, NAME, rate=60)
    heard = Heard()
    outcome = shop.watch(policy(), output=heard).run()
    assert outcome.verdict is Verdict.REGRESSED, outcome.reason
    assert (outcome.action, outcome.exit_code) == (Action.REFUSED, 11)
    assert shop.image() == FIRST
    assert any("was then returned to" in text for text in heard.lines("warning"))


def test_a_restart_of_what_was_judged_healthy_is_not_taken_back(busy: Shop) -> None:
    """After a mere restart an older version is not the cure: refused, with what to look for."""
    payments = {"PAYMENTS_URL": busy.embedded.payments.url}
    busy.release(SECOND, payments)
    assert busy.watch(policy(watch={"for": 2.0})).run().verdict is Verdict.HEALTHY
    change(busy, restart)
    busy.complete()
    heard = Heard()
    busy.embedded.payments.fail = True
    outcome = busy.watch(policy(), output=heard).run()
    assert outcome.verdict is Verdict.REGRESSED, outcome.reason
    assert (outcome.action, outcome.exit_code) == (Action.REFUSED, 11)
    assert busy.image() == SECOND
    assert any("the deploy was a restart" in text for text in heard.lines("warning"))


@pytest.mark.parametrize("acts", [True, False], ids=["it acts", "it does not act"])
def test_a_revision_that_is_used_again_is_taken_once_the_controller_has_seen_it(
    shop: Shop, acts: bool
) -> None:
    """Guard may begin before the controller acts on a return to an old template."""
    shop.release()
    shop.complete()
    seen = take(shop.cluster, TARGET)
    early = copy.deepcopy(seen)
    assert early.workload is not None
    early.workload["metadata"]["generation"] += 1
    looks = [early, early, early, seen]
    waits: list[float] = []
    found, live = wait_for_candidate(lambda: looks.pop(0) if acts else early, waits.append)
    assert live == live_hash(seen)
    assert found is (seen if acts else early)
    assert sum(waits) == pytest.approx(0.6 if acts else NUMBERS)
