"""What `restore` writes, and what it leaves alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from configuration.cutting import Cut
from configuration.shop import AT, PASSWORD, WEB, Shop, config_map, encoded, secret
from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.snapshot import Json
from deploy_guard.cluster.workload import LAST_APPLIED
from deploy_guard.configuration.comparing import Comparison, State, compare
from deploy_guard.configuration.copies import RESTORED
from deploy_guard.configuration.objects import path_of
from deploy_guard.configuration.restoring import Restored, restore


def compared(shop: Shop) -> Comparison:
    return compare(shop.cluster, WEB, shop.index())


def put_back(
    shop: Shop,
    comparison: Comparison | None = None,
    *,
    cluster: Cluster | None = None,
    tell: Callable[[str], object] | None = None,
) -> Restored:
    return restore(
        cluster or shop.cluster,
        comparison or compared(shop),
        by="ann@ws",
        reason="error ratio 12 %",
        at=AT,
        tell=tell,
        sleep=lambda _: None,
    )


def delete(shop: Shop, kind: str, name: str) -> None:
    shop.cluster.delete(path_of(WEB, kind, name), uid=shop.read(kind, name)["metadata"]["uid"])


def make_anew(shop: Shop) -> None:
    delete(shop, "ConfigMap", "app")
    shop.apply(config_map("app", TIMEOUT="3", LEVEL="info"))


def assert_as_kept(shop: Shop) -> None:
    """The live contents are those of the snapshot."""
    found = compared(shop)
    assert [each.state for each in found.differences] == [State.UNCHANGED] * 2
    assert shop.read("ConfigMap", "app")["data"] == {"TIMEOUT": "30", "LEVEL": "info"}
    assert shop.read("Secret", "db")["data"]["password"] == encoded(PASSWORD)


def test_changed_keys_go_back_and_added_ones_go(shop: Shop) -> None:
    """After a restore the contents are the snapshot's, the whole of them; it is one patch each."""
    shop.take()
    shop.edit("ConfigMap", "app", {"data": {"TIMEOUT": "3", "LEVEL": None, "NEW": "x"}})
    shop.edit("Secret", "db", {"data": {"password": encoded("wrong"), "more": encoded("x")}})
    told: list[str] = []
    cluster = Cut(shop.cluster)
    done = put_back(shop, cluster=cluster, tell=told.append)
    assert done.complete
    assert done.problems == ()
    assert_as_kept(shop)
    assert told == [
        "ConfigMap app put back: LEVEL, NEW, TIMEOUT",
        "Secret db put back: more, password",
    ]
    assert [write.partition(" ")[0] for write in cluster.writes] == ["patch", "patch"]


def test_who_and_why_is_noted_on_the_object(shop: Shop) -> None:
    """The restored object says when, by whom and why; its other annotations stay."""
    shop.take()
    notes = {"annotations": {"team": "a"}}
    shop.edit("ConfigMap", "app", {"data": {"TIMEOUT": "3"}, "metadata": notes})
    put_back(shop)
    found = shop.read("ConfigMap", "app")["metadata"]["annotations"]
    assert found["team"] == "a"
    assert json.loads(found[RESTORED]) == {
        "at": "2030-03-17T17:46:40Z",
        "by": "ann@ws",
        "reason": "error ratio 12 %",
    }


def test_twice_is_once(shop: Shop) -> None:
    """What is as it was is not written."""
    shop.take()
    shop.edit("ConfigMap", "app", {"data": {"TIMEOUT": "3"}})
    put_back(shop)
    cluster = Cut(shop.cluster)
    assert put_back(shop, cluster=cluster).complete
    assert cluster.writes == []


def test_all_contents_can_be_emptied_and_filled_again(shop: Shop) -> None:
    """An object without any data gets it back, and one that had none loses it."""
    shop.apply(config_map("app"))
    shop.take()
    shop.edit("ConfigMap", "app", {"data": {"TIMEOUT": "3"}, "binaryData": {"x": "eA=="}})
    assert put_back(shop).complete
    assert not shop.read("ConfigMap", "app").get("data")
    assert not shop.read("ConfigMap", "app").get("binaryData")
    shop.edit("ConfigMap", "app", {"data": {"A": "1"}})
    shop.take()
    shop.edit("ConfigMap", "app", {"data": None})
    assert put_back(shop).complete
    assert shop.read("ConfigMap", "app")["data"] == {"A": "1"}


def test_what_is_gone_is_made_again(shop: Shop) -> None:
    """A deleted object comes back with its contents, type, labels and safe annotations."""
    manifest = secret("db", password=PASSWORD, user="web") | {"type": "example.com/db"}
    manifest["metadata"] |= {
        "labels": {"app": "web"},
        "annotations": {LAST_APPLIED: encoded(PASSWORD), "team": "a"},
    }
    delete(shop, "Secret", "db")
    shop.apply(manifest)
    shop.take()
    delete(shop, "Secret", "db")
    delete(shop, "ConfigMap", "app")
    assert put_back(shop).complete
    assert_as_kept(shop)
    made = shop.read("Secret", "db")
    assert made["type"] == "example.com/db"
    assert made["metadata"]["labels"] == {"app": "web"}
    assert set(made["metadata"]["annotations"]) == {"team", RESTORED}


def test_a_hashed_name_that_is_still_there_needs_nothing(shop: Shop) -> None:
    """With names by content the old revision's object is as it was: nothing is written."""
    shop.apply(config_map("app-5h2k9", TIMEOUT="30"))
    shop.release("1", maps=("app-5h2k9",))
    shop.take()
    index = shop.index()
    shop.apply(config_map("app-7ffm2", TIMEOUT="3"))
    shop.release("2", maps=("app-7ffm2",))
    found = compare(shop.cluster, WEB, index)
    assert found.to_restore == ()
    delete(shop, "ConfigMap", "app-5h2k9")
    assert put_back(shop, compare(shop.cluster, WEB, index)).complete
    assert shop.read("ConfigMap", "app-5h2k9")["data"] == {"TIMEOUT": "30"}
    assert shop.read("ConfigMap", "app-7ffm2")["data"] == {"TIMEOUT": "3"}


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
def test_an_immutable_object_is_replaced(shop: Shop, kind: str) -> None:
    """An immutable object with other contents is deleted and made again, immutable if it was."""
    name = {"ConfigMap": "app", "Secret": "db"}[kind]
    before = shop.edit(kind, name, {"immutable": True, "metadata": {"labels": {"team": "a"}}})
    shop.take()
    delete(shop, kind, name)
    other = (config_map if kind == "ConfigMap" else secret)(name, TIMEOUT="3")
    other["metadata"]["labels"] = {"team": "b"}
    shop.apply(other | {"immutable": True})
    cluster = Cut(shop.cluster)
    assert put_back(shop, cluster=cluster).complete
    made = shop.read(kind, name)
    assert made["data"] == before["data"]
    assert made["immutable"] is True
    assert made["metadata"]["labels"] == {"team": "b"}
    assert [write.partition(" ")[0] for write in cluster.writes] == ["delete", "create"]


def test_a_secret_of_another_type_is_replaced(shop: Shop) -> None:
    """A type cannot be changed, so a Secret that was made anew with another one is replaced."""
    shop.take()
    delete(shop, "Secret", "db")
    other = secret("db", password=PASSWORD, user="web")
    shop.apply(other | {"type": "example.com/other"})
    assert put_back(shop).complete
    assert shop.read("Secret", "db")["type"] == "Opaque"


@pytest.mark.parametrize(
    "rival",
    [
        lambda shop: shop.edit("ConfigMap", "app", {"data": {"TIMEOUT": "99"}}),
        lambda shop: delete(shop, "ConfigMap", "app"),
        make_anew,
        lambda shop: shop.edit("ConfigMap", "app", {"immutable": True}),
    ],
    ids=["changed", "deleted", "made anew", "made immutable"],
)
def test_what_somebody_else_changed_is_left_alone(
    shop: Shop, rival: Callable[[Shop], object]
) -> None:
    """An object that changed since it was compared is told and not overwritten; others go on."""
    shop.take()
    shop.edit("ConfigMap", "app", {"data": {"TIMEOUT": "3"}})
    shop.edit("Secret", "db", {"data": {"user": encoded("x")}})
    comparison = compared(shop)
    rival(shop)
    before = shop.embedded.store.find("configmaps", "shop", "app")
    done = put_back(shop, comparison)
    (problem,) = done.problems
    assert (problem.kind, problem.blocks) == ("changed-meanwhile", True)
    assert not done.complete
    assert shop.embedded.store.find("configmaps", "shop", "app") == before
    assert shop.read("Secret", "db")["data"]["user"] == encoded("web")


def test_a_change_of_labels_alone_does_not_stop_it(shop: Shop) -> None:
    """A write since the comparison that left the contents alone is no rival: it is read again."""
    shop.take()
    shop.edit("ConfigMap", "app", {"data": {"TIMEOUT": "3"}})
    comparison = compared(shop)
    shop.edit("ConfigMap", "app", {"metadata": {"labels": {"x": "y"}}})
    assert put_back(shop, comparison).complete
    assert shop.read("ConfigMap", "app")["metadata"]["labels"] == {"x": "y"}
    assert_as_kept(shop)


def test_somebody_else_put_it_back(shop: Shop) -> None:
    """What is as it was by the time of the write is done, whoever did it."""
    shop.take()
    shop.edit("ConfigMap", "app", {"data": {"TIMEOUT": "3"}})
    comparison = compared(shop)
    shop.edit("ConfigMap", "app", {"data": {"TIMEOUT": "30"}})
    assert put_back(shop, comparison).complete


def test_a_dry_run_stores_nothing(shop: Shop) -> None:
    """With a dry-run cluster each write is checked by the server, and nothing is stored."""
    shop.edit("Secret", "db", {"immutable": True})
    shop.take()
    shop.edit("ConfigMap", "app", {"data": {"TIMEOUT": "3"}})
    delete(shop, "Secret", "db")
    shop.apply(secret("db", password="other") | {"immutable": True})
    before = shop.everything()
    told: list[str] = []
    done = put_back(shop, cluster=shop.cluster.dry_run(), tell=told.append)
    assert done.dry
    assert done.complete
    assert [line.partition(":")[0] for line in told] == [
        "ConfigMap app would be put back",
        "Secret db would be put back",
    ]
    assert shop.everything() == before


def test_hundred_objects(shop: Shop) -> None:
    """As many objects as are ever kept go back, one write each."""
    names = tuple(f"c-{n:02}" for n in range(100))
    shop.apply(*(config_map(name, k="old") for name in names))
    shop.release("1", maps=names)
    shop.take()
    shop.apply(*(config_map(name, k="new") for name in names))
    cluster = Cut(shop.cluster)
    assert put_back(shop, cluster=cluster).complete
    assert len(cluster.writes) == 100
    assert compared(shop).to_restore == ()


def test_the_next_snapshot_takes_the_same_copies(shop: Shop) -> None:
    """After a restore the contents are the ones that were kept: no new copies."""
    shop.take()
    shop.edit("ConfigMap", "app", {"data": {"TIMEOUT": "3"}})
    put_back(shop)
    assert shop.take().created == 0


def _wrong(shop: Shop) -> Json:
    return shop.edit("Secret", "db", {"data": {"password": encoded("wrong")}})


def test_nothing_of_a_secret_is_told(shop: Shop) -> None:
    """No line, problem or result of snapshot, diff and restore has a Secret's value."""
    told: list[str] = []
    taken = shop.take()
    _wrong(shop)
    comparison = compared(shop)
    _wrong(shop)
    done = put_back(shop, comparison, tell=told.append)
    everything = repr((taken, comparison, done, told))
    for value in (PASSWORD, encoded(PASSWORD), "wrong", encoded("wrong")):
        assert value not in everything


def test_somebody_makes_it_again_between_our_two_writes(shop: Shop) -> None:
    """A tool that makes a deleted object again before we do is not overwritten, and told."""
    shop.edit("ConfigMap", "app", {"immutable": True})
    shop.take()
    delete(shop, "ConfigMap", "app")
    wrong = config_map("app", TIMEOUT="3") | {"immutable": True}
    shop.apply(wrong)

    class Rival(Cut):
        """Another client acts right after each deletion."""

        def delete(self, path: str, **options: Any) -> None:
            super().delete(path, **options)
            shop.apply(config_map("app", TIMEOUT="99"))

    done = put_back(shop, cluster=Rival(shop.cluster))
    assert [problem.kind for problem in done.problems] == ["changed-meanwhile"]
    assert shop.read("ConfigMap", "app")["data"] == {"TIMEOUT": "99"}
