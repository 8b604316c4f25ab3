"""A small real HTTP server whose answers a test chooses."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent: header names are lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server answers; `hang` makes it wait until it is closed."""

    status: int = 200
    body: str = ""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False
    trickle: bool = False  # one byte now and then, without an end
    endless: bool = False  # as much as the client takes, without an end
    drop: bool = False  # close the connection without an answer


class WebServer:
    """Serves what `answer` returns on a port that the system chooses; keeps the requests."""

    def __init__(
        self, answer: Callable[[Request], Reply], *, context: ssl.SSLContext | None = None
    ) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.closing = threading.Event()
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        if context is not None:
            self._server.context = context
        self.port: int = self._server.server_address[1]
        scheme = "http" if context is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}
        )
        self._thread.start()

    def close(self) -> None:
        """Stop serving, and end answers that hang."""
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    context: ssl.SSLContext | None = None
    daemon_threads = False

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.context is not None:
            request.settimeout(10)
            try:
                request = self.context.wrap_socket(request, server_side=True)
            except OSError:  # the client did not like the certificate, or has none
                return
            try:
                super().finish_request(request, client_address)
            finally:
                request.close()
            return
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay quiet: clients that give up are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    owner: WebServer
    protocol_version = "HTTP/1.1"
    timeout = 10

    def _serve(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(length).decode()
        request = Request(self.command, self.path, headers, body)
        self.owner.requests.append(request)
        reply = self.owner.answer(request)
        self.close_connection = True
        if reply.hang:
            self.owner.closing.wait(60)
        if reply.drop or reply.hang:
            return
        data = reply.body.encode()
        self.send_response(reply.status)
        self.send_header("content-type", reply.content_type)
        if not (reply.trickle or reply.endless):
            self.send_header("content-length", str(len(data)))
        self.send_header("connection", "close")
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        while reply.trickle and not self.owner.closing.wait(0.05):
            self.wfile.write(b" ")
            self.wfile.flush()
        while reply.endless:
            self.wfile.write(b"[" * 65536)
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_HEAD = _serve  # noqa: N815 - the base class' names

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet."""
