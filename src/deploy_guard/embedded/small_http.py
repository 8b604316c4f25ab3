"""A small HTTP/1.1 server and client for the toy service: many sockets, one asyncio loop.

Decides the bytes on the wire. Does not decide any answer. Plain http only, no pipelining
client, bodies by Content-Length: enough for the toy service, Prometheus, curl and a pod proxy.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urlsplit

MAX_HEAD = 64 * 1024
IDLE_PER_ADDRESS = 32  # connections kept open per address

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Request:
    """A request as a handler sees it; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Response:
    """A response; `status` is the HTTP code."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"


Handler = Callable[[Request], Awaitable[Response]]


class HttpServer:
    """One listening socket on 127.0.0.1; the port is chosen by the operating system."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._closed = False
        self.port = 0

    async def start(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, "127.0.0.1", 0, backlog=128)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self, *, drain: float = 0.0) -> None:
        """Stop listening and drop the connections; requests may take `drain` seconds to end."""
        self._closed = True
        if self._server is not None:
            loop = asyncio.get_running_loop()
            for listening in self._server.sockets:
                loop.remove_reader(listening.fileno())
            # a connection that is just being accepted must not find the server closed: asyncio
            # would leave its socket open
            loop.call_soon(self._server.close)
        for connection in list(self._connections):
            if connection.finish() and drain:
                asyncio.get_running_loop().call_later(drain, connection.abort)
            else:
                connection.abort()

    def _connection(self) -> asyncio.Protocol:
        return _Connection(self._handler, self._connections, closing=self._closed)


class _Connection(asyncio.Protocol):
    """One client's connection: requests are answered one after the other."""

    def __init__(
        self, handler: Handler, siblings: set[_Connection], *, closing: bool = False
    ) -> None:
        self._handler = handler
        self._siblings = siblings
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = closing

    def finish(self) -> bool:
        """Take no further request; return whether one is still being answered."""
        self._closing = True
        return self._task is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a TCP server gives these
        self._transport = transport
        self._siblings.add(self)
        if self._closing:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._siblings.discard(self)
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._task is None:
            self._next_request()
        elif len(self._buffer) > MAX_HEAD:
            self.abort()

    def abort(self) -> None:
        """Drop the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _next_request(self) -> None:
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            if len(self._buffer) > MAX_HEAD:
                self.abort()
            return
        try:
            request = _parse_request(head)
            length = int(request.headers.get("content-length", "0"))
        except ValueError:
            self._write(Response(400, b"bad request\n"), keep=False)
            return
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        self._task = asyncio.get_running_loop().create_task(self._answer(request))

    async def _answer(self, request: Request) -> None:
        response = await self._handler(request)
        keep = request.headers.get("connection", "").lower() != "close" and not self._closing
        self._write(response, keep=keep)
        self._task = None
        if keep:
            self._next_request()

    def _write(self, response: Response, *, keep: bool) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        head = (
            f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}\r\n"
            f"Content-Type: {response.content_type}\r\n"
            f"Content-Length: {len(response.body)}\r\n"
            f"Connection: {'keep-alive' if keep else 'close'}\r\n\r\n"
        )
        self._transport.write(head.encode() + response.body)
        if not keep:
            self._transport.close()


def _parse_request(head: bytes) -> Request:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    return Request(method, path, _headers(lines))


def _headers(lines: list[str]) -> dict[str, str]:
    pairs = (line.partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


class HttpClient:
    """Sends GET requests over connections that it keeps open; used inside one loop."""

    def __init__(self) -> None:
        self._idle: dict[Address, list[_Stream]] = defaultdict(list)

    async def get(
        self, url: str, *, timeout: float, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Return the response. Raises OSError (also for a broken one), TimeoutError, ValueError."""
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"url {url!r}: expected http://host[:port]/path")
        address = (parts.hostname, parts.port or 80)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [f"GET {path} HTTP/1.1", f"Host: {address[0]}:{address[1]}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        message = ("\r\n".join(lines) + "\r\n\r\n").encode()
        async with asyncio.timeout(timeout):
            return await self._exchange(address, message)

    def forget(self, address: Address) -> None:
        """Close the connections to an address that is gone."""
        for stream in self._idle.pop(address, []):
            stream.close()

    def close(self) -> None:
        """Close all connections that are idle."""
        for address in list(self._idle):
            self.forget(address)

    async def _exchange(self, address: Address, message: bytes) -> Response:
        while True:
            reused = bool(self._idle[address])
            stream = self._idle[address].pop() if reused else await _Stream.open(address)
            try:
                response, keep = await stream.exchange(message)
            except (OSError, EOFError) as error:
                stream.close()
                if reused:  # the server closed it while it was idle: that is not an answer
                    continue
                raise ConnectionError(f"{address[0]}:{address[1]} closed the connection") from error
            except BaseException:
                stream.close()
                raise
            if keep and len(self._idle[address]) < IDLE_PER_ADDRESS:
                self._idle[address].append(stream)
            else:
                stream.close()
            return response


class _Stream:
    """One connection of the client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, address: Address) -> _Stream:
        return cls(*await asyncio.open_connection(*address))

    async def exchange(self, message: bytes) -> tuple[Response, bool]:
        self._writer.write(message)
        head = await self._reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").strip().split("\r\n")
        headers = _headers(lines)
        length = headers.get("content-length")
        body = await (self._reader.readexactly(int(length)) if length else self._reader.read())
        keep = bool(length) and headers.get("connection", "").lower() != "close"
        return Response(int(first.split(" ")[1]), body, headers.get("content-type", "")), keep

    def close(self) -> None:
        self._writer.transport.abort()
