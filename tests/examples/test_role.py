"""The Role of the examples: enough for everything that guard does, and not one right more."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from deploy_guard.embedded.access import RoleAuthorizer, service_account
from deploy_guard.embedded.server import ApiServer

from . import commands
from .conftest import Team

TOKEN = "token-of-the-account"
MANIFESTS = list(
    yaml.safe_load_all((commands.EXAMPLES / "manifests/role.yaml").read_text()),
)
ASKED_ELSEWHERE = (  # tests/rollback: told when signals or a template need them
    "pods/proxy",
    "configmaps",
    "serviceaccounts",
    "persistentvolumeclaims",
)
RIGHTS = [
    (resource, verb)
    for manifest in MANIFESTS
    if manifest["kind"] == "Role"
    for rule in manifest["rules"]
    for resource in rule["resources"]
    for verb in rule["verbs"]
    if resource not in ASKED_ELSEWHERE
]
WATCH = "guard watch deployment/checkout -n shop -p policies/checkout.yaml"


@pytest.fixture
def restricted(team: Team) -> Iterator[Team]:
    """Give the team, whose kubeconfig is now that of the account, with a bad version deployed."""
    for manifest in MANIFESTS:
        team.cluster.apply(manifest)
    account = team.cluster.store.get("serviceaccounts", "shop", "deploy-guard")
    user = service_account("shop", "deploy-guard", account["metadata"]["uid"])
    authorizer = RoleAuthorizer(team.cluster.store, {TOKEN: user})
    with ApiServer(
        team.cluster.store, pod_proxy=team.cluster.kubelet, authorizer=authorizer
    ) as server:
        file = team.folder / "home/restricted"
        file.write_text(json.dumps(server.kubeconfig(namespace="shop", token=TOKEN)))
        team.environment["KUBECONFIG"] = str(file)
        team.prepare("2.0.0", ERROR_RATIO="0.7")
        team.deploy()
        yield team


def without(resource: str, verb: str) -> dict[str, Any]:
    """Return the Role without one right."""
    role: dict[str, Any] = copy.deepcopy(next(m for m in MANIFESTS if m["kind"] == "Role"))
    for rule in role["rules"]:
        if rule["resources"] == [resource]:
            rule["verbs"].remove(verb)
    role["rules"] = [rule for rule in role["rules"] if rule["verbs"]]
    return role


def test_the_role_is_enough_for_a_watch_with_rollback(restricted: Team) -> None:
    """With the Role alone a bad deploy is detected, rolled back, verified and remembered."""
    done = restricted.run(f"{WATCH} -o json")
    assert done.returncode == 10, done.stderr
    assert json.loads(done.stdout)["recovered"] == "recovered"
    assert "lacks the right" not in done.stderr
    assert "could not be recorded" not in done.stderr
    history = restricted.run("guard history deployment/checkout -n shop -o json")
    verdicts = {r["images"][0]: r["verdict"] for r in json.loads(history.stdout)["revisions"]}
    assert verdicts["registry.example/checkout:2.0.0"] == "regressed"


@pytest.mark.parametrize(("resource", "verb"), RIGHTS)
def test_a_missing_right_is_named(restricted: Team, resource: str, verb: str) -> None:
    """Without any one right, guard says which one is missing."""
    restricted.cluster.apply(without(resource, verb))
    done = restricted.run("guard rollback deployment/checkout -n shop -y --no-wait")
    told = done.stdout + done.stderr
    ways = (f'"{verb}" on', f"cannot {verb}")
    lines = [line for line in told.splitlines() if resource in line]
    named = [line for line in lines if any(way in line for way in ways)]
    assert named, told


def test_without_the_deployment_nothing_is_done(restricted: Team) -> None:
    """Without the right to patch, the rollback is refused before anything is sent: exit 11."""
    restricted.cluster.apply(without("deployments", "patch"))
    done = restricted.run("guard rollback deployment/checkout -n shop -y")
    assert done.returncode == 11, done.stderr
    assert restricted.image().endswith(":2.0.0")


def test_without_the_pod_proxy_there_is_no_evidence(restricted: Team) -> None:
    """Signals of the provider pods need the proxy; without it the watch is inconclusive."""
    restricted.cluster.apply(without("pods/proxy", "get"))
    done = restricted.run(WATCH)
    assert done.returncode == 12, done.stdout
    assert "unauthorized" in done.stdout + done.stderr
