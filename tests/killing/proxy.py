"""A reverse proxy in front of an API server that kills a process at one of its writes.

Decides which requests are writes and on which side of one the process dies: before the server
hears of it, or after the server did it but before the process hears. Everything else passes
through as it is, watches as they come.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Protocol
from urllib.parse import parse_qs, urlsplit

Side = Literal["before", "after"]
SIDES: tuple[Side, ...] = ("before", "after")
WRITES = ("POST", "PUT", "PATCH", "DELETE")
QUESTIONS = ("/apis/authorization.k8s.io/", "/apis/authentication.k8s.io/")
PER_CONNECTION = {"connection", "content-length", "keep-alive", "transfer-encoding", "host"}


class Victim(Protocol):
    """What can be killed and waited for, such as a subprocess.Popen."""

    def kill(self) -> None:
        """Send SIGKILL."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it is dead."""
        ...


@dataclass(frozen=True, slots=True)
class Write:
    """One request that changes something; `content` is its JSON, None without any."""

    method: str
    path: str
    content: Any

    @property
    def short(self) -> str:
        """Method, resource and name, for test ids and messages."""
        parts = self.path.partition("?")[0].split("/namespaces/")[-1].split("/")
        return f"{self.method} {'/'.join(parts[1:])}"


class KillingProxy:
    """The proxy; `url` is its address. Use it as a context manager."""

    def __init__(self, server_url: str) -> None:
        self._server = _Server(self, urlsplit(server_url).netloc)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.writes: list[Write] = []
        self.killed = threading.Event()
        self._lock = threading.Lock()
        self._countdown = 0
        self._side: Side = "before"
        self._among: Callable[[Write], bool] = _any
        self._victim: Victim | None = None
        self._named = threading.Event()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def kill_at(
        self,
        number: int,
        side: Side,
        process: Victim | None = None,
        *,
        among: Callable[[Write], bool] | None = None,
    ) -> None:
        """Kill at the `number`-th write from now on, counted from 1; only those `among` count.

        Without `process` the write waits until `victim` names it.
        """
        with self._lock:
            self.killed.clear()
            self._countdown, self._side, self._victim = number, side, None
            self._among = among or _any
            self._named.clear()
        if process is not None:
            self.victim(process)

    def victim(self, process: Victim) -> None:
        """Name the process that is to be killed."""
        self._victim = process
        self._named.set()

    def close(self) -> None:
        """End every connection and free the port."""
        self._server.shutdown()
        self._thread.join()
        self._server.end_connections()
        self._server.server_close()

    def __enter__(self) -> KillingProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def side_of(self, method: str, path: str, body: bytes) -> Side | None:
        """Count a request; return on which side of it the process dies, None if it lives on."""
        if not is_write(method, path):
            return None
        with self._lock:
            write = Write(method, path, json.loads(body) if body else None)
            self.writes.append(write)
            if not self._among(write):
                return None
            self._countdown -= 1
            return self._side if self._countdown == 0 else None

    def kill(self) -> None:
        """Kill the process and wait until it is dead."""
        assert self._named.wait(30), "nobody said which process is to be killed"
        assert self._victim is not None
        self._victim.kill()
        self._victim.wait(30)
        self.killed.set()


def _any(_: Write) -> bool:
    return True


def is_write(method: str, path: str) -> bool:
    """Tell whether a request changes something: no dry run, no access review."""
    parts = urlsplit(path)
    return (
        method in WRITES
        and not parts.path.startswith(QUESTIONS)
        and "dryRun" not in parse_qs(parts.query)
    )


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # server_close waits for the threads, so no socket is left behind
    request_queue_size = 128

    def __init__(self, proxy: KillingProxy, upstream: str) -> None:
        self.proxy = proxy
        self.upstream = upstream
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    @contextlib.contextmanager
    def remembered(self, connection: socket.socket) -> Iterator[None]:
        """Know a connection for as long as it is used, so that `end_connections` ends it."""
        with self._guard:
            self._open.add(connection)
        try:
            yield
        finally:
            with self._guard:
                self._open.discard(connection)

    def end_connections(self) -> None:
        """End every connection; the threads that wait on them end then."""
        with self._guard:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing about connections that a killed process left behind."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def handle(self) -> None:
        upstream = http.client.HTTPConnection(self.server.upstream, timeout=120)
        with contextlib.closing(upstream):
            upstream.connect()
            self._upstream = upstream
            server = self.server
            with server.remembered(self.connection), server.remembered(upstream.sock):
                super().handle()

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        side = self.server.proxy.side_of(self.command, self.path, body)
        if side == "before":
            self._drop()
            return
        headers = {k: v for k, v in self.headers.items() if k.lower() not in PER_CONNECTION}
        self._upstream.request(self.command, self.path, body or None, headers)
        with self._upstream.getresponse() as answer:
            if side == "after":
                answer.read()
                self._drop()
                return
            self._pass_on(answer)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def _drop(self) -> None:
        self.server.proxy.kill()
        self.close_connection = True

    def _pass_on(self, answer: http.client.HTTPResponse) -> None:
        streamed = (answer.getheader("Transfer-Encoding") or "").lower() == "chunked"
        body = b"" if streamed else answer.read()
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in PER_CONNECTION:
                self.send_header(name, value)
        self.send_header(*(("Transfer-Encoding", "chunked") if streamed else _length(body)))
        self.end_headers()
        self.wfile.write(body)
        if streamed:
            while part := answer.read1(65536):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: results are asked of the proxy."""


def _length(body: bytes) -> tuple[str, str]:
    return "Content-Length", str(len(body))
