"""A shop on the embedded cluster, to be deployed well and badly, and watched."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy_guard.cluster.client import Cluster
from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.manifests import toy_deployment
from deploy_guard.embedded.store import Object
from deploy_guard.model import Event, Outcome, Target
from deploy_guard.outputs.base import Item
from deploy_guard.policy.models import Policy
from deploy_guard.watch.session import Watch

NAMESPACE, NAME = "shop", "web"
TARGET = Target("deployment", NAMESPACE, NAME)
POLICY = """\
version: 1
watch: {for: FOR, interval: 250ms, warm_up: 500ms}
rollback: {timeout: 20s, verify: 8s}
signals:
  - name: errors
    provider: pods
    port: http
    ratio: {errors: 'http_requests_total{code=~"5.."}', requests: http_requests_total}
    limit: 20%
    min_requests: 20
"""
FIRST, SECOND, THIRD = (f"registry.example/web:{n}.0" for n in (1, 2, 3))


@dataclass
class Heard:
    """An output that remembers, and wakes whoever waits for something to be told."""

    items: list[Item] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def show(self, item: Item) -> None:
        """Remember one thing."""
        with self.changed:
            self.items.append(item)
            self.changed.notify_all()

    @property
    def events(self) -> list[Event]:
        """All events so far."""
        with self.changed:
            return [item for item in self.items if isinstance(item, Event)]

    def lines(self, kind: str) -> list[str]:
        """The texts of one kind of event."""
        return [event.text for event in self.events if event.kind == kind]

    def wait_for(self, kind: str, part: str = "", *, timeout: float = 30.0) -> None:
        """Wait until an event of this kind with this part of a text was told."""
        end = time.monotonic() + timeout
        with self.changed:
            while not any(part in text for text in self.lines(kind)):
                left = end - time.monotonic()
                if left <= 0:
                    told = "\n".join(f"{e.kind}: {e.text}" for e in self.events)
                    raise AssertionError(f"never told: {kind} {part!r}; told were:\n{told}")
                self.changed.wait(left)


@dataclass
class Shop:
    """The cluster, a client for it, and the releases."""

    embedded: EmbeddedCluster
    cluster: Cluster
    kubeconfig: Path

    def release(
        self,
        image: str = FIRST,
        env: Mapping[str, str] | None = None,
        *,
        replicas: int = 3,
        **spec: Any,
    ) -> Object:
        """Deploy a version of the shop."""
        made = toy_deployment(NAME, NAMESPACE, image, env or {}, replicas=replicas, **spec)
        return self.embedded.apply(made)

    def complete(self) -> None:
        """Wait until the rollout is complete."""
        self.embedded.wait_complete(NAMESPACE, NAME)

    def image(self) -> str:
        """The image that the Deployment asks for now."""
        found = self.embedded.store.get("deployments.apps", NAMESPACE, NAME)
        return str(found["spec"]["template"]["spec"]["containers"][0]["image"])

    def replicasets(self) -> list[Object]:
        """All ReplicaSets of the shop."""
        return self.embedded.store.list_all("replicasets.apps", NAMESPACE)[0]

    def watch(self, policy: Policy, *, dry_run: bool = False, **options: Any) -> Watch:
        """Return a watch of the shop whose output remembers."""
        cluster = self.cluster.dry_run() if dry_run else self.cluster
        options.setdefault("output", Heard())
        return Watch(cluster, TARGET, policy, environ={}, **options)

    @contextmanager
    def watching(
        self, policy: Policy, **options: Any
    ) -> Iterator[tuple[Watch, Heard, Callable[[], Outcome]]]:
        """Watch in a thread; gives the watch, what was heard, and a call that waits for its end."""
        heard = Heard()
        watch = self.watch(policy, output=heard, **options)
        ended: list[Outcome | BaseException] = []

        def run() -> None:
            try:
                ended.append(watch.run())
            except BaseException as error:
                ended.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()

        def outcome() -> Outcome:
            thread.join(60)
            told = "\n".join(f"{e.kind}: {e.text}" for e in heard.events)
            assert ended, f"the watch did not end within a minute; told were:\n{told}"
            if isinstance(ended[0], BaseException):
                raise ended[0]
            return ended[0]

        try:
            yield watch, heard, outcome
        finally:
            watch.interrupt("end of the test")
            thread.join(10)


def policy(**changes: Any) -> Policy:
    """Return a policy with short times: errors read from the pods, limit 20 %."""
    base: dict[str, Any] = {
        "version": 1,
        "name": "shop",
        "watch": {"for": 4.0, "interval": 0.25, "warm_up": 0.5},
        "rollback": {"timeout": 20.0, "verify": 8.0},
        "signals": [
            {
                "name": "errors",
                "provider": "pods",
                "port": "http",
                "ratio": {
                    "errors": 'http_requests_total{code=~"5.."}',
                    "requests": "http_requests_total",
                },
                "limit": "20%",
                "min_requests": 20,
            }
        ],
    }
    for key, value in changes.items():
        known = base.get(key)
        base[key] = known | value if isinstance(known, dict) else value
    return Policy.model_validate(base)
