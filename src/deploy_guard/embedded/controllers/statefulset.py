"""The StatefulSet controller: one sync makes or deletes what may go now, and counts.

Decides which pod is next and from which revision it is made; which revisions there are is
`statefulset_history`'s. Source: kubernetes/pkg/controller/statefulset/{stateful_set.go,
stateful_set_control.go}, with the feature gates of 1.36: maxUnavailable is off, so an update
moves one pod at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from deploy_guard.embedded.controllers.claims import create_claims
from deploy_guard.embedded.controllers.events import Recorder
from deploy_guard.embedded.controllers.objects import (
    PODS,
    STATEFUL_SETS,
    SyncError,
    claim,
    is_terminating,
    private,
)
from deploy_guard.embedded.controllers.ordinals import (
    is_healthy,
    ordinal_of,
    ordinals,
    pod_name,
    pod_template,
    revision_of_pod,
    runs_ready,
)
from deploy_guard.embedded.controllers.pod_state import (
    FINISHED,
    is_available,
    next_available,
    phase,
)
from deploy_guard.embedded.controllers.pods import ForbiddenError, create_pod, mark_deleted
from deploy_guard.embedded.controllers.revisions import IsFrozen, owned_revisions
from deploy_guard.embedded.controllers.statefulset_history import choose_revisions, clean_up
from deploy_guard.embedded.controllers.statefulset_status import status_of
from deploy_guard.embedded.store import AlreadyExistsError, NotFoundError, Object, Store

Later = Callable[[float], None]


class StatefulSetController:
    """Syncs StatefulSets of a store."""

    def __init__(self, store: Store, is_frozen: IsFrozen) -> None:
        self._store = store
        self._is_frozen = is_frozen
        self._events = Recorder(store, "statefulset-controller")

    def sync(self, namespace: str, name: str, later: Later) -> None:
        """Move one StatefulSet on; `later` asks for another sync after that many seconds."""
        found = self._store.find(STATEFUL_SETS, namespace, name)
        if found is None:
            return
        revisions = owned_revisions(self._store, found, self._is_frozen)
        pods = claim(
            self._store,
            PODS,
            found,
            lambda pod: ordinal_of(pod["metadata"]["name"], name) is not None,
        )
        StatefulSetSync(
            self._store,
            private(found),
            events=self._events,
            revisions=revisions,
            pods=pods,
            later=later,
        ).run()


class StatefulSetSync:
    """One sync: the StatefulSet, its revisions (oldest first) and pods as they were read."""

    def __init__(
        self,
        store: Store,
        owner: Object,
        *,
        events: Recorder,
        revisions: Sequence[Object],
        pods: Sequence[Object],
        later: Later,
    ) -> None:
        self.store, self.events, self.later = store, events, later
        self.owner, self.spec = owner, owner["spec"]
        self.ready_after = int(self.spec.get("minReadySeconds", 0))
        self.ordered: bool = self.spec["podManagementPolicy"] == "OrderedReady"
        self.revisions = list(revisions)
        name = owner["metadata"]["name"]
        self.pods = {ordinal_of(pod["metadata"]["name"], name) or 0: pod for pod in pods}
        self.collisions = int((owner.get("status") or {}).get("collisionCount") or 0)
        self.taken = 0  # pods of the current revision that this sync deletes for an update

    def run(self) -> None:
        """Do what is due, then write the status. Raises SyncError when a pod was refused.

        Of a set that is being deleted only the pods are counted: a revision made now would
        outlive the garbage collector's look.
        """
        status = self.owner.get("status") or {}
        if is_terminating(self.owner):
            self._write_status(status.get("currentRevision", ""), status.get("updateRevision", ""))
            return
        self.current, self.update, self.collisions = choose_revisions(
            self.store, self.owner, self.revisions
        )
        failure = ""
        try:
            self._move()
        except SyncError as error:
            failure = str(error)
        self._write_status(self.current["metadata"]["name"], self.update["metadata"]["name"])
        self._clean_up()
        wait = next_available(list(self.pods.values()), self.ready_after)
        if wait is not None:
            self.later(wait)
        if failure:
            raise SyncError(failure)

    def _move(self) -> None:
        """Create, then scale down, then update; in order only one thing at a time."""
        for ordinal in ordinals(self.spec):
            if self._is_blocked_at(ordinal):
                return
        if not self._scale_down() or self.spec["updateStrategy"]["type"] == "OnDelete":
            return
        self._update_one()

    def _is_blocked_at(self, ordinal: int) -> bool:
        """Make sure of one pod; tell whether the ones after it must wait."""
        pod = self.pods.get(ordinal)
        if pod is not None and phase(pod) in FINISHED:
            self._recreate(pod)
            return self.ordered
        if pod is None:
            self._create(ordinal)
            return self.ordered
        return self.ordered and not (is_healthy(pod) and is_available(pod, self.ready_after))

    def _scale_down(self) -> bool:
        """Delete pods that are too many, the highest first; tell whether none was left."""
        wanted = ordinals(self.spec)
        condemned = [self.pods[n] for n in sorted(self.pods, reverse=True) if n not in wanted]
        unhealthy = next((pod for pod in reversed(condemned) if not is_healthy(pod)), None)
        for pod in condemned:
            if not is_terminating(pod):
                fine = runs_ready(pod) and is_available(pod, self.ready_after)
                if self.ordered and not fine and pod is not unhealthy:
                    return False
                self._delete(pod)
            if self.ordered:
                return False
        return True

    def _update_one(self) -> None:
        """Delete the pod with the highest number that is old; an unhealthy new one holds it up."""
        rolling = self.spec["updateStrategy"].get("rollingUpdate") or {}
        first = ordinals(self.spec).start + int(rolling.get("partition", 0))
        for ordinal in reversed(ordinals(self.spec)):
            pod = self.pods.get(ordinal)
            if ordinal < first or pod is None:
                return
            old = revision_of_pod(pod) != self.update["metadata"]["name"]
            if old and not is_terminating(pod):
                self._delete(pod)
                self.taken = 1
                return
            if not (is_healthy(pod) and is_available(pod, self.ready_after)):
                return

    def _create(self, ordinal: int) -> None:
        name = pod_name(self.owner, ordinal)
        rolling = self.spec["updateStrategy"].get("rollingUpdate") or {}
        kept = ordinals(self.spec).start + int(rolling.get("partition", 0))
        is_rolling = self.spec["updateStrategy"]["type"] == "RollingUpdate"
        revision = self.current if is_rolling and ordinal < kept else self.update
        template = pod_template(self.owner, revision, ordinal)
        set_name = self.owner["metadata"]["name"]
        for made in create_claims(self.store, self.owner, ordinal):
            text = f"create Claim {made} Pod {name} in StatefulSet {set_name} success"
            self.events.event(self.owner, "Normal", "SuccessfulCreate", text)
        who = f"create Pod {name} in StatefulSet {set_name}"
        try:
            create_pod(self.store, self.owner, template=template, name=name)
        except (ForbiddenError, AlreadyExistsError) as error:
            taken = isinstance(error, AlreadyExistsError)
            why = f'pods "{name}" already exists' if taken else str(error)
            text = f"{who} failed error: {why}"
            self.events.event(self.owner, "Warning", "FailedCreate", text)
            raise SyncError(why) from error
        self.events.event(self.owner, "Normal", "SuccessfulCreate", f"{who} successful")

    def _recreate(self, pod: Object) -> None:
        """Delete a pod that has ended: the next sync makes it again."""
        if phase(pod) == "Failed":
            meta = pod["metadata"]
            where = f"{meta['namespace']}/{self.owner['metadata']['name']}"
            text = f"StatefulSet {where} is recreating failed Pod {meta['name']}"
            self.events.event(self.owner, "Warning", "RecreatingFailedPod", text)
        if not is_terminating(pod):
            self._delete(pod)

    def _delete(self, pod: Object) -> None:
        meta = pod["metadata"]
        mark_deleted(self.store, meta["namespace"], meta["name"])
        text = f"delete Pod {meta['name']} in StatefulSet {self.owner['metadata']['name']}"
        self.events.event(self.owner, "Normal", "SuccessfulDelete", f"{text} successful")

    def _write_status(self, current: str, update: str) -> None:
        status = status_of(
            self.owner,
            list(self.pods.values()),
            current=current,
            update=update,
            taken=self.taken,
            collisions=self.collisions,
        )
        if status == (self.owner.get("status") or {}):
            return
        meta = self.owner["metadata"]

        def change(draft: Object) -> None:
            draft["status"] = status

        try:
            self.store.update(STATEFUL_SETS, meta["namespace"], meta["name"], change, status=True)
        except NotFoundError:
            return

    def _clean_up(self) -> None:
        live = {revision_of_pod(pod) for pod in self.pods.values()}
        live |= {self.current["metadata"]["name"], self.update["metadata"]["name"]}
        clean_up(self.store, self.owner, self.revisions, live)
