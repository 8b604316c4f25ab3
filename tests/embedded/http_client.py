"""A plain HTTP client for the embedded API: no library between the test and the socket."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

Object = dict[str, Any]

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers and body of an answer; JSON is parsed."""

    status: int
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class ApiClient:
    """Sends one request per connection."""

    url: str
    token: str = ""

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        kind: str = "application/json",
        **more: str,
    ) -> Answer:
        """Send a request and read the whole answer; `more` are headers."""
        connection = self._connect()
        try:
            sent = body if body is None or isinstance(body, str | bytes) else json.dumps(body)
            connection.request(method, path, sent, {**self._headers(kind), **more})
            answer = connection.getresponse()
            data = answer.read()
            is_json = answer.headers.get("Content-Type", "").startswith("application/json")
            found = json.loads(data) if is_json else data.decode()
            return Answer(answer.status, dict(answer.headers), found)
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """Read what must be there."""
        answer = self.call("GET", path)
        assert answer.status == 200, answer.body
        return answer.body

    def create(self, path: str, body: Object) -> Any:
        """Create what must be accepted."""
        answer = self.call("POST", path, body)
        assert answer.status == 201, answer.body
        return answer.body

    def patch(self, path: str, body: Any, kind: str = MERGE_PATCH) -> Any:
        """Patch what must be accepted."""
        answer = self.call("PATCH", path, body, kind=kind)
        assert answer.status == 200, answer.body
        return answer.body

    @contextmanager
    def watch(self, path: str) -> Iterator[Iterator[Object]]:
        """Open a watch; the events are read one by one, the stream is closed at the end."""
        connection = self._connect()
        connection.request("GET", path, headers=self._headers(""))
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        try:
            yield (json.loads(line) for line in answer)
        finally:
            answer.close()
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        return http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)

    def _headers(self, kind: str) -> dict[str, str]:
        headers = {"Accept": "application/json", "Content-Type": kind}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        return headers


def config_map(name: str, **labels: str) -> Object:
    """Return a ConfigMap."""
    head = {"apiVersion": "v1", "kind": "ConfigMap"}
    return {**head, "metadata": {"name": name, "labels": labels}, "data": {"v": "0"}}


def deployment(name: str = "web", *, image: str = "registry.example/web:1.0") -> Object:
    """Return a Deployment as a user writes it."""
    container = {"name": "web", "image": image, "ports": [{"containerPort": 8080}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [container]},
            },
        },
    }


def pod(name: str, **more: Any) -> Object:
    """Return a pod with one container, bound to a node if `nodeName` is given."""
    container = {
        "name": "web",
        "image": "registry.example/web:1.0",
        "ports": [{"name": "http", "containerPort": 8080}],
    }
    head = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}}
    return {**head, "spec": {"containers": [container], **more}}
