"""`guard watch` of StatefulSets and DaemonSets: taken back, healthy, never ready."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy_guard.cluster.client import Cluster
from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.model import Action, Counts, Outcome, Recovery, Sample, Target, Verdict
from deploy_guard.record import observations, read
from watch.sets import KINDS, Sets

DB, AGENT = Target("statefulset", "shop", "web"), Target("daemonset", "shop", "web")
BOTH = pytest.mark.parametrize("target", [DB, AGENT], ids=lambda t: t.kind)
BAD = {"ERROR_RATIO": "0.8"}


@pytest.fixture
def sets(tmp_path: Path) -> Iterator[Sets]:
    with EmbeddedCluster(start_up=0.1, nodes=3) as embedded:
        kubeconfig = embedded.kubeconfig_file(tmp_path / "kubeconfig", namespace="shop")
        with Cluster.connect(kubeconfig=str(kubeconfig)) as cluster:
            yield Sets(embedded, cluster, "shop")


def told(outcome: Outcome) -> str:
    return outcome.reason + "".join(f"\n{event.kind}: {event.text}" for event in outcome.timeline)


@BOTH
def test_a_bad_release_is_taken_back_and_the_recovery_seen(sets: Sets, target: Target) -> None:
    """Errors read from the pods condemn the release; the same signals confirm the old one."""
    sets.open(target)
    sets.release(target, "2", BAD)
    outcome, _ = sets.watch(target)
    assert outcome.verdict is Verdict.REGRESSED, told(outcome)
    assert outcome.action is Action.ROLLED_BACK, told(outcome)
    assert outcome.recovered is Recovery.RECOVERED, told(outcome)
    assert sets.tag(target) == "1"
    assert not any("Deployment" in event.text for event in outcome.timeline)
    assert not any("Deployment" in step for step in outcome.next_steps)


@BOTH
def test_a_good_release_is_healthy_and_remembered(sets: Sets, target: Target) -> None:
    """A release that is good to the end stays, and its ControllerRevision says so."""
    sets.open(target)
    sets.release(target, "2")
    outcome, _ = sets.watch(target)
    assert outcome.verdict is Verdict.HEALTHY, told(outcome)
    assert sets.tag(target) == "2"
    sets.release(target, "3", BAD)
    outcome, heard = sets.watch(target)
    assert outcome.action is Action.ROLLED_BACK, told(outcome)
    assert any("judged healthy" in line for line in heard.lines("preflight"))
    assert sets.tag(target) == "2"


@BOTH
@pytest.mark.parametrize("word", ["crash", "nopull"])
def test_a_release_that_never_becomes_ready_is_taken_back(
    sets: Sets, target: Target, word: str
) -> None:
    """The cluster's own signs are enough, and no broken pod is left that waits for somebody."""
    sets.release(target, "1", wait=True)
    sets.release(target, f"2-{word}")
    outcome, _ = sets.watch(target, signals=[], watch={"for": 20.0})
    assert outcome.verdict is Verdict.REGRESSED, told(outcome)
    assert outcome.action is Action.ROLLED_BACK, told(outcome)
    assert outcome.restored_at is not None, told(outcome)
    kind, _ = KINDS[target.kind]
    images = {
        pod["spec"]["containers"][0]["image"]
        for pod in sets.embedded.pods("shop", "web", kind=kind)
    }
    assert images == {"web:1"}


@BOTH
def test_no_request_is_booked_on_the_wrong_revision(
    sets: Sets, target: Target, tmp_path: Path
) -> None:
    """Where every new answer is an error and no old one is, the record keeps them apart."""
    sets.open(target)
    sets.release(target, "2", {"ERROR_RATIO": "1"})
    outcome, _ = sets.watch(target, rollback={"enabled": False}, report=tmp_path / "report")
    assert outcome.verdict is Verdict.REGRESSED, told(outcome)
    samples = [
        item
        for item in observations(read(tmp_path / "report"))
        if isinstance(item, Sample) and item.signal == "errors"
    ]
    candidate = [s.candidate for s in samples if isinstance(s.candidate, Counts)]
    control = [s.control for s in samples if isinstance(s.control, Counts)]
    assert sum(c.requests for c in candidate) > 0
    assert sum(c.errors for c in candidate) == sum(c.requests for c in candidate)
    assert sum(c.errors for c in control) == 0


@BOTH
def test_a_target_that_replaces_on_delete_is_refused_and_told_at_second_0(
    sets: Sets, target: Target
) -> None:
    """OnDelete: guard watches what runs, says that it cannot roll back, and does not try."""
    strategy: dict[str, Any] = {"updateStrategy": {"type": "OnDelete"}}
    sets.open(target, **strategy)
    sets.release(target, "2", BAD, **strategy)
    outcome, heard = sets.watch(target)
    assert any("OnDelete" in line for line in heard.lines("warning"))
    assert outcome.action is Action.NONE
    assert sets.tag(target) == "2"
