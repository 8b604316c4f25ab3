"""Which rights snapshot, diff and restore need, and what is said where one is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from configuration.cutting import Cut
from configuration.roles import READ_WORKLOAD, account
from configuration.shop import WEB, Shop, config_map, encoded
from deploy_guard.configuration.comparing import State, compare
from deploy_guard.configuration.objects import path_of
from deploy_guard.configuration.restoring import restore
from deploy_guard.rollback.preflight.features import RESTORE, SNAPSHOTS, Feature

BOTH = "configmaps secrets"


def verbs(feature: Feature, resource: str) -> set[str]:
    return {right.verb for right in feature.rights if right.resource == resource}


def test_the_rights_that_are_documented_are_enough(shop: Shop, tmp_path: Path) -> None:
    """With exactly the rights of the features, nothing is missing, and old copies are deleted."""
    rules = [(" ".join(verbs(SNAPSHOTS, r)), "", r) for r in BOTH.split()]
    with account(shop, tmp_path / "a", [*READ_WORKLOAD, *rules]) as cluster:
        shop.edit("ConfigMap", "app", {"data": {"TIMEOUT": "1"}})
        assert shop.take(cluster).problems == ()
        shop.edit("ConfigMap", "app", {"data": {"TIMEOUT": "2"}})
        taken = shop.take(cluster, young=-5)
    assert taken.complete
    assert taken.problems == ()


def test_the_rights_of_a_restore_are_enough(shop: Shop, tmp_path: Path) -> None:
    """With exactly the rights of the feature, changed, gone and immutable objects go back."""
    shop.edit("Secret", "db", {"immutable": True})
    shop.take()
    index = shop.index()
    for kind, name in (("ConfigMap", "app"), ("Secret", "db")):
        path = path_of(WEB, kind, name)
        shop.cluster.delete(path, uid=shop.read(kind, name)["metadata"]["uid"])
    other = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "immutable": True}
    shop.apply(other | {"metadata": {"name": "db", "namespace": "shop"}})
    rules = [(" ".join(verbs(RESTORE, r)), "", r) for r in BOTH.split()]
    with account(shop, tmp_path / "a", rules) as cluster:
        done = restore(cluster, compare(cluster, WEB, index), by="ann@ws", reason="", at=1.0)
    assert done.complete
    assert compare(shop.cluster, WEB, index).to_restore == ()


def test_secrets_that_may_not_be_read_are_named_once(shop: Shop, tmp_path: Path) -> None:
    """Without rights on Secrets the ConfigMaps are kept, and one warning names the verb."""
    rules = [*READ_WORKLOAD, ("get list create delete", "", "configmaps")]
    with account(shop, tmp_path / "a", rules) as cluster:
        taken = shop.take(cluster)
    assert [str(kept) for kept in taken.index.kept] == ["ConfigMap app"]
    assert not taken.complete
    texts = [p.text for p in taken.problems]
    assert texts[0].startswith('not kept: Secret db: the account lacks "get" on "secrets"')
    assert "role-config.yaml" in taken.problems[0].help


def test_rights_on_secrets_are_asked_only_where_there_are_secrets(
    shop: Shop, tmp_path: Path
) -> None:
    """A workload without Secrets needs no rights on them, and nothing is said of them."""
    shop.release("2", maps=("app",))
    rules = [*READ_WORKLOAD, ("get list create delete", "", "configmaps")]
    with account(shop, tmp_path / "a", rules) as cluster:
        taken = shop.take(cluster)
    assert taken.complete
    assert taken.problems == ()


@pytest.mark.parametrize(
    ("missing", "kind"),
    [
        ("create", "snapshot-incomplete"),
        ("list", "snapshot-clean-up"),
        ("delete", "snapshot-clean-up"),
    ],
)
def test_a_missing_verb_is_named(shop: Shop, tmp_path: Path, missing: str, kind: str) -> None:
    """Each verb that is missing is named in a warning, and the rest is done."""
    shop.take()
    shop.edit("ConfigMap", "app", {"data": {"TIMEOUT": "1"}})
    shop.edit("Secret", "db", {"data": {"user": encoded("x")}})
    left = " ".join(verb for verb in ("get", "list", "create", "delete") if verb != missing)
    with account(shop, tmp_path / "a", [*READ_WORKLOAD, (left, "", BOTH)]) as cluster:
        if missing == "delete":
            shop.release("2", limit=0, maps=("app",), secrets=("db",))
        taken = shop.take(cluster, young=-5)
    found = [p for p in taken.problems if p.kind == kind]
    assert found
    assert all(missing in p.text for p in found)
    assert not any(p.blocks for p in taken.problems)


def test_a_note_that_may_not_be_written_is_told(shop: Shop, tmp_path: Path) -> None:
    """Without patch on ReplicaSets the copies exist, and it is said that no revision names them."""
    rules = [
        ("get list", "apps", "deployments replicasets"),
        ("get list create delete", "", BOTH),
    ]
    with account(shop, tmp_path / "a", rules) as cluster:
        taken = shop.take(cluster)
    assert not taken.recorded
    (problem,) = taken.problems
    assert problem.kind == "snapshot-not-recorded"
    assert '"patch" on "replicasets"' in problem.help


def test_a_diff_without_rights_names_the_verb(shop: Shop, tmp_path: Path) -> None:
    """What may not be read is unknown, with the verb, and the rest is compared."""
    shop.take()
    shop.edit("ConfigMap", "app", {"data": {"TIMEOUT": "1"}})
    with account(shop, tmp_path / "a", [("get", "", "configmaps")]) as cluster:
        found = compare(cluster, WEB, shop.index())
    assert [each.state for each in found.differences] == [State.CHANGED, State.UNKNOWN]
    (problem,) = found.problems
    assert '"get" on "secrets"' in problem.text


def test_what_could_not_be_made_again_is_not_deleted(shop: Shop, tmp_path: Path) -> None:
    """Before an immutable object is deleted, the server is asked whether it takes the new one."""
    shop.edit("ConfigMap", "app", {"immutable": True})
    shop.take()
    path = path_of(WEB, "ConfigMap", "app")
    shop.cluster.delete(path, uid=shop.read("ConfigMap", "app")["metadata"]["uid"])
    shop.apply(config_map("app", TIMEOUT="3") | {"immutable": True})
    index = shop.index()
    with account(shop, tmp_path / "a", [("get patch delete", "", BOTH)]) as restricted:
        cluster = Cut(restricted)
        done = restore(cluster, compare(cluster, WEB, index), by="a", reason="", at=1.0)
    (problem,) = done.problems
    assert '"create" on "configmaps"' in problem.help
    assert cluster.writes == []
    assert shop.read("ConfigMap", "app")["data"] == {"TIMEOUT": "3"}
