"""Which group a pod belongs to, known or gone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploy_guard.model import Target
from deploy_guard.signals.pod_groups import PodGroups
from signals.workloads import DEPLOYED, NEW, NEW_POD, OLD, OLD_POD, OTHER_NEW_POD, pod, workload


def groups(*pods: str) -> PodGroups:
    found = PodGroups()
    found.update(workload(*(pod(name) for name in pods)), DEPLOYED + 60)
    return found


@pytest.mark.parametrize(
    ("name", "template"),
    [
        (f"web-{OLD}-xxxxx", OLD),
        (f"web-{NEW}-xxxxx", NEW),
        (f"web-admin-{OLD}-xxxxx", None),
        (f"other-{OLD}-xxxxx", None),
        ("web", None),
        ("web-0", None),
        ("web--x", None),
    ],
)
def test_a_pod_that_was_never_seen_is_known_by_its_name(name: str, template: str | None) -> None:
    """WORKLOAD-HASH-SUFFIX tells the revision; a longer workload name is another workload."""
    assert groups().template(name) == template


LONG = "web-" * 12 + "w"  # with its hash, longer than the 58 characters that a pod's name keeps


@pytest.mark.parametrize(
    ("name", "template"),
    [
        (f"{LONG}-{NEW}"[:58] + "xxxxx", NEW),
        (f"{LONG}-{OLD}"[:58] + "xxxxx", OLD),
        (f"{LONG}-0123456789"[:58] + "xxxxx", None),
        (f"{LONG}-{NEW}"[:58], None),
    ],
)
def test_a_pod_with_a_cut_name_is_known_by_its_siblings(name: str, template: str | None) -> None:
    """Of a long workload's pods, those that begin as a known revision's belong to it."""
    found = PodGroups()
    seen = [
        replace(pod(f"{LONG}-{hash}-aaaaa"), name=f"{LONG}-{hash}"[:58] + "aaaaa")
        for hash in (NEW, OLD)
    ]
    look = workload(*seen, target=Target("deployment", "shop", LONG))
    found.update(look, DEPLOYED + 60)
    assert found.template(name) == template


def test_a_pod_that_was_seen_keeps_its_revision() -> None:
    """What the cluster said of a pod stands above its name, also when it is gone."""
    found = PodGroups()
    odd = replace(pod(OLD_POD), name="web-0", template="hash-1")
    found.update(workload(odd), DEPLOYED)
    found.update(workload(), DEPLOYED + 10)
    assert found.template("web-0") == "hash-1"


def test_the_candidate_is_the_workloads_at_every_call() -> None:
    """The same pod is candidate, and after a rollback control."""
    found, look = groups(NEW_POD), workload(pod(NEW_POD))
    assert found.is_candidate(NEW_POD, look)
    assert not found.is_candidate(NEW_POD, replace(look, candidate=OLD))


def test_pods_created_since_the_deploy_began_at_zero() -> None:
    """Creation times are cut to whole seconds, so one in the second of the deploy counts."""
    found = PodGroups()
    same_second = pod(OTHER_NEW_POD, created=float(int(DEPLOYED)))
    look = workload(pod(NEW_POD), same_second, pod(OLD_POD), deployed_at=DEPLOYED + 0.7)
    found.update(look, DEPLOYED + 60)
    assert found.began_at_zero(NEW_POD) and found.began_at_zero(OTHER_NEW_POD)
    assert not found.began_at_zero(OLD_POD)


def test_an_unseen_pod_is_as_old_as_its_siblings() -> None:
    """Metrics can be quicker than the look at the cluster; without siblings nothing is known."""
    assert groups(NEW_POD).began_at_zero(f"web-{NEW}-xxxxx")
    assert not groups(OLD_POD).began_at_zero(f"web-{OLD}-xxxxx")
    assert not groups(OLD_POD).began_at_zero(f"web-{NEW}-xxxxx")
