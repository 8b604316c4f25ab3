"""StatefulSets and DaemonSets: the note stands on their ControllerRevisions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.scripted import connect
from configuration.shop import AT, PASSWORD, config_map, secret
from deploy_guard.cluster.client import MERGE_PATCH, Cluster
from deploy_guard.cluster.snapshot import Json, take
from deploy_guard.cluster.target import collection_path, workload_path
from deploy_guard.cluster.templates import live_revision
from deploy_guard.configuration.command import listed, snapshot
from deploy_guard.configuration.comparing import compare
from deploy_guard.configuration.index import index_of
from deploy_guard.configuration.objects import path_of
from deploy_guard.configuration.restoring import restore
from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.manifests import toy_daemon_set, toy_stateful_set
from deploy_guard.model import Target

MAKE = {"statefulset": toy_stateful_set, "daemonset": toy_daemon_set}
NAMES = {"statefulset": "StatefulSet", "daemonset": "DaemonSet"}


@pytest.fixture(params=list(MAKE))
def target(request: pytest.FixtureRequest) -> Target:
    """Give a workload of each kind that keeps its history in ControllerRevisions."""
    return Target(request.param, "shop", "db")


@pytest.fixture
def embedded(target: Target) -> Iterator[EmbeddedCluster]:
    """Give a cluster where the workload reads a ConfigMap and a Secret."""
    with EmbeddedCluster(start_up=0.02, service=False) as embedded:
        embedded.apply(config_map("app", TIMEOUT="30"))
        embedded.apply(secret("login", password=PASSWORD))
        release(embedded, target, "1")
        yield embedded


@pytest.fixture
def cluster(embedded: EmbeddedCluster, tmp_path: Path) -> Iterator[Cluster]:
    """Give a client."""
    with connect(tmp_path, embedded.url) as cluster:
        yield cluster


def release(embedded: EmbeddedCluster, target: Target, tag: str) -> None:
    manifest = MAKE[target.kind]("db", "shop", image=f"db:{tag}")
    manifest["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [
        {"configMapRef": {"name": "app"}},
        {"secretRef": {"name": "login"}},
    ]
    embedded.apply(manifest)
    embedded.wait_complete("shop", "db", kind=NAMES[target.kind])


def revision(cluster: Cluster, target: Target) -> Json:
    found = take(cluster, target, pods=False)
    live = live_revision(found.workload or {}, found.revisions)
    assert live is not None
    return live


def test_a_snapshot_and_its_restore(
    target: Target, cluster: Cluster, embedded: EmbeddedCluster
) -> None:
    """Each ControllerRevision names its own contents, and the old ones can be put back."""
    first = snapshot(cluster, target, at=AT, by="ann@ws")
    assert first.taken is not None
    assert first.taken.complete, first.taken.problems
    old = revision(cluster, target)
    body = {"data": {"TIMEOUT": "3"}}
    cluster.patch(path_of(target, "ConfigMap", "app"), body, content_type=MERGE_PATCH)
    release(embedded, target, "2")
    assert snapshot(cluster, target, at=AT + 60, by="ann@ws").exit_code == 0
    index = index_of(cluster.get(f"{revisions(target)}/{old['metadata']['name']}"))
    assert index is not None
    comparison = compare(cluster, target, index)
    assert [change.where for change in comparison.changes] == ["ConfigMap app key TIMEOUT"]
    assert restore(cluster, comparison, by="a", reason="b", at=AT).complete
    found = cluster.get(path_of(target, "ConfigMap", "app"))
    assert found["data"] == {"TIMEOUT": "30"}
    rows = listed(cluster, target).rows
    assert [(row.live, len(row.snapshots)) for row in rows] == [(True, 1), (False, 1)]


def test_data_of_a_controller_revision_is_not_touched(target: Target, cluster: Cluster) -> None:
    """The note changes annotations alone: the history of the workload stays as it was."""
    before = revision(cluster, target)
    snapshot(cluster, target, at=AT, by="ann@ws")
    after = revision(cluster, target)
    assert (after["data"], after["revision"]) == (before["data"], before["revision"])
    assert after["metadata"]["name"] == before["metadata"]["name"]


def test_the_copies_go_with_the_workload(
    target: Target, cluster: Cluster, embedded: EmbeddedCluster
) -> None:
    """When the workload is deleted, its copies are collected."""
    snapshot(cluster, target, at=AT, by="ann@ws")
    assert len(copies(embedded)) == 2
    workload = cluster.get(workload_path(target))
    cluster.delete(workload_path(target), uid=workload["metadata"]["uid"])
    embedded.wait_for(lambda: not copies(embedded))


def revisions(target: Target) -> str:
    return collection_path(target, "controllerrevisions")


def copies(embedded: EmbeddedCluster) -> list[Json]:
    found = [
        o for kind in ("configmaps", "secrets") for o in embedded.store.list_all(kind, "shop")[0]
    ]
    return [o for o in found if o["metadata"].get("labels")]
