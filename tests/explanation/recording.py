"""Records to be explained: of real watches of the embedded shop, and written entry by entry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from decide import building
from deploy_guard import decide
from deploy_guard.cluster.client import Cluster
from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.model import Decision, Event, Outcome, Revision, Target, Tick
from deploy_guard.outputs.report import finish_record
from deploy_guard.policy.models import Policy
from deploy_guard.record import Header, Recorder
from watch.shop import FIRST, NAME, NAMESPACE, SECOND, Shop, policy

BAD = {"ERROR_RATIO": "0.8"}
NOWHERE = {**policy().signals[0].model_dump(by_alias=True, exclude_none=True), "path": "/nowhere"}
Story = Callable[[Shop, Path], Outcome]


@contextmanager
def shop(folder: Path) -> Iterator[Shop]:
    """Give a shop whose first version is complete and has 60 requests a second."""
    with EmbeddedCluster(start_up=0.2) as embedded:
        kubeconfig = embedded.kubeconfig_file(folder / "kubeconfig", namespace=NAMESPACE)
        with Cluster.connect(kubeconfig=str(kubeconfig)) as cluster:
            found = Shop(embedded, cluster, kubeconfig)
            found.release(FIRST)
            found.complete()
            yield found


def watched(
    shop: Shop, report: Path, *, rate: float = 60.0, end: str = "", **changes: Any
) -> Outcome:
    """Watch what was deployed, and write the whole record; `end` interrupts it."""
    if rate:
        shop.embedded.load(NAMESPACE, NAME, rate=rate)
    watch = shop.watch(policy(**changes), report=report)
    if end:
        watch.interrupt(end)
    outcome = watch.run()
    recorder = watch.scene.recorder
    assert recorder is not None
    finish_record(recorder, outcome)
    recorder.close()
    return outcome


def healthy(shop: Shop, report: Path) -> Outcome:
    """A good version."""
    shop.release(SECOND)
    return watched(shop, report)


def regressed(shop: Shop, report: Path) -> Outcome:
    """A version that fails four of five requests: rolled back, and recovered."""
    shop.embedded.load(NAMESPACE, NAME, rate=60)
    shop.release(SECOND, BAD)
    return watched(shop, report, rate=0)


def inconclusive(shop: Shop, report: Path) -> Outcome:
    """Too few requests to say anything."""
    shop.release(SECOND)
    return watched(shop, report, signals=[_signal(min_requests=100_000)])


def no_data(shop: Shop, report: Path) -> Outcome:
    """A signal that cannot be read."""
    shop.release(SECOND)
    return watched(shop, report, signals=[NOWHERE], watch={"for": 2.0})


def gated(shop: Shop, report: Path) -> Outcome:
    """A gate at a third of the pods, which is passed."""
    steady: dict[str, Any] = {"strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}}
    shop.release(SECOND, minReadySeconds=1, **steady)
    return watched(shop, report, hold={"at": "34%", "for": 1.0}, watch={"for": 6.0})


def interrupted(shop: Shop, report: Path) -> Outcome:
    """Ended before a verdict."""
    shop.release(SECOND)
    return watched(shop, report, end="SIGTERM")


STORIES: dict[str, Story] = {
    story.__name__: story
    for story in (healthy, regressed, inconclusive, no_data, gated, interrupted)
}


def _signal(**changes: object) -> dict[str, Any]:
    return policy().signals[0].model_dump(by_alias=True, exclude_none=True) | changes


def written(
    directory: Path,
    policy: Policy,
    entries: Iterable[building.Entry],
    *,
    events: Iterable[Event] = (),
    decided: bool = True,
) -> Path:
    """Write a record of these entries, with the decision that they lead to; return its file."""
    entries = list(entries)
    header = Header(
        policy=policy,
        target=Target("deployment", "shop", "checkout"),
        candidate=Revision(2, "checkout-2", "uid", "new", ("registry.example/checkout:2.0",), 0.0),
        started_at=building.START,
        deployed_at=building.START,
    )
    with Recorder(directory, header, warn=print) as recorder:
        for event in events:
            recorder.write(event)
        decision = Decision(None, "", building.START)
        known = [e for e in entries if not isinstance(e, Tick)]
        for moment in decide.trace(policy, building.START, entries):
            recorder.write(moment.entry)
            decision = moment.decision
        if decided and decision.verdict is not None:
            recorder.write(decision)
        assert known
        return recorder.directory / "record.jsonl"
