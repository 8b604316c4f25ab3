"""A rollout that never was: what the series of an ordinary day are made into."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from deploy_guard.backtest.acting import HASH, begun, from_zero, ordinary_cast, played
from deploy_guard.backtest.cast import own_pods
from deploy_guard.backtest.tracks import Grid, Track
from deploy_guard.model import Target

WEB = Target("deployment", "shop", "web")
A, B, LATE = "web-6d4cf56db6-aaaaa", "web-6d4cf56db6-bbbbb", "web-6d4cf56db6-zzzzz"
DEPLOYED = 1000.0  # tick 100
Values = Sequence[float | None]


def grid(**pods: Values) -> Grid:
    """Return a grid of 10 s from tick 95 on."""
    names = {"a": A, "b": B, "late": LATE, "foreign": "nginx-1"}
    tracks = tuple(Track({"pod": names[key]}, 95, values) for key, values in pods.items())
    return Grid(10.0, 95, 110, tracks)


def act(found: Grid, *, counter: bool = True) -> dict[str, Values]:
    """Return the values from tick 95 to 110 by pod, after a rollout of 60 s at tick 100."""
    _, parts = ordinary_cast(
        WEB, deployed_at=DEPLOYED, rollout=60.0, grids=[found], own=own_pods(WEB)
    )
    result = played(found, parts, counter=counter)
    return {
        track.pod: [track.at(tick) for tick in range(95, 111)]
        for track in result.tracks
        if any(value is not None for value in track.values)
    }


NONE: list[float | None] = [None]
RISING = [float(100 + n) for n in range(16)]  # 105 at the deploy


def test_counters_end_under_the_old_name_and_go_on_from_zero_under_a_new_one() -> None:
    """The first of two pods is replaced after 30 s, the second after 60 s."""
    found = act(grid(a=RISING, b=RISING))
    new_a, new_b = sorted(set(found) - {A, B})
    assert new_a.startswith(f"web-{HASH}-")
    assert found[A] == RISING[:9] + NONE * 7
    assert found[new_a] == NONE * 8 + [float(n) for n in range(8)]
    assert found[B] == RISING[:12] + NONE * 4
    assert found[new_b] == NONE * 11 + [float(n) for n in range(5)]


def test_plain_numbers_stay_what_they_are() -> None:
    """Only the name changes."""
    values = [3.0, 4.0] * 8
    found = act(grid(a=values), counter=False)
    (new,) = set(found) - {A}
    assert found[A] == values[:12] + NONE * 4
    assert found[new] == NONE * 11 + values[11:]


def test_a_pod_that_really_came_later_is_new_from_its_beginning() -> None:
    """Its counters are its own; it has a name of the new revision."""
    born = NONE * 10 + [0.0, 2.0, 4.0, 6.0, 8.0, 9.0]
    found = act(grid(a=RISING, late=born))
    assert LATE not in found
    assert born in found.values()


def test_a_pod_that_was_gone_before_keeps_its_name() -> None:
    """It belongs to the baseline."""
    gone = [5.0, 6.0, 7.0, 7.5] + NONE * 12
    assert act(grid(a=gone, b=RISING))[A] == gone


def test_pods_of_others_play_nothing() -> None:
    """A pod of an ingress controller is the same before and after."""
    assert act(grid(foreign=RISING)) == {"nginx-1": RISING}


def test_pods_of_a_stateful_set_keep_their_name() -> None:
    """What had a past begins at zero under the same name: the fall shows the successor."""
    target = Target("statefulset", "shop", "db")
    found = Grid(10.0, 95, 110, (Track({"pod": "db-0"}, 95, RISING),))
    _, parts = ordinary_cast(
        target, deployed_at=DEPLOYED, rollout=60.0, grids=[found], own=own_pods(target)
    )
    old, new = played(found, parts, counter=True).tracks
    assert (old.pod, old.values) == ("db-0", RISING[:11])
    assert (new.pod, new.first, new.values) == ("db-0", 106, [0.0, 1.0, 2.0, 3.0, 4.0])


def test_a_restart_loses_nothing() -> None:
    """What was counted before a fall stays counted, and what follows it comes on top."""
    assert from_zero([10.0, 12.0, 3.0, 5.0], 9.0) == [1.0, 3.0, 6.0, 8.0]


def test_another_replicas_answer_is_no_restart() -> None:
    """A total that is a little lower counts nothing until the old one is passed."""
    assert from_zero([100.0, 99.0, 101.0], 90.0) == [10.0, 10.0, 11.0]


def test_a_sum_that_falls_has_lost_a_pod() -> None:
    """How much the others grew is unknown: nothing is counted then."""
    assert from_zero([100.0, 40.0, 45.0], 90.0, of_many=True) == [10.0, 10.0, 15.0]


def test_gaps_and_what_is_no_number_stay() -> None:
    """The reader decides what they mean."""
    first, gap, second, strange = from_zero([5.0, None, 7.0, math.nan], 5.0)
    assert (first, gap, second) == (0.0, None, 2.0)
    assert strange is not None
    assert math.isnan(strange)


def test_what_is_born_after_the_moment_began_at_zero() -> None:
    """A code that was never seen before counts with its first total."""
    assert from_zero([4.0, 6.0], None) == [4.0, 6.0]


def test_sums_over_new_pods_begin_with_the_deploy() -> None:
    """Before it there are none; then from zero on."""
    (track,) = begun(grid(foreign=RISING), at=DEPLOYED, counter=True).tracks
    assert track.at(99) is None
    assert [track.at(tick) for tick in (100, 101, 110)] == [0.0, 1.0, 10.0]


@pytest.mark.parametrize("kind", ["deployment", "daemonset", "statefulset"])
def test_looks_show_one_pod_after_the_other_replaced(kind: str) -> None:
    """At the end all are new, ready, and the rollout is complete."""
    names = {"deployment": (A, B), "daemonset": ("web-bcdfg", "web-hjklm")}
    first, second = names.get(kind, ("web-0", "web-1"))
    target = Target(kind, "shop", "web")
    tracks = (Track({"pod": first}, 95, RISING), Track({"pod": second}, 95, RISING))
    cast, _ = ordinary_cast(
        target,
        deployed_at=DEPLOYED,
        rollout=60.0,
        grids=[Grid(10.0, 95, 110, tracks)],
        own=own_pods(target),
    )
    seen = [cast.look(DEPLOYED + seconds) for seconds in (0, 30, 59, 60)]
    assert [len(look.candidates()) for look in seen] == [0, 1, 1, 2]
    assert [len(look.controls()) for look in seen] == [2, 1, 1, 0]
    assert [look.rollout.complete for look in seen] == [False, False, False, True]
    own = own_pods(target)
    assert all(own.fullmatch(pod.name) for look in seen for pod in look.pods)
    new = seen[-1].candidates()[0]
    assert new.created >= DEPLOYED
