"""guard resume as a person uses it after a runner was lost, on the embedded cluster."""

from __future__ import annotations

import json

from deploy_guard.embedded.cluster import EmbeddedCluster

from .conftest import Guard

TARGET = "deployment/checkout"
NOTE = '{"template":"abc","why":"gate","at":"2026-01-02T03:04:05Z","by":"ci@runner"}'


def leave_paused(cluster: EmbeddedCluster, *, note: bool) -> None:
    """Leave the Deployment paused, with guard's note or without."""
    found = cluster.store.get("deployments.apps", "shop", "checkout")
    manifest = {key: found[key] for key in ("apiVersion", "kind", "spec")}
    manifest["metadata"] = {"name": "checkout", "namespace": "shop"}
    manifest["spec"] = {**found["spec"], "paused": True}
    if note:
        manifest["metadata"]["annotations"] = {"deploy-guard/held": NOTE}
    cluster.apply(manifest)


def paused(cluster: EmbeddedCluster) -> bool:
    """Whether the Deployment is paused."""
    return bool(cluster.store.get("deployments.apps", "shop", "checkout")["spec"].get("paused"))


def test_it_ends_what_a_killed_guard_left(
    guard: Guard, kubeconfig: str, cluster: EmbeddedCluster
) -> None:
    """One line on stdout says what was ended; exit 0."""
    leave_paused(cluster, note=True)
    done = guard("resume", TARGET, "--kubeconfig", kubeconfig)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "deployment/checkout, which guard had paused at 2026-01-02T03:04:05Z by ci@runner (gate), "
        "is resumed\n"
    )
    assert not paused(cluster)


def test_nothing_to_do_is_no_error(guard: Guard, kubeconfig: str) -> None:
    """It says so and exits with 0."""
    done = guard("resume", TARGET, "--kubeconfig", kubeconfig)
    assert done.returncode == 0
    assert done.stdout.startswith("nothing to do: no guard has left deployment/checkout paused")


def test_a_human_s_pause_is_refused_with_the_command_that_ends_it(
    guard: Guard, kubeconfig: str, cluster: EmbeddedCluster
) -> None:
    """Exit 11, nothing changed; --force resumes it."""
    leave_paused(cluster, note=False)
    done = guard("resume", TARGET, "--kubeconfig", kubeconfig)
    assert done.returncode == 11
    assert "kubectl rollout resume deployment/checkout -n shop" in done.stderr
    assert paused(cluster)
    assert guard("resume", TARGET, "--force", "--kubeconfig", kubeconfig).returncode == 0
    assert not paused(cluster)


def test_json_and_a_dry_run(guard: Guard, kubeconfig: str, cluster: EmbeddedCluster) -> None:
    """The document says what would be done, and nothing is."""
    leave_paused(cluster, note=True)
    done = guard("resume", TARGET, "--dry-run", "-o", "json", "--kubeconfig", kubeconfig)
    document = json.loads(done.stdout)
    assert (document["action"], document["dry_run"], document["resumed"]) == (
        "would_resume",
        True,
        True,
    )
    assert document["hold"]["by"] == "ci@runner"
    assert paused(cluster)
