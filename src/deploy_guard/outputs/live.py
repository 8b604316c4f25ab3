"""The live view on a terminal: events scroll by above a frame that is drawn anew in place.

Draws without erasing first, in one write, so that nothing flickers. Everything told stays in the
scrollback, the last frame included. Decides how rows reach the terminal, not what is in them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.text import Text

from deploy_guard.model import Event, Progress
from deploy_guard.outputs.base import Item
from deploy_guard.outputs.layout import Row, View, event_rows, frame, with_progress
from deploy_guard.outputs.screen import size
from deploy_guard.outputs.stream import write

_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"  # one update; terminals that do not know it ignore it
_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
_ERASE_LINE_END, _ERASE_BELOW = "\x1b[K", "\x1b[J"
_CLEAR = "\x1b[H\x1b[2J"
_KEPT_EVENTS = 200  # to be written again when the terminal's width changed


class LiveOutput:
    """Shows a watch on a terminal; a context, so that the cursor always comes back."""

    def __init__(self, stream: TextIO, *, environ: Mapping[str, str]) -> None:
        self._stream = stream
        self._environ = environ
        self._console = Console(
            file=stream,
            force_terminal=True,
            no_color=bool(environ.get("NO_COLOR")),
            highlight=False,
            _environ=environ,
        )
        self._view: View | None = None
        self._start: float | None = None
        self._drawn: list[str] = []  # the lines of the frame on the screen
        self._width = 0
        self._events: deque[Event] = deque(maxlen=_KEPT_EVENTS)

    def __enter__(self) -> Self:
        write(self._stream, _HIDE_CURSOR)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        write(self._stream, _SHOW_CURSOR)

    def show(self, item: Item) -> None:
        """Show one thing: an event above the frame, progress and the outcome in it."""
        if isinstance(item, Event):
            self._start = item.at if self._start is None else self._start
            self._events.append(item)
            self._draw(item)
        elif isinstance(item, Progress):
            self._start = item.started_at if self._start is None else self._start
            self._view = with_progress(self._view, item)
            self._draw()
        elif self._view is not None:
            self._view = View(self._view.progress, self._view.phase_began, outcome=item)
            self._draw()
            self._view, self._drawn = None, []  # the last frame stays; what follows goes below

    def _draw(self, event: Event | None = None) -> None:
        width, height = size(self._stream, self._environ)
        rows = (
            frame(self._view, width=width - 1, height=height - 1) if self._view is not None else []
        )
        lines = [self._rendered(row) for row in rows]
        if self._drawn and width != self._width:  # the terminal may have broken lines anew
            above = self._all_events(width, room=height - 1 - len(lines))
            start = _CLEAR
        else:
            if event is None and lines == self._drawn:
                return
            above = self._event_lines(event, width) if event is not None else []
            start = f"\x1b[{len(self._drawn)}A\r" if self._drawn else "\r"
        drawn = "".join(f"{line}{_ERASE_LINE_END}\n" for line in (*above, *lines))
        write(self._stream, f"{_BEGIN}{start}{drawn}{_ERASE_BELOW}{_END}")
        self._drawn, self._width = lines, width

    def _event_lines(self, event: Event, width: int) -> list[str]:
        start = self._start if self._start is not None else event.at
        return [self._rendered(r) for r in event_rows(event, start=start, width=width - 1)]

    def _all_events(self, width: int, *, room: int) -> list[str]:
        """Return the last events again, as many lines as there is room for."""
        lines = [line for event in self._events for line in self._event_lines(event, width)]
        return lines[-room:] if room > 0 else []

    def _rendered(self, row: Row) -> str:
        """Return a row with its colours as the terminal reads them."""
        pieces = [(text, style) for text, style in row if text]
        with self._console.capture() as captured:
            self._console.print(Text.assemble(*pieces), end="", soft_wrap=True)
        return captured.get().rstrip(" ")
