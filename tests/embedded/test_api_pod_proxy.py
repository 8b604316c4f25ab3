"""The pod proxy forwards to the pod's real socket and answers like the API server if it cannot."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from deploy_guard.embedded.server import ApiServer
from deploy_guard.embedded.store import Object, Store
from embedded.http_client import PODS, ApiClient, pod


class Echo(BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    def do_GET(self) -> None:
        seen = {"path": self.path, "authorization": self.headers.get("Authorization")}
        body = json.dumps(seen).encode()
        self.send_response(418)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@dataclass
class Pods:
    """Knows one socket, for port 8080 of the pod `web`."""

    address_of_web: tuple[str, int]

    def address(self, namespace: str, pod: str, port: int) -> tuple[str, int] | None:
        """Return the socket of the pod `web`."""
        known = (namespace, pod, port) == ("default", "web", 8080)
        return self.address_of_web if known else None


@pytest.fixture
def proxied(store: Store) -> Iterator[tuple[ApiClient, HTTPServer]]:
    """Run a pod's server and an API server that knows it; the pod `web` has an address."""
    backend = HTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=backend.serve_forever, args=(0.01,))
    thread.start()
    with ApiServer(store, pod_proxy=Pods(("127.0.0.1", backend.server_port))) as server:
        api = ApiClient(server.url, token="secret")
        for name in ("web", "other"):
            api.create(PODS, pod(name))
            store.update("pods", "default", name, give_address, status=True)
        api.create(PODS, pod("pending"))
        yield api, backend
    backend.shutdown()
    thread.join()
    backend.server_close()


def give_address(obj: Object) -> None:
    """Do what a kubelet does when a pod runs."""
    obj["status"]["podIP"] = "10.0.0.1"


@pytest.mark.parametrize("name", ["web", "web:8080", "web:http", "http:web:8080"])
def test_request_reaches_the_pod(proxied: tuple[ApiClient, HTTPServer], name: str) -> None:
    """Path, query, status and body pass; the sender's credentials do not."""
    answer = proxied[0].call("GET", f"{PODS}/{name}/proxy/metrics/x?a=b%20c")
    assert answer.status == 418
    assert answer.body == {"path": "/metrics/x?a=b%20c", "authorization": None}


def test_root_of_the_pod(proxied: tuple[ApiClient, HTTPServer]) -> None:
    """The proxy path alone means the root."""
    assert proxied[0].call("GET", f"{PODS}/web/proxy").body["path"] == "/"


@pytest.mark.parametrize(
    ("name", "status"),
    [("absent", 404), ("pending", 400), ("other", 503), ("web:9999", 503)],
)
def test_unreachable_pod(proxied: tuple[ApiClient, HTTPServer], name: str, status: int) -> None:
    """No such pod is 404, a pod without address 400, a port nobody listens on 503."""
    answer = proxied[0].call("GET", f"{PODS}/{name}/proxy/metrics")
    assert (answer.status, answer.body["kind"]) == (status, "Status")


def test_dead_pod(proxied: tuple[ApiClient, HTTPServer]) -> None:
    """A pod whose process is gone is 503."""
    api, backend = proxied
    backend.socket.close()
    answer = api.call("GET", f"{PODS}/web/proxy/metrics")
    assert answer.status == 503
    assert answer.body["reason"] == "ServiceUnavailable"


def test_close_does_not_wait_for_a_hanging_pod(store: Store) -> None:
    """A pod that never answers does not keep the server from closing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = ApiServer(store, pod_proxy=Pods(("127.0.0.1", silent.getsockname()[1])))
        server.start()
        api = ApiClient(server.url)
        api.create(PODS, pod("web"))
        store.update("pods", "default", "web", give_address, status=True)
        thread = threading.Thread(target=ask_until_cut_off, args=(api,))
        thread.start()
        accepted, _ = silent.accept()
        with accepted:
            assert accepted.recv(1) == b"G"
            began = time.monotonic()
            server.close()
            assert time.monotonic() - began < 10
        thread.join()


def ask_until_cut_off(api: ApiClient) -> None:
    """Ask the pod; whether its 503 still comes through is a matter of who is faster."""
    with contextlib.suppress(OSError, HTTPException):
        assert api.call("GET", f"{PODS}/web/proxy/metrics").status == 503
