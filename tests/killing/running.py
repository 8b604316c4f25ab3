"""The real `guard` in a process of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from killing.proxy import KillingProxy, Side, Write

PATIENCE = 90.0  # seconds for one command on a busy machine
KEPT = ("PATH", "PYTHONPATH")  # of our environment: no kubeconfig, no GUARD_… of whoever tests


@contextlib.contextmanager
def started_guard(
    arguments: Sequence[str], kubeconfig: Path, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Start `guard` with these arguments; it is killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "deploy_guard", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **{name: os.environ[name] for name in KEPT if name in os.environ},
            "KUBECONFIG": str(kubeconfig),
            **(env or {}),
        },
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def run_guard(
    arguments: Sequence[str], kubeconfig: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `guard` to its end."""
    with started_guard(arguments, kubeconfig, env) as process:
        stdout, stderr = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)


def run_and_kill(
    proxy: KillingProxy,
    arguments: Sequence[str],
    kubeconfig: Path,
    *,
    number: int,
    side: Side,
    among: Callable[[Write], bool] | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `guard` and kill it at its `number`-th write; it ends by itself if it has fewer.

    Only writes `among` count. The kubeconfig has to lead to the proxy.
    """
    proxy.kill_at(number, side, among=among)
    with started_guard(arguments, kubeconfig, env) as process:
        proxy.victim(process)
        stdout, stderr = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)
