"""What a guard leaves that dies, and how the next one gets its lease: real processes, kill -9."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster.lease_room import Json, Room
from cluster.scripted import kubeconfig
from deploy_guard.cluster.lease import Held
from killing.proxy import SIDES, KillingProxy, Side

HOLDER = Path(__file__).parent / "lease_holder.py"


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
