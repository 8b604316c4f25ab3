"""Pods of a case: replaced one by one, in trouble, back again."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_guard.policy_tests.world import CANDIDATE, PodFault, World

WHAT = st.sampled_from(["CrashLoopBackOff", "unready", "unschedulable", "restart", "OOMKilled"])
SPANS = st.tuples(st.floats(0, 500), st.floats(1, 300))
FAULTS = st.builds(
    lambda what, span, pods, new: PodFault(what, span[0], sum(span), pods, new, not new),
    WHAT,
    SPANS,
    st.integers(1, 5),
    st.booleans(),
)


def test_pods_are_replaced_one_after_the_other() -> None:
    """After a quarter of the rollout one of four pods is new and ready, and an old one is gone."""
    world = World(4, 40.0, 600.0)
    counts = [(len(world.look(t).candidates()), len(world.look(t).controls())) for t in (0, 9, 10)]
    assert counts == [(1, 4), (1, 4), (2, 3)]
    assert [look.rollout.complete for _, look in world.looks] == [False] * 4 + [True]
    assert world.changes[-1] == 40.0


def test_a_rollout_of_no_time_has_no_old_pod() -> None:
    """With a rollout of 0 s all pods are new and ready at the deploy."""
    look = World(3, 0.0, 600.0).look(0.0)
    assert look.rollout.complete and not look.controls() and len(look.candidates()) == 3


def test_a_pod_in_trouble_stops_the_rollout_until_it_is_well() -> None:
    """The rollout goes on when the trouble is over."""
    world = World(4, 40.0, 600.0, (PodFault("unready", 5.0, 100.0, 4, True, False),))
    assert (world.look(90.0).rollout.updated, world.look(90.0).rollout.old) == (1, 4)
    assert not world.look(129.0).rollout.complete and world.look(130.0).rollout.complete


def test_a_crash_loop_starts_the_container_again_and_again() -> None:
    """Restarts come as the kubelet's back-off has them: after 10, 20, 40 s more."""
    world = World(1, 0.0, 600.0, (PodFault("CrashLoopBackOff", 60.0, 200.0, 1, True, False),))

    def container(moment: float) -> tuple[str, int, bool]:
        found = world.look(moment).pods[0].containers[0]
        return found.waiting, found.restarts, found.ready

    assert container(59.0) == ("", 0, True)
    assert [container(60.0 + wait)[1] for wait in (0, 10, 30, 70)] == [1, 2, 3, 4]
    assert container(100.0)[0] == "CrashLoopBackOff"
    assert container(200.0) == ("", 4, True)


@pytest.mark.parametrize("what", ["ImagePullBackOff", "CreateContainerConfigError"])
def test_a_container_that_never_started_has_no_restart(what: str) -> None:
    """What keeps a container from starting is no restart, and its pod is pending."""
    world = World(2, 20.0, 600.0, (PodFault(what, 0.0, math.inf, 2, True, False),))
    pod = world.look(60.0).candidates()[0]
    container = pod.containers[0]
    assert (pod.phase, container.waiting, container.restarts) == ("Pending", what, 0)


def test_a_pod_without_a_node_has_no_container() -> None:
    """The scheduler's message stands at the pod."""
    world = World(2, 20.0, 600.0, (PodFault("unschedulable", 0.0, math.inf, 1, True, False),))
    pod = world.look(60.0).candidates()[0]
    assert pod.unschedulable and pod.containers == () and pod.phase == "Pending"


@given(st.integers(1, 5), st.floats(0, 300), st.lists(FAULTS, max_size=3))
def test_a_world_is_consistent(pods: int, rollout: float, faults: list[PodFault]) -> None:
    """Counts fit the pods, who serves is ready, and never are more pods than the rollout has."""
    world = World(pods, rollout, 600.0, tuple(faults))
    serving = dict(world.serving)
    for moment, look in world.looks:
        assert look.rollout.updated == len(look.candidates())
        assert look.rollout.old == len(look.controls())
        assert len(look.candidates()) <= pods and len(look.controls()) <= pods
        ready = sum(pod.ready for pod in look.pods)
        assert ready == sum(p.since(moment) is not None for p in world.all_pods)
        at = max(t for t in serving if t <= moment)
        assert serving[at] == ready
        assert look.rollout.complete == (
            not look.controls() and sum(p.ready for p in look.candidates()) == pods
        )
        assert all(pod.template == CANDIDATE for pod in look.candidates())
