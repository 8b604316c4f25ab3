"""Writing talk to a stream whose reader may be gone or may not know all characters."""

from __future__ import annotations

import contextlib
from typing import TextIO

from deploy_guard.outputs.format import encodable


def write(stream: TextIO, text: str) -> None:
    """Write and flush; a closed pipe or a full disk behind the stream never ends a watch."""
    with contextlib.suppress(OSError, ValueError):  # ValueError: the stream is closed
        stream.write(encodable(text, stream.encoding))
        stream.flush()
