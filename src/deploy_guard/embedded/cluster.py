"""A whole small cluster in one process: store, API server, controllers, kubelet, toy service.

Decides what runs together and ends together. Each part decides for itself.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from deploy_guard.embedded.controllers.completion import STORED_AS, is_rolled_out
from deploy_guard.embedded.controllers.loop import ControllerLoop
from deploy_guard.embedded.controllers.objects import PODS, is_terminating
from deploy_guard.embedded.controllers.pod_state import is_ready
from deploy_guard.embedded.kubelet import Kubelet
from deploy_guard.embedded.load import Load
from deploy_guard.embedded.nodes import fake_nodes
from deploy_guard.embedded.operations import Operations
from deploy_guard.embedded.raw_data import RawData
from deploy_guard.embedded.resources import Catalogue, Resource
from deploy_guard.embedded.selectors import matches_label_selector
from deploy_guard.embedded.server import ApiServer
from deploy_guard.embedded.service import PaymentsApi, ToyHost
from deploy_guard.embedded.store import Object, Store

NAMESPACES = "namespaces"


class EmbeddedCluster:
    """A cluster for the demo and for tests; use it as a context manager.

    `start_up` is the seconds until a pod is ready, and the unit of all other steps of a pod;
    `grace` the seconds a deleted pod lives on; `bookmark_seconds` the time between bookmarks of
    watches. Without `service` pods have no sockets and there is no `payments`. With `port` 0 the
    operating system chooses the API's port. `kinds` are custom resources that somebody installed
    (`custom`); they are stored, nothing acts on them. `nodes` is the number of fake nodes, and
    so of the pods of a DaemonSet.
    """

    def __init__(
        self,
        *,
        start_up: float = 1.0,
        grace: float = 0.0,
        bookmark_seconds: float = 1.0,
        service: bool = True,
        port: int = 0,
        kinds: Iterable[Resource] = (),
        nodes: int = 1,
    ) -> None:
        kinds = tuple(kinds)
        fakes = fake_nodes(nodes)
        self._catalogue = Catalogue(kinds)
        self.store = Store()
        self._host = ToyHost() if service else None
        self._payments = PaymentsApi(self._host) if self._host else None
        self._loads: list[Load] = []
        self.kubelet = Kubelet(
            self.store, start_up=start_up, grace=grace, services=self._host, nodes=fakes
        )
        raw_data = RawData()
        self._controllers = ControllerLoop(self.store, fakes, is_frozen=raw_data.is_frozen)
        self._operations = Operations(self.store, self._catalogue)
        self._server = ApiServer(
            self.store,
            port=port,
            pod_proxy=self.kubelet,
            bookmark_seconds=bookmark_seconds,
            kinds=kinds,
            raw_data=raw_data,
        )

    @property
    def url(self) -> str:
        """The API server's address."""
        return self._server.url

    @property
    def payments(self) -> PaymentsApi:
        """The API that the toy service calls; raises RuntimeError without `service`."""
        if self._payments is None:
            raise RuntimeError("cluster: expected service=True for the payments API")
        return self._payments

    def start(self) -> None:
        """Start all parts."""
        self._server.start()
        self._controllers.start()
        self.kubelet.start()

    def close(self) -> None:
        """Stop all parts; nothing of the cluster is left."""
        for load in self._loads:
            load.close()
        self._server.close()
        self._controllers.close()
        self.kubelet.close()
        if self._payments is not None and self._host is not None:
            self._payments.close()
            self._host.close()

    def __enter__(self) -> EmbeddedCluster:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def kubeconfig_file(self, path: Path, *, namespace: str = "default") -> Path:
        """Write a kubeconfig for the cluster and return its path."""
        config: dict[str, Any] = self._server.kubeconfig(namespace=namespace)
        path.write_text(json.dumps(config, indent=1), encoding="utf-8")
        return path

    def apply(self, manifest: Object) -> Object:
        """Create the object or replace its content; its namespace is made when it is missing.

        Goes through the API server's defaulting and validation and raises its ApiError. Labels
        and annotations are merged into those that are there, everything else is replaced.
        """
        resource = self._resource_of(manifest)
        namespace = manifest["metadata"].get("namespace", "default") if resource.namespaced else ""
        if namespace and self.store.find(NAMESPACES, "", namespace) is None:
            self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        name = manifest["metadata"]["name"]
        if self.store.find(resource.store_name, namespace, name) is None:
            wanted = json.loads(json.dumps(manifest))
            if namespace:
                wanted["metadata"]["namespace"] = namespace
            return self._operations.create(resource, namespace, wanted)
        return self._operations.change(
            resource, namespace, name, lambda before: _replaced(before, manifest)
        )

    def _resource_of(self, manifest: Object) -> Resource:
        for resource in self._catalogue.resources:
            if (resource.api_version, resource.kind) == (manifest["apiVersion"], manifest["kind"]):
                return resource
        raise ValueError(f"kind {manifest['kind']!r}: the embedded cluster does not have it")

    def wait_for(self, condition: Callable[[], bool], *, timeout: float = 30.0) -> None:
        """Wait until the condition holds; it is asked after each change in the cluster.

        Raises TimeoutError after `timeout` seconds.
        """
        end = time.monotonic() + timeout
        version = -1
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"cluster: the condition did not hold within {timeout:g} s")
            version = self.store.wait(version, timeout=min(0.1, timeout))

    def wait_complete(
        self, namespace: str, name: str, timeout: float = 30.0, *, kind: str = "Deployment"
    ) -> Object:
        """Wait until a workload's rollout is complete and return it. Raises TimeoutError.

        `kind` is Deployment, StatefulSet or DaemonSet; another one is a ValueError.
        """

        def complete() -> bool:
            found = self._find(kind, namespace, name)
            return found is not None and is_rolled_out(found)

        self.wait_for(complete, timeout=timeout)
        return self.store.get(_stored_as(kind), namespace, name)

    def pods(self, namespace: str, name: str, *, kind: str = "Deployment") -> list[Object]:
        """Return the pods that a workload's selector matches."""
        workload = self._find(kind, namespace, name)
        if workload is None:
            return []
        selector = workload["spec"]["selector"]
        pods, _ = self.store.list_all(PODS, namespace)
        return [
            pod
            for pod in pods
            if matches_label_selector(selector, pod["metadata"].get("labels") or {})
        ]

    def addresses(
        self, namespace: str, name: str, *, kind: str = "Deployment"
    ) -> list[tuple[str, int]]:
        """Return host and port of every pod of a workload that a Service would send to."""
        found = []
        for pod in self.pods(namespace, name, kind=kind):
            if is_ready(pod) and not is_terminating(pod):
                address = self.kubelet.address(namespace, pod["metadata"]["name"])
                found += [address] if address else []
        return found

    def load(self, namespace: str, name: str, rate: float, *, kind: str = "Deployment") -> Load:
        """Send `rate` requests a second to the workload's ready pods until it is closed."""
        if self._host is None:
            raise RuntimeError("cluster: expected service=True for traffic")
        addresses = _Remembered(self.store, lambda: self.addresses(namespace, name, kind=kind))
        load = Load(self._host, addresses, rate=rate)
        self._loads.append(load)
        return load

    def _find(self, kind: str, namespace: str, name: str) -> Object | None:
        return self.store.find(_stored_as(kind), namespace, name)


class _Remembered:
    """The addresses as of the last change in the cluster: asked at each request, made rarely."""

    def __init__(self, store: Store, read: Callable[[], list[tuple[str, int]]]) -> None:
        self._store, self._read = store, read
        self._version = -1
        self._known: list[tuple[str, int]] = []

    def __call__(self) -> list[tuple[str, int]]:
        version = self._store.version
        if version != self._version:
            self._version, self._known = version, self._read()
        return self._known


def _stored_as(kind: str) -> str:
    if kind not in STORED_AS:
        raise ValueError(f"kind {kind!r}: expected one of {', '.join(STORED_AS)}")
    return STORED_AS[kind]


def _replaced(before: Object, manifest: Object) -> Object:
    after: Object = json.loads(json.dumps(manifest))
    given = after.pop("metadata")
    metadata = dict(before["metadata"])
    for field in ("labels", "annotations"):
        merged = {**(metadata.get(field) or {}), **(given.get(field) or {})}
        if merged:
            metadata[field] = merged
    kept = {"status": before["status"]} if "status" in before else {}
    return {**after, **kept, "metadata": metadata}
