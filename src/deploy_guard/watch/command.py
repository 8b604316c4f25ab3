"""Run a watch as a process: streams, operating-system signals, the record, the exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from deploy_guard.cluster.client import Cluster
from deploy_guard.model import Outcome, Target
from deploy_guard.outputs import open_output
from deploy_guard.outputs.base import Output
from deploy_guard.outputs.report import finish_record, tell_result
from deploy_guard.policy.models import Policy
from deploy_guard.watch.session import Watch


def run_watch(
    cluster: Cluster,
    target: Target,
    policy: Policy,
    *,
    dry_run: bool = False,
    report: Path | None = None,
    json_output: bool = False,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
    environ: Mapping[str, str] | None = None,
) -> int:
    """Watch, tell on stderr as it happens, print the result on stdout; return the exit code.

    Raises GuardError.
    """
    cluster = cluster.dry_run() if dry_run else cluster
    environ = os.environ if environ is None else environ
    with open_output(stderr or sys.stderr, environ=environ) as output:
        outcome = watch_once(cluster, target, policy, output=output, report=report, environ=environ)
    warning = tell_result(
        outcome, stdout or sys.stdout, environ=environ, form="json" if json_output else "text"
    )
    if warning:
        print(f"guard: warning: {warning}", file=stderr or sys.stderr)
    return outcome.exit_code


def watch_once(
    cluster: Cluster,
    target: Target,
    policy: Policy,
    *,
    output: Output,
    report: Path | None,
    environ: Mapping[str, str],
) -> Outcome:
    """Run one watch with Ctrl-C and SIGTERM ending it cleanly, and finish its record."""
    watch = Watch(cluster, target, policy, output=output, environ=environ, report=report)
    try:
        with _interruptible(watch):
            outcome = watch.run()
        if watch.scene.recorder is not None:
            finish_record(watch.scene.recorder, outcome)
        output.show(outcome)
        return outcome
    finally:
        if watch.scene.recorder is not None:
            watch.scene.recorder.close()


@contextmanager
def _interruptible(watch: Watch) -> Iterator[None]:
    """Turn the first Ctrl-C, SIGTERM or SIGHUP into the end of the watch; the second one kills."""
    before: dict[signal.Signals, Any] = {}

    def handle(number: int, _: object) -> None:
        for caught, handler in before.items():
            signal.signal(caught, handler)
        why = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        if watch.scene.waits_for_cluster:
            raise watch.scene.interrupted(why)
        watch.interrupt(why)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        before[number] = signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
