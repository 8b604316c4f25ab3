"""A rollback whose answer never came: nobody may say that nothing was changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.scripted import Behaviour, ScriptedServer, answer, connect, reset
from deploy_guard.cluster.snapshot import take
from deploy_guard.model import Action, Outcome, Verdict
from deploy_guard.outputs import words
from deploy_guard.rollback.execution import RollbackFailed, execute
from deploy_guard.rollback.planning import plan
from watch.shop import FIRST, SECOND, TARGET, Shop


@pytest.mark.parametrize("action", [Action.INTERRUPTED, Action.ROLLBACK_FAILED])
def test_a_lost_answer_is_told_as_not_known(action: Action) -> None:
    """Headline, what runs, and what guard changed: none of them claims to know."""
    outcome = Outcome(TARGET, Verdict.REGRESSED, action, "", 11, 0.0, 1.0, answer_lost=True)
    assert "not known" in words.headline(outcome)
    assert "not known" in words.running(outcome)
    assert words.changed(outcome) == ""


@pytest.mark.parametrize("after", [reset, answer(403, {"kind": "Status", "message": "no"})])
def test_a_patch_without_answer_and_a_cluster_that_cannot_be_read(
    shop: Shop, tmp_path: Path, after: Behaviour
) -> None:
    """The patch may have arrived: the failure says so, whatever hinders the look."""
    shop.release(FIRST)
    shop.complete()
    shop.release(SECOND)
    shop.complete()
    made = plan(take(shop.cluster, TARGET))
    (tmp_path / "broken").mkdir()
    with (
        ScriptedServer(reset, after) as server,
        connect(tmp_path / "broken", server.url) as cluster,
        pytest.raises(RollbackFailed) as failed,
    ):
        execute(cluster, made)
    assert failed.value.answer_lost
