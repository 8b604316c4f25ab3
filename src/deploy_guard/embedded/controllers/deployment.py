"""The Deployment controller: one sync moves a Deployment one step towards its spec.

Decides which ReplicaSet exists, how large each is, and the revision numbers. The strategies
are in `rollout`, the counts and conditions in `status`. Source: kubernetes/pkg/controller/
deployment/{deployment_controller.go,sync.go}, followed also where it goes on with an old
resourceVersion after a write: that sync then ends in a conflict and the next one goes on,
which is why clients see the revision before observedGeneration.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from deploy_guard.embedded.controllers import rollout, scaling
from deploy_guard.embedded.controllers.conditions import (
    condition,
    get_condition,
    has_deadline,
    set_condition,
)
from deploy_guard.embedded.controllers.events import Recorder
from deploy_guard.embedded.controllers.objects import (
    DEPLOYMENTS,
    PODS,
    REPLICA_SETS,
    SyncError,
    claim,
    controller_of,
    is_terminating,
    owner_reference,
    private,
    replace,
)
from deploy_guard.embedded.controllers.rolling import new_replicas
from deploy_guard.embedded.controllers.status import status_of
from deploy_guard.embedded.controllers.templates import (
    DESIRED_REPLICAS,
    HASH_LABEL,
    REVISION,
    annotated_number,
    annotations_of,
    find_new,
    new_annotations,
    revision_of,
    same_template,
    template_hash,
)
from deploy_guard.embedded.store import AlreadyExistsError, Object, Store

Later = Callable[[float], None]


class DeploymentController:
    """Syncs Deployments of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._events = Recorder(store, "deployment-controller")

    def sync(self, namespace: str, name: str, later: Later) -> None:
        """Move one Deployment on; `later` asks for another sync after that many seconds."""
        found = self._store.find(DEPLOYMENTS, namespace, name)
        if found is None:
            return
        owned = claim(self._store, REPLICA_SETS, found)
        DeploymentSync(self._store, self._events, private(found), owned, later).run()


class DeploymentSync:
    """One sync: the Deployment and its ReplicaSets as they were read at the start."""

    def __init__(
        self,
        store: Store,
        events: Recorder,
        deployment: Object,
        owned: Sequence[Object],
        later: Later,
    ) -> None:
        self.store = store
        self.events = events
        self.deployment = deployment
        self.spec = deployment["spec"]
        self.owned = list(owned)
        self.later = later

    def run(self) -> None:
        """Do what is due. Raises ConflictError or SyncError when it must be tried again."""
        if is_terminating(self.deployment):
            self.write_plain_status(*self.replica_sets(create=False))
            return
        self._note_pause()
        if self.spec.get("paused") or self._is_scaled():
            new, old = self.replica_sets(create=False)
            scaling.scale(self, new, old)
            if self.spec.get("paused"):
                rollout.clean_up(self, old)
            self.write_plain_status(new, old)
        elif self.spec["strategy"]["type"] == "Recreate":
            rollout.recreate(self)
        else:
            rollout.roll(self)

    def replica_sets(self, *, create: bool) -> tuple[Object | None, list[Object]]:
        """Return the new ReplicaSet (made if asked for) and the old ones; sync the revision."""
        new = find_new(self.deployment, self.owned)
        old = [rs for rs in self.owned if rs is not new]
        revision = max(map(revision_of, old), default=0) + 1
        if new is not None:
            return self._sync_existing(new, revision), old
        return (self._create_new(old, revision) if create else None), old

    def pods(self) -> list[Object]:
        """Return the pods of all the Deployment's ReplicaSets."""
        uids = {rs["metadata"]["uid"] for rs in self.owned}
        pods, _ = self.store.list_all(PODS, self.deployment["metadata"]["namespace"])
        return [pod for pod in pods if (controller_of(pod) or {}).get("uid") in uids]

    def write_status(self) -> None:
        """Write status and annotations through /status, on the version that was read."""
        mine = self.deployment
        meta = mine["metadata"]

        def change(draft: Object) -> None:
            draft["status"] = private(mine["status"])
            if annotations_of(mine):
                draft["metadata"]["annotations"] = dict(annotations_of(mine))

        self.store.update(
            DEPLOYMENTS,
            meta["namespace"],
            meta["name"],
            change,
            status=True,
            version=meta["resourceVersion"],
        )

    def write_plain_status(self, new: Object | None, old: Sequence[Object]) -> None:
        """Write the counts, without an opinion on progress."""
        status = status_of(self.deployment, new, old)
        if status != (self.deployment.get("status") or {}):
            self.deployment["status"] = status
            self.write_status()

    def _note_pause(self) -> None:
        current = get_condition(self.deployment.get("status") or {}, "Progressing")
        reason = current["reason"] if current else ""
        paused = bool(self.spec.get("paused"))
        if not has_deadline(self.spec) or reason == "ProgressDeadlineExceeded":
            return
        if paused == (reason == "DeploymentPaused"):
            return
        word = "paused" if paused else "resumed"
        new = condition(
            "Progressing", "Unknown", f"Deployment{word.title()}", f"Deployment is {word}"
        )
        set_condition(self.deployment.setdefault("status", {}), new)
        self.write_status()

    def _is_scaled(self) -> bool:
        new, old = self.replica_sets(create=False)
        noted = (
            annotated_number(rs, DESIRED_REPLICAS)
            for rs in scaling.active([*old, *filter(None, [new])])
        )
        return any(desired not in (None, self.spec["replicas"]) for desired in noted)

    def _sync_existing(self, new: Object, revision: int) -> Object:
        wanted = new_annotations(self.deployment, new, revision, exists=True)
        ready_after = self.spec.get("minReadySeconds", 0)
        if wanted != annotations_of(new) or new["spec"].get("minReadySeconds", 0) != ready_after:
            changed = private(new)
            changed["metadata"]["annotations"] = wanted
            changed["spec"].pop("minReadySeconds", None)
            if ready_after:
                changed["spec"]["minReadySeconds"] = ready_after
            return replace(self.store, REPLICA_SETS, changed)
        update = self._set_revision(wanted[REVISION])
        status = self.deployment.setdefault("status", {})
        if has_deadline(self.spec) and get_condition(status, "Progressing") is None:
            message = f'Found new replica set "{new["metadata"]["name"]}"'
            set_condition(status, condition("Progressing", "True", "FoundNewReplicaSet", message))
            update = True
        if update:
            self.write_status()
        return new

    def _set_revision(self, revision: str) -> bool:
        if annotations_of(self.deployment).get(REVISION) == revision:
            return False
        self.deployment["metadata"].setdefault("annotations", {})[REVISION] = revision
        return True

    def _create_new(self, old: Sequence[Object], revision: int) -> Object:
        wanted = self._new_replica_set(old, revision)
        try:
            created = self.store.create(REPLICA_SETS, wanted)
        except AlreadyExistsError:
            created = self._existing_or_collision(wanted)
        else:
            if created["spec"]["replicas"]:
                scaling.tell(self, created, before=0)
            if has_deadline(self.spec):
                message = f'Created new replica set "{created["metadata"]["name"]}"'
                new = condition("Progressing", "True", "NewReplicaSetCreated", message)
                set_condition(self.deployment.setdefault("status", {}), new)
        self._set_revision(str(revision))
        self.write_status()
        return created

    def _new_replica_set(self, old: Sequence[Object], revision: int) -> Object:
        meta, spec = self.deployment["metadata"], self.spec
        hashed = template_hash(
            spec["template"], (self.deployment.get("status") or {}).get("collisionCount")
        )
        template = private(spec["template"])
        template.setdefault("metadata", {}).setdefault("labels", {})[HASH_LABEL] = hashed
        selector = private(spec["selector"])
        selector.setdefault("matchLabels", {})[HASH_LABEL] = hashed
        total = sum(rs["spec"]["replicas"] for rs in old)
        result: Object = {
            "kind": "ReplicaSet",
            "apiVersion": "apps/v1",
            "metadata": {
                "name": f"{meta['name']}-{hashed}",
                "namespace": meta["namespace"],
                "generation": 1,
                "labels": dict(template["metadata"]["labels"]),
                "ownerReferences": [owner_reference(self.deployment)],
            },
            "spec": {
                "replicas": new_replicas(spec, new=0, total=total),
                "selector": selector,
                "template": template,
            },
            "status": {"replicas": 0},
        }
        if spec.get("minReadySeconds"):
            result["spec"]["minReadySeconds"] = spec["minReadySeconds"]
        noted = new_annotations(self.deployment, result, revision, exists=False)
        result["metadata"]["annotations"] = noted
        return result

    def _existing_or_collision(self, wanted: Object) -> Object:
        meta = wanted["metadata"]
        found = self.store.get(REPLICA_SETS, meta["namespace"], meta["name"])
        owner = controller_of(found) or {}
        mine = owner.get("uid") == self.deployment["metadata"]["uid"]
        if mine and same_template(found["spec"]["template"], self.spec["template"]):
            return found
        status = self.deployment.setdefault("status", {})
        status["collisionCount"] = status.get("collisionCount", 0) + 1
        self.write_status()
        raise SyncError(f"replicasets.apps {meta['name']!r} already exists")
