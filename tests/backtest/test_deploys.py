"""Which deploys there were: from a cluster's revisions, and from a list of times."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy_guard.backtest.deploys import deploys_at, deploys_in, known_since
from deploy_guard.cluster.snapshot import Snapshot, assemble, take
from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.errors import UsageError
from deploy_guard.model import Revision, Target, Verdict
from deploy_guard.rollback.verdicts import record_verdict
from rollback.shop import WEB, Shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A cluster with one Deployment, ``web``."""
    with EmbeddedCluster(start_up=0.02, service=False) as embedded:
        embedded.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
        with Shop(embedded, tmp_path) as shop:
            yield shop


def replica_set(number: int, created: str, *, former: str = "") -> dict[str, Any]:
    notes = {"deployment.kubernetes.io/revision": str(number)}
    if former:
        notes["deployment.kubernetes.io/revision-history"] = former
    return {
        "metadata": {
            "name": f"web-{number}",
            "uid": f"uid-{number}",
            "creationTimestamp": created,
            "labels": {"pod-template-hash": f"hash{number}"},
            "annotations": notes,
            "ownerReferences": [{"uid": "web", "controller": True}],
        },
        "spec": {"template": {"spec": {"containers": [{"image": f"web:{number}"}]}}},
    }


def in_cluster(*revisions: dict[str, Any], created: str = "2025-01-01T10:00:00Z") -> Snapshot:
    """Return a look at a workload with these revisions."""
    workload = {"metadata": {"uid": "web", "creationTimestamp": created}}
    target = Target("deployment", "shop", "web")
    return assemble(target, workload, revisions, (), seen_at=0.0)


def told(snapshot: Snapshot) -> list[str]:
    return [f"{deploy.at:.0f} {deploy.label}" for deploy in deploys_in(snapshot)]


def test_each_revision_is_a_deploy_but_for_the_first_one() -> None:
    """They come in the order of their creation; the workload's own creation is none."""
    found = in_cluster(
        replica_set(3, "2025-01-03T10:00:00Z"),
        replica_set(1, "2025-01-01T10:00:00Z"),
        replica_set(2, "2025-01-02T10:00:00Z"),
    )
    assert told(found) == ["1735812000 revision 2", "1735898400 revision 3"]
    assert known_since(found) == -math.inf


def test_a_first_revision_that_is_not_kept_any_more_hides_no_other() -> None:
    """Where the history limit took the oldest ones, all that are left are deploys."""
    found = in_cluster(
        replica_set(8, "2025-01-04T10:00:00Z"), replica_set(7, "2025-01-03T10:00:00Z")
    )
    assert told(found) == ["1735898400 revision 7", "1735984800 revision 8"]
    assert known_since(found) == 1735898400


def test_a_revision_that_was_used_again_is_told_by_its_first_number() -> None:
    """Its only known time is that of its first use, when it had another number."""
    found = in_cluster(
        replica_set(3, "2025-01-03T10:00:00Z"),
        replica_set(4, "2025-01-02T10:00:00Z", former="2"),
    )
    assert told(found) == ["1735812000 revision 2 (now 4)", "1735898400 revision 3"]


def test_revisions_of_sets_are_deploys_as_well() -> None:
    """A ControllerRevision has its number and its hash in other places."""
    revisions = [
        {
            "metadata": {
                "name": f"db-h{number}",
                "uid": f"uid-{number}",
                "creationTimestamp": f"2025-01-0{number}T10:00:00Z",
                "labels": {"controller-revision-hash": f"db-h{number}"},
                "ownerReferences": [{"uid": "db", "controller": True}],
            },
            "data": {"spec": {"template": {"spec": {"containers": [{"image": f"db:{number}"}]}}}},
            "revision": number,
        }
        for number in (1, 2)
    ]
    workload = {"metadata": {"uid": "db", "creationTimestamp": "2025-01-01T10:00:00Z"}}
    target = Target("statefulset", "shop", "db")
    (found,) = deploys_in(assemble(target, workload, revisions, (), seen_at=0.0))
    assert found.label == "revision 2"
    assert found.revision is not None
    assert found.revision.images == ("db:2",)


def test_what_guard_judged_is_known(shop: Shop) -> None:
    """A revision that guard condemned is a bad deploy, one that it found healthy a good one."""
    shop.release("1")
    hashes = [shop.release(tag) for tag in ("2", "3", "4")]
    for deploy in deploys_in(take(shop.cluster, WEB)):
        revision = deploy.revision
        assert isinstance(revision, Revision)
        verdicts = {hashes[0]: Verdict.REGRESSED, hashes[1]: Verdict.HEALTHY}
        if verdict := verdicts.get(revision.template_hash):
            record_verdict(shop.cluster, WEB, revision, verdict, reason="", at=deploy.at)
    found = deploys_in(take(shop.cluster, WEB))
    assert [deploy.revision.template_hash for deploy in found if deploy.revision] == hashes
    assert [deploy.bad for deploy in found] == [True, False, None]


def test_a_list_of_times_knows_good_and_bad() -> None:
    """RFC 3339 and Unix seconds, a word after a blank, a comma or an equals sign, comments."""
    found = deploys_at(
        ["2025-01-03T11:00:00+01:00=bad", "1735812000, good", "", "# more", "1735811000.5  # why"]
    )
    assert [(deploy.at, deploy.bad) for deploy in found] == [
        (1735811000.5, None),
        (1735812000.0, False),
        (1735898400.0, True),
    ]
    assert found[2].label == "2025-01-03T10:00:00Z"


@pytest.mark.parametrize(
    "line",
    [
        "yesterday",
        "2025-01-03T10:00:00",
        "2025-13-03T10:00:00Z",
        "1735812000 ugly",
        "1e400",
        "9" * 40,
    ],
)
def test_what_is_no_time_is_refused_with_a_form_that_is_one(line: str) -> None:
    """A time without an offset could be anybody's: it is refused as well."""
    with pytest.raises(UsageError) as caught:
        deploys_at([line])
    assert "2025" in caught.value.help or "2026" in caught.value.help
