"""What `take_snapshot` keeps, how, and what it says of the rest."""

from __future__ import annotations

import json
import time
from threading import Thread
from typing import Any

import pytest

from configuration.cutting import Cut
from configuration.shop import AT, PASSWORD, WEB, Shop, config_map, encoded, secret
from deploy_guard.cluster.client import MERGE_PATCH
from deploy_guard.cluster.snapshot import take
from deploy_guard.cluster.target import workload_path
from deploy_guard.cluster.templates import hash_of
from deploy_guard.cluster.workload import LAST_APPLIED
from deploy_guard.configuration import taking
from deploy_guard.configuration.copies import COPY_TYPE, original_of
from deploy_guard.configuration.index import CONFIG, SNAPSHOTS, index_of, indices
from deploy_guard.configuration.objects import BIGGEST, contents


def test_every_reference_is_kept_as_its_own_kind(shop: Shop) -> None:
    """A ConfigMap is copied into a ConfigMap, a Secret only into a Secret, contents and all."""
    taken = shop.take()
    assert taken.complete
    assert taken.created == 2
    assert [str(kept) for kept in shop.index().kept] == ["ConfigMap app", "Secret db"]
    maps, secrets = shop.copies("ConfigMap"), shop.copies("Secret")
    assert [copy["data"] for copy in maps] == [{"TIMEOUT": "30", "LEVEL": "info"}]
    assert [copy["data"] for copy in secrets] == [
        {"password": encoded(PASSWORD), "user": encoded("web")}
    ]
    assert [copy["type"] for copy in secrets] == [COPY_TYPE]
    assert PASSWORD not in json.dumps(maps)
    assert encoded(PASSWORD) not in json.dumps(maps)


def test_a_copy_is_immutable_and_goes_with_the_workload(shop: Shop) -> None:
    """Copies cannot be changed, are found by label, and are collected with the Deployment."""
    shop.take()
    uid = shop.workload()["metadata"]["uid"]
    for copy in (*shop.copies("ConfigMap"), *shop.copies("Secret")):
        metadata = copy["metadata"]
        assert copy["immutable"] is True
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "deploy-guard"
        assert metadata["labels"]["deploy-guard/workload-uid"] == uid
        (owner,) = metadata["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["uid"]) == ("Deployment", "web", uid)
        assert not owner.get("controller")
        assert not owner.get("blockOwnerDeletion")
    shop.cluster.delete(workload_path(WEB), uid=uid)
    shop.embedded.wait_for(lambda: not shop.copies("ConfigMap") + shop.copies("Secret"))
    assert shop.read("ConfigMap", "app")


def test_twice_is_once(shop: Shop) -> None:
    """The same contents again make no copy; at the same moment, no write at all."""
    shop.take()
    before = shop.everything()
    cluster = Cut(shop.cluster)
    again = shop.take(cluster)
    assert again.complete
    assert again.created == 0
    assert cluster.writes == []
    assert shop.everything() == before


def test_the_same_snapshot_later_renews_the_time(shop: Shop) -> None:
    """A snapshot that says the same is one that lasts: from the first time to the latest."""
    shop.take()
    cluster = Cut(shop.cluster)
    assert shop.take(cluster, at=AT + 60, by="bob@ws").complete
    assert len(cluster.writes) == 1
    (index,) = indices(shop.revision())
    assert (index.since, index.at, index.by) == (AT, AT + 60, "bob@ws")
    assert index_of(shop.revision(), before=AT + 30) == index
    assert index_of(shop.revision(), before=AT - 1) is None


def test_labels_of_the_source_make_no_new_copy(shop: Shop) -> None:
    """A source that was written, but not in its contents, keeps its copy."""
    shop.take()
    shop.edit("ConfigMap", "app", {"metadata": {"labels": {"team": "a"}}})
    again = shop.take()
    assert (again.created, again.complete) == (0, True)
    assert len(shop.copies("ConfigMap")) == 1


def test_names_tell_nothing_about_contents(shop: Shop) -> None:
    """Two Secrets with the same password have copies whose names have nothing in common."""
    shop.apply(secret("other", password=PASSWORD, user="web"))
    shop.release("1", secrets=("db", "other"))
    shop.take()
    one, other = (copy["metadata"]["name"].rpartition("-")[2] for copy in shop.copies("Secret"))
    assert one != other


def test_the_note_stands_on_the_live_revision(shop: Shop) -> None:
    """The note names template, time, who, and each source with uid and copy; no contents."""
    shop.take(by="ann@ws")
    revision = shop.revision()
    text = revision["metadata"]["annotations"][CONFIG]
    note = json.loads(text)
    assert note["template"] == hash_of(revision)
    (snapshot,) = note["snapshots"]
    assert (snapshot["at"], snapshot["by"]) == ("2030-03-17T17:46:40Z", "ann@ws")
    assert [k["uid"] for k in snapshot["kept"]] == [
        shop.read("ConfigMap", "app")["metadata"]["uid"],
        shop.read("Secret", "db")["metadata"]["uid"],
    ]
    assert PASSWORD not in text
    assert encoded(PASSWORD) not in text


def test_a_copied_note_is_not_believed(shop: Shop) -> None:
    """The note of one revision on another is no snapshot of that one."""
    shop.take()
    note = shop.revision()["metadata"]["annotations"][CONFIG]
    shop.release("2", maps=("app",), secrets=("db",))
    other = shop.revision()
    other["metadata"]["annotations"][CONFIG] = note
    assert indices(other) == ()


@pytest.mark.parametrize(
    "note", ["", "no JSON", "[]", '{"template":"HASH","snapshots":[{"at":"then"}]}', '"x"']
)
def test_a_note_that_is_not_ours_is_no_snapshot(shop: Shop, note: str) -> None:
    """Whatever somebody wrote there, it is read without an error."""
    revision = shop.revision()
    revision["metadata"]["annotations"][CONFIG] = note.replace("HASH", hash_of(revision))
    assert index_of(revision) is None


def test_a_note_that_undo_left_on_the_workload_goes_first(shop: Shop) -> None:
    """Else the controller would copy the old note over the new one on the ReplicaSet."""
    shop.take()
    old = shop.revision()["metadata"]["annotations"][CONFIG]
    left = {"metadata": {"annotations": {CONFIG: old}}}
    shop.cluster.patch(workload_path(WEB), left, content_type=MERGE_PATCH)
    shop.edit("ConfigMap", "app", {"data": {"TIMEOUT": "31"}})
    assert shop.take(at=AT + 60).complete
    assert CONFIG not in shop.workload()["metadata"]["annotations"]
    shop.cluster.patch(
        workload_path(WEB), {"metadata": {"labels": {"x": "y"}}}, content_type=MERGE_PATCH
    )
    shop.embedded.wait_complete("shop", "web")
    assert shop.index().at == AT + 60


def test_an_earlier_snapshot_of_a_revision_stays(shop: Shop) -> None:
    """A second snapshot of the same revision keeps the one before it, up to a few."""
    for number in range(SNAPSHOTS + 2):
        shop.edit("ConfigMap", "app", {"data": {"TIMEOUT": str(number)}})
        shop.take(at=AT + number)
    found = indices(shop.revision())
    assert [index.at - AT for index in found] == [4, 3, 2]
    before = index_of(shop.revision(), before=AT + 3.5)
    assert before is not None
    assert before.at == AT + 3


def test_a_restart_with_changed_configuration_keeps_both(shop: Shop) -> None:
    """After a deploy that is a restart, each revision has the contents that it ran with."""
    shop.take()
    first = shop.revision()["metadata"]["name"]
    shop.edit("ConfigMap", "app", {"data": {"TIMEOUT": "3"}})
    notes = {"kubectl.kubernetes.io/restartedAt": "2030-01-01T00:00:00Z"}
    body = {"spec": {"template": {"metadata": {"annotations": notes}}}}
    shop.cluster.patch(workload_path(WEB), body, content_type=MERGE_PATCH)
    shop.embedded.wait_complete("shop", "web")
    shop.take(at=AT + 60)
    revisions = {r["metadata"]["name"]: r for r in take(shop.cluster, WEB, pods=False).revisions}
    assert len(revisions) == 2
    timeouts = {}
    for name, revision in revisions.items():
        index = index_of(revision)
        assert index is not None
        copy = shop.read("ConfigMap", index.kept[0].copy)
        timeouts[name == first] = copy["data"]["TIMEOUT"]
    assert timeouts == {True: "30", False: "3"}


def test_the_source_can_be_made_again_from_its_copy(shop: Shop) -> None:
    """Labels, safe annotations, type and immutability are kept; kubectl's second copy is not."""
    manifest = secret("tls", **{"tls.key": PASSWORD, "tls.crt": "c"})
    manifest |= {"type": "kubernetes.io/tls", "immutable": True}
    notes = {LAST_APPLIED: json.dumps({"data": encoded(PASSWORD)}), "team": "a"}
    manifest["metadata"] |= {"labels": {"app": "web"}, "annotations": notes}
    shop.apply(manifest)
    shop.release("1", secrets=("tls",))
    shop.take()
    (copy,) = shop.copies("Secret")
    original = original_of(copy)
    assert original is not None
    assert original.type == "kubernetes.io/tls"
    assert original.immutable
    assert (original.labels, original.annotations) == ({"app": "web"}, {"team": "a"})
    assert "app" not in copy["metadata"]["labels"]
    assert encoded(PASSWORD) not in json.dumps(copy["metadata"])


def test_binary_data_is_kept(shop: Shop) -> None:
    """A ConfigMap's binary values come along."""
    manifest = config_map("files") | {"binaryData": {"logo": encoded("\x00\x01")}}
    shop.apply(manifest)
    shop.release("1", files=("files",))
    shop.take()
    assert [c["binaryData"] for c in shop.copies("ConfigMap")] == [{"logo": encoded("\x00\x01")}]


def test_what_is_gone_is_told_by_name(shop: Shop) -> None:
    """A reference that does not exist is a warning with its name; the others are kept."""
    secret_path = "/api/v1/namespaces/shop/secrets/db"
    shop.cluster.delete(secret_path, uid=shop.read("Secret", "db")["metadata"]["uid"])
    taken = shop.take()
    assert not taken.complete
    assert [str(kept) for kept in taken.index.kept] == ["ConfigMap app"]
    assert [p.text for p in taken.problems] == ["not kept: Secret db: it did not exist"]
    assert not any(p.blocks for p in taken.problems)


def test_an_optional_reference_that_is_gone_is_no_problem(shop: Shop) -> None:
    """What the template marks as optional, and is not there, is noted without a warning."""
    body = {"containers": [{"name": "web", "envFrom": [optional("none")]}]}
    manifest = {"spec": {"template": {"spec": body}}}
    kind = "application/strategic-merge-patch+json"
    shop.cluster.patch(workload_path(WEB), manifest, content_type=kind)
    shop.embedded.wait_complete("shop", "web")
    taken = shop.take()
    assert taken.complete
    assert taken.problems == ()
    assert "ConfigMap none" in [str(w) for w in taken.index.without]


def optional(name: str) -> dict[str, Any]:
    return {"configMapRef": {"name": name, "optional": True}}


def test_what_the_cluster_itself_writes_is_not_kept(shop: Shop) -> None:
    """The cluster's own certificate and ServiceAccount tokens are none of the configuration."""
    token = secret("token", token="t") | {"type": "kubernetes.io/service-account-token"}
    token["metadata"]["annotations"] = {"kubernetes.io/service-account.name": "default"}
    shop.apply(token, config_map("kube-root-ca.crt", ca="x"))
    shop.release("1", secrets=("token",), files=("kube-root-ca.crt",))
    taken = shop.take()
    assert taken.index.kept == ()
    assert [w.why for w in taken.index.without] == [
        "it is a token that Kubernetes makes and renews"
    ]


def test_a_source_of_the_largest_size_is_kept(shop: Shop) -> None:
    """An object as large as Kubernetes allows fits into its copy."""
    value = "x" * (BIGGEST - len("k"))
    shop.apply(config_map("large", k=value[:-10]))
    shop.release("1", files=("large",))
    taken = shop.take()
    assert taken.complete
    assert contents(shop.copies("ConfigMap")[0]).text["k"] == value[:-10]


def test_many_references_are_bounded(shop: Shop) -> None:
    """Beyond a hundred references the rest is told by name and left out."""
    names = tuple(f"c-{n:03}" for n in range(taking.MOST + 5))
    shop.apply(*(config_map(name, k=name) for name in names))
    shop.release("1", maps=names)
    taken = shop.take()
    assert len(taken.index.kept) == taking.MOST
    assert [str(w) for w in taken.index.without] == [f"ConfigMap {n}" for n in names[-5:]]
    assert len(taken.problems) == 1
    assert "only 100 are kept" in taken.problems[0].text


def test_fifty_objects_take_a_moment(shop: Shop) -> None:
    """Ten times what is usual is one request for each and a few more, several at once."""
    names = tuple(f"c-{n:02}" for n in range(50))
    shop.apply(*(config_map(name, k=name) for name in names))
    shop.release("1", maps=names)
    cluster = Cut(shop.cluster)
    began = time.monotonic()
    assert shop.take(cluster).created == 50
    assert len(cluster.writes) == 51
    assert time.monotonic() - began < 20


def test_a_dry_run_stores_nothing(shop: Shop) -> None:
    """With a dry-run cluster everything is asked and nothing is stored."""
    before = shop.everything()
    taken = shop.take(shop.cluster.dry_run())
    assert taken.dry
    assert taken.created == 2
    assert shop.everything() == before


def test_without_a_revision_the_copies_are_made_and_it_is_told(shop: Shop) -> None:
    """Before the controller made the revision, nothing can carry the note."""
    taken = taking.take_snapshot(
        shop.cluster,
        WEB,
        shop.workload(),
        None,
        template=shop.workload()["spec"]["template"],
        template_hash="",
        at=AT,
        by="ann@ws",
    )
    assert not taken.recorded
    assert taken.created == 2
    assert [p.kind for p in taken.problems] == ["snapshot-not-recorded"]


def test_a_revision_that_is_another_one_gets_no_note(shop: Shop) -> None:
    """The uid is a precondition: a ReplicaSet made anew under the same name is left alone."""
    revision = shop.revision()
    revision["metadata"]["uid"] = "another"
    taken = taking.take_snapshot(
        shop.cluster,
        WEB,
        shop.workload(),
        revision,
        template=shop.workload()["spec"]["template"],
        template_hash=hash_of(revision),
        at=AT,
        by="ann@ws",
    )
    assert not taken.recorded
    assert CONFIG not in shop.revision()["metadata"]["annotations"]


def test_a_foreign_object_with_the_name_of_a_copy_is_not_taken_for_it(shop: Shop) -> None:
    """A copy's name that somebody else uses is passed over, and that object is not touched."""
    shop.take()
    (copy,) = shop.copies("ConfigMap")
    name, uid = copy["metadata"]["name"], copy["metadata"]["uid"]
    shop.cluster.delete(f"/api/v1/namespaces/shop/configmaps/{name}", uid=uid)
    shop.apply(config_map(name, mine="yes"))
    taken = shop.take()
    assert taken.complete
    assert taken.index.kept[0].copy != name
    assert shop.read("ConfigMap", name)["data"] == {"mine": "yes"}


def test_copies_go_when_no_revision_needs_them(shop: Shop) -> None:
    """A copy that no note names is deleted once it is old; those of living revisions stay."""
    for number in range(4):
        shop.edit("ConfigMap", "app", {"data": {"TIMEOUT": str(number)}})
        shop.release(str(number), limit=1, maps=("app",), secrets=("db",))
        shop.take()
    shop.embedded.wait_for(lambda: len(take(shop.cluster, WEB, pods=False).revisions) == 2)
    assert len(shop.copies("ConfigMap")) == 4
    shop.take()
    assert len(shop.copies("ConfigMap")) == 4, "young copies stay"
    shop.take(young=-5)
    assert sorted(c["data"]["TIMEOUT"] for c in shop.copies("ConfigMap")) == ["2", "3"]
    assert len(shop.copies("Secret")) == 1


def test_only_our_own_are_cleaned_up(shop: Shop) -> None:
    """What has other labels, another owner or a second owner is never deleted."""
    shop.take()
    (copy,) = shop.copies("ConfigMap")
    foreign = config_map("theirs", mine="yes")
    foreign["metadata"]["labels"] = copy["metadata"]["labels"]
    shop.apply(foreign)
    shop.edit("ConfigMap", "app", {"data": {"TIMEOUT": "1"}})
    shop.take(young=-5)
    names = {c["metadata"]["name"] for c in shop.copies("ConfigMap")}
    assert {"theirs", copy["metadata"]["name"]} <= names


def test_all_together_are_bounded(shop: Shop) -> None:
    """Beyond 16 MiB of new copies the rest is told by name; what has a copy takes no room."""
    names = tuple(f"c-{n:02}" for n in range(17))
    shop.apply(*(config_map(name, k="x" * (BIGGEST - 1)) for name in names))
    shop.release("1", files=names)
    first = shop.take()
    assert [str(w) for w in first.index.without] == ["ConfigMap c-16"]
    assert "larger than 16 MiB" in first.problems[0].text
    assert shop.take().complete


def test_two_guards_at_once_agree(shop: Shop) -> None:
    """Two snapshots at the same moment make one copy of each, and both are complete."""
    done: list[bool] = []
    threads = [Thread(target=lambda: done.append(shop.take().complete)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [True, True]
    assert len(shop.copies("ConfigMap")) == len(shop.copies("Secret")) == 1
