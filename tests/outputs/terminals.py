"""A real pseudo-terminal to write to, and a small emulator that shows what a person would see."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import termios
import threading
import time
from types import TracebackType
from typing import Self

_PIECE = re.compile(r"\x1b\[(?P<args>[?0-9;]*)(?P<final>[A-Za-z])|(?P<char>.)", re.DOTALL)


class Terminal:
    """A pseudo-terminal of a size; `stream` is what a program writes to."""

    def __init__(self, columns: int, rows: int, *, encoding: str = "utf-8") -> None:
        self._master, slave = pty.openpty()
        self._encoding = encoding
        self._received = bytearray()
        self.stream = os.fdopen(slave, "w", encoding=encoding)
        self.resize(columns, rows)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
        os.close(self._master)

    def resize(self, columns: int, rows: int) -> None:
        """Change the size, as dragging a window does."""
        fcntl.ioctl(self.stream, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def close(self) -> str:
        """End the program's side and return all that it wrote."""
        if not self.stream.closed:
            self.stream.close()
        self._reader.join(timeout=30)
        return self._received.decode(self._encoding)

    def wait_for(self, text: str) -> str:
        """Wait until this was written, and return all that was written."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            written = self._received.decode(self._encoding, "ignore")
            if text in written:
                return written
            time.sleep(0.005)
        raise AssertionError(f"{text!r} was not written")

    def _read(self) -> None:
        while True:
            try:
                received = os.read(self._master, 65536)
            except OSError:  # Linux: no writer is left
                return
            if not received:
                return
            self._received += received


class Screen:
    """What a terminal shows after what was written to it, its scrollback included."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.lines: list[str] = [""]
        self.row = self.column = 0
        self.cursor_visible = True
        self.longest = 0

    def feed(self, written: str) -> Self:
        """Obey the sequences that guard uses; anything else is an error."""
        for match in _PIECE.finditer(written):
            if match["char"] is not None:
                self._char(match["char"])
            else:
                self._sequence(match["args"], match["final"])
        return self

    def text(self) -> str:
        """Return all lines, scrolled away or not."""
        return "\n".join(line.rstrip() for line in self.lines).rstrip() + "\n"

    @property
    def _top(self) -> int:
        return max(0, len(self.lines) - self.rows)

    def _char(self, char: str) -> None:
        if char == "\r":
            self.column = 0
        elif char == "\n":
            self.row += 1
            if self.row == len(self.lines):
                self.lines.append("")
        elif ord(char) < 32:
            raise AssertionError(f"a control character reached the terminal: {char!r}")
        else:
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = line[: self.column] + char + line[self.column + 1 :]
            self.column += 1
            self.longest = max(self.longest, self.column)

    def _sequence(self, args: str, final: str) -> None:
        if final == "A":
            self.row = max(self._top, self.row - int(args or 1))
        elif final == "K":
            self.lines[self.row] = self.lines[self.row][: self.column]
        elif final == "J" and args == "2":
            self.lines[self._top :] = [""] * len(self.lines[self._top :])
        elif final == "J":
            self.lines[self.row] = self.lines[self.row][: self.column]
            del self.lines[self.row + 1 :]
        elif final == "H":
            self.row, self.column = self._top, 0
        elif args == "?25":
            self.cursor_visible = final == "h"
        elif final != "m" and args != "?2026":
            raise AssertionError(f"an unknown sequence reached the terminal: {args}{final}")
