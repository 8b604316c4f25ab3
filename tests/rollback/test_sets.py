"""`guard rollback` and `guard history` of StatefulSets and DaemonSets, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.scripted import connect
from deploy_guard.cluster.client import MERGE_PATCH, Cluster
from deploy_guard.cluster.rollouts import live_hash
from deploy_guard.cluster.snapshot import Json, Snapshot, take
from deploy_guard.cluster.target import collection_path, workload_path
from deploy_guard.cluster.templates import hash_of
from deploy_guard.cluster.workload import look, revision_of
from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.manifests import toy_daemon_set, toy_stateful_set
from deploy_guard.errors import ExitCode
from deploy_guard.history import as_json, as_text, history
from deploy_guard.model import Event, Target, Verdict
from deploy_guard.rollback.by_hand import ByHand, rollback_by_hand
from deploy_guard.rollback.verdicts import record_verdict
from rollback.roles import as_account, rules_of, without
from rollback.shop import Shop

DB = Target("statefulset", "shop", "db")
AGENT = Target("daemonset", "shop", "agent")
KINDS: dict[str, tuple[str, Callable[..., Json]]] = {
    "statefulset": ("StatefulSet", toy_stateful_set),
    "daemonset": ("DaemonSet", toy_daemon_set),
}
BOTH = pytest.mark.parametrize("target", [DB, AGENT], ids=lambda t: t.kind)
BROKEN = "2-nopull"


class Sets:
    """A cluster of three nodes with one StatefulSet or DaemonSet, and a client to it."""

    def __init__(self, embedded: EmbeddedCluster, cluster: Cluster) -> None:
        self.embedded, self.cluster = embedded, cluster

    def release(
        self, target: Target, tag: str, *, cause: str = "", wait: bool = True, **spec: Any
    ) -> None:
        """Deploy an image tag."""
        kind, make = KINDS[target.kind]
        manifest = make(target.name, "shop", f"{target.name}:{tag}", **spec)
        if cause:
            manifest["metadata"]["annotations"] = {"kubernetes.io/change-cause": cause}
        self.embedded.apply(manifest)
        if wait:
            self.embedded.wait_complete("shop", target.name, kind=kind)
        else:
            self.embedded.wait_for(lambda: self._observed(target))

    def break_it(self, target: Target, **spec: Any) -> None:
        """Deploy a release that never becomes ready; wait until one of its pods is there."""
        self.release(target, BROKEN, wait=False, **spec)
        self.embedded.wait_for(lambda: BROKEN in self.tags(target).values())

    def look(self, target: Target) -> Snapshot:
        """Read everything."""
        return take(self.cluster, target)

    def tags(self, target: Target) -> dict[str, str]:
        """Return the image tag of each pod by its name."""
        return {
            pod["metadata"]["name"]: pod["spec"]["containers"][0]["image"].partition(":")[2]
            for pod in self.look(target).pods
        }

    def uids(self, target: Target) -> dict[str, str]:
        """Return the uid of each pod by its name."""
        return {p["metadata"]["name"]: p["metadata"]["uid"] for p in self.look(target).pods}

    def revisions(self, target: Target) -> dict[str, tuple[int, Verdict | None]]:
        """Return number and verdict of each revision by its image tag."""
        found = [revision_of(obj) for obj in self.look(target).revisions]
        return {r.images[0].partition(":")[2]: (r.number, r.verdict) for r in found}

    def roll_back(self, target: Target, **options: Any) -> tuple[ByHand, list[Event]]:
        """Roll back by hand; return the result and all events."""
        events: list[Event] = []
        cluster = options.pop("cluster", self.cluster)
        options.setdefault("timeout", 20.0)
        result = rollback_by_hand(cluster, target, report=events.append, **options)
        return result, events

    def _observed(self, target: Target) -> bool:
        found = self.look(target)
        status = (found.workload or {}).get("status") or {}
        generation = (found.workload or {})["metadata"]["generation"]
        return bool(
            status.get("observedGeneration", 0) >= generation and live_hash(found) is not None
        )


@pytest.fixture
def sets(tmp_path: Path) -> Iterator[Sets]:
    with EmbeddedCluster(start_up=0.02, service=False, nodes=3) as embedded:
        embedded.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
        with connect(tmp_path, embedded.url) as cluster:
            yield Sets(embedded, cluster)


def texts(events: list[Event], *kinds: str) -> list[str]:
    return [event.text for event in events if event.kind in kinds]


def tags_are(sets: Sets, target: Target, tag: str) -> bool:
    return set(sets.tags(target).values()) == {tag}


@BOTH
def test_from_plan_to_restored(sets: Sets, target: Target) -> None:
    """The plan, what changes and what does not are told; at the end every pod runs the old one."""
    sets.release(target, "1", cause="release 1")
    sets.release(target, "2", cause="release 2")
    result, events = sets.roll_back(target, reason="errors")
    assert result.exit_code is ExitCode.OK, result.text
    assert f"{target} serves revision 1 ({target.name}:1, release 1) again" in result.text
    assert texts(events, "change") == [
        f"container {target.name} image: {target.name}:2 → {target.name}:1"
    ]
    kind = KINDS[target.kind][0]
    assert any(f"the {kind}'s own labels" in text for text in texts(events, "note"))
    assert not any("Deployment" in event.text for event in events)
    assert tags_are(sets, target, "1")
    workload = sets.cluster.get(workload_path(target))
    notes = workload["metadata"]["annotations"]
    assert notes["kubernetes.io/change-cause"] == "release 1"
    assert json.loads(notes["deploy-guard/rollback"])["reason"] == "errors"


@BOTH
def test_the_old_revision_is_renumbered_and_no_third_is_made(sets: Sets, target: Target) -> None:
    """As after kubectl's undo: two revisions, the old one with the highest number."""
    sets.release(target, "1")
    sets.release(target, "2")
    before = {r["metadata"]["uid"]: r["data"] for r in sets.look(target).revisions}
    sets.roll_back(target)
    found = sets.look(target)
    assert {r["metadata"]["uid"]: r["data"] for r in found.revisions} == before
    assert sets.revisions(target) == {"1": (3, None), "2": (2, Verdict.REGRESSED)}
    assert "$patch" not in (found.workload or {})["spec"]["template"]


@BOTH
def test_the_patch_is_a_replacement_without_a_directive(sets: Sets, target: Target) -> None:
    """The ControllerRevision's template is sent without `$patch`; no pause is tested."""
    sets.release(target, "1")
    sets.release(target, "2")
    result, events = sets.roll_back(target, dry_run=True)
    assert result.exit_code is ExitCode.OK
    (patch,) = [event.data["patch"] for event in events if event.kind == "patch"]
    paths = [(op["op"], op["path"]) for op in patch]
    assert paths[:3] == [
        ("test", "/metadata/uid"),
        ("test", "/spec/template"),
        ("replace", "/spec/template"),
    ]
    assert "$patch" not in json.dumps(patch)
    assert tags_are(sets, target, "2")


@BOTH
def test_twice_is_once(sets: Sets, target: Target) -> None:
    """The second rollback has nothing to do and does not go forward."""
    sets.release(target, "1")
    sets.release(target, "2")
    sets.roll_back(target)
    result, _ = sets.roll_back(target)
    assert (result.exit_code, result.done) == (ExitCode.OK, None)
    assert result.text == "nothing to do: the last rollback is in place already"
    assert tags_are(sets, target, "1")


@BOTH
def test_a_revision_by_its_number(sets: Sets, target: Target) -> None:
    """--to-revision goes to that ControllerRevision; an unknown number is told with the known."""
    for tag in ("1", "2", "3"):
        sets.release(target, tag)
    result, _ = sets.roll_back(target, to_revision=9)
    assert result.exit_code is ExitCode.NOT_ROLLED_BACK
    assert result.help == "there are: 3, 2, 1"
    result, _ = sets.roll_back(target, to_revision=1)
    assert result.exit_code is ExitCode.OK, result.text
    assert tags_are(sets, target, "1")


@BOTH
def test_verdicts_are_kept_on_the_revision_and_leave_its_data_alone(
    sets: Sets, target: Target
) -> None:
    """The healthy revision is chosen over a newer one; `data` stays byte for byte."""
    sets.release(target, "1")
    (first,) = sets.look(target).revisions
    problem = record_verdict(
        sets.cluster, target, revision_of(first), Verdict.HEALTHY, reason="good", at=1e9
    )
    assert problem is None
    path = f"{collection_path(target, 'controllerrevisions')}/{first['metadata']['name']}"
    after = sets.cluster.get(path)
    assert after["data"] == first["data"]
    assert json.dumps(after["data"]) == json.dumps(first["data"])  # in the same order
    sets.release(target, "2")
    sets.release(target, "3")
    result, _ = sets.roll_back(target)
    assert result.exit_code is ExitCode.OK, result.text
    assert tags_are(sets, target, "1")
    assert sets.revisions(target) == {
        "1": (4, Verdict.HEALTHY),
        "2": (2, None),
        "3": (3, Verdict.REGRESSED),
    }


@BOTH
def test_a_restart_is_seen_through(sets: Sets, target: Target) -> None:
    """A rollback after `kubectl rollout restart` goes to other bits, not to the same ones."""
    sets.release(target, "1")
    sets.release(target, "2")
    note = {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}
    body = {"spec": {"template": {"metadata": {"annotations": note}}}}
    sets.cluster.patch(workload_path(target), body, content_type=MERGE_PATCH)
    sets.embedded.wait_for(lambda: len(sets.look(target).revisions) == 3)
    sets.embedded.wait_complete("shop", target.name, kind=KINDS[target.kind][0])
    result, _ = sets.roll_back(target)
    assert result.exit_code is ExitCode.OK, result.text
    assert tags_are(sets, target, "1")


@BOTH
def test_history_shows_what_a_rollback_would_choose(sets: Sets, target: Target) -> None:
    """The table names numbers, images, verdicts; how many pods a revision has nobody keeps."""
    sets.release(target, "1", cause="release 1")
    sets.release(target, "2", cause="release 2")
    found = history(sets.cluster, target)
    head, _, live, chosen, *_, answer = as_text(found).splitlines()
    assert head == f"{target} in shop"
    assert live.split()[:2] == ["live", "2"] and live.endswith("release 2")
    assert chosen.split()[:2] == ["→", "1"] and chosen.endswith("release 1")
    assert " – " in chosen
    assert answer.startswith("→ guard rollback would go to revision 1")
    rows = as_json(found)["revisions"]
    assert [row["pods"] for row in rows] == [None, None]
    assert [row["template_hash"] for row in rows] == [
        hash_of(r) for r in sorted(sets.look(target).revisions, key=lambda r: -r["revision"])
    ]


@BOTH
def test_a_broken_release_is_taken_back(sets: Sets, target: Target) -> None:
    """A release whose pods never start: all pods are of the old one again, none stays broken."""
    sets.release(target, "1")
    sets.break_it(target)
    result, _ = sets.roll_back(target)
    assert result.exit_code is ExitCode.OK, result.text
    assert tags_are(sets, target, "1")


def test_a_stuck_pod_is_deleted_once_and_nothing_else(sets: Sets) -> None:
    """Of a StatefulSet only the broken pod is replaced; the healthy ones keep their uid."""
    sets.release(DB, "1")
    sets.break_it(DB)
    before = sets.uids(DB)
    seen = look(sets.look(DB), candidate_hash=live_hash(sets.look(DB)) or "")
    assert ([p.name for p in seen.candidates()], len(seen.controls())) == (["db-2"], 2)
    result, events = sets.roll_back(DB)
    assert result.exit_code is ExitCode.OK, result.text
    told = [text for text in texts(events, "rollback") if "is deleted" in text]
    assert told == ["pod db-2 is deleted: broken, it would keep the others from going back"]
    after = sets.uids(DB)
    assert {name for name in after if after[name] != before[name]} == {"db-2"}


def test_pods_that_do_not_wait_are_not_deleted_by_guard(sets: Sets) -> None:
    """With podManagementPolicy Parallel the controller replaces a broken pod by itself."""
    sets.release(DB, "1", podManagementPolicy="Parallel")
    sets.break_it(DB, podManagementPolicy="Parallel")
    result, events = sets.roll_back(DB)
    assert result.exit_code is ExitCode.OK, result.text
    assert not any("is deleted" in text for text in texts(events, "rollback"))
    assert tags_are(sets, DB, "1")


def test_with_a_partition_only_the_pods_from_there_on_go_back(sets: Sets) -> None:
    """The partition stays and is told: pods below it never ran the condemned revision."""
    sets.release(DB, "1")
    rolling: dict[str, Any] = {"updateStrategy": {"rollingUpdate": {"partition": 2}}}
    sets.release(DB, "2", wait=False, **rolling)
    sets.embedded.wait_for(lambda: sets.tags(DB) == {"db-0": "1", "db-1": "1", "db-2": "2"})
    before = sets.uids(DB)
    result, events = sets.roll_back(DB)
    assert result.exit_code is ExitCode.OK, result.text
    assert any("below ordinal 2 stay as they are" in text for text in texts(events, "problem"))
    assert tags_are(sets, DB, "1")
    after = sets.uids(DB)
    assert {name for name in after if after[name] != before[name]} == {"db-2"}


def test_a_partition_as_high_as_the_replicas_changes_no_pod(sets: Sets) -> None:
    """Nothing was rolled out and nothing has to be: the template goes back, no pod moves."""
    sets.release(DB, "1")
    rolling: dict[str, Any] = {"updateStrategy": {"rollingUpdate": {"partition": 3}}}
    sets.release(DB, "2", wait=False, **rolling)
    before = sets.uids(DB)
    result, events = sets.roll_back(DB)
    assert result.exit_code is ExitCode.OK, result.text
    assert any("no pod is replaced" in text for text in texts(events, "problem"))
    assert sets.uids(DB) == before
    workload = sets.cluster.get(workload_path(DB))
    assert workload["spec"]["template"]["spec"]["containers"][0]["image"] == "db:1"


def test_a_partition_that_keeps_the_condemned_revision_running_is_refused(sets: Sets) -> None:
    """Every pod runs what is condemned and none would be replaced: that is no rollback."""
    sets.release(DB, "1")
    sets.release(DB, "2")
    rolling: dict[str, Any] = {"updateStrategy": {"rollingUpdate": {"partition": 3}}}
    sets.release(DB, "2", wait=False, **rolling)
    result, _ = sets.roll_back(DB)
    assert result.exit_code is ExitCode.NOT_ROLLED_BACK
    assert "no pod is replaced" in result.text
    assert "lower the partition" in result.help
    assert tags_are(sets, DB, "2")


def test_a_partition_that_keeps_some_condemned_pods_is_told(sets: Sets) -> None:
    """What can go back goes back; which pods still run what is condemned is said before."""
    sets.release(DB, "1")
    sets.release(DB, "2")
    rolling: dict[str, Any] = {"updateStrategy": {"rollingUpdate": {"partition": 1}}}
    sets.release(DB, "2", wait=False, **rolling)
    result, events = sets.roll_back(DB)
    assert result.exit_code is ExitCode.OK, result.text
    told = texts(events, "problem")
    assert any("below ordinal 1" in t and "they run the revision" in t for t in told)
    assert sets.tags(DB) == {"db-0": "2", "db-1": "1", "db-2": "1"}


@BOTH
def test_on_delete_is_refused_with_the_way_out(sets: Sets, target: Target) -> None:
    """Where pods change only when somebody deletes them, a rollback would only look like one."""
    strategy: dict[str, Any] = {"updateStrategy": {"type": "OnDelete"}}
    sets.release(target, "1", **strategy)
    sets.release(target, "2", wait=False, **strategy)
    result, _ = sets.roll_back(target)
    assert result.exit_code is ExitCode.NOT_ROLLED_BACK
    assert "OnDelete" in result.text
    assert f"kubectl rollout undo {target}" in result.help
    workload = sets.cluster.get(workload_path(target))
    assert workload["spec"]["template"]["spec"]["containers"][0]["image"] == f"{target.name}:2"


@pytest.mark.parametrize(
    "rolling",
    [{"maxUnavailable": "100%"}, {"maxSurge": 1, "maxUnavailable": 0}],
    ids=["all-at-once", "surge"],
)
def test_a_daemonset_goes_back_on_every_node(sets: Sets, rolling: dict[str, Any]) -> None:
    """Whatever its strategy, each of the three nodes runs one pod of the old revision again."""
    strategy: dict[str, Any] = {"updateStrategy": {"rollingUpdate": rolling}}
    sets.release(AGENT, "1", **strategy)
    sets.break_it(AGENT, **strategy)
    result, _ = sets.roll_back(AGENT)
    assert result.exit_code is ExitCode.OK, result.text
    pods = sets.look(AGENT).pods
    assert len({pod["spec"]["nodeName"] for pod in pods}) == len(pods) == 3
    assert tags_are(sets, AGENT, "1")


def test_a_statefulset_with_max_unavailable_goes_back(sets: Sets) -> None:
    """With maxUnavailable several pods go at once; the end is the same."""
    strategy: dict[str, Any] = {"updateStrategy": {"rollingUpdate": {"maxUnavailable": 2}}}
    sets.release(DB, "1", podManagementPolicy="Parallel", **strategy)
    sets.release(DB, "2", podManagementPolicy="Parallel", **strategy)
    result, _ = sets.roll_back(DB)
    assert result.exit_code is ExitCode.OK, result.text
    assert tags_are(sets, DB, "1")


CLAIM: Json = {
    "metadata": {"name": "data"},
    "spec": {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
    },
}


def with_volumes(sets: Sets) -> str:
    """Deploy a StatefulSet with volumes, twice; return the path of the claim of `db-2`."""
    sets.release(DB, "1", volumeClaimTemplates=[CLAIM])
    sets.release(DB, "2", volumeClaimTemplates=[CLAIM])
    return f"{collection_path(DB, 'persistentvolumeclaims')}/data-db-2"


def test_volumes_of_the_pods_stay_and_are_no_problem(sets: Sets) -> None:
    """With every claim in place the rollback has no problems, and no claim changes."""
    path = with_volumes(sets)
    uid = sets.cluster.get(path)["metadata"]["uid"]
    result, events = sets.roll_back(DB)
    assert result.exit_code is ExitCode.OK, result.text
    assert texts(events, "problem") == []
    assert sets.cluster.get(path)["metadata"]["uid"] == uid
    assert any("volumeClaimTemplates stay as they are" in text for text in texts(events, "note"))


def test_a_volume_that_is_being_deleted_is_not_lost_by_a_rollback(sets: Sets) -> None:
    """A deleted claim lives as long as its pod: replacing the pod would lose the data."""
    path = with_volumes(sets)
    body = {"metadata": {"finalizers": ["kubernetes.io/pvc-protection"]}}
    sets.cluster.patch(path, body, content_type=MERGE_PATCH)
    sets.cluster.delete(path, uid=sets.cluster.get(path)["metadata"]["uid"])
    result, _ = sets.roll_back(DB)
    assert result.exit_code is ExitCode.NOT_ROLLED_BACK
    assert '"data-db-2" is being deleted' in result.text
    assert "loses the data" in result.help
    assert tags_are(sets, DB, "2")


def test_without_the_right_to_delete_pods_the_stuck_one_is_named(
    sets: Sets, tmp_path: Path
) -> None:
    """The missing right is told before; the pod and the command that deletes it are told after."""
    sets.release(DB, "1")
    sets.break_it(DB)
    rules = without(
        rules_of("role.yaml", "role-statefulsets.yaml", "role-pods.yaml"), "delete", "pods"
    )
    with Shop(sets.embedded, tmp_path) as shop, as_account(shop, tmp_path, rules) as account:
        result, events = sets.roll_back(DB, cluster=account, timeout=1.5)
    told = texts(events, "problem")
    assert any('lacks the right "delete" on pods' in text for text in told[:-1]), told
    assert "pod db-2 keeps statefulset/db from going back" in told[-1]
    assert "kubectl delete pod db-2 -n shop" in told[-1]
    assert result.exit_code is ExitCode.NOT_ROLLED_BACK
    assert sets.tags(DB)["db-2"] == BROKEN


@BOTH
def test_the_shipped_roles_are_enough(sets: Sets, tmp_path: Path, target: Target) -> None:
    """With the Roles of the examples a broken release of either kind is taken back, unwarned."""
    sets.release(target, "1")
    sets.break_it(target)
    rules = rules_of("role.yaml", "role-statefulsets.yaml", "role-config.yaml", "role-pods.yaml")
    with Shop(sets.embedded, tmp_path) as shop, as_account(shop, tmp_path, rules) as account:
        result, events = sets.roll_back(target, cluster=account)
    assert result.exit_code is ExitCode.OK, result.text
    assert texts(events, "problem", "warning") == []
    assert tags_are(sets, target, "1")
