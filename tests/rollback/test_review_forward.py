"""A return to a newer version by hand: the older one, which is left, was not found bad by it."""

from __future__ import annotations

import time
from pathlib import Path

from cluster.scripted import connect
from deploy_guard.cluster.rollouts import live_hash
from deploy_guard.cluster.snapshot import take
from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.manifests import toy_stateful_set
from deploy_guard.model import Target, Verdict
from deploy_guard.rollback.by_hand import rollback_by_hand
from deploy_guard.rollback.planning import plan
from deploy_guard.rollback.revisions import Past, history
from deploy_guard.rollback.verdicts import record_verdict
from rollback.shop import WEB, Shop, image_of


def test_going_forward_again_condemns_nothing(shop: Shop) -> None:
    """After a false alarm a person returns to the newer version by its number; when the next deploy
    is bad, the older one that was left for it is still fit to return to."""
    shop.release("1")
    second = shop.release("2")
    third = shop.release("3")
    bad = next(p.revision for p in history(shop.look().revisions) if is_(p, third))
    assert record_verdict(shop.cluster, WEB, bad, Verdict.REGRESSED, reason="x", at=1.0) is None
    rollback_by_hand(shop.cluster, WEB)
    assert shop.image == "web:2"
    rollback_by_hand(shop.cluster, WEB, to_revision=3)
    assert shop.image == "web:3"
    rollback_by_hand(shop.cluster, WEB)  # nothing to do: twice is once, here too
    left = next(p.revision for p in history(shop.look().revisions) if is_(p, second))
    assert left.verdict is None
    fourth = shop.release("4")
    made = plan(shop.look(), candidate_hash=fourth)
    assert made.template is not None
    assert image_of(made.template) == "web:2", made.passed_over


def test_a_set_is_not_rolled_forward_to_what_a_person_undid(tmp_path: Path) -> None:
    """As for a Deployment: after `kubectl rollout undo` of a StatefulSet, a rollback of what was
    returned to does not choose the newer revision that was undone, though its number is lower."""
    db = Target("statefulset", "shop", "db")
    with EmbeddedCluster(start_up=0.02, service=False) as embedded:
        embedded.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
        with connect(tmp_path, embedded.url) as cluster:
            for tag in ("1", "2", "1"):
                embedded.apply(toy_stateful_set("db", "shop", f"db:{tag}"))
                embedded.wait_complete("shop", "db", kind="StatefulSet")
                time.sleep(1.1)  # the age of a revision has whole seconds
            snapshot = take(cluster, db)
    numbers = {image_of(p.template): p.revision.number for p in history(snapshot.revisions)}
    assert numbers == {"db:1": 3, "db:2": 2}
    made = plan(snapshot, candidate_hash=live_hash(snapshot))
    assert made.revision is None, made.choice
    assert [r.number for r, _ in made.passed_over] == [2]


def is_(past: Past, template_hash: str) -> bool:
    return past.revision.template_hash == template_hash
