"""The DaemonSet controller: one pod on every node that fits, and the status.

Decides which revision is the current one, where a pod is missing or too much, and the counts.
Which pods an update replaces is `daemonset_update`'s. Source: kubernetes/pkg/controller/daemon/
{daemon_controller.go,update.go}.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from deploy_guard.embedded.controllers.daemonset_pods import (
    by_node,
    hash_of,
    is_updated,
    pod_template,
)
from deploy_guard.embedded.controllers.daemonset_status import status_of
from deploy_guard.embedded.controllers.daemonset_update import (
    Replacement,
    replacement,
    surplus,
)
from deploy_guard.embedded.controllers.events import Recorder
from deploy_guard.embedded.controllers.objects import (
    DAEMON_SETS,
    PODS,
    SyncError,
    claim,
    is_terminating,
    private,
)
from deploy_guard.embedded.controllers.ordinals import REVISION_LABEL
from deploy_guard.embedded.controllers.pod_state import (
    FINISHED,
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
)
from deploy_guard.embedded.nodes import Node, fits
from deploy_guard.embedded.store import NotFoundError, Object, Store
from deploy_guard.embedded.template_generation import template_generation

Later = Callable[[float], None]


class DaemonSetController:
    """Syncs DaemonSets of a store on the nodes that there are."""

    def __init__(self, store: Store, nodes: Sequence[Node], is_frozen: IsFrozen) -> None:
        self._store = store
        self._nodes = nodes
        self._is_frozen = is_frozen
        self._events = Recorder(store, "daemonset-controller")

    def sync(self, namespace: str, name: str, later: Later) -> None:
        """Move one DaemonSet on; `later` asks for another sync after that many seconds."""
        found = self._store.find(DAEMON_SETS, namespace, name)
        if found is None or is_terminating(found):
            return
        DaemonSetSync(
            self._store,
            private(found),
            events=self._events,
            nodes=self._nodes,
            revisions=owned_revisions(self._store, found, self._is_frozen),
            later=later,
        ).run()


class DaemonSetSync:
    """One sync: the DaemonSet, its revisions (oldest first) and its pods by node, as read."""

    def __init__(
        self,
        store: Store,
        owner: Object,
        *,
        events: Recorder,
        nodes: Sequence[Node],
        revisions: Sequence[Object],
        later: Later,
    ) -> None:
        self.store, self.events, self.owner, self.later = store, events, owner, later
        self.revisions = revisions
        self.spec = owner["spec"]
        self.ready_after = int(self.spec.get("minReadySeconds", 0))
        self.nodes = nodes
        self.fitting = [n.name for n in nodes if fits(n, self.spec["template"]["spec"])]
        self.pods = by_node(claim(store, PODS, owner))
        self.collisions = int((owner.get("status") or {}).get("collisionCount") or 0)
        self.failures: list[str] = []

    def run(self) -> None:
        """Do what is due, then write the status. Raises SyncError when a pod was refused."""
        current, old = self._revisions()
        self.hash = str(current["metadata"]["labels"][REVISION_LABEL])
        moved = self._manage()
        if not moved and self.spec["updateStrategy"]["type"] == "RollingUpdate":
            self._apply(
                replacement(self.spec, self.pods, self._is_updated, desired=len(self.fitting))
            )
        self._clean_up(old)
        self._write_status()
        wait = next_available([p for found in self.pods.values() for p in found], self.ready_after)
        if wait is not None:
            self.later(wait)
        if self.failures:
            raise SyncError(self.failures[0])

    def _revisions(self) -> tuple[Object, list[Object]]:
        """Return the revision of the template, made or renumbered, and the old ones."""
        data = revision_data(self.owner)
        same = [revision for revision in self.revisions if revision.get("data") == data]
        old = [revision for revision in self.revisions if revision.get("data") != data]
        number = next_number(old)
        if not same:
            return self._create_revision(number), old
        current = same[-1]
        if current["revision"] < number:
            current = renumber(self.store, current, number)
        return current, old

    def _create_revision(self, number: int) -> Object:
        created, self.collisions = create_revision(
            self.store,
            self.owner,
            number,
            hash_label=REVISION_LABEL,
            collisions=self.collisions,
        )
        return created

    def _manage(self) -> bool:
        """Bring one pod to each fitting node, take those away that are too many."""
        delete: list[Object] = []
        for node, pods in self.pods.items():
            living = [pod for pod in pods if not is_terminating(pod)]
            if node not in self.fitting:
                delete += living
                continue
            ended = [pod for pod in living if phase(pod) in FINISHED]
            for pod in ended:
                self._tell_ended(pod, node)
            running = [pod for pod in living if pod not in ended]
            delete += [*ended, *surplus(self.spec, running, self._is_updated)]
        create = [node for node in self.fitting if not self.pods.get(node)]
        self._apply(Replacement(delete, create))
        return bool(delete or create)

    def _is_updated(self, pod: Object) -> bool:
        return is_updated(pod, self.hash, template_generation(self.owner))

    def _apply(self, step: Replacement) -> None:
        for node in step.create_on:
            self._create(node)
        for pod in step.delete:
            meta = pod["metadata"]
            mark_deleted(self.store, meta["namespace"], meta["name"])
            text = f"Deleted pod: {meta['name']}"
            self.events.event(self.owner, "Normal", "SuccessfulDelete", text)

    def _create(self, node: str) -> None:
        template = pod_template(self.owner, node, self.hash)
        try:
            pod = create_pod(self.store, self.owner, template=template)
        except ForbiddenError as error:
            self.failures.append(str(error))
            text = f"Error creating: {error}"
            self.events.event(self.owner, "Warning", "FailedCreate", text)
            return
        text = f"Created pod: {pod['metadata']['name']}"
        self.events.event(self.owner, "Normal", "SuccessfulCreate", text)

    def _tell_ended(self, pod: Object, node: str) -> None:
        meta = pod["metadata"]
        who = f"daemon pod {meta['namespace']}/{meta['name']} on node {node}"
        if phase(pod) == "Failed":
            text = f"Found failed {who}, will try to kill it"
            self.events.event(self.owner, "Warning", "FailedDaemonPod", text)
        else:
            text = f"Found succeeded {who}, will try to delete it"
            self.events.event(self.owner, "Normal", "SucceededDaemonPod", text)

    def _clean_up(self, old: Sequence[Object]) -> None:
        """Delete the oldest revisions beyond revisionHistoryLimit that no pod is made from."""
        live = {hash_of(pod) for pods in self.pods.values() for pod in pods}
        surplus_count = len(old) - int(self.spec.get("revisionHistoryLimit", 10))
        for revision in old:
            if surplus_count <= 0:
                return
            if (revision["metadata"].get("labels") or {}).get(REVISION_LABEL) not in live:
                delete_revision(self.store, revision)
                surplus_count -= 1

    def _write_status(self) -> None:
        status = status_of(
            self.owner, self.pods, self.nodes, self._is_updated, collisions=self.collisions
        )
        if status == (self.owner.get("status") or {}):
            return
        meta = self.owner["metadata"]

        def change(draft: Object) -> None:
            draft["status"] = status

        try:
            self.store.update(DAEMON_SETS, meta["namespace"], meta["name"], change, status=True)
        except NotFoundError:
            return
