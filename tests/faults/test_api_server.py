"""Faults of the API server × phases of a watch: short ones are survived, long ones are told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deploy_guard.cluster.retry import Retries
from deploy_guard.model import Action, Recovery, Verdict
from faults import proxy
from faults.cells import Fault, Played, Stage, play, report, together
from watch.shop import FIRST, SECOND, policy

SHORT = 1.0  # seconds; reads are tried again for longer
GOOD = {"good: pre-flight": "pre-flight", "good: watching": "watching"}
BAD = {
    "bad: pre-flight": "pre-flight",
    "bad: watching": "watching",
    "bad: deciding": "deciding",
    "bad: waiting": "waiting",
    "bad: verifying": "verifying",
}


def answers(behaviour: proxy.Behaviour, *kinds: str, seconds: float | None = SHORT) -> Fault:
    """Return a fault of all connections, open ones too."""
    return lambda stage: stage.proxy.fail(behaviour, *kinds, seconds=seconds, cut=True)


def without_watches(behaviour: proxy.Behaviour) -> Fault:
    """Return a fault of reads, while watches end at once, so that all has to be read anew."""

    def begin(stage: Stage) -> None:
        stage.proxy.fail(proxy.ended, "watch", seconds=SHORT, cut=True)
        stage.proxy.fail(behaviour, "read", seconds=SHORT)

    return begin


def network_gone(stage: Stage) -> None:
    """Refuse connections for a moment."""
    stage.proxy.go_away()
    stage.soon(SHORT, stage.proxy.come_back)


def name_gone(stage: Stage) -> None:
    """Have the server's name resolve no more for a moment: by the system's own resolver."""
    configuration = stage.cluster.api.configuration
    known, configuration.host = configuration.host, "http://api.shop.invalid:6443"
    stage.proxy.cut()
    stage.soon(SHORT, lambda: setattr(configuration, "host", known))


FAULTS: dict[str, Fault] = {
    "429": answers(proxy.status(429)),
    "429 with Retry-After": answers(proxy.status(429, retry_after="1")),
    "500": answers(proxy.status(500)),
    "503": answers(proxy.status(503)),
    "504": answers(proxy.status(504)),
    "reset": answers(proxy.reset),
    "answers lost": answers(proxy.lost, "read", "write"),
    "hangs": answers(proxy.hang),
    "drop by drop": without_watches(proxy.drops),
    "slow": answers(proxy.late(0.2)),
    "stale reads": without_watches(proxy.stale),
    "watches closed": answers(proxy.ended, "watch"),
    "watches silent": lambda stage: stage.proxy.fail(proxy.silent, "watch", seconds=SHORT),
    "network gone": network_gone,
    "name gone": name_gone,
}
UNSEEN = {"429", "500", "503", "504", "reset", "hangs", "network gone", "name gone"}


@pytest.mark.parametrize("name", FAULTS)
def test_a_short_fault_changes_no_verdict(name: str, tmp_path: Path) -> None:
    """In whatever phase: good stays, bad is taken back once, what was unseen is told."""
    rules = policy(watch={"for": 6.0})

    def cell(key: str, phase: str) -> Callable[[], Played]:
        folder = tmp_path / key.replace(": ", "-")
        return lambda: play(folder, rules, FAULTS[name], phase=phase, bad=key in BAD)

    cells = {**GOOD, **BAD}
    played = together({key: cell(key, phase) for key, phase in cells.items()})
    for key, found in played.items():
        report(name, key, found)
        assert found.heard.began is not None, f"{key}: {found}"
        if name == "stale reads" and cells[key] == "pre-flight":
            # Nobody can know that a first read is old; what is deployed next is left alone.
            assert (found.code, found.rollbacks) in ((13, 0), (0, 0), (10, 1)), f"{key}: {found}"
            continue
        if key in GOOD:
            assert (found.code, found.rollbacks, found.image) == (0, 0, SECOND), f"{key}: {found}"
            continue
        assert (found.code, found.rollbacks, found.image) == (10, 1, FIRST), f"{key}: {found}"
        assert found.outcome is not None
        assert found.outcome.recovered is Recovery.RECOVERED, f"{key}: {found}"
    if name in UNSEEN:
        told = played["good: watching"].told("warning")
        assert any("cannot be seen" in text for text in told), played["good: watching"]
        assert "the cluster is seen again" in told, played["good: watching"]


def lasting(behaviour: proxy.Behaviour) -> Fault:
    """Return a fault that stays; fewer attempts than guard's own make the test short."""

    def begin(stage: Stage) -> None:
        stage.cluster.retries = Retries(attempts=2)
        stage.proxy.fail(behaviour, cut=True)

    return begin


LASTING: dict[str, Fault] = {
    "503": lasting(proxy.status(503)),
    "reset": lasting(proxy.reset),
    "hangs": lasting(proxy.hang),
    "expired credentials": lasting(proxy.expired),
}


@pytest.mark.parametrize("name", LASTING)
def test_a_fault_that_stays_is_no_reason_to_act(name: str, tmp_path: Path) -> None:
    """Nothing is claimed that was not seen, nothing is written after it, and it is told."""
    rules = policy(watch={"for": 3.0}, rollback={"timeout": 2.0, "verify": 2.0})

    def cell(key: str, phase: str) -> Callable[[], Played]:
        folder = tmp_path / key.replace(": ", "-")
        return lambda: play(folder, rules, LASTING[name], phase=phase, bad=key in BAD)

    cells = {**GOOD, **BAD}
    played = together({key: cell(key, phase) for key, phase in cells.items()})
    for key, found in played.items():
        report(f"{name}, stays", key, found)
    codes = {key: found.code for key, found in played.items()}
    for key in ("good: pre-flight", "bad: pre-flight"):
        assert codes[key] == 1, played[key]
        assert played[key].rollbacks == 0
    assert codes["good: watching"] == 12, played["good: watching"]
    assert any("cannot be seen" in t for t in played["good: watching"].told("warning"))
    found = played["bad: watching"]
    assert found.code in (11, 12), found  # the verdict may have been on its way
    assert (found.rollbacks, found.image) == (0, SECOND), found
    found = played["bad: deciding"]
    assert (found.code, found.rollbacks) == (11, 0), found
    assert found.outcome is not None
    assert found.outcome.verdict is Verdict.REGRESSED
    assert found.outcome.action is Action.ROLLBACK_FAILED
    assert found.outcome.next_steps
    found = played["bad: waiting"]
    assert (found.code, found.rollbacks, found.image) == (11, 1, FIRST), found
    assert any("cannot be seen" in text for text in found.told("rollback")), found
    found = played["bad: verifying"]
    assert (found.code, found.rollbacks, found.image) == (10, 1, FIRST), found
    assert found.outcome is not None
    assert found.outcome.recovered is Recovery.UNKNOWN, found
