"""A watch with a gate, driven step by step, so that it can die between any two of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy_guard import decide
from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.clock import Clock
from deploy_guard.cluster.rollouts import live_hash
from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.model import Decision, Phase, Workload
from deploy_guard.policy.models import Policy
from deploy_guard.signals import open_signals
from deploy_guard.watch.gating import Gating
from deploy_guard.watch.polling import Poller, Read
from deploy_guard.watch.scene import Changed, Scene
from watch.shop import NAMESPACE, TARGET, Heard, Shop

Condition = Callable[[], bool]


@contextmanager
def unhurried(folder: Path) -> Iterator[Shop]:
    """Give a shop whose pods take their time, so that no watch comes too late for a gate."""
    with EmbeddedCluster(start_up=0.6) as embedded:
        kubeconfig = embedded.kubeconfig_file(folder / "kubeconfig", namespace=NAMESPACE)
        with Cluster.connect(kubeconfig=str(kubeconfig)) as cluster:
            yield Shop(embedded, cluster, kubeconfig)


class Gated:
    """Follows, folds and gates one candidate as a watch does; takes nothing back."""

    def __init__(self, shop: Shop, policy: Policy, *, cluster: Cluster | None = None) -> None:
        self.heard = Heard()
        self.scene = Scene(cluster or shop.cluster, TARGET, self.heard, Clock())
        self.scene.who = "me@here"
        self.gating = Gating(policy.hold)
        self.policy = policy
        self.entries: list[decide.Observation] = []
        self.decision = Decision(None, "", 0.0)
        self.state = decide.begin(policy, started_at=0.0)
        self._poller: Poller | None = None

    def __enter__(self) -> Self:
        scene = self.scene
        scene.follower.start()
        self.gating.begin(scene)
        end = time.monotonic() + 30
        while (judged := live_hash(scene.follower.latest())) is None:
            assert time.monotonic() < end, "the controller made no revision"
            scene.next(0.05)
        scene.judged = scene.expected = judged
        workload = scene.follower.latest().workload
        assert workload is not None
        scene.uid = workload["metadata"]["uid"]
        self.warnings = self.gating.warnings(workload)
        self.started_at = scene.clock()
        self.state = decide.begin(self.policy, started_at=self.started_at)
        scene.phase = Phase.WATCHING
        signals = open_signals(self.policy, cluster=scene.cluster, environ={})
        self._poller = Poller(signals, scene.look, scene.items, clock=scene.clock)
        self._poller.start()
        self._fold(scene.look())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Be gone as after kill -9: nothing is written."""
        if self._poller is not None:
            self._poller.stop()
        self.scene.follower.stop()

    def go(self, until: Condition | None = None, *, timeout: float = 60.0) -> Decision:
        """Go on until the condition holds, or to the verdict."""
        end = time.monotonic() + timeout
        while self.decision.verdict is None and not (until is not None and until()):
            told = "\n".join(f"{e.kind}: {e.text}" for e in self.heard.events)
            assert time.monotonic() < end, f"it did not come to that; told was:\n{told}"
            item = self.scene.next(0.05)
            if isinstance(item, Read):
                for reading in item.readings:
                    if self.decision.verdict is None:
                        self._fold(reading)
            elif isinstance(item, Changed):
                self._fold(self.scene.look())
            look = self.scene.look()
            if self.decision.verdict is None and look.seen_at >= self.state.ends_at:
                self._fold(look)
            if self.decision.verdict is None:
                self.gating.step(self.scene, self.state, look)
        return self.decision

    def told(self, part: str) -> Condition:
        """Return the condition that the gate has told this."""
        return lambda: any(part in words for words in self.heard.lines("hold"))

    def warned(self, part: str) -> Condition:
        """Return the condition that there was a warning with this."""
        return lambda: any(part in words for words in self.heard.lines("warning"))

    def _fold(self, item: decide.Observation) -> None:
        self.entries.append(item)
        self.state = decide.observe(self.state, item)
        at = item.seen_at if isinstance(item, Workload) else item.at
        self.decision = decide.decide(self.state, at)
