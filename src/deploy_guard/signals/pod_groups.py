"""Which group a pod belongs to: the candidate, the control, or another workload.

Decides it for pods seen at any time, also for those that are gone. Pods of a StatefulSet keep
their names when they are replaced: `db-0` is of the old revision, then of the new one. So pods have
*places*: the name, and for each later pod of that name another one; whatever is counted, is counted
by place. Does not read anything: the workload is handed in at every call, because after a rollback
another revision is the candidate.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from deploy_guard.model import Pod, Workload
from deploy_guard.policy.template import BASE, daemon_pod, pod_base, stateful_pod

CLOCK_STEP = 1.0  # Kubernetes writes creation times in whole seconds, cut off
UNKNOWN = ""  # the template of a pod of the workload that no look at the cluster has shown
_OF_NAMES = {"statefulset": stateful_pod, "daemonset": daemon_pod}


def born_since(pod: Pod, moment: float) -> bool:
    """Tell whether a pod was created at `moment` or later, in Kubernetes' whole seconds."""
    return pod.created + CLOCK_STEP > moment


def identity(pod: Pod) -> str:
    """Return what tells a pod from another one that has its name before or after it."""
    return f"{pod.name} {pod.template} {pod.created}"


class PodGroups:
    """Remembers the pods of a workload by place, so that they can be told apart later.

    `update` is called with every look at the workload, before the other methods.
    """

    def __init__(self) -> None:
        self._templates: dict[str, str] = {}  # by place, as all that is known of a pod
        self._created: dict[str, float] = {}
        self._places: dict[str, list[str]] = {}  # by name, the newest last
        self._name = ""
        self._kind = ""
        self._watched_since: float | None = None

    @property
    def reuses_names(self) -> bool:
        """Whether a pod's successor has its name."""
        return self._kind == "statefulset"

    def update(self, workload: Workload, now: float) -> None:
        """Note the pods of this look; their counters began at zero if they are newer than us."""
        self._name, self._kind = workload.target.name, workload.target.kind
        moment = min(workload.deployed_at, now)
        if self._watched_since is None or moment < self._watched_since:
            self._watched_since = moment
        for pod in workload.pods:
            place = self._place_for(pod)
            self._templates[place] = pod.template
            self._created[place] = pod.created

    def _place_for(self, pod: Pod) -> str:
        places = self._places.setdefault(pod.name, [])
        known = (pod.template, pod.created)
        if places and (self._templates[places[-1]], self._created[places[-1]]) == known:
            return places[-1]
        places.append(f"{pod.name}#{len(places) + 1}" if places else pod.name)
        return places[-1]

    def place(self, name: str) -> str:
        """Return the place of the pod that has this name now."""
        places = self._places.get(name)
        return places[-1] if places else name

    def place_at(self, name: str, moment: float) -> str:
        """Return the place of the pod that had this name at `moment`, before a creation."""
        places = self._places.get(name, ())
        for place in reversed(places):
            if self._created[place] < moment:
                return place
        return f"{name}#0" if places and self.reuses_names else name

    def template(self, place: str) -> str | None:
        """Return the template hash of a pod, None for a pod of another workload.

        Pods of a ReplicaSet are named WORKLOAD-HASH-SUFFIX, so a name alone tells the revision
        of a pod that was gone before it was seen. Of a long name the hash is cut, and only what
        begins as the pods of a known revision is told. Source: the ReplicaSet controller's
        generateName. Names of the other kinds' pods only tell the workload: UNKNOWN.
        """
        known = self._templates.get(place)
        if known is not None:
            return known
        if self._kind in _OF_NAMES:
            expression = _OF_NAMES[self._kind](self._name)
            return UNKNOWN if re.fullmatch(expression, place.partition("#")[0]) else None
        parts = place.removeprefix(f"{self._name}-").split("-")
        if place.startswith(f"{self._name}-") and len(parts) == 2 and all(parts):
            return parts[0]
        same = {t for t in self._templates.values() if place[:BASE] == pod_base(self._name, t)}
        return same.pop() if len(same) == 1 and len(place) > BASE else None

    def is_other_revision(self, place: str, template: str) -> bool:
        """Tell whether the cluster said that a pod is of another revision than this one."""
        return self._templates.get(place, template) != template

    def is_own(self, place: str) -> bool:
        """Tell whether a pod, by its place or its name, belongs to the workload."""
        return self.template(place) is not None

    def is_candidate(self, place: str, workload: Workload) -> bool:
        """Tell whether a pod belongs to the revision under judgement."""
        return self.template(place) == workload.candidate

    def began_at_zero(self, place: str) -> bool:
        """Tell whether all that a pod's counters show happened since the deploy or the watch."""
        if self._watched_since is None:
            return False
        created = self._created.get(place)
        if created is not None:
            return created + CLOCK_STEP > self._watched_since
        # Its metrics were quicker than our look at the cluster: it is as old as its siblings.
        template = self.template(place)
        siblings = [name for name, other in self._templates.items() if other == template]
        return bool(siblings) and all(self.began_at_zero(name) for name in siblings)

    def created_since(self, place: str, moment: float) -> bool:
        """Tell whether a pod is known and was created at `moment` or later."""
        created = self._created.get(place)
        return created is not None and created + CLOCK_STEP > moment

    def created_before(self, place: str, moment: float | None) -> bool:
        """Tell whether a pod is known and was surely created before `moment`, if there is one."""
        created = self._created.get(place)
        return created is not None and moment is not None and created + CLOCK_STEP <= moment

    def all_began_at_zero(self, pods: Iterable[Pod]) -> bool:
        """Tell the same of a group; False for an empty one."""
        places = [self.place(pod.name) for pod in pods]
        return bool(places) and all(self.began_at_zero(place) for place in places)
