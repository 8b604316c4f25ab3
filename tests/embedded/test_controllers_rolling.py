"""The arithmetic of rollouts and of proportional scaling, with cases of Kubernetes' own tests."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_guard.embedded.controllers.rolling import (
    fenceposts,
    max_surge,
    max_unavailable,
    new_replicas,
    proportion,
)

PERCENT = st.integers(0, 100).map(lambda number: f"{number}%")
EITHER = st.one_of(st.integers(0, 20), PERCENT)


def spec(replicas: int, surge: int | str = "25%", missing: int | str = "25%") -> dict[str, Any]:
    """Return the part of a Deployment's spec that the arithmetic reads."""
    rolling = {"maxSurge": surge, "maxUnavailable": missing}
    return {
        "replicas": replicas,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling},
    }


@pytest.mark.parametrize(
    ("surge", "missing", "desired", "expected"),
    [
        ("25%", "25%", 10, (3, 2)),
        ("25%", "25%", 1, (1, 0)),
        (0, "20%", 1, (0, 1)),
        ("0%", 0, 5, (0, 1)),
        ("39%", 0, 10, (4, 0)),
        (2, 1, 0, (2, 1)),
    ],
)
def test_surge_is_rounded_up_and_unavailable_down(
    surge: int | str, missing: int | str, desired: int, expected: tuple[int, int]
) -> None:
    """Percentages round in favour of progress, and both 0 becomes one pod unavailable."""
    assert fenceposts(surge, missing, desired) == expected


@pytest.mark.parametrize(
    ("replicas", "surge", "new", "total", "expected"),
    [(1, 5, 0, 1, 1), (10, "25%", 0, 10, 3), (10, "25%", 5, 13, 5), (10, 0, 0, 10, 0)],
)
def test_the_new_replica_set_fills_the_room_that_surge_leaves(
    replicas: int, surge: int | str, new: int, total: int, expected: int
) -> None:
    """The new ReplicaSet grows up to replicas + surge pods in all, never above replicas."""
    assert new_replicas(spec(replicas, surge), new=new, total=total) == expected


def test_recreate_makes_all_pods_at_once() -> None:
    """The strategy Recreate knows no surge: all or nothing."""
    recreate = {"replicas": 7, "strategy": {"type": "Recreate"}}
    assert (max_surge(recreate), max_unavailable(recreate)) == (0, 0)
    assert new_replicas(recreate, new=0, total=0) == 7


@given(replicas=st.integers(1, 50), surge=EITHER, missing=EITHER)
def test_a_rollout_can_always_move(replicas: int, surge: int | str, missing: int | str) -> None:
    """Whatever the strategy says, a pod may be added or may be missing."""
    wanted = spec(replicas, surge, missing)
    assert max_surge(wanted) + max_unavailable(wanted) >= 1
    assert max_unavailable(wanted) <= replicas


@given(
    sizes=st.lists(st.integers(1, 30), min_size=2, max_size=4),
    replicas=st.integers(0, 60),
)
def test_proportional_shares_never_exceed_what_is_to_be_added(
    sizes: list[int], replicas: int
) -> None:
    """The shares of all ReplicaSets together stay within the change, in its direction."""
    wanted = spec(replicas)
    before = sum(sizes)
    to_add = (replicas + max_surge(wanted) if replicas else 0) - before
    added = 0
    for size in sorted(sizes, reverse=True):
        share = proportion(wanted, size=size, max_before=before, to_add=to_add, added=added)
        assert share * to_add >= 0
        added += share
    assert abs(added) <= abs(to_add)


@pytest.mark.parametrize(
    ("sizes", "replicas", "max_before", "expected"),
    [([8, 5], 15, 13, [4, 2]), ([7, 6], 20, 13, [6, 6]), ([10, 3], 5, 13, [-5, -1])],
)
def test_scaling_mid_rollout_keeps_the_proportions(
    sizes: list[int], replicas: int, max_before: int, expected: list[int]
) -> None:
    """Each ReplicaSet takes its share by its size; what is left goes to the largest one later."""
    wanted = spec(replicas)
    to_add = replicas + max_surge(wanted) - sum(sizes)
    added, shares = 0, []
    for size in sizes:
        share = proportion(wanted, size=size, max_before=max_before, to_add=to_add, added=added)
        shares.append(share)
        added += share
    assert shares == expected
