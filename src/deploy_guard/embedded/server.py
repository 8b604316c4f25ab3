"""The API over HTTP: sockets, threads, chunks.

Decides how a request is read from a connection and an answer written to it. What is answered is
decided by `api`.
"""

from __future__ import annotations

import base64
import json
import select
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from deploy_guard.embedded import statuses
from deploy_guard.embedded.access import AllowAll, Authorizer
from deploy_guard.embedded.api import Api
from deploy_guard.embedded.pod_proxy import PodProxy
from deploy_guard.embedded.raw_data import RawData
from deploy_guard.embedded.requests import Request, Response, split_url
from deploy_guard.embedded.resources import Catalogue, Resource
from deploy_guard.embedded.store import AlreadyExistsError, Store

BODY_LIMIT = 3 * 1024 * 1024  # apiserver: --max-request-body-bytes
SKIPPED_BYTES = 64 * 1024 * 1024
FIRST_NAMESPACES = ("default", "kube-system")


@dataclass(frozen=True, slots=True)
class Tls:
    """What the server shows: its certificate, and the CA's (PEM) for the kubeconfig."""

    context: ssl.SSLContext
    ca: bytes


class ApiServer:
    """A Kubernetes API on a local port, in front of a store.

    Use it as a context manager, or call `start` and `close`. Closing ends all watches. kubectl
    sends a token only over TLS. `kinds` are custom resources that somebody installed (`custom`).
    """

    def __init__(
        self,
        store: Store,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        pod_proxy: PodProxy | None = None,
        bookmark_seconds: float = 1.0,
        authorizer: Authorizer | None = None,
        tls: Tls | None = None,
        kinds: Iterable[Resource] = (),
        raw_data: RawData | None = None,
    ) -> None:
        self._store = store
        self._tls = tls
        self._stopping = threading.Event()
        self._api = Api(
            store,
            authorizer or AllowAll(),
            pods=pod_proxy,
            bookmark_seconds=bookmark_seconds,
            stopped=self._stopping.is_set,
            catalogue=Catalogue(kinds),
            raw_data=raw_data,
        )
        _create_first_namespaces(store)
        self._server = _Server((host, port), self._api, tls)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="api-server", daemon=True
        )
        self.url = f"{'https' if tls else 'http'}://{self._server.address}"

    def start(self) -> None:
        """Begin to answer requests."""
        self._thread.start()

    def close(self) -> None:
        """End all watches and connections and free the port."""
        self._stopping.set()
        self._store.wake()
        self._api.close()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.end_connections()
        self._server.server_close()

    def __enter__(self) -> ApiServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def kubeconfig(self, *, namespace: str = "default", token: str | None = None) -> dict[str, Any]:
        """Return a kubeconfig for this server, ready to be dumped as YAML or JSON."""
        name = "deploy-guard"
        context = {"cluster": name, "user": name, "namespace": namespace}
        cluster = {"server": self.url}
        if self._tls is not None:
            cluster["certificate-authority-data"] = base64.b64encode(self._tls.ca).decode()
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": name, "user": {"token": token} if token else {}}],
            "contexts": [{"name": name, "context": context}],
            "current-context": name,
        }


def _create_first_namespaces(store: Store) -> None:
    for name in FIRST_NAMESPACES:
        namespace = {
            "kind": "Namespace",
            "apiVersion": "v1",
            "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
            "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Active"},
        }
        try:
            store.create("namespaces", namespace)
        except AlreadyExistsError:
            continue


class _Server(ThreadingHTTPServer):
    """Threads, one per connection; remembers the connections so that it can end them."""

    daemon_threads = False  # server_close waits for the threads, so no socket is left behind
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], api: Api, tls: Tls | None) -> None:
        self.api = api
        self._tls = tls
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(address, _Handler)
        host, port = self.server_address[:2]
        self.address = f"{host!s}:{port}"

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; a TLS handshake is left to the connection's own thread."""
        connection, address = super().get_request()
        if self._tls is not None:
            connection = self._tls.context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, address

    def remember(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.add(connection)

    def forget(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.discard(connection)

    def end_connections(self) -> None:
        with self._lock:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about connections that clients broke."""


class _Handler(BaseHTTPRequestHandler):
    """One connection: requests one after the other."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.remember(self.connection)

    def finish(self) -> None:
        self.server.forget(self.connection)
        super().finish()

    def do_GET(self) -> None:
        try:
            self._answer(self._respond())
        except (ConnectionError, TimeoutError, ssl.SSLError, ValueError):
            self.close_connection = True

    do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: requests may hold secrets."""

    def _respond(self) -> Response:
        try:
            body = self._body()
            user = self.server.api.authorizer.authenticate(self.headers.get("Authorization"))
            path, query = split_url(self.path)
            headers = {key.lower(): value for key, value in self.headers.items()}
            request = Request(self.command, path, query, headers, body, user)
            return self.server.api.handle(request, self.server.address)
        except statuses.ApiError as error:
            return Response(error.code, error.body, headers=error.headers)
        except OSError:
            raise
        except Exception as error:  # a mistake of ours must reach the client as an answer
            internal = statuses.internal_error(f"{type(error).__name__}: {error}")
            return Response(internal.code, internal.body)

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            return b"".join(self._chunks())
        length = int(self.headers.get("Content-Length") or 0)
        if length > BODY_LIMIT:
            self.close_connection = True
            self._skip(min(length, SKIPPED_BYTES))
            raise statuses.too_large(BODY_LIMIT)
        return self.rfile.read(length)

    def _skip(self, length: int) -> None:
        """Read what the client is still sending, so that it comes to read the answer."""
        while length > 0 and (part := self.rfile.read(min(length, 64 * 1024))):
            length -= len(part)

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass

    def _answer(self, response: Response) -> None:
        if response.stream is not None:
            self._stream(response)
            return
        body = response.body
        if isinstance(body, dict):
            body = json.dumps(body, separators=(",", ":")).encode() + b"\n"
        elif not isinstance(body, bytes):
            body = str(body or "").encode()
        self.send_response(response.code)
        self._headers(response)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _headers(self, response: Response) -> None:
        if response.content_type:
            self.send_header("Content-Type", response.content_type)
        for name, value in response.headers.items():
            self.send_header(name, value)
        for text in response.warnings:
            self.send_header("Warning", f"299 - {json.dumps(text)}")

    def _stream(self, response: Response) -> None:
        assert response.stream is not None  # noqa: S101 - the caller asked
        self.send_response(response.code)
        self._headers(response)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for chunk in response.stream:
            if chunk:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            elif self._client_left():
                self.close_connection = True
                return
        self.wfile.write(b"0\r\n\r\n")

    def _client_left(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        if not readable:
            return False
        if isinstance(self.connection, ssl.SSLSocket):
            return True  # it cannot be peeked at; whoever follows a stream sends nothing else
        return not self.connection.recv(1, socket.MSG_PEEK)
