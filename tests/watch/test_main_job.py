"""The main job, end to end: real sockets, real controllers, the real decision."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy_guard import decide, record
from deploy_guard.errors import GuardError
from deploy_guard.model import Action, Finding, Recovery, Verdict
from deploy_guard.outputs.json import document
from watch.shop import FIRST, NAMESPACE, SECOND, THIRD, Heard, Shop, policy

BAD = {"ERROR_RATIO": "0.8"}


def test_a_bad_deploy_is_rolled_back_and_the_recovery_is_confirmed(busy: Shop) -> None:
    """A deploy that answers with errors is taken back, and the signals are looked at again."""
    busy.release(SECOND, BAD)
    outcome = busy.watch(policy()).run()
    assert outcome.verdict is Verdict.REGRESSED, outcome.reason
    assert outcome.action is Action.ROLLED_BACK
    assert outcome.recovered is Recovery.RECOVERED
    assert outcome.exit_code == 10
    assert busy.image() == FIRST
    bad = [e for e in outcome.evidence if e.finding is Finding.BAD]
    assert [e.signal for e in bad] == ["errors"]
    assert outcome.regressed_at is not None
    assert outcome.rolled_back_at is not None
    assert outcome.restored_at is not None
    assert outcome.deployed_at is not None
    times = [
        outcome.started_at,
        outcome.regressed_at,
        outcome.rolled_back_at,
        outcome.restored_at,
        outcome.ended_at,
    ]
    assert times == sorted(times)


def test_a_good_deploy_is_healthy_and_stays(busy: Shop) -> None:
    """A deploy whose signals are good to the end, with evidence, is healthy and left alone."""
    busy.release(SECOND)
    outcome = busy.watch(policy()).run()
    assert outcome.verdict is Verdict.HEALTHY, outcome.reason
    assert (outcome.action, outcome.exit_code) == (Action.NONE, 0)
    assert busy.image() == SECOND


def test_the_verdict_is_remembered_on_the_revision(busy: Shop) -> None:
    """A regressed template that is deployed again is recognised at second 0."""
    busy.release(SECOND, BAD)
    assert busy.watch(policy()).run().verdict is Verdict.REGRESSED
    busy.release(SECOND, BAD)
    heard = Heard()
    busy.watch(policy(), output=heard).run()
    assert any("was judged regressed before" in text for text in heard.lines("warning"))


def test_a_revision_judged_healthy_is_preferred_as_the_target(busy: Shop) -> None:
    """With a healthy revision and a newer one that nobody judged, the healthy one is chosen."""
    busy.release(SECOND)
    assert busy.watch(policy()).run().verdict is Verdict.HEALTHY
    busy.release(THIRD)
    busy.complete()
    busy.release("registry.example/web:4.0", BAD)
    outcome = busy.watch(policy()).run()
    assert outcome.action is Action.ROLLED_BACK
    assert busy.image() == SECOND


def test_a_dry_run_does_all_but_write(busy: Shop) -> None:
    """A dry run reaches the verdict and rehearses the rollback on the server; nothing is stored."""
    busy.release(SECOND, BAD)
    outcome = busy.watch(policy(), dry_run=True).run()
    assert outcome.verdict is Verdict.REGRESSED
    assert (outcome.action, outcome.exit_code) == (Action.WOULD_ROLL_BACK, 11)
    assert outcome.dry_run
    assert busy.image() == SECOND
    sets, _ = busy.embedded.store.list_all("replicasets.apps", "shop")
    notes = [rs["metadata"].get("annotations") or {} for rs in sets]
    assert not any(key.startswith("deploy-guard/") for note in notes for key in note)


def test_a_policy_can_forbid_the_rollback(busy: Shop) -> None:
    """With rollback.enabled false the regression is reported and nothing is changed."""
    busy.release(SECOND, BAD)
    outcome = busy.watch(policy(rollback={"enabled": False})).run()
    assert (outcome.action, outcome.exit_code) == (Action.WOULD_ROLL_BACK, 11)
    assert busy.image() == SECOND


def test_a_first_deploy_cannot_be_rolled_back_and_says_so_at_second_0(shop: Shop) -> None:
    """Without an earlier revision the watch says so at once, and refuses later."""
    shop.release(FIRST, BAD)
    shop.complete()
    shop.embedded.load("shop", "web", rate=60)
    heard = Heard()
    outcome = shop.watch(policy(), output=heard).run()
    first = next(e for e in heard.events if "no rollback is possible" in e.text)
    verdict = next(e for e in heard.events if e.kind == "verdict")
    assert heard.events.index(first) < heard.events.index(verdict)
    assert (outcome.action, outcome.exit_code) == (Action.REFUSED, 11)


def test_a_candidate_that_never_becomes_ready_is_taken_back_without_any_query(shop: Shop) -> None:
    """The cluster's own signs are enough: a crash loop is a regression with no signal defined."""
    shop.release()
    shop.complete()
    shop.release(SECOND + "-crash")
    outcome = shop.watch(policy(signals=[], watch={"for": 20.0})).run()
    assert outcome.verdict is Verdict.REGRESSED, outcome.reason
    assert outcome.reason.startswith("kubernetes: ")
    assert outcome.action is Action.ROLLED_BACK
    assert shop.image() == FIRST


def test_a_newer_deploy_during_the_watch_is_left_alone(busy: Shop) -> None:
    """A newer template ends the watch with 13, whatever the signals say."""
    busy.release(SECOND)
    with busy.watching(policy(watch={"for": 30.0})) as (_, heard, outcome):
        heard.wait_for("preflight", "watching for")
        busy.release(THIRD, BAD)
        ended = outcome()
    assert (ended.action, ended.exit_code) == (Action.SUPERSEDED, 13)
    assert ended.verdict is None
    assert busy.image() == THIRD


def test_signals_that_cannot_be_read_give_no_verdict_and_no_rollback(busy: Shop) -> None:
    """No data is neither good nor bad: exit 12, nothing changed, the reason told."""
    busy.release(SECOND, BAD)
    blind = policy(signals=[{**_errors(), "path": "/nowhere"}])
    heard = Heard()
    outcome = busy.watch(blind, output=heard).run()
    assert outcome.verdict is Verdict.NO_DATA, outcome.reason
    assert (outcome.action, outcome.exit_code) == (Action.NONE, 12)
    assert busy.image() == SECOND
    assert heard.lines("no-data")
    errors = next(s for s in outcome.signals if s.name == "errors")
    assert errors.samples == 0
    assert errors.no_data > 0


def test_too_little_traffic_is_inconclusive(shop: Shop) -> None:
    """Three requests, one of them failed, prove nothing: exit 12, no rollback."""
    shop.release()
    shop.complete()
    shop.release(SECOND, BAD)
    shop.complete()
    outcome = shop.watch(policy()).run()
    assert outcome.verdict is Verdict.INCONCLUSIVE, outcome.reason
    assert outcome.exit_code == 12
    assert shop.image() == SECOND


def test_a_rollout_that_is_not_complete_is_never_healthy(busy: Shop) -> None:
    """Good signals of a part of the pods do not make the whole deploy healthy."""
    busy.release(SECOND + "-notready")
    outcome = busy.watch(policy(signals=[])).run()
    assert outcome.verdict is Verdict.INCONCLUSIVE
    assert "rollout is not complete" in outcome.reason


def test_a_paused_target_is_told_at_second_0_and_refused_later(busy: Shop) -> None:
    """A paused Deployment accepts a patch and does nothing: guard refuses and says what to do."""
    busy.release(SECOND, BAD)
    busy.complete()
    busy.embedded.store.update(
        "deployments.apps", "shop", "web", lambda d: d["spec"].update(paused=True)
    )
    heard = Heard()
    outcome = busy.watch(policy(), output=heard).run()
    assert any("paused" in text for text in heard.lines("warning"))
    assert outcome.action is Action.REFUSED
    assert busy.image() == SECOND


def test_what_was_not_deployed_just_now_is_not_taken_back(busy: Shop) -> None:
    """A revision that ran before the watch is not to blame: told at second 0, refused later."""
    busy.release(SECOND, BAD)
    busy.complete()
    heard = Heard()
    outcome = busy.watch(policy(rollback={"max_age": 0.1}), output=heard).run()
    assert any("nothing was deployed just now" in text for text in heard.lines("warning"))
    assert outcome.verdict is Verdict.REGRESSED
    assert (outcome.action, outcome.exit_code) == (Action.REFUSED, 11)
    assert busy.image() == SECOND


def test_a_missing_target_is_an_error_before_anything_is_watched(shop: Shop) -> None:
    """A name that does not exist ends with a clear error."""
    with pytest.raises(GuardError, match=r'deployments.apps "web"'):
        shop.watch(policy()).run()


def test_a_target_deleted_during_the_watch_is_an_error(busy: Shop) -> None:
    """Nothing is decided about a workload that is gone."""
    busy.release(SECOND)
    with busy.watching(policy(watch={"for": 30.0})) as (_, heard, outcome):
        heard.wait_for("preflight", "watching for")
        busy.embedded.store.delete("deployments.apps", "shop", "web")
        with pytest.raises(GuardError, match="deleted during the watch"):
            outcome()


def test_an_interrupted_watch_says_that_nothing_was_changed(busy: Shop) -> None:
    """An interruption ends the watch at once, with 130."""
    busy.release(SECOND)
    with busy.watching(policy(watch={"for": 30.0})) as (watch, heard, outcome):
        heard.wait_for("preflight", "watching for")
        watch.interrupt("Ctrl-C")
        ended = outcome()
    assert (ended.action, ended.exit_code) == (Action.INTERRUPTED, 130)
    assert "nothing was changed" in ended.reason
    assert busy.image() == SECOND


def test_a_shared_outage_is_not_the_deploys_fault(busy: Shop) -> None:
    """Old and new pods fail alike: no rollback, and the verdict says why."""
    payments = {"PAYMENTS_URL": busy.embedded.payments.url}
    busy.release(SECOND, payments)
    busy.complete()
    # one new pod at a time, so that old pods serve next to it for long enough
    one_by_one = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    busy.release(THIRD, payments, minReadySeconds=2, strategy=one_by_one)
    with busy.watching(policy(watch={"for": 9.0})) as (_, heard, outcome):
        heard.wait_for("rollout", "1 of them ready")
        busy.embedded.payments.fail = True
        ended = outcome()
    assert ended.verdict is Verdict.INCONCLUSIVE, ended.reason
    assert "not the deploy" in ended.reason
    assert (ended.action, ended.exit_code) == (Action.NONE, 12)
    assert busy.image() == THIRD


def test_still_bad_after_the_rollback_is_told_loudly(busy: Shop) -> None:
    """When the old revision is as bad, the deploy was not the cause: the report says so."""
    payments = {"PAYMENTS_URL": busy.embedded.payments.url}
    busy.release(SECOND, payments)
    busy.complete()
    busy.release(THIRD, payments)
    busy.complete()  # no old pod is left that could acquit the new ones
    with busy.watching(policy(rollback={"verify": 4.0})) as (_, heard, outcome):
        heard.wait_for("preflight", "watching for")
        busy.embedded.payments.fail = True
        ended = outcome()
    assert ended.action is Action.ROLLED_BACK, ended.reason
    assert ended.recovered is Recovery.STILL_BAD
    assert ended.exit_code == 10
    assert any("another cause" in step for step in ended.next_steps)
    assert ended.candidate is not None
    notes = busy.cluster.get(
        f"/apis/apps/v1/namespaces/{NAMESPACE}/replicasets/{ended.candidate.name}"
    )["metadata"]["annotations"]
    assert '"verdict":"inconclusive"' in notes["deploy-guard/verdict"]  # not shunned later


def test_the_verdict_is_replayed_from_the_record(busy: Shop, tmp_path: Path) -> None:
    """The pure core, fed with the record of a watch, decides the same at the same moment."""
    busy.release(SECOND, BAD)
    watch = busy.watch(policy(), report=tmp_path / "report")
    outcome = watch.run()
    assert watch.scene.recorder is not None
    watch.scene.recorder.close()
    found = record.read(tmp_path / "report")
    replayed = decide.replay(
        found.header.policy, found.header.started_at, record.observations(found)
    )
    assert replayed.verdict is outcome.verdict
    assert replayed.at == outcome.evidence[0].at
    assert replayed.evidence == outcome.evidence
    assert not found.torn


def test_the_json_document_has_every_documented_key(busy: Shop) -> None:
    """The document of a real watch carries all keys of the contract."""
    busy.release(SECOND, BAD)
    found = document(busy.watch(policy()).run())
    keys = (
        "version verdict action target candidate target_revision signals evidence timeline "
        "recovered exit_code"
    )
    assert set(keys.split()) <= set(found)
    assert (found["version"], found["verdict"], found["exit_code"]) == (1, "regressed", 10)


def _errors() -> dict[str, object]:
    return policy().signals[0].model_dump(mode="python", by_alias=True, exclude_none=True)
