"""Calls in parallel: bounded in number, and by one deadline for all."""

from __future__ import annotations

import threading
import time

import pytest

from deploy_guard.signals.fan_out import gather, within


def test_every_job_has_its_result_or_its_exception() -> None:
    """An exception of one job is its result and disturbs no other."""
    results = gather({"good": lambda: 1, "bad": lambda: 1 // 0}, workers=2, seconds=10)
    assert results["good"] == 1
    assert isinstance(results["bad"], ZeroDivisionError)


def test_no_more_jobs_run_at_once_than_there_are_workers() -> None:
    """Fifty pods are not fifty threads."""
    lock, running, most = threading.Lock(), 0, 0

    def job() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.005)
        with lock:
            running -= 1

    gather(dict.fromkeys(range(20), job), workers=3, seconds=10)
    assert 1 <= most <= 3


def test_late_jobs_are_timeouts_and_jobs_in_line_never_begin() -> None:
    """When the time is over, those that are done count; the others are given up."""
    release, begun = threading.Event(), []

    def hang(name: str) -> str:
        begun.append(name)
        release.wait(30)
        return name

    jobs = {"quick": lambda: "done", "slow": lambda: hang("slow"), "late": lambda: hang("late")}
    results = gather(jobs, workers=1, seconds=0.2)
    release.set()
    assert results["quick"] == "done"
    assert isinstance(results["slow"], TimeoutError) and isinstance(results["late"], TimeoutError)
    assert begun == ["slow"]


def test_one_job_returns_or_raises_as_if_called() -> None:
    """`within` adds nothing to a call but the deadline."""
    assert within(10, lambda: 5) == 5
    with pytest.raises(KeyError):
        within(10, lambda: dict[str, int]()["x"])
