"""Ask a question in the terminal, such that an interrupt is never missed."""

from __future__ import annotations

import os
import select
import signal
import sys

import click


def ask(question: str) -> bool:
    """Return whether the answer is yes; anything else, the end of the input too, is no.

    Python's own `input` misses a signal that comes just before it begins to read, and waits on.
    Here every signal also wakes the wait. Raises what the signal's handler raises.
    """
    click.echo(f"{question} [y/N]: ", nl=False, err=True)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    before = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    try:
        while sys.stdin not in select.select([sys.stdin, woken], [], [])[0]:
            os.read(woken, 64)
    finally:
        signal.set_wakeup_fd(before)
        os.close(woken)
        os.close(wake)
    answer = sys.stdin.readline()  # a terminal gives whole lines, so this does not wait
    if not answer:
        click.echo(err=True)  # the cursor still stands behind the question
    return answer.strip().lower() in ("y", "yes")
