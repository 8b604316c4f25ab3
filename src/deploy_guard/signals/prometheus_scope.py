"""Which series of PromQL results speak of the candidate, and which of the old pods.

Decides it by what the queries ask for and by the label `pod` of what they return.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from deploy_guard.model import Workload
from deploy_guard.signals.counters import AGGREGATE
from deploy_guard.signals.measures import Row
from deploy_guard.signals.pod_groups import UNKNOWN, PodGroups
from deploy_guard.signals.successors import Successors

_VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_OF_CANDIDATE = {"candidate_pods", "candidate_hash"}
_OF_BASELINE = {"baseline_pods", "baseline_hash"}


class Scope:
    """Tells the series of one signal apart.

    Queries that name only the candidate's pods return only candidates, and those that name only
    the baseline's return only control, whatever labels they keep. Others are told apart by their
    pods once any result had a pod of the workload; a label `pod` that never names one (an
    ingress controller's, say) tells nothing.
    """

    def __init__(self, queries: Iterable[str]) -> None:
        used = {name for query in queries for name in _VARIABLE.findall(query)}
        new, old = bool(used & _OF_CANDIDATE), bool(used & _OF_BASELINE)
        self.candidate_only = new and not old
        self.control_only = old and not new
        self._by_pod = False
        self._groups = PodGroups()
        self._seen: set[str] = set()
        by_revision = self.candidate_only or self.control_only
        self._successors = Successors(self._groups, absent_says_nothing=by_revision)

    def update(self, workload: Workload, now: float) -> None:
        """Note the pods of this look at the workload."""
        self._groups.update(workload, now)

    def learn(self, pods: Iterable[str]) -> tuple[str, ...]:
        """Take note of the pods in a result; return what to warn of."""
        named = {pod for pod in pods if pod}
        own = {pod for pod in named if self._groups.is_own(pod)}
        self._by_pod = self._by_pod or bool(own)
        if self.candidate_only or self.control_only:
            return ()
        if not self._by_pod:
            return ("the label pod is not kept: old and new pods are not told apart",)
        foreign = len(named - own)
        return (f"left out: series of {foreign} pods of other workloads",) if foreign else ()

    @property
    def reuses_names(self) -> bool:
        """Whether the name of a pod that is gone is that of another one now."""
        return self._groups.reuses_names

    def pod_place(self, name: str) -> str:
        """Return the place of the pod that has this name now."""
        return self._groups.place(name)

    def place_of(self, pod: str, workload: Workload, *, at: float | None = None) -> str | None:
        """Return the place of a series with this label `pod`, None when it does not count.

        Of a pod that is gone by now, the place that it had `at` a moment before the deploy. A
        series of no pod in particular is a sum over many: its place begins with AGGREGATE.
        """
        groups = self._groups
        place = groups.place(pod) if at is None else groups.place_at(pod, at)
        # Of a long workload's name, the name of a pod does not tell its revision to a query.
        if self.candidate_only:
            if groups.is_other_revision(place, workload.candidate):
                return None
            return place or self._sum_of_candidates(workload)
        if self.control_only and groups.is_candidate(place, workload):
            return None
        if self._by_pod and not self.control_only:
            # At this moment nobody knows of which revision a pod is that was never seen.
            unseen = at is None and groups.template(place) == UNKNOWN
            known = groups.is_own(place) and not unseen
            return place if known else None
        return place or AGGREGATE

    def _sum_of_candidates(self, workload: Workload) -> str:
        """Return the place of a sum; over names that are reused, a pod more is another sum."""
        pods = ""
        if self._groups.reuses_names:
            places = sorted(self._groups.place(pod.name) for pod in workload.candidates())
            pods = f" of {' '.join(places)}"
        return f"{AGGREGATE}{workload.candidate}{pods}"

    def place(
        self, rows: Mapping[str, Sequence[Row]], workload: Workload, now: float
    ) -> dict[str, list[Row]]:
        """Return the rows that count, with their places in `pod`."""
        return self._successors.settled(self._placed(rows, workload), workload, now)

    def note_before(
        self, rows: Mapping[str, Sequence[Row]], workload: Workload, moment: float
    ) -> None:
        """Take note of the last numbers from before the deploy."""
        self._successors.note_before(self._placed(rows, workload, at=moment))

    def _placed(
        self, rows: Mapping[str, Sequence[Row]], workload: Workload, at: float | None = None
    ) -> dict[str, list[Row]]:
        placed: dict[str, list[Row]] = {}
        for role, some in rows.items():
            places = [(row, self.place_of(row.pod, workload, at=at)) for row in some]
            placed[role] = [replace(row, pod=place) for row, place in places if place is not None]
        return placed

    def is_candidate(self, place: str, workload: Workload, now: float) -> bool:
        """Tell whether a place belongs to the candidate at this moment."""
        if now < workload.deployed_at or not workload.candidate or self.control_only:
            return False
        if self._by_pod and not self.candidate_only:
            found = self._groups.is_candidate(place, workload)
        else:
            found = True
        if found:
            self._seen.add(workload.candidate)
        return found

    def are_pods(self, places: Iterable[str]) -> bool:
        """Tell whether each of the places is one pod of the workload."""
        return all(self._groups.is_own(place) for place in places)

    def candidate_was_seen(self, workload: Workload) -> bool:
        """Tell whether any result so far had a series of this candidate."""
        return workload.candidate in self._seen

    def began_at_zero(self, place: str, workload: Workload) -> bool:
        """Tell whether all that a new place's counters show happened since the deploy."""
        if place.startswith(AGGREGATE):
            if self._groups.reuses_names:
                return False  # it may have the totals of a pod that had the name before
            return self.candidate_only and self._groups.all_began_at_zero(workload.candidates())
        return self._groups.began_at_zero(place) and not self._successors.has_past(place)

    def created_since(self, place: str, moment: float) -> bool:
        """Tell whether a place is a pod that was created at `moment` or later."""
        return self._groups.created_since(place, moment)
