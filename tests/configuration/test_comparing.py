"""What `compare` says of a snapshot and what is live now."""

from __future__ import annotations

import dataclasses
import json

import pytest

from configuration.shop import PASSWORD, WEB, Shop, config_map, encoded, secret
from deploy_guard.cluster.snapshot import Json
from deploy_guard.configuration.comparing import (
    Comparison,
    Difference,
    State,
    compare,
    needs_restart,
)
from deploy_guard.configuration.index import ABSENT as NOT_THERE
from deploy_guard.configuration.index import Kept, Without
from deploy_guard.configuration.objects import Contents, path_of, sources
from deploy_guard.configuration.showing import DIFFERS, MOST_LINES, changes
from deploy_guard.masking import ABSENT, HIDDEN
from deploy_guard.model import Change

APP = Kept("ConfigMap", "app", "u", "c")


def compared(shop: Shop) -> Comparison:
    return compare(shop.cluster, WEB, shop.index())


def shown(before: str, after: str, key: str = "app.yaml") -> list[Change]:
    return list(changes(APP, Contents({key: before}, {}), Contents({key: after}, {})))


def test_nothing_changed(shop: Shop) -> None:
    """Right after the snapshot everything is unchanged and there is nothing to restore."""
    shop.take()
    found = compared(shop)
    assert [each.state for each in found.differences] == [State.UNCHANGED] * 2
    assert (found.to_restore, found.changes, found.problems) == ((), (), ())


def test_changed_new_and_removed_keys(shop: Shop) -> None:
    """Each key of a ConfigMap is told with what is live and what was kept."""
    shop.take()
    shop.edit("ConfigMap", "app", {"data": {"TIMEOUT": "3", "LEVEL": None, "NEW": "x"}})
    found = compared(shop)
    assert found.changes == (
        Change("ConfigMap app key LEVEL", ABSENT, "info"),
        Change("ConfigMap app key NEW", "x", ABSENT),
        Change("ConfigMap app key TIMEOUT", "3", "30"),
    )
    assert [each.keys for each in found.to_restore] == [("LEVEL", "NEW", "TIMEOUT")]


def test_of_a_secret_only_the_keys_are_told(shop: Shop) -> None:
    """Values of Secrets are never shown, in no form, nor how long they are."""
    shop.take()
    new = "another-password"
    shop.edit("Secret", "db", {"data": {"password": encoded(new), "user": None, "x": ""}})
    found = compared(shop)
    assert found.changes == (
        Change("Secret db key password", HIDDEN, DIFFERS),
        Change("Secret db key user", ABSENT, HIDDEN),
        Change("Secret db key x", HIDDEN, ABSENT),
    )
    for value in (PASSWORD, new, encoded(PASSWORD), encoded(new)):
        assert value not in repr(found)


def test_gone_and_made_anew(shop: Shop) -> None:
    """An object that is gone is told so; one that was made anew is known by its uid."""
    shop.take()
    for kind, name in (("ConfigMap", "app"), ("Secret", "db")):
        shop.cluster.delete(path_of(WEB, kind, name), uid=shop.read(kind, name)["metadata"]["uid"])
    shop.apply(secret("db", password=PASSWORD, user="web"))
    app, db = compared(shop).differences
    assert (app.state, app.keys) == (State.GONE, ("LEVEL", "TIMEOUT"))
    assert (db.state, db.made_anew) == (State.UNCHANGED, True)


def test_a_missing_copy_is_told_and_not_restored(shop: Shop) -> None:
    """Without its copy nothing is known of an object, and nothing is done with it."""
    shop.take()
    (copy,) = shop.copies("ConfigMap")
    path = path_of(WEB, "ConfigMap", copy["metadata"]["name"])
    shop.cluster.delete(path, uid=copy["metadata"]["uid"])
    found = compared(shop)
    assert found.differences[0].state is State.UNKNOWN
    assert found.to_restore == ()
    (problem,) = found.problems
    assert "ConfigMap app: its copy is gone" in problem.text
    assert not problem.blocks


def test_a_foreign_object_is_not_believed_to_be_a_copy(shop: Shop) -> None:
    """What has the copy's name without being one of ours restores nothing."""
    shop.take()
    index = shop.index()
    shop.apply(config_map("theirs", TIMEOUT="666"))
    forged = dataclasses.replace(
        index, kept=(dataclasses.replace(index.kept[0], copy="theirs"), index.kept[1])
    )
    found = compare(shop.cluster, WEB, forged)
    assert found.differences[0].state is State.UNKNOWN


def test_a_copy_of_another_source_is_not_believed(shop: Shop) -> None:
    """A note that names the copy of another object restores nothing."""
    shop.apply(config_map("other", TIMEOUT="666"))
    shop.release("1", maps=("app", "other"))
    shop.take()
    index = shop.index()
    one, other = index.kept
    forged = dataclasses.replace(index, kept=(dataclasses.replace(one, copy=other.copy),))
    assert compare(shop.cluster, WEB, forged).differences[0].state is State.UNKNOWN


def test_what_was_absent_then_and_is_there_now_is_told(shop: Shop) -> None:
    """A reference that did not exist at the snapshot is told, not deleted."""
    shop.take()
    late = Without("ConfigMap", "late", NOT_THERE, optional=True)
    index = dataclasses.replace(shop.index(), without=(late,))
    assert compare(shop.cluster, WEB, index).problems == ()
    shop.apply(config_map("late", a="b"))
    (problem,) = compare(shop.cluster, WEB, index).problems
    assert "ConfigMap late" in problem.text
    assert problem.kind == "configuration-new"


def test_what_was_not_kept_is_told_again(shop: Shop) -> None:
    """A reader of the diff learns which objects have no copy, and why."""
    shop.release("1", maps=("app",), secrets=("db",))
    path = path_of(WEB, "Secret", "db")
    shop.cluster.delete(path, uid=shop.read("Secret", "db")["metadata"]["uid"])
    shop.take()
    index = shop.index()
    lost = dataclasses.replace(index.without[0], why="it is larger than 1 MiB")
    found = compare(shop.cluster, WEB, dataclasses.replace(index, without=(lost,)))
    assert [p.text for p in found.problems] == [
        "no copy was kept: Secret db: it is larger than 1 MiB"
    ]


@pytest.mark.parametrize(
    ("metadata", "writer"),
    [
        (
            {"annotations": {"argocd.argoproj.io/tracking-id": "shop:/ConfigMap:shop/app"}},
            "Argo CD",
        ),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "shop"}}, "Flux"),
        ({"annotations": {"meta.helm.sh/release-name": "shop"}}, "Helm release shop"),
    ],
)
def test_who_may_bring_it_back_is_told(
    shop: Shop, metadata: dict[str, dict[str, str]], writer: str
) -> None:
    """An object that a GitOps tool or Helm writes is a warning with the tool's name."""
    shop.take()
    shop.edit("ConfigMap", "app", {"metadata": metadata, "data": {"TIMEOUT": "3"}})
    (problem,) = compared(shop).problems
    assert problem.text.startswith(f"{writer} writes ConfigMap app")


def test_the_controlling_owner_of_a_secret_is_told(shop: Shop) -> None:
    """A Secret that an operator makes, such as an ExternalSecret, may be made again by it."""
    shop.take()
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "app", "controller": True}
    owner["uid"] = shop.read("ConfigMap", "app")["metadata"]["uid"]
    body = {"metadata": {"ownerReferences": [owner]}, "data": {"user": encoded("x")}}
    shop.edit("Secret", "db", body)
    (problem,) = compared(shop).problems
    assert problem.text.startswith("ConfigMap app writes Secret db")


def test_of_a_file_only_the_lines_that_differ_are_shown() -> None:
    """A value of many lines is shown by number and content of the lines that differ."""
    before = "db:\n  host: new\n  port: 5432\nlevel: info\n"
    after = "db:\n  host: old\n  port: 5432\nlevel: info\nextra: 1\n"
    assert shown(before, after) == [
        Change("ConfigMap app key app.yaml line 2", "host: new", "host: old"),
        Change("ConfigMap app key app.yaml line 5", ABSENT, "extra: 1"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\npassword: {}\n",
        "a: 1\npassword:\n  value: {}\n",
        "a: 1\n- name: DB_PASSWORD\n  value: {}\n",
        "a: 1\n- value: {}\n  name: DB_PASSWORD\n",
        "a=1\ndb.secret={}\n",
        "a=1\ndb.secret=x\\\n  {}\n",
        '{{"a": 1,\n "token": "{}"}}\n',
        "<a>1</a>\n<password>{}</password>\n",
        "a: 1\nurl: postgres://web:{}@db/shop\n",
        "a: 1\nargs: --token={} -v\n",
        "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----\n",
        "a: 1\n# the password is {}\n",
    ],
)
def test_a_secret_in_a_file_is_hidden(text: str) -> None:
    """Passwords that stand in a ConfigMap's file are not shown, however the file writes them."""
    found = shown(text.format("hunter2"), text.format("hunter3"))
    assert found
    assert "hunter" not in repr(found)


def test_a_secret_by_the_name_of_its_key_is_hidden() -> None:
    """A value whose key names a secret is hidden, on both sides."""
    assert shown("hunter2", "hunter3", key="API_TOKEN") == [
        Change("ConfigMap app key API_TOKEN", HIDDEN, DIFFERS)
    ]


def test_a_difference_that_cannot_be_seen_is_told() -> None:
    """Values that look the same, as by a line end, are said to differ."""
    (change,) = shown("30", "30\n", key="TIMEOUT")
    assert (change.before, change.after) == ("30", "30 (differs)")


def test_long_differences_are_cut() -> None:
    """A file that differs everywhere shows its first lines and says that there are more."""
    found = shown("\n".join("a" * 400), "\n".join("b" * 400))
    assert len(found) == MOST_LINES + 1
    assert "more lines" in found[-1].after


def test_a_huge_file_is_told_by_its_size() -> None:
    """A file of many thousand lines is not compared line by line."""
    (change,) = shown("a\n" * 100_000, "b\n" * 90_000)
    assert (change.before, change.after) == ("100000 lines", "90000 lines")


def test_binary_values_are_told_by_size() -> None:
    """Binary values of a ConfigMap are told by their sizes."""
    one, other = Contents({}, {"logo": encoded("abc")}), Contents({}, {"logo": encoded("abcde")})
    assert changes(APP, one, other) == (Change("ConfigMap app key logo", "3 bytes", "5 bytes"),)


def _template(**container: object) -> Json:
    return {"spec": {"containers": [{"name": "web", **container}], "volumes": VOLUMES}}


VOLUMES = [{"name": "v", "configMap": {"name": "app"}}]
CHANGED = (Difference("ConfigMap", "app", State.CHANGED, ("TIMEOUT",)),)


@pytest.mark.parametrize(
    ("container", "needed"),
    [
        ({"envFrom": [{"configMapRef": {"name": "app"}}]}, True),
        ({"envFrom": [{"configMapRef": {"name": "other"}}]}, False),
        ({"envFrom": [{"secretRef": {"name": "app"}}]}, False),
        ({"env": [{"valueFrom": {"configMapKeyRef": {"name": "app", "key": "TIMEOUT"}}}]}, True),
        ({"env": [{"valueFrom": {"configMapKeyRef": {"name": "app", "key": "LEVEL"}}}]}, False),
        ({"volumeMounts": [{"name": "v", "mountPath": "/etc/app"}]}, False),
        ({"volumeMounts": [{"name": "v", "mountPath": "/a", "subPath": "TIMEOUT"}]}, True),
    ],
)
def test_a_restart_is_needed_only_where_pods_would_not_see_it(
    container: dict[str, object], needed: bool
) -> None:
    """Environment and subPath need a restart, and only if they read what changed; files do not."""
    assert needs_restart(_template(**container), CHANGED) is needed


def test_each_reference_counts_once() -> None:
    """What is mentioned twice is one source; pull secrets and accounts are none."""
    template = _template(envFrom=[{"configMapRef": {"name": "app", "optional": True}}])
    template["spec"] |= {"imagePullSecrets": [{"name": "pull"}], "serviceAccountName": "web"}
    assert [(s.kind, s.name, s.optional) for s in sources(template)] == [
        ("ConfigMap", "app", False)
    ]


def test_contents_never_show_themselves(shop: Shop) -> None:
    """The values that carry contents have them in no repr, so in no log and no traceback."""
    shop.take()
    shop.edit("Secret", "db", {"data": {"user": encoded("x")}})
    found = compared(shop)
    (difference,) = found.to_restore
    assert difference.wanted.binary["password"] == encoded(PASSWORD)
    assert encoded(PASSWORD) not in repr((found, difference, difference.wanted))
    assert encoded(PASSWORD) not in json.dumps([str(found), str(difference.wanted)])
