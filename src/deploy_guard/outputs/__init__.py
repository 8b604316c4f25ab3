"""The ways in which a watch tells what happens: `open_output` chooses one for a stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

from deploy_guard.outputs.base import Output
from deploy_guard.outputs.lines import LineOutput
from deploy_guard.outputs.screen import terminal


@contextmanager
def open_output(
    stream: TextIO, *, environ: Mapping[str, str], status_every: float = 60.0
) -> Iterator[Output]:
    """Give the live view on a terminal that somebody looks at, else one line per event.

    Leaving the context puts the terminal back as it was, whatever happened inside.
    `status_every` is the time between two status lines in seconds.
    """
    if not terminal(stream, environ):
        yield LineOutput(stream, status_every=status_every)
        return
    from deploy_guard.outputs.live import LiveOutput  # pays for rich only where it is seen

    with LiveOutput(stream, environ=environ) as live:
        yield live
