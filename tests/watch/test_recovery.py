"""Did a rollback help that no watch has done? `guard rollback --policy`."""

from __future__ import annotations

from deploy_guard.cluster.rollouts import live_hash
from deploy_guard.cluster.snapshot import take
from deploy_guard.model import Finding, Recovery
from deploy_guard.rollback.by_hand import rollback_by_hand
from deploy_guard.watch.recovery import Checked, check_recovery

from .shop import FIRST, NAME, NAMESPACE, SECOND, TARGET, Heard, Shop, policy


def roll_back_and_look(shop: Shop) -> tuple[Checked, Heard]:
    """Roll back by hand while there is load, then look at the signals."""
    heard = Heard()
    condemned = live_hash(take(shop.cluster, TARGET)) or ""
    with shop.embedded.load(NAME, NAMESPACE, rate=60):
        result = rollback_by_hand(shop.cluster, TARGET)
        assert result.done is not None
        found = check_recovery(
            shop.cluster,
            TARGET,
            policy(rollback={"verify": 8.0}),
            condemned=condemned,
            done=result.done,
            output=heard,
            environ={},
        )
    return found, heard


def test_a_rollback_that_helped(busy: Shop) -> None:
    """Every signal of the policy is good again on the old revision: recovered."""
    busy.release(SECOND, {"ERROR_RATIO": "0.9"})
    busy.complete()
    found, heard = roll_back_and_look(busy)
    assert found.recovery is Recovery.RECOVERED, heard.items
    assert any(text.startswith("recovered") for text in heard.lines("recovery"))


def test_a_rollback_that_did_not_help(busy: Shop) -> None:
    """What the old revision suffers from as well was not the deploy's fault, and that is said."""
    busy.release(FIRST, {"ERROR_RATIO": "0.8"})
    busy.complete()
    busy.release(SECOND, {"ERROR_RATIO": "0.9"})
    busy.complete()
    found, heard = roll_back_and_look(busy)
    assert found.recovery is Recovery.STILL_BAD, heard.items
    errors = next(e for e in found.evidence if e.signal == "errors")
    assert errors.finding in (Finding.BAD, Finding.SHARED, Finding.SUSPECT, Finding.LITTLE)
