"""The gate on a real rollout: paused at its share, judged, resumed or left; it always ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy_guard import decide
from deploy_guard.embedded.store import Object
from deploy_guard.model import Verdict
from deploy_guard.policy.models import Policy
from deploy_guard.rollback.fast import STRATEGY, fast_operations
from deploy_guard.rollback.holding import HELD
from rollback.roles import as_account
from rollback.shop import Shop as Releases
from watch.gated import Gated, unhurried
from watch.shop import FIRST, NAME, NAMESPACE, SECOND, THIRD, Shop, policy

ONE_BY_ONE = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
BAD = {"ERROR_RATIO": "0.8"}
PATH = "/apis/apps/v1/namespaces/shop/deployments/web"


def gate(**hold: Any) -> Policy:
    """Return a policy with a gate at a quarter of the pods, judged for a second."""
    signals = {"signals": hold.pop("signals")} if "signals" in hold else {}
    return policy(hold={"at": "25%", "for": 1.0, **hold}, **signals)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop whose pods take their time."""
    with unhurried(tmp_path) as shop:
        yield shop


@pytest.fixture
def steady(shop: Shop) -> Shop:
    """The first version with four pods that are replaced one by one, and traffic."""
    shop.release(replicas=4, strategy=ONE_BY_ONE)
    shop.complete()
    shop.embedded.load(NAMESPACE, NAME, rate=80)
    return shop


def update(shop: Shop, image: str = SECOND, env: dict[str, str] | None = None) -> None:
    """Deploy the next version."""
    shop.release(image, env, replicas=4, strategy=ONE_BY_ONE)


def live(shop: Shop) -> Object:
    """The Deployment as it is."""
    return shop.embedded.store.get("deployments.apps", NAMESPACE, NAME)


def paused(shop: Shop) -> bool:
    """Whether it is paused."""
    return bool(live(shop)["spec"].get("paused"))


def noted(shop: Shop) -> bool:
    """Whether a note of guard's says that it is held."""
    return HELD in (live(shop)["metadata"].get("annotations") or {})


def sizes(shop: Shop) -> list[int]:
    """The wanted pods of all revisions, most first."""
    return sorted((rs["spec"]["replicas"] for rs in shop.replicasets()), reverse=True)


def test_a_good_candidate_passes_and_the_rest_is_watched_too(steady: Shop) -> None:
    """Paused with a part of the pods new, good for the asked time, resumed, healthy in the end."""
    update(steady)
    with Gated(steady, gate()) as watch:
        watch.go(watch.told("is paused (gate)"))
        assert paused(steady) and noted(steady)
        assert sizes(steady)[0] >= 3, "old pods still are the most"
        watch.go(watch.told("resumed: passed: every signal good"))
        assert not paused(steady) and not noted(steady)
        decision = watch.go()
        assert decision.verdict is Verdict.HEALTHY, decision.reason
        assert decision.at >= watch.state.ends_at
    assert sizes(steady) == [4, 0]


def test_capacity_is_whole_while_it_is_held(steady: Shop) -> None:
    """As many pods as asked for are there, at least, while the rollout is paused."""
    update(steady)
    with Gated(steady, gate()) as watch:
        watch.go(watch.told("is paused"))
        steady.embedded.wait_for(lambda: sum(sizes(steady)) >= 4)
        assert sizes(steady)[1] <= 2


def test_a_bad_candidate_is_condemned_while_it_is_held(steady: Shop) -> None:
    """The verdict falls with the blast radius of the gate; the pause is left to the rollback."""
    update(steady, SECOND, BAD)
    with Gated(steady, gate()) as watch:
        decision = watch.go()
        assert decision.verdict is Verdict.REGRESSED
        assert sizes(steady)[1] <= 2
        watch.gating.leave(watch.scene, "the rollback was refused", condemned=True)
        assert paused(steady) and watch.told("stays paused: the rollback was refused")()


def test_without_evidence_it_is_resumed(shop: Shop) -> None:
    """No traffic proves nothing: after the time of the watch the rollout goes on all the same."""
    shop.release(replicas=4, strategy=ONE_BY_ONE)
    shop.complete()
    update(shop)
    with Gated(shop, gate(), cluster=None) as watch:
        watch.go(watch.told("is paused"))
        watch.go(watch.told("neither good nor bad is proven"))
        assert not paused(shop) and not noted(shop)
        assert watch.go().verdict in (Verdict.INCONCLUSIVE, Verdict.NO_DATA)
    assert sizes(shop) == [4, 0]


def test_without_evidence_it_is_taken_back_if_the_policy_says_so(shop: Shop) -> None:
    """The verdict is not a regression, and says that the rollout was stopped half way."""
    shop.release(replicas=4, strategy=ONE_BY_ONE)
    shop.complete()
    update(shop)
    with Gated(shop, gate(without_evidence="take_back")) as watch:
        decision = watch.go()
        assert decision.verdict in (Verdict.INCONCLUSIVE, Verdict.NO_DATA)
        assert watch.gating.takes_back(decision)
        assert paused(shop)


@pytest.mark.parametrize("reason", ["Ctrl-C", "the cluster cannot be asked", "inconclusive"])
def test_no_end_of_a_watch_leaves_it_paused(steady: Shop, reason: str) -> None:
    """Whatever ended the watch, the rollout is resumed, and the reason told."""
    update(steady)
    with Gated(steady, gate()) as watch:
        watch.go(watch.told("is paused"))
        watch.gating.leave(watch.scene, reason)
        watch.gating.leave(watch.scene, reason)
        assert not paused(steady) and not noted(steady)
        assert watch.heard.lines("hold")[-1] == f"the rollout is resumed: {reason}"
        assert len(watch.heard.lines("hold")) == 2
    steady.complete()


def test_an_end_before_any_pause_writes_nothing(steady: Shop) -> None:
    """Who has paused nothing resumes nothing, not even a human's pause."""
    update(steady)
    with Gated(steady, policy()) as watch:
        steady.cluster.patch(PATH, [{"op": "add", "path": "/spec/paused", "value": True}])
        watch.gating.leave(watch.scene, "Ctrl-C")
    assert paused(steady)


def test_the_next_guard_goes_on_with_the_hold_of_a_dead_one(steady: Shop) -> None:
    """Killed after the pause: the next watch takes it over, judges, and resumes."""
    update(steady)
    with Gated(steady, gate()) as dead:
        dead.go(dead.told("is paused"))
    assert paused(steady) and noted(steady)
    with Gated(steady, gate()) as watch:
        assert watch.told("a guard (me@here) paused the rollout")()
        assert watch.told("this watch goes on with it")()
        assert watch.go().verdict is Verdict.HEALTHY
        assert watch.told("resumed: passed")()
    assert not paused(steady) and not noted(steady)


def test_the_next_guard_without_a_gate_ends_the_hold(steady: Shop) -> None:
    """A policy without a gate does not stay paused for one that had it."""
    update(steady)
    with Gated(steady, gate()) as dead:
        dead.go(dead.told("is paused"))
    with Gated(steady, policy()) as watch:
        assert watch.told("resumed: the policy has no gate")()
        assert not paused(steady) and not noted(steady)
        assert watch.go().verdict is Verdict.HEALTHY


def test_a_newer_deploy_is_not_stopped_by_the_hold_of_a_dead_guard(steady: Shop) -> None:
    """It arrives paused, without a revision of its own; the next watch lets it roll out."""
    update(steady)
    with Gated(steady, gate()) as dead:
        dead.go(dead.told("is paused"))
    update(steady, THIRD)
    steady.cluster.patch(PATH, [{"op": "add", "path": "/spec/paused", "value": True}])
    with Gated(steady, policy()) as watch:
        assert watch.told("is gone")()
        assert watch.go().verdict is Verdict.HEALTHY
    assert steady.image() == THIRD and not paused(steady)


def test_killed_after_the_resume_nothing_is_left(steady: Shop) -> None:
    """The note goes with the pause: the next watch finds an ordinary rollout."""
    update(steady)
    with Gated(steady, gate()) as dead:
        dead.go(dead.told("resumed: passed"))
    steady.complete()
    with Gated(steady, gate()) as watch:
        assert not watch.heard.lines("hold")
        assert watch.go().verdict is Verdict.HEALTHY
        assert watch.warned("the gate came too late")()


def test_a_human_who_resumes_wins(steady: Shop) -> None:
    """The rollout is not paused again, and the note goes at the end."""
    update(steady)
    with Gated(steady, gate()) as watch:
        watch.go(watch.told("is paused"))
        steady.cluster.patch(PATH, [{"op": "remove", "path": "/spec/paused"}])
        decision = watch.go()
        assert decision.verdict is Verdict.HEALTHY, decision.reason
        assert watch.told("resumed by somebody else")()
        watch.gating.leave(watch.scene, "healthy")
        assert len(watch.heard.lines("hold")) == 2
    assert not paused(steady) and not noted(steady)


def test_a_deployment_that_a_human_paused_is_left_alone(steady: Shop) -> None:
    """Neither paused again, nor resumed; said at second 0."""
    steady.cluster.patch(PATH, [{"op": "add", "path": "/spec/paused", "value": True}])
    with Gated(steady, gate()) as watch:
        assert any("paused by somebody else" in words for words in watch.warnings)
        watch.go(lambda: len(watch.entries) > 20)
        watch.gating.leave(watch.scene, "the end")
        assert watch.heard.lines("hold") == []
    assert paused(steady) and not noted(steady)


def test_a_gate_that_comes_too_late_says_so(steady: Shop) -> None:
    """A rollout that is complete already is watched as any other."""
    update(steady)
    steady.complete()
    with Gated(steady, gate()) as watch:
        assert watch.go().verdict is Verdict.HEALTHY
        assert watch.warned("no old pod is left: the gate came too late")()
        assert not watch.heard.lines("hold")


def waiting(**hold: Any) -> Policy:
    """Return a policy in which requests that wait are suspect, and never proven to be bad."""
    signal = {
        "name": "queue",
        "provider": "pods",
        "port": "http",
        "value": "http_requests_waiting",
        "above": 4,
        "for": 600.0,
    }
    return policy(hold={"on_suspicion": True, **hold}, watch={"for": 20.0}, signals=[signal])


SLOW = {"WORKERS": "1", "LATENCY_MS": "200", "QUEUE": "10"}


def test_a_suspicion_freezes_the_rollout_and_ends_with_it(shop: Shop) -> None:
    """A number beyond its limit, not for long enough to count, pauses; back within, it resumes."""
    shop.release(replicas=4, strategy=ONE_BY_ONE)
    shop.complete()
    load = shop.embedded.load(NAMESPACE, NAME, rate=80)
    update(shop, SECOND, SLOW)
    with Gated(shop, waiting()) as watch:
        watch.go(watch.told("is paused (suspicion)"))
        assert watch.told("queue is suspect")()
        assert paused(shop)
        load.close()
        watch.go(watch.told("resumed: the suspicion is gone"))
        assert not paused(shop) and not noted(shop)
    shop.complete()


SEE = [
    {"apiGroups": [group], "resources": [resource], "verbs": ["get", "list", "watch"]}
    for group, resource in (("apps", "deployments"), ("apps", "replicasets"), ("", "pods"))
]
PATCH = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["patch"]}


def test_without_the_right_to_patch_there_is_no_gate(steady: Shop, tmp_path: Path) -> None:
    """The missing verb is named once, and the watch goes on without a gate."""
    update(steady)
    with (
        Releases(steady.embedded, tmp_path) as shop,
        as_account(shop, tmp_path, SEE) as cluster,
        Gated(steady, gate(signals=[]), cluster=cluster) as watch,
    ):
        watch.go(watch.warned("no gate: the rollout could not be paused"))
        assert any("patch" in words for words in watch.heard.lines("warning"))
        watch.go(lambda: watch.state.complete)
    assert not paused(steady)


def test_a_resume_that_is_refused_is_told_and_tried_again(steady: Shop, tmp_path: Path) -> None:
    """A right that is lost midway: it stays paused until it is back, and the command is told."""
    update(steady)
    with (
        Releases(steady.embedded, tmp_path) as shop,
        as_account(shop, tmp_path, [*SEE, PATCH]) as cluster,
        Gated(steady, gate(signals=[]), cluster=cluster) as watch,
    ):
        watch.go(watch.told("is paused"))
        allow(steady, SEE)
        watch.go(watch.warned("to end it: guard resume deployment/web -n shop"))
        assert paused(steady)
        watch.gating.leave(watch.scene, "the end")
        assert paused(steady) and noted(steady)
        allow(steady, [*SEE, PATCH])
        watch.go(watch.told("the rollout is resumed"))
        assert not paused(steady)


def allow(shop: Shop, rules: list[dict[str, Any]]) -> None:
    """Give the account other rights."""
    kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role"}
    metadata = {"name": "robot", "namespace": "shop"}
    shop.embedded.apply({**kind, "metadata": metadata, "rules": rules})


def test_a_dry_run_pauses_nothing(steady: Shop) -> None:
    """It says what it would do; the rollout goes on."""
    update(steady)
    with Gated(steady, gate(), cluster=steady.cluster.dry_run()) as watch:
        watch.go(watch.told("dry run: the rollout would be paused"))
        assert not paused(steady)
        watch.gating.leave(watch.scene, "the end")
        assert len(watch.heard.lines("hold")) == 1


def test_a_fast_strategy_of_a_dead_guard_is_restored(steady: Shop) -> None:
    """Killed before it put the strategy back: the next watch does."""
    steady.release(replicas=8, strategy=ONE_BY_ONE)
    before = live(steady)["spec"]["strategy"]
    steady.cluster.patch(
        PATH,
        [
            {"op": "add", "path": "/metadata/annotations", "value": {}},
            *fast_operations(live(steady), at=1.0),
        ],
    )
    with Gated(steady, policy()) as watch:
        assert watch.told("restored: RollingUpdate, maxSurge 1, maxUnavailable 0")()
    assert live(steady)["spec"]["strategy"] == before
    assert STRATEGY not in (live(steady)["metadata"].get("annotations") or {})


def test_the_replay_of_a_gated_watch_says_the_same(steady: Shop, tmp_path: Path) -> None:
    """From the looks alone, the fold knows when it was paused and when the time began anew."""
    update(steady)
    with Gated(steady, gate()) as watch:
        decision = watch.go()
        assert watch.told("resumed: passed")()
    again = decide.replay(watch.policy, watch.started_at, watch.entries)
    assert again == decision


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        ({"type": "Recreate"}, "replaces all pods at once"),
        ({"rollingUpdate": {"maxSurge": "50%", "maxUnavailable": 0}}, "starts 2 new pods at once"),
    ],
)
def test_a_strategy_that_is_coarser_than_the_gate_is_told(
    shop: Shop, strategy: dict[str, Any], words: str
) -> None:
    """At second 0, with what to set."""
    shop.release(FIRST, replicas=4, strategy=strategy)
    with Gated(shop, gate()) as watch:
        assert any(words in warning for warning in watch.warnings)
