"""How far a backtest is: a line drawn anew on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, TextIO

from deploy_guard import text
from deploy_guard.outputs.layout import bar
from deploy_guard.outputs.screen import terminal
from deploy_guard.outputs.stream import write

OFTEN = 0.1  # seconds between two drawings
SELDOM = 10.0  # seconds between two lines
_BAR = 30  # columns


class Progress:
    """Tells how many of how many were done; a context, so that the line is gone at its end.

    Nothing is told of what is done within `OFTEN` or `SELDOM` seconds.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        environ: Mapping[str, str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._live = terminal(stream, environ)
        self._clock = clock
        self._began = self._told = clock()
        self._drawn = False

    def __call__(self, what: str, done: int, total: int) -> None:
        """Tell that `done` of `total` are done, such as "judged"."""
        now = self._clock()
        if now - self._told < (OFTEN if self._live else SELDOM):
            return
        self._told = now
        words = f"{what} {done:,} of {total:,}"
        if not self._live:
            write(self._stream, f"{words}\n")
            return
        drawn = "".join(piece for piece, _ in bar(done / total if total else 1.0, _BAR, ""))
        spent = now - self._began
        left = spent / done * (total - done) if done else 0.0
        ahead = f"  about {text.seconds(float(round(left)))} left" if spent > 2 and left > 1 else ""
        write(self._stream, f"\r{words}  {drawn}{ahead}\x1b[K")
        self._drawn = True

    def say(self, words: str) -> None:
        """Write a line that stays."""
        write(self._stream, f"\r\x1b[K{words}\n" if self._drawn else f"{words}\n")
        self._drawn = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._drawn:
            write(self._stream, "\r\x1b[K")
