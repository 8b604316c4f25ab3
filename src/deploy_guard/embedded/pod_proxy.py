"""The pod proxy: a request to a pod, forwarded over a real connection.

Decides the answers of ``pods/NAME[:PORT]/proxy/PATH``; which socket stands for a pod is told by
whoever runs the pods (`PodProxy`).
"""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Mapping
from typing import Any, Protocol

from deploy_guard.embedded import statuses
from deploy_guard.embedded.requests import Request, Response
from deploy_guard.embedded.resources import Resource
from deploy_guard.embedded.store import Store

SECONDS = 30.0
NOT_FORWARDED = frozenset(
    {"host", "connection", "authorization", "content-length", "accept-encoding"}
)
NOT_RETURNED = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive"})


class PodProxy(Protocol):
    """Tells where a pod listens."""

    def address(self, namespace: str, pod: str, port: int) -> tuple[str, int] | None:
        """Return host and port of the real socket behind the pod's port, None if there is none."""


class Forwarder:
    """Forwards requests to pods; closing it ends those that are under way."""

    def __init__(self, store: Store, pods: PodProxy | None) -> None:
        self._store = store
        self._pods = pods
        self._open: set[http.client.HTTPConnection] = set()
        self._closed = False
        self._lock = threading.Lock()

    def forward(
        self, resource: Resource, request: Request, *, namespace: str, name: str, path: str
    ) -> Response:
        """Send the request to the pod and return its answer. Raises ApiError (400, 404, 503)."""
        pod_name, port_text = split_name(name)
        pod = self._store.find("pods", namespace, pod_name)
        if pod is None:
            raise statuses.not_found(resource, pod_name)
        port = _port(pod, port_text)
        pod_ip = (pod.get("status") or {}).get("podIP")
        if not pod_ip:
            raise statuses.bad_request("address not allowed")
        address = self._pods.address(namespace, pod_name, port) if self._pods else None
        if address is None:
            raise _unavailable(f"dial tcp {pod_ip}:{port}: connect: connection refused")
        try:
            return self._exchange(address, request, path)
        except (OSError, http.client.HTTPException) as error:
            raise _unavailable(str(error) or type(error).__name__) from error

    def close(self) -> None:
        """End the requests under way: their senders get 503."""
        with self._lock:
            self._closed = True
            for connection in self._open:
                if connection.sock is not None:
                    connection.sock.shutdown(socket.SHUT_RDWR)

    def _exchange(self, address: tuple[str, int], request: Request, path: str) -> Response:
        connection = http.client.HTTPConnection(*address, timeout=SECONDS)
        try:
            connection.connect()
            with self._lock:
                if self._closed:
                    raise ConnectionAbortedError("the API server is closing")
                self._open.add(connection)
            query = f"?{request.raw_query}" if request.raw_query else ""
            headers = {k: v for k, v in request.headers.items() if k not in NOT_FORWARDED}
            body = request.body or None
            connection.request(request.method, f"/{path}{query}", body=body, headers=headers)
            answer = connection.getresponse()
            found = _headers(answer.headers.items())
            content_type = found.pop("Content-Type", "")
            return Response(answer.status, answer.read(), content_type, found)
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()


def _headers(items: Any) -> dict[str, str]:
    kept: Mapping[str, str] = {k: v for k, v in items if k.lower() not in NOT_RETURNED}
    return {("Content-Type" if k.lower() == "content-type" else k): v for k, v in kept.items()}


def split_name(name: str) -> tuple[str, str]:
    """Split ``[scheme:]name[:port]`` into the pod's name and the port as it is written."""
    parts = name.split(":")
    if len(parts) == 3:
        parts = parts[1:]
    return parts[0], parts[1] if len(parts) > 1 else ""


def _port(pod: dict[str, Any], text: str) -> int:
    """Return the port asked for: a number, a port's name, or the pod's first port."""
    ports = [
        port
        for container in pod["spec"].get("containers") or []
        for port in container.get("ports") or []
    ]
    if text.isdigit():
        return int(text)
    for port in ports:
        if not text or port.get("name") == text:
            return int(port["containerPort"])
    return 80


def _unavailable(why: str) -> statuses.ApiError:
    message = f"error trying to reach service: {why}"
    return statuses.ApiError(503, "ServiceUnavailable", message)
