"""Which recordings are replayed, from which state, and every step where the server differs."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable
from typing import Any

from deploy_guard.embedded.store import Store
from embedded.recordings import Recording, Step
from embedded.replay import Scenario

Object = dict[str, Any]

BY_CONTROLLERS = "controllers write what this step reads; their own tests hold it to the recording"
REVISIONS = "controllerrevisions.apps"
REVISION = "deployment.kubernetes.io/revision"


def sized(kind: str, api_version: str, characters: int) -> Object:
    """Return an object with data of that size, which the recording shortens."""
    head = {"kind": kind, "apiVersion": api_version, "metadata": {"name": "big"}}
    revision = {"revision": 1} if kind == "ControllerRevision" else {}
    return {**head, **revision, "data": {"a": "x" * characters}}


def controller_sets(name: str, namespace: str, revision: str) -> Callable[[Store], None]:
    """Return what the Deployment controller does when it has seen a change."""

    def change(obj: Object) -> None:
        obj["metadata"]["annotations"][REVISION] = revision
        obj["status"]["observedGeneration"] = obj["metadata"]["generation"]

    return lambda store: void(
        store.update("deployments.apps", namespace, name, change, status=True)
    )


def removes(store_name: str, name: str, namespace: str) -> Callable[[Store], None]:
    """Return what the garbage collector does to an object that has to go."""
    return lambda store: void(store.delete(store_name, namespace, name))


def collects_revisions(store: Store) -> None:
    """Do what the garbage collector does to the snapshots of a Deployment that is gone."""
    for obj in store.list_all(REVISIONS, "rec-13")[0]:
        if obj["metadata"].get("ownerReferences"):
            store.delete(REVISIONS, "rec-13", obj["metadata"]["name"])


def void(_: object) -> None:
    """Drop a value."""


def deployments(recording: Recording) -> list[Object]:
    """Return the Deployments that the recording changes, as they were first read."""
    found: dict[str, Object] = {}
    created: set[str] = set()
    for step in recording.steps:
        body = step.answer
        if not isinstance(body, dict) or body.get("kind") != "Deployment":
            continue
        name = body["metadata"]["name"]
        if step.status == 201:
            created.add(name)
        if step.status == 200 and name not in created and "dryRun" not in step.path:
            found.setdefault(name, body)
    return list(found.values())


def valid_deployment(recording: Recording) -> list[Object]:
    """Return the Deployment of the validation scenario as it was before the first step."""
    web = copy.deepcopy(recording.answer(14))
    web["metadata"]["generation"] = web["status"]["observedGeneration"] = 1
    return [web]


def first_lists(recording: Recording) -> list[Object]:
    """Return the Deployments, and what was listed before the first change (in this order)."""
    steps = itertools.takewhile(lambda step: step.method == "GET", recording.steps)
    return [*deployments(recording), *_items(steps)]


def all_lists(recording: Recording) -> list[Object]:
    """Return everything that was ever listed, as it was listed first."""
    return _items(recording.steps)


def with_older_event(recording: Recording) -> list[Object]:
    """Return the Deployment and the event about it that a controller had written."""
    items = _items([recording.steps[23]])
    return [
        *deployments(recording),
        *[one for one in items if one.get("reason") == "ScalingReplicaSet"],
    ]


def with_deleted(recording: Recording) -> list[Object]:
    """Return the Deployments, those too that only the watch has seen."""
    found = {one["metadata"]["name"]: one for one in deployments(recording)}
    for event in recording.steps[0].events or ():
        found.setdefault(event["object"]["metadata"]["name"], event["object"])
    return list(found.values())


def _items(steps: Iterable[Step]) -> list[Object]:
    found: dict[str, Object] = {}
    for step in steps:
        if step.events is not None or not isinstance(step.answer, dict):
            continue
        kind = str(step.answer.get("kind", "")).removesuffix("List")
        head = {"kind": kind, "apiVersion": step.answer.get("apiVersion")}
        for item in step.answer.get("items", []):
            found.setdefault(item["metadata"]["name"], {**head, **item})
    return list(found.values())


def accounts(recording: Recording) -> list[Object]:
    """Return the ServiceAccounts and RoleBindings whose creation was not recorded."""
    namespace = f"rec-{recording.name.partition('-')[0]}"
    found: list[Object] = []
    for name in ("rollback", "patchonly", "onlyweb"):
        metadata = {"name": name, "namespace": namespace}
        found.append({"kind": "ServiceAccount", "apiVersion": "v1", "metadata": metadata})
        found.append(
            {
                "kind": "RoleBinding",
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "metadata": metadata,
                "roleRef": {"kind": "Role", "name": name},
                "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
            }
        )
    return [*found, *deployments(recording)]


def reads_what_controllers_write(step: Step) -> bool:
    """Tell whether a step watches, or lists objects that only controllers make."""
    return step.events is not None or any(
        f"/{plural}" in step.path for plural in ("replicasets", "pods", "events")
    )


def reads_what_controllers_or_statefulsets_write(step: Step) -> bool:
    """Tell whether a step depends on controllers; from 62 on it is about a StatefulSet."""
    return reads_what_controllers_write(step) or step.index >= 62


FOUR = ("reader", "rollback", "patchonly", "onlyweb")
NO_CREDENTIAL_ID = "tokens have no id here, so userInfo.extra is left out"
CONTROLLED = (reads_what_controllers_write, BY_CONTROLLERS)

SCENARIOS = (
    Scenario("03b-ways-to-change", deployments, skipped_if=CONTROLLED),
    Scenario("04-undo", deployments, skipped_if=CONTROLLED),
    Scenario(
        "06-concurrency",
        deployments,
        current={"25 merge patch, current resourceVersion": "12198"},
        done_before={
            "39 0.6 s later: test on resourceVersion fails although nobody changed the spec": (
                controller_sets("web", "rec-06", "3")
            )
        },
    ),
    Scenario("07-paused", deployments, skipped_if=CONTROLLED),
    Scenario(
        "09a-errors-401-403",
        deployments,
        accounts={
            "serviceaccount nobody (no role)": "nobody",
            "serviceaccount nobody, deleted": "nobody",
        },
        status_only={
            "01 no credentials: /version is open": "the version says that this is the embedded one"
        },
    ),
    Scenario(
        "09b-errors-rbac",
        accounts,
        accounts={f"serviceaccount {name}": name for name in FOUR},
        skipped_if=CONTROLLED,
    ),
    Scenario(
        "09c-errors-client",
        deployments,
        bodies={
            "47 ConfigMap above 1 MiB": sized("ConfigMap", "v1", 1_100_000),
            "48 annotations above 256 KiB": {
                "metadata": {"annotations": {"example.com/big": "x" * 270_000}}
            },
            "49 ControllerRevision of 1.4 MB": sized("ControllerRevision", "apps/v1", 1_400_000),
            "50 ControllerRevision of 1.6 MB: above what etcd takes": (
                sized("ControllerRevision", "apps/v1", 1_600_000)
            ),
            "51 request body above 3 MiB": sized("ControllerRevision", "apps/v1", 3_300_000),
        },
        status_only={
            "24 strategic merge patch on a resource that has no such support": (
                "there are no CustomResourceDefinitions, not even their API group"
            ),
            "49 ControllerRevision of 1.4 MB": "the recorded answer is shortened",
        },
        other_headers={
            "24 strategic merge patch on a resource that has no such support": (
                "the answer to an unknown API group is plain text"
            )
        },
        skipped={"54 a deadline of one microsecond": "the timeout parameter is ignored"},
    ),
    Scenario(
        "09d-errors-invalid",
        valid_deployment,
        other_headers={
            "37 a valid object that earns warnings": (
                "warnings are given about unknown and doubled fields only"
            )
        },
    ),
    Scenario("10-watch", first_lists),
    Scenario("10b-paging", all_lists, compact_before=("09 the first token, expired",)),
    Scenario("11-lease", deployments),
    Scenario(
        "13-snapshots",
        deployments,
        skipped_if=(reads_what_controllers_or_statefulsets_write, BY_CONTROLLERS),
        done_before={
            "20 the one with the wrong owner": removes(REVISIONS, "orphan", "rec-13"),
            "26 its snapshots went with it; those without an owner stay": (collects_revisions),
        },
    ),
    Scenario("13b-configmap-secret", deployments),
    Scenario(
        "14-access-reviews",
        accounts,
        accounts={"serviceaccount rollback": "rollback"},
        status_only={
            "01 admin: who am I": NO_CREDENTIAL_ID,
            "09 serviceaccount rollback: who am I": NO_CREDENTIAL_ID,
        },
    ),
    Scenario("15-events", with_older_event),
    Scenario("17-owners", deployments, skipped_if=CONTROLLED),
    Scenario(
        "19-race",
        deployments,
        skipped_if=CONTROLLED,
        done_before={
            "09 byrev: A undoes to revision 1, tests the revision annotation, 1.5 s after B": (
                controller_sets("byrev", "rec-19", "3")
            )
        },
    ),
    Scenario(
        "21-delete",
        with_deleted,
        skipped_if=CONTROLLED,
        done_before={
            "11 orph: made again with the same selector": removes(
                "deployments.apps", "orph", "rec-21"
            )
        },
    ),
)
