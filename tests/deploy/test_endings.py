"""What the command did, told apart: one test for each ending, in a real process on a cluster."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from deploy_guard.embedded.manifests import toy_deployment
from watch.shop import FIRST, SECOND, THIRD, Shop

from .conftest import Runner, deployer, wait_for

BAD = "ERROR_RATIO=0.8"


def document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return the JSON on stdout, which fits what guard ended with."""
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["exit_code"] == done.returncode, done.stderr
    return found


def test_a_good_deploy(guard: Runner) -> None:
    """A command that changes the target is watched: healthy, exit code 0."""
    done = guard("-o", "json", command=deployer(f"image web {SECOND}"))
    found = document(done)
    assert (done.returncode, found["verdict"]) == (0, "healthy"), done.stderr
    assert found["deploy"]["result"] == "changed"
    assert found["deploy"]["exit_code"] == 0
    assert guard.shop.image() == SECOND


def test_a_bad_deploy(guard: Runner) -> None:
    """A regression is rolled back: exit code 10."""
    done = guard("-o", "json", command=deployer(f"image web {SECOND} {BAD}"))
    found = document(done)
    assert (done.returncode, found["action"]) == (10, "rolled_back"), done.stderr
    assert found["deploy"]["result"] == "changed"
    assert guard.shop.image() == FIRST


def test_a_bad_deploy_is_taken_back_while_the_command_waits(guard: Runner) -> None:
    """Detection does not wait for the command, and the command is waited for, not killed."""
    steps = (f"image web {SECOND} {BAD}", f"until-image web {FIRST}", "pause 1", "say not killed")
    done = guard("-o", "json", command=deployer(*steps, "exit 4"))
    found = document(done)
    assert done.returncode == 10, done.stderr
    assert found["deploy"]["result"] == "failed_after_change"
    assert found["deploy"]["exit_code"] == 4
    assert "failed with exit code 4" in found["reason"]
    assert "not killed" in done.stderr
    assert guard.shop.image() == FIRST


def test_a_healthy_verdict_waits_for_the_command(guard: Runner) -> None:
    """When the watch has ended and the command still runs, guard says that it waits for it."""
    guard.duration = "2s"
    done = guard(command=deployer(f"image web {SECOND}", "pause 6"))
    assert done.returncode == 0, done.stderr
    verdict, waits = done.stderr.index("  verdict "), done.stderr.index("guard waits for it")
    assert verdict < waits < done.stderr.index("the command ended with exit code 0")
    assert done.stdout.startswith("HEALTHY")


def test_nothing_is_deployed(guard: Runner) -> None:
    """A command that changes nothing is no deploy: exit code 0, without a watch."""
    done = guard("-o", "json", command=deployer("say done"))
    found = document(done)
    assert (done.returncode, found["deploy"]["result"]) == (0, "unchanged"), done.stderr
    assert found["verdict"] is None
    assert "nothing was deployed" in found["reason"]
    assert found["deploy"]["output"] == ["done"]
    assert "verdict" not in [event["kind"] for event in found["timeline"]]


def test_only_the_number_of_pods_and_notes_change(guard: Runner) -> None:
    """Replicas and annotations are no new template; what changed is said."""
    done = guard(command=deployer("scale web 4", "annotate web team.example/owner shop"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("NOTHING DEPLOYED")
    words = " ".join(done.stdout.split())
    assert "spec.replicas 3 → 4" in words
    assert "annotations" in words


def test_the_command_fails_and_changes_nothing(guard: Runner) -> None:
    """Exit code 1 with the command's own code in words; nothing was decided."""
    done = guard("-o", "json", command=deployer("say no rights", "exit 7"))
    found = document(done)
    assert (done.returncode, found["deploy"]["result"]) == (1, "failed"), done.stderr
    assert "failed with exit code 7" in found["reason"]
    assert "nothing was decided" in found["reason"]
    assert (found["deploy"]["exit_code"], found["deploy"]["signal"]) == (7, "")


def test_the_command_is_ended_by_a_signal(guard: Runner) -> None:
    """A command that a signal ended has failed, and the signal is named."""
    done = guard("-o", "json", command=["sh", "-c", "kill -KILL $$"])
    found = document(done)
    assert (done.returncode, found["deploy"]["result"]) == (1, "failed"), done.stderr
    assert (found["deploy"]["exit_code"], found["deploy"]["signal"]) == (None, "SIGKILL")
    assert "ended by signal SIGKILL" in found["reason"]


def test_the_command_fails_after_a_good_deploy(guard: Runner) -> None:
    """A failed command is never a success: exit code 1, though what it deployed is healthy."""
    done = guard("-o", "json", command=deployer(f"image web {SECOND}", "exit 3"))
    found = document(done)
    assert (done.returncode, found["verdict"]) == (1, "healthy"), done.stderr
    assert found["deploy"]["result"] == "failed_after_change"
    assert "although what it deployed looks healthy" in found["reason"]
    assert guard.shop.image() == SECOND


def test_the_headline_of_a_failed_command_with_a_healthy_deploy(guard: Runner) -> None:
    """The final screen says first that the command failed."""
    done = guard(command=deployer(f"image web {SECOND}", "exit 3"))
    assert done.stdout.startswith("COMMAND FAILED; HEALTHY: ")


def test_the_command_fails_after_a_bad_deploy(guard: Runner) -> None:
    """Users are exposed whatever the command says: the watch goes on and rolls back."""
    done = guard("-o", "json", command=deployer(f"image web {SECOND} {BAD}", "exit 3"))
    found = document(done)
    assert (done.returncode, found["deploy"]["result"]) == (10, "failed_after_change"), done.stderr
    assert guard.shop.image() == FIRST


def test_a_change_that_comes_after_the_command(guard: Runner) -> None:
    """Within --settle a change may come from a controller that the command has only told."""
    program = deployer("pause 1", f"image web {SECOND}")
    script = "import subprocess, sys; subprocess.Popen(sys.argv[1:], start_new_session=True)"
    done = guard("--settle", "60s", "-o", "json", command=["python3", "-c", script, *program])
    found = document(done)
    assert (done.returncode, found["verdict"]) == (0, "healthy"), done.stderr
    assert found["deploy"]["result"] == "changed"


def test_two_changes_by_one_command(guard: Runner) -> None:
    """What one command changes twice is its own: the last template is watched, not superseded."""
    steps = (f"image web {SECOND} {BAD}", "pause 0.5", f"image web {THIRD}", "pause 1")
    done = guard("-o", "json", command=deployer(*steps))
    found = document(done)
    assert (done.returncode, found["verdict"]) == (0, "healthy"), done.stderr
    assert found["candidate"]["images"] == [THIRD]
    assert guard.shop.image() == THIRD


def test_a_newer_deploy_supersedes(guard: Runner) -> None:
    """A template that comes when the command has long ended is somebody else's: exit code 13."""
    guard.duration = "60s"
    with guard.running("-o", "json", command=deployer(f"image web {SECOND}")) as process:
        wait_for(process, "the command ended with exit code 0", "complete")
        time.sleep(1.0)  # until a change is not the command's any more (--settle 500ms)
        guard.shop.release(THIRD)
        stdout, stderr = process.communicate(timeout=60)
    found = json.loads(stdout)
    assert (process.returncode, found["action"]) == (13, "superseded"), stderr
    assert found["deploy"]["result"] == "changed"
    assert guard.shop.image() == THIRD


# --- configuration ----------------------------------------------------------------------------


@pytest.fixture
def configured(guard: Runner) -> Runner:
    """The shop whose pods read a ConfigMap as environment, a Secret as files."""
    for kind, name, data in (
        ("ConfigMap", "settings", {"data": {"TIMEOUT": "5", "UNUSED": "1"}}),
        ("Secret", "keys", {"stringData": {"api": "first-value"}}),
    ):
        made = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "shop"}}
        guard.shop.embedded.apply({**made, **data})
    manifest = toy_deployment("web", "shop", FIRST)
    pod = manifest["spec"]["template"]["spec"]
    source = {"configMapKeyRef": {"name": "settings", "key": "TIMEOUT"}}
    pod["containers"][0]["env"] = [{"name": "TIMEOUT", "valueFrom": source}]
    pod["volumes"] = [{"name": "keys", "secret": {"secretName": "keys"}}]
    guard.shop.embedded.apply(manifest)
    guard.shop.complete()
    return guard


def test_only_configuration_that_is_environment_changes(configured: Runner) -> None:
    """Running pods do not see it before a restart: exit code 0, and that is said, by name."""
    done = configured("-o", "json", command=deployer("config settings TIMEOUT 50"))
    found = document(done)
    assert (done.returncode, found["deploy"]["result"]) == (0, "configuration_only"), done.stderr
    assert found["deploy"]["configuration"] == ["ConfigMap settings"]
    assert "ConfigMap settings (TIMEOUT) is read as environment" in found["reason"]
    assert "until they are restarted" in found["reason"]
    assert any("kubectl rollout restart" in step for step in found["next_steps"])


def test_only_configuration_that_is_files_changes(configured: Runner) -> None:
    """Files reach running pods by themselves; the value is never shown."""
    done = configured("-o", "json", command=deployer("secret keys api second-value"))
    found = document(done)
    assert (done.returncode, found["deploy"]["result"]) == (0, "configuration_only"), done.stderr
    assert "Secret keys (api) is read as files" in found["reason"]
    assert "second" not in found["reason"]
    assert not any("restart" in step for step in found["next_steps"])


def test_a_snapshot_is_taken_before_the_command(configured: Runner) -> None:
    """What the configuration held before the command is kept in the cluster."""
    configured(command=deployer("config settings TIMEOUT 50"))
    maps = configured.shop.embedded.store.list_all("configmaps", "shop")[0]
    kept = [m["data"]["TIMEOUT"] for m in maps if m["metadata"]["name"] != "settings"]
    assert kept == ["5"]


# --- the wrong target -------------------------------------------------------------------------


def test_something_else_is_deployed(guard: Runner) -> None:
    """Exit code 2 names what changed in place of the target."""
    guard.shop.embedded.apply(toy_deployment("worker", "shop", FIRST))
    done = guard("-o", "json", command=deployer(f"image worker {SECOND}", "create job x:1"))
    found = document(done)
    assert (done.returncode, found["deploy"]["result"]) == (2, "something_else"), done.stderr
    others = " ".join(found["deploy"]["others"])
    assert "deployment/worker (changed" in others
    assert "deployment/job (new" in others
    assert any("is TARGET right?" in step for step in found["next_steps"])


def test_something_else_may_be_deployed(guard: Runner) -> None:
    """With --others-ok a command that leaves the target alone is no mistake."""
    guard.shop.embedded.apply(toy_deployment("worker", "shop", FIRST))
    done = guard("--others-ok", "-o", "json", command=deployer(f"image worker {SECOND}"))
    found = document(done)
    assert (done.returncode, found["deploy"]["result"]) == (0, "something_else"), done.stderr


def test_a_scaled_neighbour_is_no_deploy(guard: Runner) -> None:
    """Autoscaling of another workload meanwhile is not taken for a deploy."""
    guard.shop.embedded.apply(toy_deployment("worker", "shop", FIRST))
    done = guard("-o", "json", command=deployer("scale worker 2"))
    found = document(done)
    assert (done.returncode, found["deploy"]["result"]) == (0, "unchanged"), done.stderr
    assert found["deploy"]["others"] == []


def test_a_target_that_does_not_exist(guard: Runner) -> None:
    """A target that is not there before and not there after is a wrong target: exit code 2."""
    guard.target = "deployment/wbe"
    done = guard("-o", "json", command=deployer("say done"))
    found = document(done)
    assert (done.returncode, found["deploy"]["result"]) == (2, "missing"), done.stderr


def test_a_wrong_target_while_another_is_deployed(guard: Runner) -> None:
    """A typo in the target is told with what was deployed in its place."""
    guard.target = "deployment/wbe"
    done = guard("-o", "json", "--others-ok", command=deployer(f"image web {SECOND}"))
    found = document(done)
    assert (done.returncode, found["deploy"]["result"]) == (2, "something_else"), done.stderr
    assert "deployment/web (changed" in found["deploy"]["others"][0]


def test_the_target_is_deleted(guard: Runner) -> None:
    """A command after which the target is gone: exit code 1, nothing to watch."""
    done = guard("-o", "json", command=deployer("delete web"))
    found = document(done)
    assert (done.returncode, found["deploy"]["result"]) == (1, "deleted"), done.stderr


def test_the_target_is_deleted_during_the_watch(guard: Runner) -> None:
    """A command that deploys and then deletes is told the same way."""
    steps = (f"image web {SECOND}", "pause 1", "delete web")
    done = guard("-o", "json", command=deployer(*steps))
    found = document(done)
    assert (done.returncode, found["deploy"]["result"]) == (1, "deleted"), done.stderr


def test_the_target_is_made_anew(guard: Runner) -> None:
    """A target that was deleted and made anew is watched, even with the same template."""
    done = guard("-o", "json", command=deployer("delete web", f"create web {FIRST}"))
    found = document(done)
    assert (done.returncode, found["verdict"]) == (0, "healthy"), done.stderr
    assert found["deploy"]["result"] == "changed"
    assert any("made anew" in event["text"] for event in found["timeline"])


def test_the_first_deploy_ever(shop: Shop, tmp_path: Path) -> None:
    """Before it, guard says that nothing can be rolled back to; a regression then is code 11."""
    guard = Runner(shop, tmp_path, duration="20s")
    shop.embedded.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    steps = (f"create web {FIRST} {BAD}", "say made")
    with guard.running("-o", "json", command=deployer(*steps)) as process:
        wait_for(process, "there will be nothing to roll back to", "made")
        shop.embedded.load("shop", "web", rate=60)
        stdout, stderr = process.communicate(timeout=60)
    found = json.loads(stdout)
    assert (process.returncode, found["verdict"]) == (11, "regressed"), stderr
    assert found["action"] == "refused"
    assert found["deploy"]["result"] == "changed"


def test_a_statefulset(guard: Runner) -> None:
    """The other kinds are told apart in the same way."""
    manifest = toy_deployment("db", "shop", FIRST)
    spec = {**manifest["spec"], "serviceName": "db"}
    guard.shop.embedded.apply({**manifest, "kind": "StatefulSet", "spec": spec})
    guard.target = "statefulset/db"
    guard.shop.embedded.wait_for(lambda: sets_ready(guard.shop) == 3)
    done = guard("-o", "json", command=deployer(f"image web {SECOND}"))
    assert document(done)["deploy"]["result"] == "something_else", done.stderr
    done = guard("-o", "json", command=deployer(f"set-image statefulsets db {SECOND}"))
    found = document(done)
    assert found["deploy"]["result"] == "changed", done.stderr
    assert found["candidate"]["images"] == [SECOND]


def sets_ready(shop: Shop) -> int:
    """Return how many pods of the StatefulSet are ready."""
    found = shop.embedded.store.get("statefulsets.apps", "shop", "db")
    return int((found.get("status") or {}).get("readyReplicas", 0))


def test_a_cluster_that_is_gone_when_the_command_has_ended(guard: Runner) -> None:
    """What cannot be seen is not told as unchanged: exit code 1, and the command's end is said."""
    go = guard.folder / "go"
    os.mkfifo(go)
    with guard.running(command=["sh", "-c", "echo begun; read line < go; exit 6"]) as process:
        wait_for(process, "\nbegun\n")
        guard.shop.embedded.close()
        go.write_text("now\n")
        stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 1, stderr
    assert stdout == ""
    assert "failed with exit code 6" in stderr
    assert "whether it changed deployment/web is not known" in stderr
