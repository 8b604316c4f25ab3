"""A real HTTP server that answers by a script: for what no well-behaved API server does."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.retry import Retries

Behaviour = Callable[["Handler"], None]
QUICK = Retries(attempts=4, seconds=10, first_wait=0.01, longest_wait=0.02)


def answer(status: int, body: Any, **headers: str) -> Behaviour:
    """Answer with a body: JSON for objects, text otherwise; `_` in header names means `-`."""

    def behave(handler: Handler) -> None:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        kind = "text/plain; charset=utf-8" if isinstance(body, str) else "application/json"
        handler.send_response(status)
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        for key, value in {"Content-Type": kind, "Content-Length": str(len(data)), **named}.items():
            handler.send_header(key, value)
        handler.end_headers()
        handler.wfile.write(data)

    return behave


def stream(*lines: Any, hang: bool = False) -> Behaviour:
    """Answer with events in chunks, then end, or stay silent until the server is closed."""

    def behave(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for line in lines:
            data = line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n"
            handler.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            handler.wfile.flush()
        if hang:
            handler.server.closing.wait(30)
        handler.wfile.write(b"0\r\n\r\n")

    return behave


def reset(handler: Handler) -> None:
    """Drop the connection without an answer."""
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def silence(handler: Handler) -> None:
    """Take the request and say nothing until the server is closed."""
    handler.server.closing.wait(30)
    handler.close_connection = True


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ScriptedServer

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        with self.server.lock:
            self.server.requests.append((self.command, self.path, dict(self.headers), body))
            script = self.server.script
            behaviour = script.pop(0) if len(script) > 1 else script[0]
        behaviour(self)

    do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        pass


class ScriptedServer(ThreadingHTTPServer):
    """Answers each request with the next behaviour; the last one stays."""

    def __init__(self, *script: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = list(script)
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.lock = threading.Lock()
        self.closing = threading.Event()
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self.server_address[1]}"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))
        self._thread.start()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients of these tests go away in the middle."""

    def close(self) -> None:
        """End all answers and free the port."""
        self.closing.set()
        self.shutdown()
        self._thread.join()
        self.server_close()

    def __enter__(self) -> ScriptedServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def kubeconfig(
    path: Path, server: str, *, cluster: dict[str, Any] | None = None, user: Any = None
) -> Path:
    """Write a kubeconfig with one context, ``here`` in namespace ``shop``."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [
            {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}
        ],
        "clusters": [{"name": "c", "cluster": {"server": server, **(cluster or {})}}],
        "users": [{"name": "u", "user": user or {}}],
    }
    path.write_text(json.dumps(config))
    return path


def connect(folder: Path, url: str, *, retries: Retries = QUICK, **options: Any) -> Cluster:
    """Connect to a server by way of a kubeconfig, as a user would."""
    path = kubeconfig(folder / "kubeconfig", url, **options)
    return Cluster.connect(kubeconfig=str(path), retries=retries)
