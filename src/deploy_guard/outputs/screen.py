"""What a stream can show: is it a terminal, how large, with colour or without."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TextIO

SMALLEST_WIDTH = 40
SMALLEST_HEIGHT = 6


def terminal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Tell whether the stream is a terminal whose lines can be drawn anew.

    A CI job may have a terminal that nobody sees: ``CI`` counts, unless it is empty or false.
    """
    try:
        if not stream.isatty():
            return False
    except ValueError:  # closed
        return False
    if environ.get("CI", "").lower() not in ("", "0", "false"):
        return False
    return environ.get("TERM", "") not in ("", "dumb", "unknown")


def coloured(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Tell whether colours may be written: a terminal, and NO_COLOR is unset or empty."""
    return terminal(stream, environ) and not environ.get("NO_COLOR")


def size(stream: TextIO, environ: Mapping[str, str]) -> tuple[int, int]:
    """Return the terminal's columns and rows as they are now; 80 x 24 where it does not know."""
    try:
        found = os.get_terminal_size(stream.fileno())
        width, height = found.columns, found.lines
    except (OSError, ValueError):
        width = height = 0
    width = width or _number(environ.get("COLUMNS")) or 80
    height = height or _number(environ.get("LINES")) or 24
    return max(width, SMALLEST_WIDTH), max(height, SMALLEST_HEIGHT)


def columns(stream: TextIO, environ: Mapping[str, str]) -> int:
    """Return the terminal's columns as they are now."""
    return size(stream, environ)[0]


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() else 0
