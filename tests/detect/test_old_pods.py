"""Old pods at the same time: they condemn the deploy, acquit it, or cannot tell."""

from __future__ import annotations

import pytest

from deploy_guard import detect
from deploy_guard.detect.windows import Caps, Windows
from deploy_guard.model import Counts
from detect.building import (
    BAD,
    BEFORE,
    NONE,
    WELL,
    learned,
    steady,
    stepped,
)


def test_shared_outage() -> None:
    """An outage that the old pods share is not the deploy's fault."""
    judgement = stepped(learned(BEFORE), [BAD] * 20, [BAD] * 20).judgement
    assert judgement.shared
    assert judgement.world
    assert not judgement.bad


def test_only_the_candidate() -> None:
    """An outage next to old pods that are well is the deploy's fault, at the second poll."""
    judgement = stepped(learned(BEFORE), [BAD] * 2, [WELL] * 2).judgement
    assert judgement.bad
    assert not judgement.shared


def test_control_alone_is_enough() -> None:
    """Without any baseline the old pods at the same time show a regression."""
    watch = steady(300, 100, 0.05)
    assert detect.replay([], watch, watch) is None
    found = detect.replay([], watch, steady(300, 100, 0.001))
    assert found is not None
    assert found <= 60


def test_shared_outage_outlives_the_old_pods() -> None:
    """An outage that the old pods shared stays not the deploy's when they are gone."""
    state = stepped(learned(BEFORE), [BAD] * 4, [BAD] * 4)
    for _ in range(40):
        state = stepped(state, [BAD])
        assert state.judgement.shared
        assert not state.judgement.bad


def test_shared_outage_ends() -> None:
    """When a shared outage is over, the candidate is judged by what comes after it."""
    state = stepped(learned(BEFORE), [BAD] * 4, [BAD] * 4)
    state = stepped(state, [BAD] * 10 + [WELL] * 10)
    assert not state.judgement.shared
    assert not state.judgement.bad
    after = stepped(state, [BAD] * 2)
    assert after.judgement.bad


def test_no_traffic_is_not_the_end_of_an_outage() -> None:
    """A shared outage that takes the traffic away is not over."""
    state = stepped(learned(BEFORE), [BAD] * 4, [BAD] * 4)
    state = stepped(state, [NONE] * 40)
    assert stepped(state, [BAD]).judgement.shared


def test_candidate_stays_behind() -> None:
    """When the old pods recover from a shared outage and the candidate does not, it is bad."""
    state = stepped(learned(BEFORE), [BAD] * 4, [BAD] * 4)
    assert state.judgement.shared
    assert stepped(state, [BAD] * 10, [WELL] * 10).judgement.bad


@pytest.mark.parametrize("gone", [1, 2, 4])
def test_old_pods_that_are_gone_delay_nothing(gone: int) -> None:
    """A regression that begins after the last old pod is found as if there had been none."""
    state = stepped(learned(BEFORE), [WELL] * 6, [WELL] * 6)
    state = stepped(state, [WELL] * gone + [BAD] * 2)
    assert state.judgement.bad


def test_old_pods_with_little_to_say() -> None:
    """While living old pods have not said enough, an excess is suspicion, and then proof."""
    few = (15.0, 2.0, 0.0)
    state = stepped(learned(BEFORE), [BAD], [few])
    assert state.judgement.suspect
    assert not state.judgement.bad
    assert stepped(state, [BAD] * 10, [few] * 10).judgement.bad


def test_shares_that_move_during_a_shared_fault() -> None:
    """Old pods that served mostly before a shared fault began do not accuse the new ones."""
    state = detect.State(detect.Settings(limit=0.1, warm_up=0.0))
    for second in range(30):
        new, old = 10 + 4 * second, 130 - 4 * second
        ratio = 0.6 if second >= 24 else 0.0
        state = detect.step(state, 1.0, Counts(new, ratio * new), Counts(old, ratio * old))
        assert not state.judgement.bad
    assert state.judgement.shared
    assert not stepped(state, [(1.0, 140.0, 84.0)] * 60).judgement.bad


def test_shares_that_move_while_only_the_candidate_fails() -> None:
    """The same rollout with a fault of the new pods alone is found."""
    state = detect.State(detect.Settings(warm_up=0.0))
    for second in range(30):
        new, old = 10 + 4 * second, 130 - 4 * second
        ratio = 0.1 if second >= 5 else 0.0
        state = detect.step(state, 1.0, Counts(new, ratio * new), Counts(old, 0.0))
    assert state.judgement.bad
    assert state.judgement.reference == "control"


BESIDE_OLD = steady(120, 50, 0.001)


@pytest.mark.parametrize(
    ("late", "ratio", "bad"),
    [
        ("outage", 0.004, False),
        ("outage", 0.5, True),
        ("any", 0.004, True),
        ("none", 0.5, False),
    ],
)
def test_what_begins_when_the_old_pods_are_gone(late: detect.Late, ratio: float, bad: bool) -> None:
    """What nobody can attribute is held against the deploy as the settings say, and named so."""
    state = detect.State(detect.Settings(late=late))
    for seconds, requests, errors in BEFORE:
        state = detect.learn(state, seconds, Counts(requests, errors))
    state = stepped(state, BESIDE_OLD, BESIDE_OLD)
    state = stepped(state, steady(180, 100, 0.001))
    state = stepped(state, steady(600, 100, ratio))
    assert state.judgement.bad is bad
    assert state.judgement.suspect is not bad
    assert state.judgement.unattributed


def test_what_was_there_from_the_beginning_is_the_deploys() -> None:
    """A regression since the deploy is one also when the old pods were gone too early to tell."""
    few = steady(30, 3, 0.001)
    state = stepped(learned(BEFORE), steady(30, 3, 0.02), few)
    state = stepped(state, steady(300, 10, 0.02))
    assert state.judgement.bad
    assert not state.judgement.accused_by_old


@pytest.mark.parametrize("attribute", [True, False])
def test_attribution_can_be_switched_off(attribute: bool) -> None:
    """Without attribution a shared outage is a regression like any other."""
    state = detect.State(detect.Settings(attribute=attribute))
    for seconds, requests, errors in BEFORE:
        state = detect.learn(state, seconds, Counts(requests, errors))
    judgement = stepped(state, [BAD] * 4, [BAD] * 4).judgement
    assert judgement.bad is not attribute
    assert judgement.shared is attribute


def test_old_pods_in_trouble_when_they_go() -> None:
    """An outage that began while the last old pods left is not the deploy's fault afterwards."""
    state = stepped(learned(BEFORE), steady(60, 50, 0.001), steady(60, 50, 0.001))
    state = stepped(state, [(15.0, 1500.0, 300.0)], [(15.0, 100.0, 12.0)])
    state = stepped(state, [BAD] * 20)
    assert state.judgement.shared
    assert not state.judgement.bad


def test_what_came_after_the_last_old_pod_is_not_compared_with_it() -> None:
    """Quick polls are added up to bins; within one, old pods that had left acquit nothing.

    The old pods were well to the end and went; the fault began two seconds later.
    """
    well, bad = Counts(25, 0), Counts(28, 20)
    windows, together = Windows(), Windows()
    for new, old in [(well, well)] * 7 + [(bad, Counts(0, 0))] * 3:
        windows = windows.add(1.0, new, old, Caps())
    for new, old in [(well, well)] * 7:
        together = together.add(1.0, new, old, Caps())
    assert windows.whole(Caps()).errors == 60
    assert windows.whole(Caps()).strata == together.whole(Caps()).strata
    assert windows.whole(Caps()).strata.new == 0
