"""What the cluster says of the candidate becomes symptoms; what it said before does not."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from deploy_guard.model import (
    Condition,
    Container,
    Health,
    NoData,
    NoDataReason,
    Rollout,
    Sample,
    Workload,
)
from deploy_guard.policy.models import KubernetesSettings
from deploy_guard.signals.kubernetes import KubernetesSignal
from signals.workloads import DEPLOYED, NEW_POD, OLD_POD, OTHER_NEW_POD, pod, workload

NOW = DEPLOYED + 60


def signal(**settings: float) -> KubernetesSignal:
    return KubernetesSignal(KubernetesSettings(**settings), interval=5.0)


def sample(look: Workload, *, reader: KubernetesSignal | None = None, at: float = NOW) -> Sample:
    reading = (reader or signal()).read(look, at)[0]
    assert isinstance(reading, Sample)
    return reading


def candidate(look: Workload, *, reader: KubernetesSignal | None = None, at: float = NOW) -> Health:
    health = sample(look, reader=reader, at=at).candidate
    assert isinstance(health, Health)
    return health


def app(**changes: object) -> tuple[Container, ...]:
    return (replace(Container("app", ready=True), **changes),)  # type: ignore[arg-type]


def condition(kind: str, reason: str, *, status: str, since: float, message: str = "") -> Rollout:
    found = Condition(kind, status, reason, message, since)
    return Rollout(desired=2, updated=1, observed=True, conditions=(found,))


def test_pods_that_run_have_no_symptoms() -> None:
    """Ready pods of both revisions are counted and have no symptom."""
    look = workload(pod(NEW_POD, containers=app()), pod(OLD_POD, containers=app()))
    assert sample(look).candidate == Health(1, 1, 0)
    assert sample(look).control == Health(1, 1, 0)


def test_without_old_pods_there_is_no_control() -> None:
    """When the old pods are gone, the control is absent, not healthy."""
    assert sample(workload(pod(NEW_POD))).control is None


def test_before_the_deploy_there_is_only_control() -> None:
    """A look from before the deploy speaks of nobody but the old pods."""
    reading = sample(workload(pod(OLD_POD)), at=DEPLOYED - 1)
    assert reading.candidate is None
    assert reading.control == Health(1, 1, 0)


@pytest.mark.parametrize(
    "reason",
    [
        "CrashLoopBackOff",
        "ImagePullBackOff",
        "ErrImagePull",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
    ],
)
def test_waiting_that_does_not_pass_is_a_symptom(reason: str) -> None:
    """Each waiting reason of the kubelet that does not pass by itself is a symptom."""
    waiting = app(ready=False, waiting=reason, message="some text")
    look = workload(
        pod(NEW_POD, ready=False, containers=waiting),
        pod(OTHER_NEW_POD, ready=False, containers=waiting),
    )
    (symptom,) = candidate(look).symptoms
    assert (symptom.reason, symptom.pods, symptom.since) == (reason, 2, NOW)
    assert symptom.detail == "container app: some text"


def test_starting_is_no_symptom() -> None:
    """ContainerCreating and PodInitializing are how every pod begins."""
    waiting = app(ready=False, waiting="ContainerCreating")
    assert candidate(workload(pod(NEW_POD, ready=False, containers=waiting))).symptoms == ()


def test_a_symptom_began_when_its_family_was_first_seen() -> None:
    """ErrImagePull and ImagePullBackOff take turns; the trouble began with the first of them."""
    reader = signal()
    for reason, at in (("ErrImagePull", NOW), ("ImagePullBackOff", NOW + 10)):
        look = workload(pod(NEW_POD, ready=False, containers=app(waiting=reason)))
        (symptom,) = candidate(look, reader=reader, at=at).symptoms
        assert (symptom.reason, symptom.since) == (reason, NOW)


def test_memory_kill_of_a_new_pod_is_a_symptom() -> None:
    """OOMKilled of a candidate's container is told with its exit code."""
    killed = app(restarts=1, terminated="OOMKilled", exit_code=137)
    (symptom,) = candidate(workload(pod(NEW_POD, containers=killed))).symptoms
    assert (symptom.reason, symptom.detail) == ("OOMKilled", "container app: exit code 137")


def test_an_old_memory_kill_of_an_old_pod_is_nobodys_fault_now() -> None:
    """The status keeps the last termination forever; one from before the deploy is no symptom."""
    killed = app(restarts=7, terminated="OOMKilled")
    reader = signal()
    look = workload(pod(NEW_POD), pod(OLD_POD, containers=killed))
    assert sample(look, reader=reader).control == Health(1, 1, 0)
    again = workload(pod(NEW_POD), pod(OLD_POD, containers=app(restarts=8, terminated="OOMKilled")))
    control = sample(again, reader=reader, at=NOW + 5).control
    assert isinstance(control, Health)
    assert [s.reason for s in control.symptoms] == ["OOMKilled"]


def test_restarts_count_over_all_candidate_containers() -> None:
    """As many restarts as the policy names are a symptom, wherever they happened."""
    look = workload(
        pod(NEW_POD, containers=app(restarts=1)), pod(OTHER_NEW_POD, containers=app(restarts=1))
    )
    assert [s.reason for s in candidate(look).symptoms] == ["Restarts"]
    assert candidate(look, reader=signal(restarts=3)).symptoms == ()


def test_unready_for_longer_than_the_policy_allows_is_a_symptom() -> None:
    """A pod that is never ready becomes a symptom when its time is over, not before."""
    look = workload(pod(NEW_POD, ready=False, ready_since=None))
    reader = signal(unready=100.0)
    assert candidate(look, reader=reader, at=DEPLOYED + 100).symptoms == ()
    (symptom,) = candidate(look, reader=reader, at=DEPLOYED + 101).symptoms
    assert (symptom.reason, symptom.since) == ("Unready", DEPLOYED + 1)


def test_unready_counts_from_when_a_pod_stopped_being_ready() -> None:
    """A pod that was ready and is not any more has its whole time again."""
    reader = signal(unready=100.0)
    candidate(workload(pod(NEW_POD)), reader=reader, at=DEPLOYED + 200)
    lost = workload(pod(NEW_POD, ready=False))
    assert candidate(lost, reader=reader, at=DEPLOYED + 210).symptoms == ()
    (symptom,) = candidate(lost, reader=reader, at=DEPLOYED + 310).symptoms
    assert symptom.since == DEPLOYED + 210


def test_a_pod_without_a_node_is_a_symptom() -> None:
    """The scheduler's message is told, since the pod was created."""
    text = "0/3 nodes are available: 3 Insufficient cpu."
    look = workload(pod(NEW_POD, phase="Pending", ready=False, unschedulable=text))
    (symptom,) = candidate(look).symptoms
    assert (symptom.reason, symptom.detail, symptom.since) == ("Unschedulable", text, DEPLOYED + 1)


def test_a_deadline_of_this_rollout_is_a_symptom() -> None:
    """ProgressDeadlineExceeded newer than the deploy counts, with the pods that are missing."""
    late = condition("Progressing", "ProgressDeadlineExceeded", status="False", since=DEPLOYED + 50)
    (symptom,) = candidate(workload(pod(NEW_POD), rollout=late)).symptoms
    assert (symptom.reason, symptom.pods) == ("ProgressDeadlineExceeded", 1)


@pytest.mark.parametrize("change", [{"observed": False}, {"complete": True}])
def test_a_deadline_of_another_rollout_is_no_symptom(change: dict[str, bool]) -> None:
    """After an undo the pods are older than the failed rollout, whose condition is left a while."""
    late = condition("Progressing", "ProgressDeadlineExceeded", status="False", since=DEPLOYED + 50)
    look = workload(pod(NEW_POD), rollout=replace(late, **change))  # type: ignore[arg-type]
    assert candidate(look).symptoms == ()


def test_while_the_cluster_cannot_be_seen_its_last_word_is_no_data() -> None:
    """What was seen before the connection broke is not told as the health of now."""
    (reading,) = signal().read(workload(pod(NEW_POD), blind="pods: connection refused"), NOW)
    assert isinstance(reading, NoData)
    assert (reading.reason, reading.detail) == (
        NoDataReason.UNREACHABLE,
        "pods: connection refused",
    )


def test_a_deadline_of_the_rollout_before_is_no_symptom() -> None:
    """The condition of a failed rollout survives the next deploy, and says nothing of it."""
    stale = condition("Progressing", "ProgressDeadlineExceeded", status="False", since=DEPLOYED - 9)
    assert candidate(workload(pod(NEW_POD), rollout=stale)).symptoms == ()


def test_quota_is_a_symptom() -> None:
    """Pods that the API server refuses are told by the ReplicaFailure condition."""
    text = 'pods "web-x" is forbidden: exceeded quota: small'
    refused = condition(
        "ReplicaFailure", "FailedCreate", status="True", since=DEPLOYED + 5, message=text
    )
    (symptom,) = candidate(workload(rollout=refused)).symptoms
    assert (symptom.reason, symptom.detail, symptom.pods) == ("FailedCreate", text, 1)


def test_pods_on_their_way_out_are_left_alone() -> None:
    """A terminating pod, and one that an eviction left behind, belong to nobody's health."""
    failing = app(waiting="CrashLoopBackOff")
    look = workload(
        pod(NEW_POD, terminating=True, ready=False, containers=failing),
        pod(OTHER_NEW_POD, phase="Failed", ready=False, created=DEPLOYED + 1),
    )
    assert candidate(look, at=DEPLOYED + 10_000) == Health(0, 0, 0)


def test_after_a_rollback_the_target_revision_is_judged() -> None:
    """The candidate is the workload's at every call; restarts before the rollback are past."""
    reader = signal()
    crashing = app(restarts=5, waiting="CrashLoopBackOff")
    restarted = app(restarts=3)
    pods = pod(NEW_POD, containers=crashing), pod(OLD_POD, containers=restarted)
    sample(workload(*pods), reader=reader)
    back = workload(*pods, candidate=pods[1].template, deployed_at=NOW + 1)
    reading = sample(back, reader=reader, at=NOW + 2)
    assert reading.candidate == Health(1, 1, 0)
    assert isinstance(reading.control, Health)
    assert [s.reason for s in reading.control.symptoms] == ["CrashLoopBackOff"]


def test_messages_are_short_and_hold_no_secret() -> None:
    """A message of the cluster is bounded, on one line, with credentials blanked."""
    text = 'pull https://bob:hunter2@registry/x failed\nexec "app --token=abc123" ' + "x" * 500
    look = workload(pod(NEW_POD, containers=app(waiting="RunContainerError", message=text)))
    (symptom,) = candidate(look).symptoms
    assert "hunter2" not in symptom.detail and "abc123" not in symptom.detail
    assert "\n" not in symptom.detail and len(symptom.detail) < 280


def test_a_huge_message_takes_no_time() -> None:
    """A message of a megabyte is cut before it is looked through; the secret in it is blanked."""
    waiting = app(waiting="ImagePullBackOff", message="db-password=hunter2 " + "A" * 1_000_000)
    began = time.perf_counter()
    (symptom,) = candidate(workload(pod(NEW_POD, containers=waiting))).symptoms
    assert time.perf_counter() - began < 2
    assert "db-password=*** AAA" in symptom.detail
    assert len(symptom.detail) < 300
