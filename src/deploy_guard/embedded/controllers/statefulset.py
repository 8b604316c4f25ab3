"""The StatefulSet controller: one sync makes or deletes what may go now, and counts.

Decides which pod is next, from which revision it is made, and the status. Source: kubernetes/
pkg/controller/statefulset/{stateful_set.go,stateful_set_control.go}, with the feature gates of
1.36: maxUnavailable is off, so an update moves one pod at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
from deploy_guard.embedded.controllers.revisions import (
    IsFrozen,
    create_revision,
    delete_revision,
    next_number,
    owned_revisions,
    renumber,
    revision_data,
    template_of,
)
from deploy_guard.embedded.controllers.statefulset_status import status_of
from deploy_guard.embedded.store import NotFoundError, Object, Store

HASH_LABEL = "controller.kubernetes.io/hash"
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
        self.current, self.update, self.collisions = self._revisions()
        failure = ""
        try:
            self._move()
        except ForbiddenError as error:
            failure = str(error)
        self._write_status(self.current["metadata"]["name"], self.update["metadata"]["name"])
        self._clean_up()
        wait = next_available(list(self.pods.values()), self.ready_after)
        if wait is not None:
            self.later(wait)
        if failure:
            raise SyncError(failure)

    def _revisions(self) -> tuple[Object, Object, int]:
        """Return the current and the update revision; the update's is made or renumbered."""
        collisions = self.collisions
        number = next_number(self.revisions)
        data = revision_data(self.owner)
        equal = [revision for revision in self.revisions if revision.get("data") == data]
        last = self.revisions[-1] if self.revisions else None
        if last is not None and self._changes_nothing(last, exact=bool(equal)):
            update = last
        elif equal:
            update = renumber(self.store, equal[-1], number)
        else:
            update, collisions = create_revision(
                self.store, self.owner, number, hash_label=HASH_LABEL, collisions=collisions
            )
        before = (self.owner.get("status") or {}).get("currentRevision")
        named = [r for r in self.revisions if r["metadata"]["name"] == before]
        return named[0] if named else update, update, collisions

    def _changes_nothing(self, last: Object, *, exact: bool) -> bool:
        """Tell whether the newest revision is the template's: by its data, else by its effect."""
        if exact:
            return bool(last.get("data") == revision_data(self.owner))
        return bool(template_of(last, self.owner) == self.spec["template"])

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
        who = f"create Pod {name} in StatefulSet {self.owner['metadata']['name']}"
        try:
            create_pod(self.store, self.owner, template=template, name=name)
        except ForbiddenError as error:
            text = f"{who} failed error: {error}"
            self.events.event(self.owner, "Warning", "FailedCreate", text)
            raise
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
        """Delete the oldest revisions beyond revisionHistoryLimit that no pod is made from."""
        live = {revision_of_pod(pod) for pod in self.pods.values()}
        live |= {self.current["metadata"]["name"], self.update["metadata"]["name"]}
        old = [r for r in self.revisions if r["metadata"]["name"] not in live]
        limit = int(self.spec.get("revisionHistoryLimit", 10))
        for revision in old[: max(0, len(old) - limit)]:
            delete_revision(self.store, revision)
