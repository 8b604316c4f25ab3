"""Clocks that differ: guard's from the cluster's, and a server whose Date is of no use."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path

import pytest

from deploy_guard.cluster.clock import Clock
from faults.cells import Fault, Played, Stage, play, together
from faults.proxy import dated
from watch.shop import FIRST, SECOND, policy


def nothing(stage: Stage) -> None:
    """Have no fault."""


def date(text: str) -> Fault:
    """Have all answers carry another Date from now on."""
    return lambda stage: stage.proxy.fail(dated(text), "read", "write")


@pytest.mark.parametrize(
    ("wrong", "fault", "phase"),
    [
        (-900.0, nothing, "pre-flight"),
        (900.0, nothing, "pre-flight"),
        (0.0, date("yesterday, perhaps"), "pre-flight"),
        (0.0, date(formatdate(time.time() + 3600, usegmt=True)), "watching"),
    ],
    ids=["guard is behind", "guard is ahead", "a Date that is none", "a Date that jumps"],
)
def test_a_wrong_clock_changes_no_verdict(
    wrong: float, fault: Fault, phase: str, tmp_path: Path
) -> None:
    """Good stays, bad is taken back once, and guard's own clock that is wrong is told."""

    def cell(*, bad: bool) -> Callable[[], Played]:
        clock = Clock(wall=lambda: time.time() + wrong)
        rules = policy(watch={"for": 3.0})
        folder = tmp_path / str(bad)
        return lambda: play(folder, rules, fault, phase=phase, bad=bad, clock=clock)

    played = together({bad: cell(bad=bad) for bad in (False, True)})
    good, bad = played[False], played[True]
    assert (good.code, good.rollbacks, good.image) == (0, 0, SECOND), good
    assert (bad.code, bad.rollbacks, bad.image) == (10, 1, FIRST), bad
    if wrong:
        assert any("clock" in text for text in good.heard.lines("warning")), good
