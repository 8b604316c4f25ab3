"""The time of a watch: the API server's, and never going back."""

from __future__ import annotations

import pytest

from deploy_guard.cluster.clock import Clock, ServerTime


class Machine:
    """A machine whose clock can be set; `ticks` only ever counts on."""

    def __init__(self) -> None:
        self.wall, self.ticks = 1_000_000.0, 50.0

    def clock(self) -> Clock:
        """Return a clock on this machine."""
        return Clock(wall=lambda: self.wall, ticks=lambda: self.ticks)

    def passes(self, seconds: float, *, set_by: float = 0.0) -> None:
        """Let time pass, and somebody set the clock."""
        self.wall += seconds + set_by
        self.ticks += seconds


def test_a_clock_that_is_set_back_counts_on() -> None:
    """An NTP step of a minute back neither repeats that minute nor makes it last longer."""
    machine = Machine()
    clock = machine.clock()
    machine.passes(5)
    assert clock() == 1_000_005
    machine.passes(1, set_by=-60)
    assert clock() == 1_000_006
    machine.passes(1)
    assert clock() == 1_000_007


def test_a_machine_that_slept_knows_that_time_has_passed() -> None:
    """Ticks stand still during a sleep; the clock does not."""
    machine = Machine()
    clock = machine.clock()
    machine.passes(1, set_by=3600)
    assert clock() == 1_003_601


@pytest.mark.parametrize("wrong", [1200.0, -120.0])
def test_a_clock_that_is_wrong_takes_over_the_servers_time(wrong: float) -> None:
    """Minutes of difference, ahead or behind, are corrected, and said."""
    machine = Machine()
    clock = machine.clock()
    assert clock.agree(1_000_000 - wrong) == wrong
    machine.passes(1)
    assert clock() == 1_000_001 - wrong
    assert clock.agree(1_000_001 - wrong) == 0


@pytest.mark.parametrize("server", [None, 1_000_001.0, 999_999.0])
def test_a_clock_that_is_right_is_left_alone(server: float | None) -> None:
    """The header has whole seconds, so a second of difference is none; nor is no header at all."""
    clock = Machine().clock()
    assert clock.agree(server) == 0
    assert clock() == 1_000_000


def test_the_servers_time_counts_on_from_its_last_answer() -> None:
    """Between two answers the time goes on; a header that is no date tells nothing."""
    machine = Machine()
    server = ServerTime(lambda: machine.ticks)
    assert server.now() is None
    server.note("Mon, 23 Nov 2026 18:00:00 GMT")
    machine.passes(10)
    assert server.now() == 1_795_456_810.5
    server.note(None)
    assert server.now() == 1_795_456_810.5
    server.note("yesterday")
    assert server.now() is None


def test_a_thread_that_is_held_up_between_both_clocks_reads_again() -> None:
    """A busy machine is no step of the clock."""
    machine = Machine()
    held_up = [0.0] * 4 + [30.0] + [0.0] * 4  # seconds that pass before each look at the ticks

    def ticks() -> float:
        machine.passes(held_up.pop(0))
        return machine.ticks

    clock = Clock(wall=lambda: machine.wall, ticks=ticks)
    assert clock() == machine.wall
    assert clock() == machine.wall == 1_000_030
