"""The events of one watch, as they come.

Decides what is an event, an error or an end, and lets another thread end a blocked read. What to
do after the end is `view`'s.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from deploy_guard.cluster import errors
from deploy_guard.cluster.errors import ApiError, Call
from deploy_guard.cluster.network import explained

if TYPE_CHECKING:
    from urllib3.response import BaseHTTPResponse


class Stream:
    """The events of one watch, each ``{"type", "object"}``; ends when the server ends it.

    An ERROR event raises the error of its Status (410 comes this way). `close` may be called from
    another thread and ends a blocked read.
    """

    def __init__(self, call: Call, response: BaseHTTPResponse) -> None:
        self.call = call
        self._response = response
        self._closing = False

    def __iter__(self) -> Iterator[dict[str, Any]]:
        try:
            for line in self._lines():
                event = self._event(line)
                if event["type"] == "ERROR":
                    raise errors.from_status(self.call, event["object"], {})
                yield event
        except ApiError:
            if not self._closing:
                raise
        finally:
            self._response.close()

    def close(self) -> None:
        """End the stream, whatever it is doing."""
        self._closing = True
        with contextlib.suppress(Exception):  # already closed, or never had a socket
            self._response.shutdown()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._response.close()

    def _lines(self) -> Iterator[bytes]:
        rest = b""
        with explained(self.call):
            while chunk := self._chunk():
                *lines, rest = (rest + chunk).split(b"\n")
                yield from filter(None, lines)

    def _chunk(self) -> bytes:
        try:
            return self._response.read1(65536)
        except (ValueError, AttributeError):  # closed by another thread in the middle of a read
            if self._closing:
                return b""
            raise

    def _event(self, line: bytes) -> dict[str, Any]:
        try:
            event = json.loads(line)
            if isinstance(event["object"], dict) and isinstance(event["type"], str):
                return dict(event)
        except (ValueError, KeyError, TypeError):
            pass
        raise errors.NotKubernetes(self.call, "the stream has a line that is not an event")
