"""One guard per target, over real HTTP: who may take the lease, and how it is kept."""

from __future__ import annotations

import json
import re
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from benchmarks.delay import Wire as LongWire

from cluster.lease_room import WEB, Json, Room, through, wait_until
from cluster.wire import Wire
from deploy_guard.cluster.lease import Held, Lease, Lost, read
from deploy_guard.cluster.lease_record import (
    WATCH_NOTE,
    lease_name,
)
from deploy_guard.errors import ExitCode
from killing.proxy import SIDES, KillingProxy, Side

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
    with room.acquire("a@b") as lease:
        for write in (lease.note, lease.note_soon):
            with pytest.raises(ValueError, match="at most 32768"):
                write({"phase": "x" * 33000})


def test_a_check_waits_for_the_note_that_is_on_its_way(room: Room, tmp_path: Path) -> None:
    """What was noted without waiting is in the cluster before anything that follows is written."""
    port = urlsplit(room.url).port
    assert port is not None
    with (
        LongWire(port, round_trip=0.4) as wire,
        through(wire.url, tmp_path / "w") as cluster,
        room.acquire("a@b", cluster=cluster, duration=60) as lease,
    ):
        lease.note_soon({"phase": "condemned"})
        lease.check()
        assert json.loads(room.lease()["metadata"]["annotations"][WATCH_NOTE]) == {
            "phase": "condemned"
        }


def test_a_check_fails_when_the_note_found_the_lease_lost(room: Room) -> None:
    """A guard that learns from its note that another one is at work writes nothing more."""
    with room.acquire("a@b", duration=60) as lease, room.acquire("c@d", take_over=True):
        lease.note_soon({"phase": "condemned"})
        with pytest.raises(Lost, match="took it over"):
            lease.check()


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
