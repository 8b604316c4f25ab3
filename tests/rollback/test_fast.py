"""A rollback that brings all pods at once, and the strategy that comes back whatever happens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cluster.scripted import Behaviour, ScriptedServer, answer, connect, reset
from deploy_guard.cluster.snapshot import Json
from deploy_guard.rollback.fast import (
    STRATEGY,
    fast_operations,
    fast_strategy,
    not_faster,
    read_saved,
    restore_patch,
    restore_strategy,
    strategy_words,
)
from rollback.front import Front
from rollback.shop import PATH, WEB, Shop

AT = 1_790_000_000.0


def rolling(surge: Any, unavailable: Any = "25%") -> Json:
    """Return a strategy; a value of None is left out."""
    values = {"maxSurge": surge, "maxUnavailable": unavailable}
    return {
        "type": "RollingUpdate",
        "rollingUpdate": {k: v for k, v in values.items() if v is not None},
    }


def make_fast(shop: Shop) -> Json:
    """Set the fast strategy as a rollback's patch would; return the one from before."""
    live = shop.deployment()
    shop.cluster.patch(PATH, list(fast_operations(live, at=AT)))
    strategy: Json = live["spec"]["strategy"]
    return strategy


@pytest.mark.parametrize(
    "strategy",
    [rolling("25%"), rolling(1), rolling("30%", 0), rolling(0, 1), rolling(2, "50%")],
    ids=strategy_words,
)
def test_the_original_comes_back_exactly(shop: Shop, strategy: Json) -> None:
    """Numbers stay numbers and percentages percentages; the note goes with the same patch."""
    shop.release("1", replicas=8, strategy=strategy)
    before = shop.deployment()
    make_fast(shop)
    during = shop.deployment()["spec"]["strategy"]["rollingUpdate"]
    assert during["maxSurge"] == "100%"
    assert during["maxUnavailable"] == strategy["rollingUpdate"]["maxUnavailable"]
    assert restore_strategy(shop.cluster, WEB).changed
    after = shop.deployment()
    assert after["spec"] == before["spec"]
    assert STRATEGY not in shop.notes


def test_defaults_of_the_server_are_restored_as_they_were_read(shop: Shop) -> None:
    """A strategy that the manifest leaves to the server has the server's values, and keeps them."""
    shop.release("1", replicas=8)
    assert make_fast(shop) == rolling("25%")
    restore_strategy(shop.cluster, WEB)
    assert shop.deployment()["spec"]["strategy"] == rolling("25%")


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"replicas": 8, "strategy": {"type": "Recreate"}}, "Recreate"),
        ({"replicas": 8, "strategy": rolling("100%")}, "at once already"),
        ({"replicas": 8, "strategy": rolling(8)}, "at once already"),
        ({"replicas": 3, "strategy": rolling("70%")}, "at once already"),
        ({"replicas": 1, "strategy": rolling("25%")}, "at once already"),
        ({"replicas": 0, "strategy": rolling(0, 1)}, "at once already"),
        ({"replicas": 8, "updateStrategy": {"type": "RollingUpdate"}}, "only a Deployment"),
    ],
)
def test_a_strategy_that_cannot_be_quicker_is_not_touched(spec: Json, why: str) -> None:
    """Nothing is written where all pods start at once anyway; the reason says so."""
    workload = {"metadata": {"uid": "u"}, "spec": spec}
    assert fast_strategy(workload) is None
    assert why in not_faster(workload)
    assert fast_operations(workload, at=AT) == ()


def test_one_pod_that_is_replaced_in_place_is_quicker_with_a_surge() -> None:
    """With maxSurge 0 the old pod goes first: then the fast strategy does help."""
    workload = {"metadata": {}, "spec": {"replicas": 1, "strategy": rolling(0, 1)}}
    assert fast_strategy(workload) == rolling("100%", 1)


def test_no_strategy_at_all_is_restored_to_none() -> None:
    """An object without the field gets none back."""
    workload: Json = {"metadata": {"uid": "u", "annotations": {}}, "spec": {"replicas": 8}}
    test, add, note = fast_operations(workload, at=AT)
    assert (test["value"], add["op"]) == (None, "add")
    workload["spec"]["strategy"] = add["value"]
    workload["metadata"]["annotations"][STRATEGY] = note["value"]
    assert {"op": "remove", "path": "/spec/strategy"} in restore_patch(workload)


def test_twice_is_once(shop: Shop) -> None:
    """A second restore finds nothing to do; a second fast rollback keeps the first original."""
    shop.release("1", replicas=8)
    original = make_fast(shop)
    assert fast_operations(shop.deployment(), at=AT) == ()
    assert restore_strategy(shop.cluster, WEB).changed
    assert not restore_strategy(shop.cluster, WEB).changed
    assert shop.deployment()["spec"]["strategy"] == original


def test_a_strategy_that_somebody_changed_meanwhile_stays(shop: Shop) -> None:
    """Theirs is newer: only guard's note goes."""
    shop.release("1", replicas=8)
    make_fast(shop)
    shop.patch({"spec": {"strategy": {"rollingUpdate": {"maxSurge": 3}}}})
    assert read_saved(shop.deployment()) is None
    assert restore_strategy(shop.cluster, WEB).changed
    assert shop.deployment()["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 3
    assert STRATEGY not in shop.notes


def test_a_strategy_that_somebody_else_set_to_the_same_is_theirs(shop: Shop) -> None:
    """A note that undo has brought back does not change what the field's owner wants."""
    shop.release("1", replicas=8)
    make_fast(shop)
    live = shop.deployment()
    live["metadata"]["managedFields"] = [
        {
            "manager": "helm",
            "fieldsV1": {"f:spec": {"f:strategy": {"f:rollingUpdate": {"f:maxSurge": {}}}}},
        }
    ]
    assert read_saved(live) is None
    assert [o["op"] for o in restore_patch(live)] == ["test", "test", "remove"]


def test_a_newer_deploy_gets_the_original_strategy_too(shop: Shop) -> None:
    """The strategy is restored also when another template is live by then, which is kept."""
    shop.release("1", replicas=8)
    original = make_fast(shop)
    shop.patch({"spec": {"template": {"metadata": {"annotations": {"new": "yes"}}}}})
    restore_strategy(shop.cluster, WEB)
    after = shop.deployment()["spec"]
    assert after["strategy"] == original
    assert after["template"]["metadata"]["annotations"]["new"] == "yes"


def test_another_deployment_of_the_name_is_left_alone(shop: Shop) -> None:
    """With a uid only that Deployment is touched."""
    shop.release("1", replicas=8)
    make_fast(shop)
    assert not restore_strategy(shop.cluster, WEB, uid="another").changed
    assert STRATEGY in shop.notes


def test_a_dry_run_changes_nothing(shop: Shop) -> None:
    """The server checks the restore and stores nothing."""
    shop.release("1", replicas=8)
    make_fast(shop)
    before = shop.deployment()["spec"]
    assert restore_strategy(shop.cluster.dry_run(), WEB).dry
    assert shop.deployment()["spec"] == before


@pytest.mark.parametrize("applied", [True, False], ids=["arrived", "lost"])
@pytest.mark.parametrize("failure", [reset, answer(503, "no")], ids=["reset", "503"])
def test_a_lost_answer_is_looked_up(
    shop: Shop, tmp_path: Path, failure: Behaviour, applied: bool
) -> None:
    """Whether the patch arrived or not, the original is back in the end."""
    shop.release("1", replicas=8)
    original = make_fast(shop)
    with (
        ScriptedServer(Front(shop, failure, apply=applied)) as server,
        connect(tmp_path, server.url) as cluster,
    ):
        assert restore_strategy(cluster, WEB, sleep=lambda _: None).changed
    assert shop.deployment()["spec"]["strategy"] == original
    assert STRATEGY not in shop.notes


@pytest.mark.parametrize("note", ["", "no json", "[]", '{"was": {}}', '{"was": 1, "set": {}}'])
def test_a_note_that_cannot_be_read_restores_nothing(shop: Shop, note: str) -> None:
    """It is removed, and the strategy stays as it is."""
    shop.release("1", replicas=8, notes={STRATEGY: note})
    restore_strategy(shop.cluster, WEB)
    assert shop.deployment()["spec"]["strategy"] == rolling("25%")
    assert STRATEGY not in shop.notes


def test_all_pods_of_the_target_start_at_once(shop: Shop) -> None:
    """After a rollback's patch with the fast strategy the old ReplicaSet has all its pods at once.

    By the default strategy it would have a quarter and a quarter again, wave by wave.
    """
    shop.release("1", replicas=8)
    old = shop.deployment()["spec"]["template"]
    shop.release("2", replicas=8)
    live = shop.deployment()
    first = [s for s in shop.look().revisions if s["spec"]["replicas"] == 0]
    patch = [
        {"op": "replace", "path": "/spec/template", "value": old},
        *fast_operations(live, at=AT),
    ]
    shop.cluster.patch(PATH, patch)
    sizes = []

    def grown() -> bool:
        name = first[0]["metadata"]["name"]
        size = shop.embedded.store.get("replicasets.apps", "shop", name)["spec"]["replicas"]
        sizes.append(size)
        return bool(size == 8)

    shop.embedded.wait_for(grown)
    assert set(sizes) <= {0, 8}
    restore_strategy(shop.cluster, WEB)
    shop.settle()
    assert shop.image == "web:1"
    assert json.loads(json.dumps(shop.deployment()["spec"]["strategy"])) == rolling("25%")
