"""A whole watch with a gate: what becomes of the pause at each of its ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy_guard import decide, record
from deploy_guard.embedded.store import Object
from deploy_guard.model import Action, Verdict
from deploy_guard.policy.models import Policy
from deploy_guard.rollback.fast import STRATEGY
from deploy_guard.rollback.holding import HELD
from watch.gated import unhurried
from watch.shop import FIRST, NAME, NAMESPACE, SECOND, THIRD, Shop, policy

ONE_BY_ONE = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
BAD = {"ERROR_RATIO": "0.8"}
PATH = "/apis/apps/v1/namespaces/shop/deployments/web"


def gate(**changes: Any) -> Policy:
    """Return a policy with a gate at a quarter of the pods, judged for a second."""
    hold = {"at": "25%", "for": 1.0, **changes.pop("hold", {})}
    return policy(hold=hold, **changes)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop whose pods take their time."""
    with unhurried(tmp_path) as shop:
        yield shop


@pytest.fixture
def quiet(shop: Shop) -> Shop:
    """The first version with four pods that are replaced one by one, without traffic."""
    update(shop, FIRST)
    shop.complete()
    return shop


@pytest.fixture
def steady(quiet: Shop) -> Shop:
    """The same, with traffic."""
    quiet.embedded.load(NAMESPACE, NAME, rate=80)
    return quiet


def update(shop: Shop, image: str = SECOND, env: dict[str, str] | None = None) -> None:
    """Deploy a version."""
    shop.release(image, env, replicas=4, strategy=ONE_BY_ONE)


def live(shop: Shop) -> Object:
    """The Deployment as it is."""
    return shop.embedded.store.get("deployments.apps", NAMESPACE, NAME)


def clean(shop: Shop) -> bool:
    """Whether it is not paused, has its strategy, and no note is left of a hold."""
    found = live(shop)
    notes = found["metadata"].get("annotations") or {}
    rolling = found["spec"]["strategy"]["rollingUpdate"]
    as_before = rolling == ONE_BY_ONE["rollingUpdate"]
    return as_before and not found["spec"].get("paused") and not {HELD, STRATEGY} & notes.keys()


def test_a_bad_candidate_is_taken_back_from_the_gate(steady: Shop) -> None:
    """One patch ends the pause and brings the old version back; few users were hit."""
    update(steady, SECOND, BAD)
    most = 0
    done = threading.Event()

    def look() -> None:
        nonlocal most
        while not done.wait(0.02):
            sets = [rs for rs in steady.replicasets() if image_of(rs) == SECOND]
            most = max([most, *(rs["spec"]["replicas"] for rs in sets)])

    thread = threading.Thread(target=look)
    thread.start()
    try:
        outcome = steady.watch(gate(rollback={"fast": True})).run()
    finally:
        done.set()
        thread.join()
    assert (outcome.verdict, outcome.action) == (Verdict.REGRESSED, Action.ROLLED_BACK)
    assert steady.image() == FIRST and clean(steady)
    assert most <= 2


def image_of(replicaset: Object) -> str:
    """The image of a ReplicaSet."""
    return str(replicaset["spec"]["template"]["spec"]["containers"][0]["image"])


def test_a_good_candidate_passes_the_gate_and_the_record_says_the_same(
    steady: Shop, tmp_path: Path
) -> None:
    """Healthy after the rest of the rollout; the replay of the record agrees."""
    update(steady)
    watch = steady.watch(gate(), report=tmp_path)
    try:
        outcome = watch.run()
    finally:
        if watch.scene.recorder is not None:
            watch.scene.recorder.close()
    assert outcome.verdict is Verdict.HEALTHY, outcome.reason
    assert steady.image() == SECOND and clean(steady)
    kinds = [event.text for event in outcome.timeline if event.kind == "hold"]
    assert "is paused (gate)" in kinds[0] and "resumed: passed" in kinds[1]
    kept = record.read(tmp_path)
    again = decide.replay(kept.header.policy, kept.header.started_at, record.observations(kept))
    assert (again.verdict, again.reason) == (outcome.verdict, outcome.reason)


def test_ctrl_c_resumes(steady: Shop) -> None:
    """An interrupted watch leaves nothing paused."""
    update(steady)
    with steady.watching(gate(hold={"for": 3.0})) as (watch, heard, ended):
        heard.wait_for("hold", "is paused")
        watch.interrupt("Ctrl-C")
        assert ended().action is Action.INTERRUPTED
        heard.wait_for("hold", "the rollout is resumed: Ctrl-C")
    assert clean(steady)


def test_a_newer_deploy_at_the_gate_rolls_out(steady: Shop) -> None:
    """It is left alone, and not left paused."""
    update(steady)
    with steady.watching(gate(hold={"for": 3.0})) as (_, heard, ended):
        heard.wait_for("hold", "is paused")
        # as kubectl apply: what the manifest does not name stays, and so it arrives paused
        image = "/spec/template/spec/containers/0/image"
        steady.cluster.patch(PATH, [{"op": "replace", "path": image, "value": THIRD}])
        assert ended().action is Action.SUPERSEDED
        heard.wait_for("hold", "the rollout is resumed: a newer deploy is live")
    steady.complete()
    assert steady.image() == THIRD and clean(steady)


def test_a_deployment_that_is_deleted_at_the_gate_ends_the_watch(steady: Shop) -> None:
    """There is nothing to resume, and no second error."""
    update(steady)
    with steady.watching(gate(hold={"for": 3.0})) as (_, heard, ended):
        heard.wait_for("hold", "is paused")
        steady.embedded.store.delete("deployments.apps", NAMESPACE, NAME)
        with pytest.raises(Exception, match="was deleted"):
            ended()


def test_what_is_not_proven_is_taken_back_if_the_policy_says_so(quiet: Shop) -> None:
    """Inconclusive, not regressed; the old version is back, and nothing is paused."""
    update(quiet)
    rules = gate(hold={"without_evidence": "take_back"}, watch={"for": 2.0})
    outcome = quiet.watch(rules).run()
    assert outcome.verdict in (Verdict.INCONCLUSIVE, Verdict.NO_DATA)
    assert outcome.action is Action.ROLLED_BACK
    assert quiet.image() == FIRST and clean(quiet)


def test_a_rollback_that_is_refused_leaves_the_bad_version_where_it_is(steady: Shop) -> None:
    """Exit 11, and the pause stays, told with the commands that end it."""
    label = {"op": "add", "path": "/metadata/labels", "value": {FLUX: "shop"}}
    steady.cluster.patch(PATH, [label])
    update(steady, SECOND, BAD)
    with steady.watching(gate(rollback={"owner": "refuse"})) as (_, heard, ended):
        outcome = ended()
        told = heard.lines("hold")
    assert (outcome.action, outcome.exit_code) == (Action.REFUSED, 11), outcome.reason
    assert live(steady)["spec"]["paused"] is True
    assert "stays paused" in told[-1]
    assert "guard rollback deployment/web -n shop" in told[-1]
    assert "guard resume deployment/web -n shop" in told[-1]


FLUX = "kustomize.toolkit.fluxcd.io/name"
