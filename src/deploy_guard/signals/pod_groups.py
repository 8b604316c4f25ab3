"""Which group a pod belongs to: the candidate, the control, or another workload.

Decides it by name for pods seen at any time, also for those that are gone. Does not read
anything: the workload is handed in at every call, because after a rollback another revision is
the candidate.
"""

from __future__ import annotations

from collections.abc import Iterable

from deploy_guard.model import Pod, Workload
from deploy_guard.policy.template import BASE, pod_base

CLOCK_STEP = 1.0  # Kubernetes writes creation times in whole seconds, cut off


def born_since(pod: Pod, moment: float) -> bool:
    """Tell whether a pod was created at `moment` or later, in Kubernetes' whole seconds."""
    return pod.created + CLOCK_STEP > moment


class PodGroups:
    """Remembers the pods of a workload by name, so that they can be told apart later.

    `update` is called with every look at the workload, before the other methods.
    """

    def __init__(self) -> None:
        self._templates: dict[str, str] = {}
        self._created: dict[str, float] = {}
        self._name = ""
        self._watched_since: float | None = None

    def update(self, workload: Workload, now: float) -> None:
        """Note the pods of this look; their counters began at zero if they are newer than us."""
        self._name = workload.target.name
        moment = min(workload.deployed_at, now)
        if self._watched_since is None or moment < self._watched_since:
            self._watched_since = moment
        for pod in workload.pods:
            self._templates[pod.name] = pod.template
            self._created[pod.name] = pod.created

    def template(self, pod: str) -> str | None:
        """Return the template hash of a pod by name, None for a pod of another workload.

        Pods of a ReplicaSet are named WORKLOAD-HASH-SUFFIX, so a name alone tells the revision
        of a pod that was gone before it was seen. Of a long name the hash is cut, and only what
        begins as the pods of a known revision is told. Source: the ReplicaSet controller's
        generateName.
        """
        known = self._templates.get(pod)
        if known is not None:
            return known
        parts = pod.removeprefix(f"{self._name}-").split("-")
        if pod.startswith(f"{self._name}-") and len(parts) == 2 and all(parts):
            return parts[0]
        same = {t for t in self._templates.values() if pod[:BASE] == pod_base(self._name, t)}
        return same.pop() if len(same) == 1 and len(pod) > BASE else None

    def is_other_revision(self, pod: str, template: str) -> bool:
        """Tell whether the cluster said that a pod is of another revision than this one."""
        return self._templates.get(pod, template) != template

    def is_own(self, pod: str) -> bool:
        """Tell whether a pod belongs to the workload."""
        return self.template(pod) is not None

    def is_candidate(self, pod: str, workload: Workload) -> bool:
        """Tell whether a pod belongs to the revision under judgement."""
        return self.template(pod) == workload.candidate

    def began_at_zero(self, pod: str) -> bool:
        """Tell whether all that a pod's counters show happened since the deploy or the watch."""
        if self._watched_since is None:
            return False
        created = self._created.get(pod)
        if created is not None:
            return created + CLOCK_STEP > self._watched_since
        # Its metrics were quicker than our look at the cluster: it is as old as its siblings.
        template = self.template(pod)
        siblings = [name for name, other in self._templates.items() if other == template]
        return bool(siblings) and all(self.began_at_zero(name) for name in siblings)

    def created_since(self, pod: str, moment: float) -> bool:
        """Tell whether a pod is known and was created at `moment` or later."""
        created = self._created.get(pod)
        return created is not None and created + CLOCK_STEP > moment

    def all_began_at_zero(self, pods: Iterable[Pod]) -> bool:
        """Tell the same of a group; False for an empty one."""
        names = [pod.name for pod in pods]
        return bool(names) and all(self.began_at_zero(name) for name in names)
