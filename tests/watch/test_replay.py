"""The record of a watch, folded again by the pure core, gives the verdict that the watch gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deploy_guard import decide, record
from deploy_guard.model import Decision, Outcome, Verdict
from deploy_guard.record import Record
from watch.shop import FIRST, NAME, NAMESPACE, SECOND, Shop, policy

BAD = {"ERROR_RATIO": "0.8"}
ERRORS = policy().signals[0].model_dump(by_alias=True, exclude_none=True)
BLIND = {**ERRORS, "path": "/nowhere"}


def replayed(found: Record) -> Decision:
    """Fold the record again, from nothing but what it holds."""
    header = found.header
    return decide.replay(header.policy, header.started_at, record.observations(found))


def watched(shop: Shop, report: Path, **changes: Any) -> Outcome:
    """Watch the shop, and end its record."""
    watch = shop.watch(policy(**changes), report=report)
    try:
        return watch.run()
    finally:
        if watch.scene.recorder is not None:
            watch.scene.recorder.close()


@dataclass(frozen=True, slots=True)
class Ending:
    """A deploy and the verdict that it leads to."""

    verdict: Verdict
    image: str = SECOND
    env: Mapping[str, str] = field(default_factory=dict)
    rate: float = 60.0  # requests a second
    changes: dict[str, Any] = field(default_factory=dict)  # of the policy


ENDINGS = {
    "healthy": Ending(Verdict.HEALTHY),
    "errors": Ending(Verdict.REGRESSED, env=BAD),
    "crashes": Ending(Verdict.REGRESSED, SECOND + "-crash", changes={"watch": {"for": 20.0}}),
    "no traffic": Ending(Verdict.INCONCLUSIVE, env=BAD, rate=0.0),
    "rollout not complete": Ending(Verdict.INCONCLUSIVE, SECOND + "-notready"),
    "no data": Ending(Verdict.NO_DATA, env=BAD, changes={"signals": [BLIND]}),
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS.keys())
def test_every_ending_is_replayed(shop: Shop, tmp_path: Path, ending: Ending) -> None:
    """Verdict, reason, moment and evidence of every kind of ending follow from the record alone."""
    shop.release()
    shop.complete()
    if ending.rate:
        shop.embedded.load(NAMESPACE, NAME, rate=ending.rate)
    shop.release(ending.image, ending.env)
    outcome = watched(shop, tmp_path / "report", **ending.changes)
    found = record.read(tmp_path / "report")
    decision = replayed(found)
    assert outcome.verdict is ending.verdict, outcome.reason
    assert decision.verdict is ending.verdict
    assert outcome.reason.startswith(decision.reason)
    assert decision.evidence == outcome.evidence
    assert [e for e in found.entries if isinstance(e, Decision)] == [decision]


def test_an_outage_that_old_pods_share_is_replayed(busy: Shop, tmp_path: Path) -> None:
    """What the old pods said is in the record too: it acquits the deploy again."""
    payments = {"PAYMENTS_URL": busy.embedded.payments.url}
    busy.release(FIRST, payments)
    busy.complete()
    slowly: dict[str, Any] = {
        "minReadySeconds": 2,
        "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
    }
    busy.release(SECOND, payments, **slowly)
    with busy.watching(policy(watch={"for": 9.0}), report=tmp_path / "report") as running:
        watch, heard, end = running
        heard.wait_for("rollout", "1 of them ready")
        busy.embedded.payments.fail = True
        outcome = end()
        assert watch.scene.recorder is not None
        watch.scene.recorder.close()
    decision = replayed(record.read(tmp_path / "report"))
    assert outcome.verdict is decision.verdict is Verdict.INCONCLUSIVE
    assert decision.reason == outcome.reason
    assert "not the deploy" in decision.reason


def test_a_record_that_was_cut_off(busy: Shop, tmp_path: Path) -> None:
    """A guard that was killed leaves a record that is replayed up to its last whole line."""
    busy.release(SECOND, BAD)
    outcome = watched(busy, tmp_path / "report")
    file = tmp_path / "report" / record.FILE
    whole = file.read_bytes()
    lines = whole.split(b"\n")
    for kept in range(1, len(lines)):
        file.write_bytes(b"\n".join([*lines[:kept], lines[kept][: len(lines[kept]) // 2]]))
        found = record.read(file)
        decision = replayed(found)
        assert decision.verdict in (None, outcome.verdict)
        assert found.torn == bool(lines[kept])
    file.write_bytes(whole)
    assert replayed(record.read(file)).verdict is outcome.verdict
