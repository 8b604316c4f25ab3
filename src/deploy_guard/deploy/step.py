"""Run a deploy as a process: streams, operating-system signals, the exit code.

Decides which signals guard hands on to the command: those that do not reach it anyway.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.clock import Clock
from deploy_guard.deploy.pipeline import Pipeline, Request
from deploy_guard.deploy.talk import Talk
from deploy_guard.outputs.report import tell_result


def run_deploy(
    cluster: Cluster,
    request: Request,
    *,
    json_output: bool = False,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
    environ: Mapping[str, str] | None = None,
) -> int:
    """Run the command, watch what it deploys, print the result on stdout; return the exit code.

    With a cluster in dry run the command is not run. Raises GuardError.
    """
    environ = os.environ if environ is None else environ
    stderr = stderr or sys.stderr
    clock = Clock()
    with Talk(stderr, environ=environ, clock=clock) as talk:
        pipeline = Pipeline(cluster, request, talk=talk, environ=environ, clock=clock)
        with _interruptible(pipeline):
            outcome = pipeline.run()
    warning = tell_result(
        outcome, stdout or sys.stdout, environ=environ, form="json" if json_output else "text"
    )
    if warning:
        print(f"guard: warning: {warning}", file=stderr)
    return outcome.exit_code


@contextmanager
def _interruptible(pipeline: Pipeline) -> Iterator[None]:
    """Let the first Ctrl-C, SIGTERM or SIGHUP end the deploy in order, the second at once."""
    before: dict[signal.Signals, Any] = {}

    def handle(number: int, _: object) -> None:
        why = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        pipeline.interrupt(why, number, forward=not _from_terminal(number))

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup leaves it
            before[number] = signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _from_terminal(number: int) -> bool:
    """Tell whether a terminal sends this signal to the whole foreground group, command included."""
    if number == signal.SIGTERM:
        return False
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:  # there is none
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
