"""What a dead guard left in the lease, when the cluster has gone on without it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from deploy_guard.cluster.lease import Previous
from deploy_guard.cluster.lease_record import acquisition, leases_path, note_text
from deploy_guard.cluster.rollouts import live_hash
from deploy_guard.cluster.snapshot import take
from deploy_guard.model import Action, Verdict
from deploy_guard.rollback.by_hand import rollback_by_hand
from deploy_guard.rollback.revisions import Past, history
from deploy_guard.rollback.verdicts import record_verdict
from deploy_guard.watch.unfinished import Stage, condemned, read_left, watching
from watch.gated import Gated, unhurried
from watch.shop import FIRST, SECOND, TARGET, Heard, Shop, policy

Note = Mapping[str, Any]
ONE_BY_ONE = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


def live(shop: Shop) -> str:
    """Return the hash of the live template."""
    return live_hash(take(shop.cluster, TARGET)) or ""


def noted(candidate: str, *, since: float, at: float) -> dict[str, Any]:
    """Return the note of a guard that found a regression."""
    return condemned(candidate, started_at=since, at=at, reason="errors", accused=("errors",))


def leave(shop: Shop, note: Note, *, ago: float) -> None:
    """Leave the expired lease of a guard that died so many seconds ago."""
    workload = take(shop.cluster, TARGET).workload or {}
    lease = acquisition(
        TARGET,
        workload,
        None,
        identity="dead@runner_0",
        duration=1,
        now=time.time() - ago,
        note=note_text(note),
    )
    shop.cluster.create(leases_path(TARGET), lease)


def left_of(shop: Shop, note: Note) -> Stage | None:
    """Return what the next guard makes of a note."""
    now = time.time()
    found = read_left(
        Previous("dead@runner", now - 90, note), take(shop.cluster, TARGET), live(shop), now=now
    )
    return found.stage if found is not None else None


def test_what_was_undone_and_deployed_again_is_judged_again(busy: Shop) -> None:
    """A dead guard's verdict on the same template, from before a human's undo, rolls nothing
    back: what was wrong then may be mended."""
    busy.release(SECOND)
    busy.complete()
    now = time.time()
    leave(busy, noted(live(busy), since=now - 300, at=now - 200), ago=200)
    busy.release(FIRST)
    busy.complete()
    busy.release(SECOND)
    ended = busy.watch(policy()).run()
    assert (ended.verdict, ended.action) == (Verdict.HEALTHY, Action.NONE), ended.reason
    assert busy.image() == SECOND


def test_what_was_deployed_again_is_watched_for_the_whole_time(busy: Shop) -> None:
    """The time that a dead guard watched an earlier deploy of the template does not count."""
    busy.release(SECOND)
    busy.complete()
    leave(busy, watching(live(busy), started_at=time.time() - 600), ago=200)
    busy.release(FIRST)
    busy.complete()
    busy.release(SECOND)
    ended = busy.watch(policy(watch={"for": 5.0})).run()
    assert ended.verdict is Verdict.HEALTHY
    assert ended.ended_at - ended.started_at >= 5.0


def test_a_verdict_that_was_acted_upon_is_used_up(busy: Shop) -> None:
    """Rolled back and deployed again at once, while its old pods still run: another deploy."""
    busy.release(SECOND)
    busy.complete()
    now = time.time()
    note = noted(live(busy), since=now, at=now)
    assert left_of(busy, note) is Stage.CONDEMNED
    rollback_by_hand(busy.cluster, TARGET, wait=False)
    assert left_of(busy, note) is Stage.ROLLED_BACK
    busy.release(SECOND)
    assert left_of(busy, note) is None


def test_a_rollback_of_long_ago_is_not_followed(busy: Shop) -> None:
    """Neither that of yesterday nor one after which somebody deployed the same template again:
    no later run may claim a rollback that it had no part in."""
    busy.release(SECOND)
    busy.complete()
    second, now = live(busy), time.time()
    rollback_by_hand(busy.cluster, TARGET)
    assert left_of(busy, noted(second, since=now, at=now)) is Stage.ROLLED_BACK
    assert left_of(busy, noted(second, since=now - 90000, at=now - 90000)) is None
    busy.release("registry.example/web:3.0")
    busy.complete()
    busy.release(FIRST)
    busy.complete()
    assert left_of(busy, noted(second, since=now, at=now)) is None


@pytest.mark.parametrize("known", ["by the lease", "by the verdict"])
def test_what_was_held_and_found_bad_is_not_resumed_on_the_way_to_its_end(
    tmp_path: Path, known: str
) -> None:
    """A policy without a gate ends no pause of what a guard found regressed: it is taken back from
    the pause if that guard died, and stays paused after an interruption."""
    with unhurried(tmp_path) as shop:
        shop.release(replicas=4, strategy=ONE_BY_ONE)
        shop.complete()
        shop.release(SECOND, replicas=4, strategy=ONE_BY_ONE)
        with Gated(shop, policy(hold={"at": "25%", "for": 30.0})) as dead:
            dead.go(dead.told("is paused"))
        snapshot, now = take(shop.cluster, TARGET), time.time()
        held = live_hash(snapshot) or ""
        if known == "by the lease":
            leave(shop, noted(held, since=now, at=now), ago=90)
            heard = Heard()
            ended = shop.watch(policy(), output=heard).run()
            assert ended.action is Action.ROLLED_BACK, ended.reason
            assert (shop.image(), paused(shop)) == (FIRST, False)
        else:
            found = next(p.revision for p in history(snapshot.revisions) if _is(p, held))
            bad = Verdict.REGRESSED
            assert record_verdict(shop.cluster, TARGET, found, bad, reason="x", at=now) is None
            with shop.watching(policy()) as (watch, heard, outcome):
                heard.wait_for("preflight", "watching for")
                watch.interrupt("Ctrl-C")
                assert outcome().action is Action.INTERRUPTED
            assert (shop.image(), paused(shop)) == (SECOND, True)
            assert "guard resume" in heard.lines("hold")[-1]
        assert not any("resumed:" in line for line in heard.lines("hold"))


def _is(past: Past, template_hash: str) -> bool:
    return past.revision.template_hash == template_hash


def paused(shop: Shop) -> bool:
    """Tell whether the Deployment is paused."""
    found = shop.embedded.store.get("deployments.apps", "shop", "web")
    return bool(found["spec"].get("paused"))


def test_a_rollback_that_was_interrupted_is_followed_by_the_next_watch(busy: Shop) -> None:
    """A cancelled job ends by SIGTERM after the patch; run again, it must not end as healthy."""
    busy.release(SECOND, {"ERROR_RATIO": "0.8"}, strategy=ONE_BY_ONE)
    with busy.watching(policy()) as (watch, heard, outcome):
        heard.wait_for("rollback", "accepted")
        watch.interrupt("SIGTERM")
        first = outcome()
    assert (first.action, first.exit_code) == (Action.INTERRUPTED, 130)
    again = busy.watch(policy()).run()
    assert (again.verdict, again.exit_code) == (Verdict.REGRESSED, 10), again.reason
    assert busy.image() == FIRST
    third = busy.watch(policy()).run()  # that one ended: nothing is left to be followed
    assert third.verdict is not Verdict.REGRESSED, third.reason
