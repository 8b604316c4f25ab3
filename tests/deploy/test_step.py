"""`guard deploy` as a step of a pipeline: what runs when, which stream gets what, the record."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy_guard.embedded.access import RoleAuthorizer, service_account
from deploy_guard.embedded.manifests import toy_deployment
from deploy_guard.embedded.server import ApiServer
from deploy_guard.model import Event
from deploy_guard.record import read
from watch.shop import FIRST, SECOND, policy

from .conftest import Runner, deployer, wait_for

GUARD = [sys.executable, "-m", "deploy_guard", "deploy"]
EXAMPLES = Path(__file__).parents[2] / "examples"
SECRET = "hunter2hunter2"


def touch(folder: Path) -> tuple[list[str], Path]:
    """Return a command that leaves a trace when it is run, and the trace."""
    return ["touch", str(folder / "trace")], folder / "trace"


# --- what is refused before anything runs -----------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["deployment/web", "-p", "policy.yaml"], "command that deploys is missing"),
        (["deployment/web", "-p", "policy.yaml", "--"], "command that deploys is missing"),
        (["deployment/web", "-p", "policy.yaml", "kubectl", "apply"], "unexpected extra argument"),
        (["deployment/web", "--", "true"], "missing option '-p'"),
        (["-p", "policy.yaml", "--", "true"], "missing argument 'TARGET'"),
        (["web", "-p", "policy.yaml", "--", "true"], "target 'web' is not of the form KIND/NAME"),
        (["deployment/web", "-p", "policy.yaml", "--", "kubctl"], "'kubctl' cannot be started"),
        (["deployment/web", "-p", "policy.yaml", "--settle", "5", "--", "true"], "not a duration"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_wrong_arguments(guard: Runner, words: list[str], told: str) -> None:
    """What cannot be right is exit code 2, with what was expected."""
    guard.words(["true"], [])  # writes the policy
    done = subprocess.run(
        [*GUARD, *words],
        env=guard.environment,
        cwd=guard.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert told in done.stderr
    assert "help:" in done.stderr
    assert done.stdout == ""


def test_an_invalid_policy_runs_nothing(guard: Runner) -> None:
    """A policy with a mistake is exit code 3, and the command was not run."""
    command, trace = touch(guard.folder)
    words = guard.words(command, [])
    (guard.folder / "policy.yaml").write_text("version: 1\nsingals: []\n")
    done = subprocess.run(
        words, env=guard.environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 3
    assert not trace.exists()


def test_a_cluster_that_does_not_answer_runs_nothing(guard: Runner) -> None:
    """What cannot be watched is not deployed: exit code 1, and that is said."""
    command, trace = touch(guard.folder)
    guard.shop.embedded.close()
    done = guard(command=command)
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert "the command was not run" in done.stderr
    assert not trace.exists()


# --- the dry run ------------------------------------------------------------------------------


def test_a_dry_run_only_looks(guard: Runner) -> None:
    """A dry run that deploys would be a surprise: the command is not run, and that is said."""
    command, trace = touch(guard.folder)
    done = guard("--dry-run", "-o", "json", command=command)
    found = json.loads(done.stdout)
    assert (done.returncode, found["deploy"]["result"]) == (0, "not_run"), done.stderr
    assert found["dry_run"] is True
    assert "live before the deploy: revision 1" in done.stderr
    assert not trace.exists()


def test_a_dry_run_says_what_a_rollback_would_lack(guard: Runner) -> None:
    """An account that may only read could deploy nothing back: exit code 12, with the right."""
    role = [{"apiGroups": ["apps"], "resources": ["*"], "verbs": ["get", "list", "watch"]}]
    with restricted(guard, role):
        done = guard("--dry-run", command=["true"])
    assert done.returncode == 12, done.stderr
    assert "patch" in done.stderr
    assert "nothing could be rolled back" in " ".join(done.stdout.split())


# --- rights -----------------------------------------------------------------------------------


@contextmanager
def restricted(guard: Runner, rules: list[dict[str, Any]]) -> Iterator[Path]:
    """Give guard an account with these rights; gives the kubeconfig that may do everything."""
    store = guard.shop.embedded.store
    account = {"name": "deployer", "namespace": "shop"}
    rbac = "rbac.authorization.k8s.io"
    for manifest in (
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account},
        {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": account, "rules": rules},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": account,
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "deployer"},
            "subjects": [{"kind": "ServiceAccount", **account}],
        },
    ):
        guard.shop.embedded.apply(manifest)
    uid = store.get("serviceaccounts", "shop", "deployer")["metadata"]["uid"]
    user = service_account("shop", "deployer", uid)
    pods = guard.shop.embedded.kubelet
    with ApiServer(
        store, pod_proxy=pods, authorizer=RoleAuthorizer(store, {"token": user})
    ) as server:
        everything = guard.folder / "everything"
        everything.write_text(guard.shop.kubeconfig.read_text())
        config = server.kubeconfig(namespace="shop", token="token")
        guard.shop.kubeconfig.write_text(json.dumps(config))
        yield everything


def test_the_shipped_role_is_enough_for_guard(guard: Runner) -> None:
    """With it a bad deploy is taken back; the command has rights of its own."""
    manifests = yaml.safe_load_all((EXAMPLES / "manifests/role.yaml").read_text())
    rules = next(m["rules"] for m in manifests if m["kind"] == "Role")
    with restricted(guard, rules) as everything:
        command = deployer(f"image web {SECOND} ERROR_RATIO=0.8")
        done = guard("-o", "json", command=["env", f"KUBECONFIG={everything}", *command])
        assert done.returncode == 10, done.stderr
        assert "lacks" not in done.stderr
        idle = guard("-o", "json", command=["true"])
    assert idle.returncode == 0, idle.stderr
    assert "statefulset or daemonset" in json.loads(idle.stdout)["reason"]


# --- streams ----------------------------------------------------------------------------------


def test_output_of_the_command_goes_to_stderr(guard: Runner) -> None:
    """Stdout is guard's result alone; the command's own stdout and stderr go to stderr."""
    command = ["sh", "-c", "echo to stdout; echo to stderr >&2"]
    done = guard("-o", "json", command=command)
    assert json.loads(done.stdout)["deploy"]["output"] == ["to stdout", "to stderr"]
    assert "\nto stdout\nto stderr\n" in done.stderr


def test_a_megabyte_of_output(guard: Runner) -> None:
    """All of it arrives."""
    program = "for n in range(20000): print(f'{n:049d}')"
    done = guard(command=[sys.executable, "-c", program])
    assert done.returncode == 0
    assert f"{19999:049d}\n" in done.stderr
    assert len(done.stderr) > 1_000_000


def test_a_child_that_holds_the_output(guard: Runner) -> None:
    """A child that the command leaves in the background is not waited for."""
    began = time.monotonic()
    with guard.running("-o", "json", command=deployer("leave-child 60")) as process:
        assert process.stdout is not None
        found = json.loads(process.stdout.read())
        assert process.wait(timeout=60) == 0
    assert time.monotonic() - began < 40
    assert found["deploy"]["result"] == "unchanged"


def test_the_command_reads_the_input_of_guard(guard: Runner) -> None:
    """What is piped into guard is the command's: `kubectl apply -f -`."""
    done = subprocess.run(
        guard.words(["cat"], ["-o", "json"]),
        env=guard.environment,
        input="from the pipe\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert json.loads(done.stdout)["deploy"]["output"] == ["from the pipe"]


def test_the_command_has_the_environment_of_guard(guard: Runner) -> None:
    """Nothing is added to it, and nothing is taken away."""
    guard.extra = {"RELEASE": "42", "GUARD_SETTLE": "500ms"}
    done = guard("-o", "json", command=["env"])
    shown = set(json.loads(done.stdout)["deploy"]["output"])
    assert {"RELEASE=42", "GUARD_SETTLE=500ms"} <= shown
    assert not any(line.startswith("KUBE") and "CONFIG" not in line for line in shown)


def test_options_behind_the_dashes_are_the_commands(guard: Runner) -> None:
    """Guard takes no option from the command, not even one that it knows, nor its dashes."""
    done = guard("-o", "json", command=["echo", "-o", "yaml", "--help", "--", "-n", "x"])
    assert json.loads(done.stdout)["deploy"]["output"] == ["-o yaml --help -- -n x"]


# --- the record -------------------------------------------------------------------------------


def deploy_events(directory: Path) -> list[Event]:
    """Return what the record tells of the command."""
    entries = read(directory).entries
    return [entry for entry in entries if isinstance(entry, Event) and entry.kind == "deploy"]


def test_the_record_of_a_watched_deploy_has_the_command(guard: Runner) -> None:
    """Command line, exit code, time and last lines stand in the record, without secrets."""
    guard.extra = {"REGISTRY_PASSWORD": SECRET}
    steps = (f"image web {SECOND}", f"say logged in with {SECRET}", "say done")
    report = guard.folder / "report"
    command = [*deployer(*steps)]
    done = guard(
        "--report", str(report), "-o", "json", command=["env", "TOKEN=t0ps3cret", *command]
    )
    assert done.returncode == 0, done.stderr
    events = deploy_events(report)
    assert events[0].text.startswith("runs: env 'TOKEN=(hidden)' ")
    ended = next(event for event in events if event.data)
    assert (ended.data["exit_code"], ended.data["signal"]) == (0, "")
    assert ended.data["seconds"] > 0
    assert ended.data["output"] == ["logged in with (hidden)", "done"]
    assert json.loads((report / "outcome.json").read_text()) == json.loads(done.stdout)
    kept = "".join(file.read_text() for file in report.iterdir())
    assert SECRET not in kept
    assert "t0ps3cret" not in kept


def test_the_record_of_a_deploy_without_a_watch(guard: Runner) -> None:
    """A failed command leaves a record, too."""
    report = guard.folder / "report"
    done = guard("--report", str(report), command=["sh", "-c", "echo no rights; exit 7"])
    assert done.returncode == 1
    ended = next(event for event in deploy_events(report) if event.data)
    assert (ended.data["exit_code"], ended.data["output"]) == (7, ["no rights"])
    assert (report / "summary.txt").read_text() == done.stdout
    assert (report / "summary.md").read_text().startswith("### ❌ COMMAND FAILED")


def test_the_timeline_has_the_command_in_order(guard: Runner) -> None:
    """What the command did stands between what was found before it and what the watch saw."""
    done = guard("-o", "json", command=deployer(f"image web {SECOND}"))
    texts = [event["text"] for event in json.loads(done.stdout)["timeline"]]
    order = ["before the deploy", "runs: ", "was changed: the watch begins", "healthy: "]
    places = [next(n for n, text in enumerate(texts) if part in text) for part in order]
    assert places == sorted(places)


# --- another guard ----------------------------------------------------------------------------


def test_another_guard_on_the_target_is_told(guard: Runner) -> None:
    """Whose watch this deploy will end is said before the command; then both end in order."""
    guard.shop.release(SECOND)
    guard.shop.complete()
    long = policy(watch={"for": 60.0, "interval": 0.25, "warm_up": 0.5})
    with guard.shop.watching(long) as (_, heard, outcome):
        heard.wait_for("preflight", "watching for")
        done = guard("-o", "json", command=deployer(f"image web {FIRST}"))
        assert "still watches deployment/web" in done.stderr
        assert done.returncode == 0, done.stderr
        assert outcome().exit_code == 13


# --- with kubectl -----------------------------------------------------------------------------


@pytest.mark.kubectl
@pytest.mark.skipif(shutil.which("kubectl") is None, reason="NOT TESTED: needs kubectl")
def test_kubectl_apply_and_rollout_status(guard: Runner) -> None:
    """The usual command, which waits for the rollout, is watched from its first change on."""
    manifest = toy_deployment("web", "shop", SECOND, {"ERROR_RATIO": "0.8"})
    (guard.folder / "web.json").write_text(json.dumps(manifest))
    script = "kubectl apply -f web.json && kubectl rollout status deployment/web --timeout 60s"
    done = guard("-o", "json", command=["sh", "-c", script])
    found = json.loads(done.stdout)
    assert (done.returncode, found["action"]) == (10, "rolled_back"), done.stderr
    texts = [event["text"] for event in found["timeline"]]
    begins = next(n for n, text in enumerate(texts) if "the watch begins" in text)
    ends = next(n for n, text in enumerate(texts) if text.startswith("the command "))
    assert begins < ends
    again = guard("-o", "json", command=["sh", "-c", "kubectl get deployment web -o name"])
    assert json.loads(again.stdout)["deploy"]["output"] == ["deployment.apps/web"]


@pytest.mark.kubectl
@pytest.mark.skipif(shutil.which("kubectl") is None, reason="NOT TESTED: needs kubectl")
def test_a_rollback_that_the_command_waits_for(guard: Runner) -> None:
    """A `rollout status` that outlives the rollback ends by itself, and the verdict stays."""
    command = deployer(f"image web {SECOND} ERROR_RATIO=0.8")
    waits = "kubectl rollout status deployment/web --timeout 60s; sleep 3; exit 9"
    script = f'"$@"; {waits}'
    with guard.running("-o", "json", command=["sh", "-c", script, "deploy", *command]) as process:
        wait_for(process, "accepted by the cluster")
        stdout, stderr = process.communicate(timeout=60)
    found = json.loads(stdout)
    assert process.returncode == 10, stderr
    assert found["deploy"]["exit_code"] == 9
