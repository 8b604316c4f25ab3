"""Which series count, by what the queries ask for and the pods that they name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploy_guard.model import Target
from deploy_guard.signals.prometheus_scope import Scope
from signals.workloads import DEPLOYED, NEW, OLD, pod, workload

LONG = "w" * 60  # of which a pod's name keeps 58 characters, and nothing of the hash
NEW_POD, OLD_POD = f"{LONG[:58]}aaaaa", f"{LONG[:58]}bbbbb"
LOOK = workload(
    replace(pod(f"x-{NEW}-x"), name=NEW_POD),
    replace(pod(f"x-{OLD}-x"), name=OLD_POD),
    target=Target("deployment", "shop", LONG),
)


@pytest.mark.parametrize(
    ("query", "places"),
    [
        ('x{pod=~"{{ candidate_pods }}"}', [NEW_POD, None]),
        ('x{pod=~"{{ baseline_pods }}"}', [None, OLD_POD]),
        ('x{pod=~"{{ pods }}"}', [NEW_POD, OLD_POD]),
    ],
)
def test_the_cluster_tells_the_revision_where_names_are_cut(
    query: str, places: list[str | None]
) -> None:
    """Of a long name both revisions' expressions match all pods; known pods are told apart."""
    scope = Scope([query])
    scope.update(LOOK, DEPLOYED + 60)
    scope.learn([NEW_POD, OLD_POD])
    assert [scope.place_of(name, LOOK) for name in (NEW_POD, OLD_POD)] == places
