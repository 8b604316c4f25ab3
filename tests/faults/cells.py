"""One cell of the matrix: a watch of a good or a bad deploy, with a fault in one of its phases."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.follow import Follower
from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.errors import GuardError
from deploy_guard.model import Event, Outcome
from deploy_guard.outputs.base import Item
from deploy_guard.policy.models import Policy
from faults.proxy import FaultProxy
from watch.shop import NAMESPACE, SECOND, TARGET, Heard, Shop

BAD = {"ERROR_RATIO": "0.8"}
# What is told when a phase begins: its kind of event, and a part of its text.
PHASES = {
    "pre-flight": ("preflight", ""),
    "watching": ("preflight", "can be read"),
    "deciding": ("verdict", ""),
    "waiting": ("rollback", "accepted"),
    "verifying": ("rollback", "serves again"),
}


@dataclass
class Stage:
    """What a fault can act on: the proxy, and the client of the watch."""

    proxy: FaultProxy
    cluster: Cluster

    def soon(self, seconds: float, act: Callable[[], object]) -> None:
        """Do something later."""
        timer = threading.Timer(seconds, act)
        timer.daemon = True
        timer.start()


Fault = Callable[[Stage], object]


@dataclass
class Trigger(Heard):
    """An output that begins the fault when the phase begins, before anything else happens."""

    kind: str = ""
    part: str = ""
    act: Callable[[], object] = field(default=lambda: None)
    began: float | None = None

    def show(self, item: Item) -> None:
        """Remember, and act once."""
        super().show(item)
        if not isinstance(item, Event) or self.began is not None:
            return
        if item.kind == self.kind and self.part in item.text:
            self.began = time.time()
            self.act()


@dataclass(frozen=True)
class Played:
    """How the watch of one cell ended; `code` is the exit code, 1 for an error."""

    code: int
    outcome: Outcome | None
    error: str
    heard: Trigger
    rollbacks: int  # templates that the API server was made to store
    image: str  # that the Deployment asks for at the end
    seconds: float  # from the fault to the end

    def __str__(self) -> str:
        lines = [f"exit {self.code}: {self.outcome.reason if self.outcome else self.error}"]
        lines += [f"  {event.kind}: {event.text}" for event in self.heard.events]
        return "\n".join(lines)

    @property
    def noticed(self) -> float | None:
        """Seconds from the fault until something was told of it; None when nothing was."""
        since = self.heard.began or 0.0
        told = [
            e.at
            for e in self.heard.events
            if e.at > since and (e.kind in ("warning", "no-data") or "failed" in e.text)
        ]
        return min(told) - since if told else None

    def told(self, *kinds: str) -> list[str]:
        """Return the texts of some kinds of events since the fault."""
        since = self.heard.began or 0.0
        return [e.text for e in self.heard.events if e.kind in kinds and e.at >= since]


def report(fault: str, phase: str, found: Played) -> None:
    """Write a row of docs/faults.md; `pytest -s` shows it."""
    told = found.told("warning", "no-data", "rollback")
    sys.stdout.write(
        f"\n| {fault} | {phase} | {found.code} | {found.rollbacks} | "
        f"{'–' if found.noticed is None else f'{found.noticed:.1f} s'} | "
        f"{found.seconds:.1f} s | {told[0] if told else found.error or '–'} |"
    )


def play(
    folder: Path,
    policy: Policy,
    fault: Fault,
    *,
    phase: str,
    bad: bool,
    user: dict[str, Any] | None = None,
    **options: Any,
) -> Played:
    """Deploy, watch, have the fault in a phase, and say how it ended; `user` logs in so."""
    folder.mkdir(parents=True)
    with EmbeddedCluster(start_up=0.1) as embedded, FaultProxy(embedded.url) as proxy:
        kubeconfig = kubeconfig_for(proxy.url, folder, user)
        with Cluster.connect(kubeconfig=str(kubeconfig)) as cluster:
            shop = Shop(embedded, cluster, kubeconfig)
            begin(shop)
            shop.release(SECOND, BAD if bad else {})
            return _watch(shop, proxy, policy, fault, phase=phase, **options)


def begin(shop: Shop) -> None:
    """Have a first version with users, and let the proxy remember how it looked."""
    shop.release()
    shop.complete()
    shop.embedded.load(NAMESPACE, "web", rate=40)
    with Follower(shop.cluster, TARGET):
        pass


def _watch(
    shop: Shop, proxy: FaultProxy, policy: Policy, fault: Fault, *, phase: str, **options: Any
) -> Played:
    stage = Stage(proxy, shop.cluster)
    shop.cluster.timeout = 0.5
    kind, part = PHASES[phase]
    heard = Trigger(kind=kind, part=part, act=lambda: fault(stage))
    outcome, code, error = None, 1, ""
    try:
        outcome = shop.watch(policy, output=heard, **options).run()
        code = outcome.exit_code
    except GuardError as raised:
        code, error = int(raised.exit_code), raised.message
    seconds = time.time() - (heard.began or time.time())
    return Played(code, outcome, error, heard, proxy.rollbacks(), shop.image(), seconds)


def kubeconfig_for(url: str, folder: Path, user: dict[str, Any] | None = None) -> Path:
    """Write a kubeconfig for a server."""
    from cluster.scripted import kubeconfig

    path = kubeconfig(folder / "kubeconfig", url, user=user)
    config = json.loads(path.read_text())
    config["contexts"][0]["context"]["namespace"] = NAMESPACE
    path.write_text(json.dumps(config))
    return path


K = TypeVar("K", bound=Hashable)


def together(cells: Mapping[K, Callable[[], Played]]) -> dict[K, Played]:
    """Play cells at the same time: most of their time is waiting."""
    with ThreadPoolExecutor(len(cells)) as pool:
        futures = {name: pool.submit(cell) for name, cell in cells.items()}
        return {name: future.result() for name, future in futures.items()}
