"""The time of a watch: that of the API server, and it never goes back.

Pods and conditions carry the API server's time, so a runner whose clock is minutes off would see
pods that are unready for minutes at their birth, or none that were born since the deploy. Decides
by how much this machine's clock is wrong. Does not ask for the time: every answer carries it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

TOLERANCE = 2.0  # seconds: the header Date has whole seconds, and an answer takes a moment


class Clock:
    """Unix seconds. A step back of the machine's clock is left out, one forward is followed.

    Forward is also what a machine does that was asleep: time has passed then.
    """

    def __init__(
        self,
        *,
        wall: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall = wall
        self._ticks = ticks
        self._lock = threading.Lock()
        self._seen = self._read()
        self._offset = 0.0

    def __call__(self) -> float:
        """Return the time now."""
        with self._lock:
            wall, ticks = self._read()
            before, then = self._seen
            back = (ticks - then) - (wall - before)
            if back > TOLERANCE:
                self._offset += back
            self._seen = (wall, ticks)
            return wall + self._offset

    def _read(self) -> tuple[float, float]:
        """Read both clocks at once: a thread can be held up for seconds between two lines."""
        while True:
            before = self._ticks()
            wall, ticks = self._wall(), self._ticks()
            if ticks - before < TOLERANCE / 4:
                return wall, ticks

    def agree(self, server: float | None) -> float:
        """Take over the server's time if ours is clearly wrong; return by how much it was ahead.

        In seconds, negative if behind, 0 when there is nothing to correct.
        """
        if server is None:
            return 0.0
        ahead = self() - server
        if abs(ahead) <= TOLERANCE:
            return 0.0
        with self._lock:
            self._offset -= ahead
        return ahead


class ServerTime:
    """The server's time by the header Date of its latest answer."""

    def __init__(self, ticks: Callable[[], float] = time.monotonic) -> None:
        self._ticks = ticks
        self._noted: tuple[str, float] | None = None

    def note(self, date: str | None) -> None:
        """Remember the header of an answer that has just come."""
        if date:
            self._noted = (date, self._ticks())

    def now(self) -> float | None:
        """Return what the server's clock shows now, to a second; None if it never told."""
        if self._noted is None:
            return None
        date, then = self._noted
        try:
            told = parsedate_to_datetime(date).timestamp()
        except ValueError:
            return None
        return told + 0.5 + self._ticks() - then  # whole seconds, cut off: half of one on average
