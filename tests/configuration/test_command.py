"""`guard snapshot` as its users run it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from cli.conftest import GUARD, clean_environment
from cluster.scripted import kubeconfig
from configuration.shop import PASSWORD, WEB, Shop, encoded
from deploy_guard.cluster.client import MERGE_PATCH
from deploy_guard.cluster.target import workload_path
from deploy_guard.configuration.objects import path_of
from killing.proxy import SIDES, KillingProxy, Side
from killing.running import run_and_kill, run_guard


def guard(shop: Shop, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*GUARD, "snapshot", *arguments, "--kubeconfig", str(shop.folder / "kubeconfig")],
        env=clean_environment(HOME=str(shop.folder)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_says_what_was_kept(shop: Shop) -> None:
    """Each object is one line with its copy; a second time nothing is new; exit 0."""
    done = guard(shop, "deployment/web", "-n", "shop")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "kept 2 for revision 1 of deployment/web in shop (2 new)"
    assert [line.split("(")[0].strip() for line in lines[1:]] == ["ConfigMap app", "Secret db"]
    assert "(none of them new)" in guard(shop, "deployment/web").stdout


def test_what_is_not_kept_is_told_and_is_exit_1(shop: Shop) -> None:
    """A reference that does not exist is named with its reason."""
    path = path_of(WEB, "Secret", "db")
    shop.cluster.delete(path, uid=shop.read("Secret", "db")["metadata"]["uid"])
    done = guard(shop, "deployment/web")
    assert done.returncode == 1
    assert "  Secret db  not kept: it did not exist" in done.stdout.splitlines()
    assert "warning: not kept: Secret db: it did not exist" in done.stdout


def test_nothing_to_keep(shop: Shop) -> None:
    """A workload without references is told so, and that is no failure."""
    shop.release("2")
    done = guard(shop, "deployment/web")
    assert done.returncode == 0
    assert done.stdout.startswith("revision 2 of deployment/web in shop refers to no ConfigMap")


def test_as_json(shop: Shop) -> None:
    """The JSON has a version and every object; what is not kept has its reason."""
    path = path_of(WEB, "Secret", "db")
    shop.cluster.delete(path, uid=shop.read("Secret", "db")["metadata"]["uid"])
    done = guard(shop, "deployment/web", "-o", "json")
    document = json.loads(done.stdout)
    assert (document["version"], document["action"]) == (1, "taken")
    assert (document["exit_code"], done.returncode) == (1, 1)
    (revision,) = document["revisions"]
    (taken,) = revision["snapshots"]
    assert [(k["kind"], k["name"]) for k in taken["kept"]] == [("ConfigMap", "app")]
    assert [(w["name"], w["reason"]) for w in taken["not_kept"]] == [("db", "it did not exist")]
    assert document["problems"][0]["kind"] == "snapshot-incomplete"


def test_list_shows_every_revision_and_writes_nothing(shop: Shop) -> None:
    """--list has each revision, the newest first, with its snapshots or that there is none."""
    guard(shop, "deployment/web")
    shop.release("2", maps=("app",))
    before = shop.everything()
    done = guard(shop, "deployment/web", "--list")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[1] == "revision 2 (live): no snapshot"
    assert lines[2].startswith("revision 1: taken 20")
    assert lines[3].startswith("  ConfigMap app  (copy deploy-guard-app-")
    assert shop.everything() == before
    rows = json.loads(guard(shop, "deployment/web", "--list", "-o", "json").stdout)["revisions"]
    assert [(row["revision"], len(row["snapshots"])) for row in rows] == [(2, 0), (1, 1)]


def test_no_output_has_a_secrets_value(shop: Shop) -> None:
    """Neither text nor JSON nor the messages hold anything of a Secret."""
    for arguments in ([], ["-o", "json"], ["--list"], ["--list", "-o", "json"]):
        done = guard(shop, "deployment/web", *arguments)
        assert PASSWORD not in done.stdout + done.stderr
        assert encoded(PASSWORD) not in done.stdout + done.stderr


def test_a_workload_that_does_not_exist(shop: Shop) -> None:
    """It is exit 1, named with its namespace."""
    done = guard(shop, "deployment/wbe")
    assert done.returncode == 1
    assert '"wbe" in namespace "shop"' in done.stderr


def test_a_change_that_the_controller_has_not_seen_is_told(shop: Shop) -> None:
    """Without a revision of the live template there is nothing to note it on."""
    shop.cluster.patch(workload_path(WEB), {"spec": {"paused": True}}, content_type=MERGE_PATCH)
    image = {"containers": [{"name": "web", "image": "web:2"}]}
    body = {"spec": {"template": {"spec": image}}}
    kind = "application/strategic-merge-patch+json"
    shop.cluster.patch(workload_path(WEB), body, content_type=kind)
    done = guard(shop, "deployment/web")
    assert done.returncode == 1
    assert "has no revision of its template yet" in done.stderr


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_killed_process_leaves_nothing_that_the_next_does_not_finish(
    shop: Shop, tmp_path: Path, number: int, side: Side
) -> None:
    """kill -9 before or after any write: the next run has one copy of each, and says so."""
    (tmp_path / "killed").mkdir()
    with KillingProxy(shop.embedded.url) as proxy:
        config = kubeconfig(tmp_path / "killed/kubeconfig", proxy.url)
        died = run_and_kill(proxy, ["snapshot", "deployment/web"], config, number=number, side=side)
        assert proxy.killed.wait(30), died.stderr
        done = run_guard(["snapshot", "deployment/web"], config)
    assert done.returncode == 0, done.stderr
    assert len(shop.copies("ConfigMap")) == len(shop.copies("Secret")) == 1
    assert {k.copy for k in shop.index().kept} == {
        c["metadata"]["name"] for c in (*shop.copies("ConfigMap"), *shop.copies("Secret"))
    }
