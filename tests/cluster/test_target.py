from __future__ import annotations

import pytest

from deploy_guard.cluster.target import collection_path, parse_target, workload_path
from deploy_guard.errors import ExitCode, UsageError


@pytest.mark.parametrize(
    "text",
    ["deployment/web", "deploy/web", "deployments/web", "deployment.apps/web", "Deployment/web"],
)
def test_forms_of_kubectl(text: str) -> None:
    """Every form that kubectl takes for a Deployment names the same target."""
    target = parse_target(text, namespace="shop")
    assert (str(target), target.namespace) == ("deployment/web", "shop")


@pytest.mark.parametrize(
    ("text", "help"),
    [
        ("deploymnet/web", "did you mean deployment/web?"),
        ("pod/web", "expected deployment/web, deploy/web or deployment.apps/web"),
        ("web", "try deployment/web"),
        ("deployment", "try deployment/NAME"),
        ("deployment web", "try deployment/web"),
        ("deployment/", "try deployment/NAME"),
        ("", "try deployment/NAME"),
    ],
)
def test_unknown_forms_get_a_suggestion(text: str, help: str) -> None:
    """What is not a target is an error with exit code 2 that says what was probably meant."""
    with pytest.raises(UsageError) as caught:
        parse_target(text, namespace="shop")
    assert caught.value.help == help
    assert caught.value.exit_code is ExitCode.USAGE


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("statefulset/db", "statefulset/db"),
        ("sts/db", "statefulset/db"),
        ("ds/db", "daemonset/db"),
        ("daemonsets.apps/db", "daemonset/db"),
    ],
)
def test_other_workloads(text: str, known: str) -> None:
    """StatefulSets and DaemonSets are named as with kubectl."""
    assert str(parse_target(text, namespace="shop")) == known


@pytest.mark.parametrize("text", ["rollout/web", "ro/web", "rollouts.argoproj.io/web"])
def test_argo_rollouts_are_refused(text: str) -> None:
    """An Argo Rollout rolls back by itself: guard names the command that does it by hand."""
    with pytest.raises(UsageError, match="Argo Rollout") as caught:
        parse_target(text, namespace="shop")
    assert caught.value.help == "kubectl argo rollouts undo web"


@pytest.mark.parametrize("name", ["Web", "web/x", "-web", "web_1", "../secrets", "w" * 254])
def test_impossible_names_never_reach_a_path(name: str) -> None:
    """A name that no object can have is refused before a URL is made of it."""
    with pytest.raises(UsageError, match="cannot be a name"):
        parse_target(f"deployment/{name}", namespace="shop")


def test_paths() -> None:
    """Deployments and ReplicaSets live in the group apps, pods in the core group."""
    target = parse_target("deploy/web", namespace="shop")
    assert workload_path(target) == "/apis/apps/v1/namespaces/shop/deployments/web"
    assert collection_path(target, "controllerrevisions").startswith("/apis/apps/v1/")
    assert collection_path(target, "pods") == "/api/v1/namespaces/shop/pods"
