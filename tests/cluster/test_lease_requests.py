"""The requests about a Lease, held to recording 11, and what the server may answer."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cluster.lease_room import RECORDED, WEB, Room, through
from cluster.scripted import Handler, ScriptedServer, answer, kubeconfig
from cluster.wire import Wire
from deploy_guard.cluster.client import MERGE_PATCH, Cluster
from deploy_guard.cluster.errors import Conflict, Unreachable
from deploy_guard.cluster.lease import read
from deploy_guard.cluster.lease_claim import ATTEMPTS
from deploy_guard.cluster.lease_record import (
    WATCH_NOTE,
    lease_name,
    leases_path,
    micro_time,
)
from deploy_guard.embedded.access import RoleAuthorizer, service_account
from deploy_guard.embedded.server import ApiServer
from deploy_guard.model import Target
from killing.proxy import KillingProxy

MICRO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


# --- the form of the requests -----------------------------------------------------------------


def test_it_is_created_as_recorded(room: Room, tmp_path: Path) -> None:
    """The Lease that is created has the fields of the recording, a label, and the workload as
    owner that is no controller."""
    with KillingProxy(room.url) as proxy, through(proxy.url, tmp_path / "p") as cluster:
        room.acquire("a@b", cluster=cluster).release()
        created = proxy.writes[0]
    recorded = RECORDED["a acquires by creating"]
    assert (created.method, created.path.partition("?")[0]) == (recorded.method, leases_path(WEB))
    assert created.content["spec"].keys() == recorded.body["spec"].keys()
    assert MICRO.fullmatch(created.content["spec"]["renewTime"])
    metadata = created.content["metadata"]
    assert metadata["name"] == "deploy-guard-deployment-web"
    assert metadata["labels"] == {"app.kubernetes.io/managed-by": "deploy-guard"}
    assert metadata["ownerReferences"] == [
        {
            **{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "uid": room.workload["metadata"]["uid"],
        }
    ]


def test_it_is_renewed_and_released_as_recorded(room: Room, tmp_path: Path) -> None:
    """A renewal is the recorded merge patch with resourceVersion; the release empties the holder
    and takes guard's notes away in the same write."""
    with KillingProxy(room.url) as proxy, through(proxy.url, tmp_path / "p") as cluster:
        lease = room.acquire("a@b", cluster=cluster, duration=30, note={"phase": "watching"})
        assert lease.note({"phase": "verifying"})
        lease.release()
        _, renewed, released = (write.content for write in proxy.writes)
    recorded = RECORDED["b renews with a merge patch that carries resourceVersion"]
    assert recorded.headers["content-type"] == MERGE_PATCH
    assert renewed["spec"].keys() == recorded.body["spec"].keys()
    assert renewed["metadata"].keys() == {*recorded.body["metadata"], "annotations"}
    assert json.loads(renewed["metadata"]["annotations"][WATCH_NOTE]) == {"phase": "verifying"}
    emptied = RECORDED["a releases by emptying holderIdentity"].body["spec"]
    assert released["spec"]["holderIdentity"] == emptied["holderIdentity"] == ""
    assert released["spec"]["leaseDurationSeconds"] == emptied["leaseDurationSeconds"]
    left = room.lease()
    assert not left["metadata"].get("annotations")
    assert left["spec"]["holderIdentity"] == ""


@pytest.mark.parametrize("at", [0.0, 1795478059.0, 1795478059.000001, 1795478059.9999995])
def test_times_have_six_digits(at: float) -> None:
    """Every time has exactly six digits of fraction: each other form was refused with 400."""
    assert MICRO.fullmatch(micro_time(at))
    refused = [step for step in RECORDED.values() if step.status == 400]
    assert refused
    assert not any(MICRO.fullmatch(step.body["spec"]["renewTime"]) for step in refused)


def test_long_names_are_shortened_with_a_hash() -> None:
    """A name that would be too long keeps its beginning and gets ten digits of its own hash."""
    long = [Target("statefulset", "shop", "a" * 240 + end) for end in ("-x", "-y")]
    names = [lease_name(target) for target in long]
    assert len({*names}) == 2
    assert all(re.fullmatch(r"deploy-guard-statefulset-a+-[0-9a-f]{10}", name) for name in names)
    assert all(len(name) == 253 for name in names)
    assert len(lease_name(Target("daemonset", "shop", "a" * 230))) == 253


# --- where there is no lease ------------------------------------------------------------------


@pytest.mark.parametrize("verbs", [[], ["get"], ["get", "patch"]])
def test_a_missing_right_is_a_warning(room: Room, tmp_path: Path, verbs: list[str]) -> None:
    """Without the right to a Lease the main job goes on; the warning names the verbs."""
    kind = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": verbs}
    rbac = "rbac.authorization.k8s.io"
    named = {"metadata": {"name": "ci", "namespace": "shop"}}
    role = {"apiVersion": f"{rbac}/v1", "kind": "Role", **named, "rules": [kind] if verbs else []}
    account = room.embedded.apply({"apiVersion": "v1", "kind": "ServiceAccount", **named})
    room.embedded.apply(role)
    room.embedded.apply(
        {
            **{"apiVersion": f"{rbac}/v1", "kind": "RoleBinding", **named},
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "ci"},
            "subjects": [{"kind": "ServiceAccount", "name": "ci", "namespace": "shop"}],
        }
    )
    user = service_account("shop", "ci", account["metadata"]["uid"])
    store = room.embedded.store
    with ApiServer(store, authorizer=RoleAuthorizer(store, {"token": user})) as server:
        config = kubeconfig(tmp_path / "ci", server.url, user={"token": "token"})
        with Cluster.connect(kubeconfig=str(config)) as cluster:
            lease = room.acquire("a@b", cluster=cluster)
            assert lease.warning is not None
            assert "not locked" in lease.warning.text
            assert "get, create and patch on leases in coordination.k8s.io" in lease.warning.help
            assert not lease.held
            lease.check()
            assert not lease.note({"phase": "watching"})
            lease.release()


def test_a_cluster_without_leases_is_a_warning(room: Room, tmp_path: Path) -> None:
    """Where the API group does not exist the main job goes on."""
    with (
        ScriptedServer(answer(404, "404 page not found\n")) as server,
        through(server.url, tmp_path / "s") as cluster,
    ):
        lease = room.acquire("a@b", cluster=cluster)
    assert lease.warning is not None
    assert not lease.held


def test_a_server_that_fails_for_leases_is_a_warning(room: Room, tmp_path: Path) -> None:
    """Where the server fails each time a Lease is written, the main job goes on after a moment."""

    def behave(handler: Handler) -> None:
        answer(404 if handler.command == "GET" else 503, {"kind": "Status"})(handler)

    with ScriptedServer(behave) as server, through(server.url, tmp_path / "s") as cluster:
        lease = room.acquire("a@b", cluster=cluster)
        assert len([r for r in server.requests if r[0] == "POST"]) == ATTEMPTS
    assert lease.warning is not None
    assert not lease.held


def test_a_lease_that_others_write_again_and_again_is_an_error(room: Room, tmp_path: Path) -> None:
    """Who is refused because others write the lease at this moment does not go on unlocked."""
    step = RECORDED["the same patch again: 409"]
    room.somebody(renewed=-60)
    expired = room.lease()

    def behave(handler: Handler) -> None:
        known = handler.command == "GET"
        answer(*((200, expired) if known else (step.status, step.answer)))(handler)

    with (
        ScriptedServer(behave) as server,
        through(server.url, tmp_path / "s") as cluster,
        pytest.raises(Conflict),
    ):
        room.acquire("a@b", cluster=cluster)


def test_a_cluster_that_cannot_be_reached_is_an_error(room: Room, tmp_path: Path) -> None:
    """Where nothing can be asked nothing can be guarded either."""
    with Wire(room.url) as wire, through(wire.url, tmp_path / "w") as cluster:
        wire.unplugged = True
        with pytest.raises(Unreachable):
            room.acquire("a@b", cluster=cluster)


def test_a_dry_run_takes_no_lease(room: Room) -> None:
    """A dry run neither takes the lease nor is kept out by its holder, and does not warn."""
    with room.acquire("a@b"):
        lease = room.acquire("c@d", cluster=room.cluster.dry_run())
        assert lease.warning is None
        assert not lease.held
        lease.check()


def test_nobody_holds_what_does_not_exist(room: Room) -> None:
    """A target that was never guarded has no holder."""
    assert read(room.cluster, WEB) is None


def test_two_renewals_with_one_version_are_refused(room: Room) -> None:
    """Only resourceVersion keeps two writers apart, as recorded: the same patch again is 409."""
    recorded = RECORDED["the same patch again: 409"]
    assert recorded.status == 409
    with room.acquire("a@b", duration=60):
        version = room.lease()["metadata"]["resourceVersion"]
        body = {"metadata": {"resourceVersion": version}, "spec": {"leaseTransitions": 5}}
        room.touch(**body)
        with pytest.raises(Conflict):
            room.touch(**{**body, "spec": {"leaseTransitions": 6}})
