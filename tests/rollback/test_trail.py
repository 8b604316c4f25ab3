"""Who ran guard, and the Events that it writes; held to recordings 14 and 15."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest

from cluster.scripted import ScriptedServer, answer, connect, kubeconfig
from cluster.wire import Wire
from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.retry import NO_RETRIES
from deploy_guard.cluster.target import collection_path
from deploy_guard.embedded.access import RoleAuthorizer, service_account
from deploy_guard.embedded.server import ApiServer
from deploy_guard.model import Target
from deploy_guard.outputs.format import stamp
from deploy_guard.rollback.trail import Reason, cluster_user, who, write_event
from embedded.recordings import Step, load
from killing.proxy import KillingProxy
from rollback.shop import WEB, Shop

AT = 1795478059.7
EVENTS = collection_path(WEB, "events")
KUBECTL = shutil.which("kubectl")
KINDS = ("Deployment", "StatefulSet", "DaemonSet")


def recorded(recording: str, name: str) -> Step:
    """Return a step of a recording by its name."""
    return next(step for step in load(recording).steps if step.name == name)


def write(shop: Shop, text: str = "errors 12% above 5%", **options: Any) -> dict[str, Any]:
    """Write an Event about `web`, expecting that it works; return it."""
    given = {"reason": "RollbackStarted", "type": "Normal", "at": AT, **options}
    assert write_event(shop.cluster, WEB, shop.deployment(), text=text, **given) is None
    found = shop.cluster.get(EVENTS)["items"]
    return next(e for e in found if e["source"].get("component") == "deploy-guard")


# --- who --------------------------------------------------------------------------------------

GITHUB = {
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "shop/checkout",
    "GITHUB_RUN_ID": "77",
}
AZURE = {
    "SYSTEM_TEAMFOUNDATIONCOLLECTIONURI": "https://dev.azure.com/shop/",
    "SYSTEM_TEAMPROJECT": "Check out",
    "BUILD_BUILDID": "12",
}
BUILDKITE = {"BUILDKITE_BUILD_URL": "https://buildkite.com/shop/b/1", "BUILDKITE_JOB_ID": "018f"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (GITHUB, "https://github.com/shop/checkout/actions/runs/77"),
        ({"CI_JOB_URL": "https://gitlab.com/s/c/-/jobs/9"}, "https://gitlab.com/s/c/-/jobs/9"),
        ({"BUILD_URL": "https://ci.example/job/x/4/"}, "https://ci.example/job/x/4/"),
        ({"CIRCLE_BUILD_URL": "https://circleci.com/x/1"}, "https://circleci.com/x/1"),
        (BUILDKITE, "https://buildkite.com/shop/b/1#018f"),
        ({"BUILDKITE_BUILD_URL": "https://b.example/1"}, "https://b.example/1"),
        (AZURE, "https://dev.azure.com/shop/Check%20out/_build/results?buildId=12"),
    ],
)
def test_a_ci_job_is_named_by_its_address(environ: dict[str, str], expected: str) -> None:
    """In a pipeline guard is its job, by the variables that the CI service sets."""
    assert who({"USER": "runner", **environ}) == expected


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"BUILD_URL": ""},
        {"BUILD_URL": "not an address"},
        {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "shop/checkout"},
    ],
)
def test_a_person_is_named_by_user_and_host(environ: dict[str, str]) -> None:
    """Without a CI job, or with half of its variables, guard is the user on this machine."""
    assert re.fullmatch(r"alice@[-\w.]+", who({"USER": "alice", **environ}))


def test_whoever_used_sudo_is_named() -> None:
    """Behind sudo it is the person, not root."""
    assert who({"USER": "root", "SUDO_USER": "alice"}).startswith("alice@")


def test_a_name_is_found_without_variables() -> None:
    """Without any variable the machine knows the user, or at least its number."""
    assert re.fullmatch(r"[^@]+@[-\w.]+", who({}))


def test_an_address_shows_no_password_and_moves_no_cursor() -> None:
    """Passwords and tokens in the address are blanked, control characters and length harmless."""
    shown = who({"BUILD_URL": "https://bob:hunter2@ci.example/1?token=s3cret\n\x1b[2J" + "x" * 999})
    assert "hunter2" not in shown
    assert "s3cret" not in shown
    assert shown.isprintable()
    assert shown.startswith("https://")
    assert len(shown) < 300


def test_the_cluster_says_who_the_credentials_are(shop: Shop, tmp_path: Path) -> None:
    """The user is what SelfSubjectReview answers, which the server is asked as recorded."""
    shop.release("1")
    account = shop.embedded.apply(
        {
            **{"apiVersion": "v1", "kind": "ServiceAccount"},
            "metadata": {"name": "ci", "namespace": "shop"},
        }
    )
    user = service_account("shop", "ci", account["metadata"]["uid"])
    store = shop.embedded.store
    with ApiServer(store, authorizer=RoleAuthorizer(store, {"token": user})) as server:
        config = kubeconfig(tmp_path / "ci", server.url, user={"token": "token"})
        with Cluster.connect(kubeconfig=str(config)) as cluster:
            assert cluster_user(cluster) == "system:serviceaccount:shop:ci"


def test_an_unknown_user_is_nobody(tmp_path: Path) -> None:
    """A server that does not say who it is, as recorded without credentials, costs nothing."""
    step = recorded("14-access-reviews", "who am I, without credentials")
    with ScriptedServer(answer(step.status, step.answer)) as server:
        (tmp_path / "s").mkdir()
        with connect(tmp_path / "s", server.url, retries=NO_RETRIES) as cluster:
            assert cluster_user(cluster) == ""
        method, path, _, body = server.requests[0]
    asked = recorded("14-access-reviews", "admin: who am I")
    assert (method, path, json.loads(body)) == (asked.method, asked.path, asked.body)


# --- events -----------------------------------------------------------------------------------


def test_an_event_has_the_recorded_form(shop: Shop, tmp_path: Path) -> None:
    """What is sent has every field of the recorded Event, and names guard as its reporter."""
    shop.release("1")
    with KillingProxy(shop.embedded.url) as proxy:
        (tmp_path / "p").mkdir()
        with connect(tmp_path / "p", proxy.url) as cluster:
            workload = shop.deployment()
            problem = write_event(
                cluster, WEB, workload, reason="RolloutHeld", text="x", type="Warning", at=AT
            )
        assert problem is None
        sent = proxy.writes[0]
    step = recorded("15-events", "core v1")
    assert sent.path.partition("?")[0] == step.path.replace("rec-15", "shop")
    assert sent.content.keys() - {"reportingComponent", "reportingInstance"} == step.body.keys()
    assert sent.content["involvedObject"].keys() == step.body["involvedObject"].keys()
    assert sent.content["involvedObject"]["uid"] == workload["metadata"]["uid"]
    assert sent.content["firstTimestamp"] == stamp(AT) == "2026-11-23T23:54:19Z"
    assert sent.content["source"] == {"component": "deploy-guard"}
    assert sent.content["reportingComponent"] == "deploy-guard"


@pytest.mark.parametrize("text", ["x" * 5000, "ü" * 1000, "x" + "ü" * 600])
def test_a_long_text_is_cut_to_1024_bytes(shop: Shop, text: str) -> None:
    """No text is longer than events.k8s.io takes, and no character is cut in two."""
    shop.release("1")
    message = write(shop, text)["message"]
    assert 1000 < len(message.encode()) <= 1024
    assert message.endswith("…")


def test_a_text_shows_no_password_and_is_one_line(shop: Shop) -> None:
    """Passwords in addresses are blanked, terminal escapes and line breaks are taken out."""
    shop.release("1")
    text = "from http://bob:hunter2@prom/api?token=s3cret\n\x1b[31mred"
    message = write(shop, text)["message"]
    assert message == "from http://***@prom/api?token=*** red"


def test_two_events_at_one_moment_are_two(shop: Shop) -> None:
    """Events of the same moment have names of their own, each with the workload's name first."""
    shop.release("1")
    write(shop)
    write(shop)
    found = [
        event["metadata"]["name"]
        for event in shop.cluster.get(EVENTS)["items"]
        if event["source"].get("component") == "deploy-guard"
    ]
    assert len(found) == 2
    assert all(re.fullmatch(r"web\.[0-9a-f]{16}", name) for name in found)


def test_a_workload_with_the_longest_name_gets_its_event(shop: Shop) -> None:
    """The Event of a workload whose name fills all 253 characters has a name that is allowed."""
    shop.release("1")
    long = Target("deployment", "shop", "w" * 252 + "b")
    problem = write_event(
        shop.cluster, long, shop.deployment(), reason="RolloutHeld", text="x", type="Normal", at=AT
    )
    assert problem is None


def test_a_dry_run_writes_no_event(shop: Shop) -> None:
    """In a dry run the Event is checked by the server and stored nowhere."""
    shop.release("1")
    dry = shop.cluster.dry_run()
    workload = shop.deployment()
    problem = write_event(dry, WEB, workload, reason="RolloutHeld", text="x", type="Normal", at=AT)
    assert problem is None
    found = shop.cluster.get(EVENTS)["items"]
    assert not [e for e in found if e["source"].get("component") == "deploy-guard"]


def test_a_missing_right_is_a_warning_that_names_it(shop: Shop, tmp_path: Path) -> None:
    """Without the right to create Events the rollback goes on, and the warning names the verb."""
    shop.release("1")
    account = shop.embedded.apply(
        {
            **{"apiVersion": "v1", "kind": "ServiceAccount"},
            "metadata": {"name": "ci", "namespace": "shop"},
        }
    )
    user = service_account("shop", "ci", account["metadata"]["uid"])
    store = shop.embedded.store
    with ApiServer(store, authorizer=RoleAuthorizer(store, {"token": user})) as server:
        config = kubeconfig(tmp_path / "ci", server.url, user={"token": "token"})
        with Cluster.connect(kubeconfig=str(config)) as cluster:
            workload = shop.deployment()
            problem = write_event(
                cluster, WEB, workload, reason="RollbackFailed", text="x", type="Warning", at=AT
            )
    assert problem is not None
    assert not problem.blocks
    assert problem.kind == "event-not-written"
    assert '"create" on "events"' in problem.help


def test_a_broken_connection_is_a_warning(shop: Shop, tmp_path: Path) -> None:
    """An Event that cannot be sent stops nothing."""
    shop.release("1")
    workload = shop.deployment()
    (tmp_path / "w").mkdir()
    with Wire(shop.embedded.url) as wire, connect(tmp_path / "w", wire.url) as cluster:
        wire.unplugged = True
        problem = write_event(
            cluster, WEB, workload, reason="RollbackFailed", text="x", type="Warning", at=AT
        )
    assert problem is not None
    assert not problem.blocks


def test_reasons_are_in_camel_case() -> None:
    """Every reason is a word as kubectl users know them."""
    assert all(re.fullmatch(r"([A-Z][a-z]+)+", reason) for reason in get_args(Reason))


def kubectl(shop: Shop, folder: Path, *words: str) -> str:
    """Run kubectl in the namespace and return what it prints."""
    assert KUBECTL is not None
    config = shop.embedded.kubeconfig_file(folder / "kubectl", namespace="shop")
    done = subprocess.run(
        [KUBECTL, *words],
        env={"PATH": os.environ["PATH"], "KUBECONFIG": str(config), "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.kubectl
@pytest.mark.skipif(KUBECTL is None, reason="kubectl is not on the PATH")
@pytest.mark.parametrize("kind", KINDS)
def test_kubectl_shows_it(shop: Shop, tmp_path: Path, kind: str) -> None:
    """`kubectl describe` and `kubectl events` of the workload show the Event and who wrote it."""
    labels = {"app": "web"}
    pod = {"containers": [{"name": "web", "image": "web:1"}]}
    workload = shop.embedded.apply(
        {
            **{"apiVersion": "apps/v1", "kind": kind},
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
                **({"serviceName": "web"} if kind == "StatefulSet" else {}),
            },
        }
    )
    target = Target(kind.lower(), "shop", "web")
    problem = write_event(
        shop.cluster,
        target,
        workload,
        reason="RollbackCompleted",
        text="back to revision 3",
        type="Normal",
        at=AT,
    )
    assert problem is None
    described = kubectl(shop, tmp_path, "describe", str(target))
    assert re.search(r"Normal +RollbackCompleted +\S+ +deploy-guard +back to revision 3", described)
    listed = kubectl(shop, tmp_path, "events", "--for", str(target))
    assert "RollbackCompleted" in listed
    assert "back to revision 3" in listed
