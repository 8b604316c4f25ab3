"""Everything that is told during a deploy, in one order: guard's events and the command's output.

Decides where both go: to stderr, the command's lines as they are, guard's as events. In a terminal
the frame of the live view begins when the command has ended: the two would write over each other.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Self, TextIO

from deploy_guard.model import Event
from deploy_guard.outputs.base import Item
from deploy_guard.outputs.lines import LineOutput
from deploy_guard.outputs.screen import terminal
from deploy_guard.outputs.stream import write

if TYPE_CHECKING:
    from deploy_guard.outputs.live import LiveOutput


class Talk:
    """An output that several threads may use; a context, so that the terminal comes back."""

    def __init__(
        self, stream: TextIO, *, environ: Mapping[str, str], clock: Callable[[], float]
    ) -> None:
        self.timeline: list[Event] = []
        self._stream = stream
        self._clock = clock
        self._lock = threading.RLock()
        self._lines = io.StringIO()
        self._line_output = LineOutput(self._lines)
        self._live: LiveOutput | None = None
        self._drawing = False  # whether the live view has the terminal for itself
        self._within_line = False  # the command has begun a line and not ended it
        self._open = ExitStack()
        if terminal(stream, environ):
            from deploy_guard.outputs.live import LiveOutput  # pays for rich where it is seen

            self._live = LiveOutput(stream, environ=environ)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._end_line()
            self._open.close()

    def tell(self, kind: str, words: str, **data: Any) -> Event:
        """Tell something of the deploy, and return it for the record."""
        event = Event(self._clock(), kind, words, data)
        self.show(event)
        return event

    def show(self, item: Item) -> None:
        """Tell one thing; never raises for anything that the outside world does."""
        with self._lock:
            if isinstance(item, Event):
                self.timeline.append(item)
            self._write(item)

    def begin_live(self) -> None:
        """From now on draw the live view, where there is a terminal."""
        with self._lock:
            if self._live is not None and not self._drawing:
                self._end_line()
                self._open.enter_context(self._live)
                self._drawing = True

    def output(self, data: bytes) -> None:
        """Hand on what the command wrote: byte for byte, unless the live view has begun."""
        with self._lock:
            if self._live is not None and self._drawing:
                for line in data.decode("utf-8", "replace").splitlines():
                    self._live.show(Event(self._clock(), "deploy", line))
                return
            self._within_line = not data.endswith(b"\n")
            buffer = getattr(self._stream, "buffer", None)
            if buffer is None:
                write(self._stream, data.decode("utf-8", "replace"))
                return
            with suppress(OSError, ValueError):  # its reader is gone: the command goes on
                self._stream.flush()
                buffer.write(data)
                buffer.flush()

    def _write(self, item: Item) -> None:
        if self._live is not None:
            if isinstance(item, Event):
                self._end_line()
            if isinstance(item, Event) or self._drawing:
                self._live.show(item)
            return
        self._line_output.show(item)
        if text := self._lines.getvalue():
            self._lines.seek(0)
            self._lines.truncate()
            self._end_line()
            write(self._stream, text)

    def _end_line(self) -> None:
        if self._within_line:
            write(self._stream, "\n")
            self._within_line = False
