"""Who was who: pods as their series tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from deploy_guard.backtest.cast import Cast, real_cast
from deploy_guard.backtest.tracks import Grid, Track
from deploy_guard.model import Target

OLD, NEW = "6d4cf56db6", "5f9c7d8b49"
AT = 1000.0  # tick 100 of a grid of 10 s
NONE: list[float | None] = [None]


def grid(pods: Mapping[str, Sequence[float | None]]) -> Grid:
    """Return a grid from tick 90 to 119; values begin at tick 90."""
    return Grid(10.0, 90, 119, tuple(Track({"pod": n}, 90, v) for n, v in pods.items()))


def always(count: int = 30) -> list[float | None]:
    return [float(n) for n in range(count)]


def from_tick(tick: int) -> list[float | None]:
    return NONE * (tick - 90) + always(120 - tick)


def until_tick(tick: int) -> list[float | None]:
    return always(tick - 89) + NONE * (119 - tick)


def cast_of(kind: str, found: Grid, *, candidate: str = "", counter: bool = True) -> Cast:
    return real_cast(
        Target(kind, "shop", "web"),
        candidate=candidate,
        deployed_at=AT,
        grids=[found],
        counters=[found] if counter else [],
    )


ROLLOUT = {
    f"web-{OLD}-aaaaa": until_tick(104),
    f"web-{OLD}-bbbbb": until_tick(106),
    f"web-{NEW}-ccccc": from_tick(103),
    f"web-{NEW}-ddddd": from_tick(105),
}


def test_the_candidate_is_told_from_the_pods_that_came() -> None:
    """Its hash is in their names; looks have the pods as they came and went."""
    cast = cast_of("deployment", grid(ROLLOUT))
    assert cast.candidate == NEW
    counts = [
        (len(look.candidates()), len(look.controls()), look.rollout.complete)
        for look in (cast.look(AT + seconds) for seconds in (0, 30, 50, 60, 70))
    ]
    assert counts == [(0, 2, False), (1, 2, False), (2, 1, False), (2, 1, False), (2, 0, True)]


def test_new_pods_are_created_since_the_deploy_and_ready_with_their_first_sample() -> None:
    """So that all they counted counts, and their warm-up begins when they serve."""
    cast = cast_of("deployment", grid(ROLLOUT), candidate=NEW)
    for pod in cast.look(AT + 100).candidates():
        assert pod.created >= AT
        assert pod.ready
        assert pod.ready_since in (1030.0, 1050.0)


def test_old_pods_that_are_scaled_up_are_no_candidates() -> None:
    """A pod that comes after the deploy with the template of those before it is old."""
    pods = ROLLOUT | {f"web-{OLD}-eeeee": from_tick(101)}
    cast = cast_of("deployment", grid(pods))
    assert cast.candidate == NEW
    assert any(pod.name.endswith("eeeee") for pod in cast.look(AT + 15).controls())


def test_a_deploy_without_a_new_pod_has_no_candidate() -> None:
    """Nobody is called new who is not: the rollout does not complete either."""
    cast = cast_of("deployment", grid({f"web-{OLD}-aaaaa": always()}))
    look = cast.look(AT + 150)
    assert (len(look.candidates()), len(look.controls())) == (0, 1)
    assert not look.rollout.complete


def test_a_pod_whose_long_name_hides_its_revision_is_told_by_its_birth() -> None:
    """Of a name that fills the limit the hash is cut off."""
    name = "a" * 58
    target = Target("deployment", "shop", name)
    pods = {f"{name}bbbbb": until_tick(106), f"{name}ccccc": from_tick(103)}
    cast = real_cast(target, candidate=NEW, deployed_at=AT, grids=[grid(pods)], counters=[])
    look = cast.look(AT + 100)
    assert [pod.name[-5:] for pod in look.candidates()] == ["ccccc"]
    assert look.controls() == ()


def test_daemons_are_told_by_their_birth() -> None:
    """Names of a DaemonSet's pods have no hash."""
    cast = cast_of("daemonset", grid({"web-bbbbb": until_tick(103), "web-ccccc": from_tick(105)}))
    assert [pod.name for pod in cast.look(AT + 30).pods] == ["web-bbbbb"]
    look = cast.look(AT + 60)
    assert [pod.name for pod in look.candidates()] == ["web-ccccc"]
    assert look.rollout.complete


def test_a_pod_of_a_stateful_set_is_replaced_when_its_counters_fall() -> None:
    """The successor has the same name, and is younger."""
    reset = [*always(14), *always(16)]  # falls at tick 104
    cast = cast_of("statefulset", grid({"web-0": reset, "web-1": always()}))
    before, after = cast.look(AT + 20), cast.look(AT + 40)
    assert (len(before.candidates()), len(before.controls())) == (0, 2)
    assert [pod.name for pod in after.candidates()] == ["web-0"]
    assert [pod.name for pod in after.controls()] == ["web-1"]
    assert after.candidates()[0].ready_since == 1040.0


def test_a_gap_tells_a_successor_where_numbers_are_no_counters() -> None:
    """A queue's depth does not fall with its pod, but its series is away for a while."""
    gap: list[float | None] = [7.0] * 12 + NONE * 3 + [7.0] * 15
    cast = cast_of("statefulset", grid({"web-0": gap}), counter=False)
    assert len(cast.look(AT + 30).candidates()) == 0
    assert len(cast.look(AT + 50).candidates()) == 1


def test_series_that_name_no_pod_have_one_pod_standing_for_all() -> None:
    """One of each revision: the fold needs a rollout that completes."""
    found = Grid(10.0, 90, 119, (Track({}, 90, always()),))
    cast = cast_of("deployment", found)
    look = cast.look(AT)
    assert (len(look.candidates()), look.rollout.complete) == (1, True)


def test_pods_of_other_workloads_are_not_there() -> None:
    """Names that only begin alike are not the workload's."""
    pods = ROLLOUT | {"web-admin-6d4cf56db6-aaaaa": always(), "nginx-1": always()}
    names = {pod.name for pod in cast_of("deployment", grid(pods)).look(AT + 30).pods}
    assert names <= set(ROLLOUT)


def test_a_return_to_an_old_revision_is_told_from_its_new_pods() -> None:
    """Pods of the same template were there before, and gone: those that come now are new."""
    pods = {
        f"web-{OLD}-aaaaa": until_tick(94),
        f"web-{NEW}-ccccc": until_tick(104),
        f"web-{OLD}-zzzzz": from_tick(103),
    }
    cast = cast_of("deployment", grid(pods))
    assert cast.candidate == OLD
    assert [pod.name[-5:] for pod in cast.look(AT + 40).candidates()] == ["zzzzz"]


@pytest.mark.parametrize("seconds", [0, 30, 60], ids=["at once", "30 s late", "a minute late"])
def test_a_deploy_that_was_written_down_late_is_found(seconds: int) -> None:
    """Its pods had begun to come, within the five minutes before."""
    begun = 100 - seconds // 10
    pods = {f"web-{OLD}-aaaaa": until_tick(104), f"web-{NEW}-ccccc": from_tick(begun)}
    assert cast_of("deployment", grid(pods)).candidate == NEW
