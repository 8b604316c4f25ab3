"""Ctrl-C and SIGTERM while something is being changed: finish the one request, then stop.

Before `arm` an interrupt ends the command at once, since nothing was changed. After it the first
one only asks to stop, so that what was done is known and told; a second one ends it at once.
"""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any


class Interrupts:
    """Handles both signals inside the context and puts the former handlers back."""

    def __init__(self) -> None:
        self.asked = False
        self.armed = False
        self._before: dict[signal.Signals, Any] = {}

    def arm(self) -> None:
        """From now on, let the first interrupt only ask."""
        self.armed = True

    def stopped(self) -> bool:
        """Tell whether an interrupt asked to stop."""
        return self.asked

    def __enter__(self) -> Interrupts:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.getsignal(number)
            if self._before[number] is not signal.SIG_IGN:
                signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if not self.armed or self.asked:
            raise KeyboardInterrupt
        self.asked = True
