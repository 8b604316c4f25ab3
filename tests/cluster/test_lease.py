"""One guard per target, over real HTTP; the form of the requests is held to recording 11."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cluster.scripted import ScriptedServer, answer, connect, kubeconfig
from cluster.wire import Wire
from deploy_guard.cluster.client import MERGE_PATCH, Cluster
from deploy_guard.cluster.errors import Conflict, Unreachable
from deploy_guard.cluster.lease import Held, Lease, Lost, read
from deploy_guard.cluster.lease_record import (
    PROCESS_NOTE,
    WATCH_NOTE,
    lease_name,
    lease_path,
    leases_path,
    micro_time,
)
from deploy_guard.cluster.retry import NO_RETRIES
from deploy_guard.embedded.access import RoleAuthorizer, service_account
from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.manifests import toy_deployment
from deploy_guard.embedded.server import ApiServer
from deploy_guard.errors import ExitCode
from deploy_guard.model import Target
from embedded.recordings import load
from killing.proxy import SIDES, KillingProxy, Side

WEB = Target("deployment", "shop", "web")
PATH = lease_path(WEB)
MICRO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
RECORDED = {step.name: step for step in load("11-lease").steps}
HOLDER = Path(__file__).parent / "lease_holder.py"
Json = dict[str, Any]


class Room:
    """A cluster with the Deployment `web`, and clients to it."""

    def __init__(self, embedded: EmbeddedCluster, folder: Path) -> None:
        self.embedded = embedded
        self.folder = folder
        self.workload = embedded.apply(toy_deployment("web", "shop", "web:1"))
        self.url = embedded.url
        self.cluster = connect(folder, embedded.url)

    def acquire(self, holder: str, **options: Any) -> Lease:
        """Acquire the lease on `web`."""
        options = {"cluster": self.cluster, "duration": 1, **options}
        return Lease.acquire(options.pop("cluster"), WEB, self.workload, holder=holder, **options)

    def lease(self) -> Json:
        """Read the Lease."""
        return self.cluster.get(PATH)

    def touch(self, **body: Any) -> Json:
        """Change the Lease without regard to its version, as a person does."""
        return self.cluster.patch(PATH, body, content_type=MERGE_PATCH)

    def somebody(self, *, renewed: float, duration: int = 1, process: str = "") -> None:
        """Leave the Lease of another guard, renewed so many seconds from now."""
        at = micro_time(time.time() + renewed)
        notes = {WATCH_NOTE: '{"phase":"watching"}', PROCESS_NOTE: process}
        spec = {
            **{"holderIdentity": "somebody@there_12345678", "leaseDurationSeconds": duration},
            **{"acquireTime": at, "renewTime": at, "leaseTransitions": 0},
        }
        body = {
            **{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"},
            **{"metadata": {"name": lease_name(WEB), "annotations": notes}, "spec": spec},
        }
        self.cluster.create(leases_path(WEB), body)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    """Give a cluster whose Deployment nobody has locked."""
    with EmbeddedCluster(start_up=0.02, service=False) as embedded:
        room = Room(embedded, tmp_path)
        with room.cluster:
            yield room


@contextmanager
def through(url: str, folder: Path) -> Iterator[Cluster]:
    """Give a client of a proxy, which takes the first answer."""
    folder.mkdir(exist_ok=True)
    with connect(folder, url, retries=NO_RETRIES) as cluster:
        cluster.timeout = 1.0
        yield cluster


def wait_until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to hold"
        time.sleep(0.01)


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


# --- who may take it --------------------------------------------------------------------------


def test_a_second_guard_is_told_who_holds_it(room: Room) -> None:
    """While one guard works on a target another one ends with 1 and says who, since when, until
    when and what to do."""
    with room.acquire("https://ci.example/job/1", duration=60), pytest.raises(Held) as held:
        room.acquire("bob@laptop")
    error = held.value
    assert error.exit_code == ExitCode.FAILED
    assert "https://ci.example/job/1, since 20" in error.message
    assert re.search(r"take over from it; .* free at 20\S+Z", error.help)
    assert error.holding.until == pytest.approx(time.time() + 60, abs=5)


def test_the_name_of_a_holder_moves_no_cursor(room: Room) -> None:
    """What somebody else wrote as holder reaches no terminal as it is, and is not endless."""
    room.somebody(renewed=0, duration=3600)
    room.touch(spec={"holderIdentity": "\x1b[2Jroot\n" + "x" * 999})
    with pytest.raises(Held) as held:
        room.acquire("a@b")
    assert held.value.message.isprintable()
    assert len(held.value.message) < 400


def test_the_same_holder_is_not_let_in_twice(room: Room) -> None:
    """Two jobs of one CI run have one address, so the same name does not open a held lease."""
    with room.acquire("https://ci.example/job/1"), pytest.raises(Held):
        room.acquire("https://ci.example/job/1")


def test_one_of_many_gets_it(room: Room, tmp_path: Path) -> None:
    """Of guards that start at the same moment exactly one gets the lease."""
    start = threading.Barrier(6)
    won: list[Lease] = []
    refused: list[Held] = []

    def one(number: int) -> None:
        with through(room.url, tmp_path / str(number)) as cluster:
            start.wait()
            try:
                won.append(room.acquire(f"guard-{number}", cluster=cluster, duration=60))
            except Held as held:
                refused.append(held)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(refused)) == (1, 5)
    assert {held.holding.identity for held in refused} == {won[0].identity}
    won[0].release()


def test_a_released_lease_is_free_and_remembers_nothing(room: Room) -> None:
    """After a clean release the next guard gets the lease at once, and no note."""
    with room.acquire("a@b", note={"phase": "watching"}):
        pass
    with room.acquire("c@d") as lease:
        assert lease.held
        assert lease.previous is None
    assert room.lease()["spec"]["leaseTransitions"] == 1


def test_a_guard_can_wait_for_another(room: Room) -> None:
    """With `wait` a second guard gets the lease when the first one ends."""
    first = room.acquire("a@b", duration=60)
    timer = threading.Timer(0.3, first.release)
    timer.start()
    with room.acquire("c@d", wait=20) as second:
        assert second.held
    timer.join()


def test_an_expired_lease_is_taken_at_once(room: Room) -> None:
    """A lease that the server's clock calls over by a clear margin is free; its note is kept."""
    room.somebody(renewed=-60)
    with room.acquire("a@b") as lease:
        assert lease.previous is not None
        assert lease.previous.holder == "somebody@there"
        assert lease.previous.note == {"phase": "watching"}
        assert not lease.previous.taken_over


def test_a_lease_is_not_taken_within_the_margin(room: Room) -> None:
    """A lease that is over by less than the clocks may differ still belongs to its holder."""
    room.somebody(renewed=-31, duration=30)
    with pytest.raises(Held):
        room.acquire("a@b")


def test_a_time_from_the_future_is_not_believed(room: Room) -> None:
    """A holder whose clock was an hour ahead keeps the lease no longer than its duration: it is
    taken when it has not changed for so long."""
    room.somebody(renewed=3600)
    began = time.monotonic()
    with room.acquire("a@b") as lease:
        assert lease.held
    assert time.monotonic() - began >= 1


def test_a_wrong_clock_here_writes_the_servers_time(room: Room) -> None:
    """A runner whose clock is a day behind writes the time of the API server all the same."""
    with room.acquire("a@b", clock=lambda: time.time() - 86400):
        found = read(room.cluster, WEB)
    assert found is not None
    assert found.renewed_at == pytest.approx(time.time(), abs=10)


def test_it_can_be_taken_over(room: Room) -> None:
    """With `take_over` a living holder loses the lease, is told so, and writes nothing more."""
    told: list[str] = []
    first = room.acquire("a@b", note={"phase": "watching"}, on_lost=told.append)
    with room.acquire("c@d", take_over=True, duration=60) as second:
        assert second.previous is not None
        assert second.previous.taken_over
        assert second.previous.note == {"phase": "watching"}
        wait_until(lambda: told)
        assert first.lost == told[0] == "c@d took it over"
        with pytest.raises(Lost, match="c@d took it over"):
            first.check()
        assert not first.note({"phase": "late"})
        first.release()
        found = read(room.cluster, WEB)
        assert found is not None
        assert found.identity == second.identity
    assert len(told) == 1


def test_the_lease_of_a_workload_that_was_made_again_changes_its_owner(room: Room) -> None:
    """The Lease that an earlier workload of this name left is made this one's own, so that it
    does not vanish with the earlier one."""
    room.acquire("a@b").release()
    room.touch(metadata={"ownerReferences": None})
    with room.acquire("c@d"):
        owner = room.lease()["metadata"]["ownerReferences"][0]
    assert owner["uid"] == room.workload["metadata"]["uid"]


# --- how it is kept ---------------------------------------------------------------------------


def test_it_is_renewed_by_itself(room: Room) -> None:
    """A lease that is held is renewed long before it ends."""
    with room.acquire("a@b") as lease:
        first = room.lease()["spec"]["renewTime"]
        wait_until(lambda: room.lease()["spec"]["renewTime"] > first)
        lease.check()
        with pytest.raises(Held):
            room.acquire("c@d")


def test_somebody_who_only_touches_it_does_not_take_it(room: Room) -> None:
    """A label that somebody sets costs a renewal one more request, not the lease."""
    with room.acquire("a@b", duration=60) as lease:
        room.touch(metadata={"labels": {"team": "shop"}})
        assert lease.note({"phase": "watching"})
        assert room.lease()["metadata"]["labels"]["team"] == "shop"
        assert lease.lost == ""


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"spec": {"holderIdentity": ""}}, "somebody else freed it"), (None, "it was deleted")],
)
def test_what_a_person_frees_is_lost(room: Room, change: Json | None, reason: str) -> None:
    """A Lease that a person empties or deletes is lost, and its holder notices soon."""
    told = threading.Event()
    lease = room.acquire("a@b", on_lost=lambda _: told.set())
    if change is None:
        room.embedded.store.delete("leases.coordination.k8s.io", "shop", lease_name(WEB))
    else:
        room.touch(**change)
    assert told.wait(20)
    assert lease.lost == reason
    lease.release()


def test_a_note_of_a_lease_that_was_freed_by_hand_is_still_found(room: Room) -> None:
    """Only a release takes the note away: a lease that a person freed still tells its state."""
    room.somebody(renewed=0)
    room.touch(spec={"holderIdentity": ""})
    with room.acquire("a@b") as lease:
        assert lease.previous is not None
        assert lease.previous.note == {"phase": "watching"}


def test_the_note_of_a_dead_guard_outlives_the_next_one(room: Room) -> None:
    """A guard that dies before its first own note leaves the note of the dead one before it."""
    room.somebody(renewed=-60)
    room.acquire("a@b", duration=60)
    with room.acquire("c@d", take_over=True) as third:
        assert third.previous is not None
        assert third.previous.holder == "a@b"
        assert third.previous.note == {"phase": "watching"}
        assert third.note({"phase": "verifying"})
        assert json.loads(room.lease()["metadata"]["annotations"][WATCH_NOTE]) == {
            "phase": "verifying"
        }


def test_a_note_that_is_too_large_is_refused(room: Room) -> None:
    """A state that would not fit beside other annotations is an error of the caller."""
    with room.acquire("a@b") as lease, pytest.raises(ValueError, match="at most 32768"):
        lease.note({"phase": "x" * 33000})


def test_a_cut_network_does_not_end_it(room: Room, tmp_path: Path) -> None:
    """While the server cannot be reached renewals go on; until the lease may be another's, it may
    be used, then `check` refuses, and it holds again as soon as the server answers."""
    with Wire(room.url) as wire, through(wire.url, tmp_path / "w") as cluster:
        lease = room.acquire("a@b", cluster=cluster)
        lease.check()
        wire.unplugged = True
        wire.cut()
        time.sleep(1.1)  # its duration
        with pytest.raises(Lost, match="could not be renewed"):
            lease.check()
        assert not lease.note({"phase": "later"})
        assert lease.lost == ""
        wire.unplugged = False
        wait_until(lambda: WATCH_NOTE in room.lease()["metadata"]["annotations"])
        lease.check()
        lease.release()


def test_release_never_raises(room: Room, tmp_path: Path) -> None:
    """Without a connection a release gives up silently; the lease expires by itself."""
    with Wire(room.url) as wire, through(wire.url, tmp_path / "w") as cluster:
        lease = room.acquire("a@b", cluster=cluster)
        wire.unplugged = True
        wire.cut()
        lease.release()
        lease.release()
    found = read(room.cluster, WEB)
    assert found is not None
    assert found.holder == "a@b"


class Immortal:
    """A victim that stays alive: only the answer is lost."""

    def kill(self) -> None:
        """Stay alive."""

    def wait(self, timeout: float | None = None) -> int:
        """Say that it has ended."""
        return 0


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_lost_answer_does_no_harm(room: Room, tmp_path: Path, number: int, side: Side) -> None:
    """Whichever write's answer is lost, done or not, the guard finds out that the lease is its."""
    with KillingProxy(room.url) as proxy, through(proxy.url, tmp_path / "p") as cluster:
        proxy.kill_at(number, side, Immortal())
        lease = room.acquire("a@b", cluster=cluster)
        lease.note({"phase": "watching"})
        wait_until(lambda: "watching" in str(room.lease()["metadata"]["annotations"]))
        wait_until(lambda: len(proxy.writes) > number)
        lease.check()
        lease.release()
    assert read(room.cluster, WEB) is None


# --- a holder that dies -----------------------------------------------------------------------


@contextmanager
def holder(room: Room, url: str, name: str, mode: str) -> Iterator[subprocess.Popen[str]]:
    """Run a process that holds the lease."""
    config = kubeconfig(room.folder / f"holder-{mode}", url)
    process = subprocess.Popen(
        [sys.executable, str(HOLDER), str(config), name, room.workload["metadata"]["uid"], mode],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_killed_guard_loses_its_lease_by_itself(room: Room) -> None:
    """After kill -9 another guard waits for the rest of the duration and finds the last note."""
    with holder(room, room.url, "a@b", "stay") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(Held):
            room.acquire("c@d")
        process.kill()
        process.wait()
        with room.acquire("c@d", wait=30) as lease:
            assert lease.previous is not None
            assert lease.previous.note == {"phase": "rolling back"}


def test_a_rerun_on_the_same_machine_waits_for_nothing(room: Room) -> None:
    """The same holder gets the lease at once if the process that held it was here and is gone."""
    with holder(room, room.url, "a@b", "stay") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(Held):
            room.acquire("a@b")
        process.kill()
        process.wait()
        room.touch(spec={"leaseDurationSeconds": 3600})
        with room.acquire("a@b") as lease:
            assert lease.previous is not None
            assert lease.previous.note == {"phase": "rolling back"}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_killed_at_any_write_the_next_guard_gets_it(room: Room, number: int, side: Side) -> None:
    """A guard that dies before or after any of its writes hinders no rerun, whose `previous` is
    the last state that the server has."""
    with KillingProxy(room.url) as proxy:
        proxy.kill_at(number, side)
        with holder(room, proxy.url, "a@b", "once") as process:
            proxy.victim(process)
            process.communicate(timeout=60)
            assert proxy.killed.wait(20)
    with room.acquire("a@b") as lease:
        done = number - (side == "before")
        states: list[Json | None] = [None, {}, {"phase": "watching"}, {"phase": "rolling back"}]
        expected = [*states, None][done]
        assert (lease.previous.note if lease.previous else None) == expected


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
