"""When it is certain that another process is gone: only with proof."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy_guard.cluster.process import certainly_gone, this_process

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
TELL = "from deploy_guard.cluster.process import this_process as p; print(p(), flush=True); input()"


@pytest.fixture
def other() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Give another process and its mark."""
    with subprocess.Popen(
        [sys.executable, "-c", TELL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def test_a_process_that_runs_is_not_gone(other: tuple[subprocess.Popen[str], str]) -> None:
    """Neither this process nor another one that runs counts as gone."""
    assert this_process()
    assert not certainly_gone(this_process())
    assert not certainly_gone(other[1])


def test_a_killed_process_is_gone_even_before_its_parent_asks(
    other: tuple[subprocess.Popen[str], str],
) -> None:
    """A process that was killed is gone, as a zombie and after that."""
    process, mark = other
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie from here on
    assert certainly_gone(mark)
    process.wait()
    assert certainly_gone(mark)


def test_a_pid_that_was_given_again_is_told_apart() -> None:
    """A process with the same pid that started at another time is another one."""
    place, _, _ = this_process().rpartition("/")
    assert certainly_gone(f"{place}/1")


@pytest.mark.parametrize(
    "mark",
    [
        "",
        "nonsense",
        "/pid-1/1",
        f"another-boot/pid:[4026531836]/pid-{2**30}/1",
        this_process().partition("/")[0] + f"/pid:[1]/pid-{2**30}/1",
        this_process().partition("/pid-")[0] + "/pid-x/1",
        this_process().partition("/pid-")[0] + "/pid-" + "9" * 9999 + "/1",
    ],
)
def test_what_ran_elsewhere_is_not_known(mark: str) -> None:
    """Another machine, another boot, another container or a broken mark proves nothing."""
    assert not certainly_gone(mark)
