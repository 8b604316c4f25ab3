"""Metrics read from the pods themselves, with no metrics server.

Decides what it means when some pods do not answer or lack the metric. Reading the pages is in
`pod_pages`, the arithmetic of counters in `counters` and `measures`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from deploy_guard.model import NoData, NoDataReason, Pod, Reading, Sample, Value, Workload
from deploy_guard.policy.promql import Selector, parse_selector
from deploy_guard.signals import measures
from deploy_guard.signals.counters import Counters
from deploy_guard.signals.exposition import Page, TooManySeries
from deploy_guard.signals.measures import Row, Unreadable
from deploy_guard.signals.pod_groups import PodGroups
from deploy_guard.signals.pod_pages import PodFailed, PodPages
from deploy_guard.signals.warm_up import WarmUp

if TYPE_CHECKING:
    from deploy_guard.policy.models import PodsSignal

Rows = dict[str, list[Row]]  # of one pod, by role
_Values = Callable[[Sequence[str]], Value | None]  # the value of some pods together


class PodMetricsSignal:
    """Reads one measure from the metrics pages of the pods.

    `warm_up` is the age in seconds below which a pod is young. `warnings` has what the last
    reading left out, such as pods that did not answer; `read_from` names the pods that it has
    numbers of.
    """

    def __init__(
        self, spec: PodsSignal, *, interval: float, warm_up: float, pages: PodPages
    ) -> None:
        self.name = spec.name
        self.interval = interval
        self.warnings: tuple[str, ...] = ()
        self.read_from: tuple[str, ...] = ()
        self._pages = pages
        self._latency = spec.latency is not None
        self._queries = measures.queries(spec)
        self._selectors = {role: parse_selector(text) for role, text in self._queries.items()}
        self._groups = PodGroups()
        self._counters = Counters()
        self._warm_up = WarmUp(warm_up)
        self._last_read: float | None = None

    def read(self, workload: Workload, now: float) -> list[Reading]:
        """Read all running pods; return one sample of both groups, or why there is none."""
        self.warnings = ()
        self._groups.update(workload, now)
        self._warm_up.update(workload, self._groups.place)
        rows: dict[str, Rows] = {}
        failed: dict[str, PodFailed] = {}
        for pod, page in self._pages.read(workload, now).items():
            found = page if isinstance(page, PodFailed) else _rows(pod, page, self._selectors)
            if isinstance(found, PodFailed):
                failed[pod] = found
            else:
                rows[pod] = found
        self.read_from = tuple(rows)
        try:
            values = self._values(rows, failed)
            return self._readings(workload, now, rows=rows, failed=failed, values=values)
        except Unreadable as error:
            return [NoData(self.name, now, error.reason, error.detail)]

    def _values(self, rows: Mapping[str, Rows], failed: Mapping[str, PodFailed]) -> _Values:
        """Advance the counters; return what gives the value of a group of pods."""
        if measures.VALUE in self._queries:
            numbers = {pod: _sum(pod, some[measures.VALUE]) for pod, some in rows.items()}
            return lambda pods: measures.mean([numbers[pod] for pod in pods])
        place = self._groups.place
        answered = [place(pod) for pod in _answered(failed)]
        roles = {
            role: [replace(row, pod=place(row.pod)) for some in rows.values() for row in some[role]]
            for role in self._queries
        }
        increments = self._counters.advance(
            measures.totals(roles),
            began_at_zero=self._groups.began_at_zero,
            present=[*map(place, rows), *answered],
        )
        return lambda pods: measures.combine(
            [increments[place(pod)] for pod in pods if place(pod) in increments],
            latency=self._latency,
        )

    def _readings(
        self,
        workload: Workload,
        now: float,
        *,
        rows: Mapping[str, Rows],
        failed: Mapping[str, PodFailed],
        values: _Values,
    ) -> list[Reading]:
        deployed = now >= workload.deployed_at and bool(workload.candidate)
        new = {pod.name for pod in workload.candidates()} if deployed else set()
        place = self._groups.place
        read = [*rows, *_answered(failed)]
        fresh = self._warm_up.advance(map(place, read), now)
        young = {pod for pod in read if place(pod) in fresh}
        candidate = values([pod for pod in rows if pod in new])
        warming = measures.part_of(candidate, values([pod for pod in rows if pod in new & young]))
        control = values([pod for pod in rows if pod not in new])
        readings: list[Reading] = []
        if candidate is not None or control is not None:
            since = self._last_read if self._last_read is not None else workload.deployed_at
            seconds = max(0.0, now - since)
            readings.append(Sample(self.name, now, seconds, candidate, control, warming))
        if rows:
            self._last_read = now
        judged = workload.candidates() if deployed else workload.controls()
        value = candidate if deployed else control
        whose = "candidate" if deployed else "old"
        problem = self._problem(judged, now, whose=whose, rows=rows, failed=failed, value=value)
        return [*readings, problem] if problem else readings

    def _problem(
        self,
        judged: Sequence[Pod],
        now: float,
        *,
        whose: str,
        rows: Mapping[str, Rows],
        failed: Mapping[str, PodFailed],
        value: Value | None,
    ) -> NoData | None:
        """Say why the pods that matter now have no value; None when all is well."""
        if not rows and not failed:
            return NoData(self.name, now, NoDataReason.NO_PODS, "no pod of the workload runs yet")
        living = {pod.name: pod for pod in judged if not pod.terminating}
        lost = {pod: failed[pod] for pod in failed if pod in living}
        if any(pod in rows for pod in living):
            if lost:
                text = f"{len(lost)} of {len(living)} {whose} pods could not be read"
                self.warnings += (f"{text}: {_majority(lost)[1]}",)
            if value is None and measures.VALUE in self._queries:
                return NoData(self.name, now, NoDataReason.NOT_A_NUMBER, measures.NO_NUMBER)
            return None
        if lost:
            reason, text = _majority(lost)
            if not any(living[pod].ready for pod in lost):
                reason = NoDataReason.NO_PODS
                text = f"no {whose} pod is ready yet; {text}"
            return NoData(self.name, now, reason, text)
        if not rows:
            return NoData(self.name, now, *_majority(failed))
        return None


def _rows(pod: str, page: Page, selectors: Mapping[str, Selector]) -> Rows | PodFailed:
    """Return what the selectors find on a page; errors may be absent, for there may be none.

    A counter or histogram that is only declared has counted nothing yet. One with samples of which
    none matches is no histogram of what was asked for.
    """
    rows: Rows = {}
    for role, selector in selectors.items():
        try:
            found = page.select(selector)
        except TooManySeries as error:
            return PodFailed(NoDataReason.PROVIDER_ERROR, str(error))
        except ValueError:
            text = "the answer is no metrics page in Prometheus' text format"
            return PodFailed(NoDataReason.PROVIDER_ERROR, text)
        counted = page.has_samples(selector.metric)
        needed = role == measures.VALUE or (role == measures.BUCKETS and counted)
        if (found is None and role != measures.ERRORS) or (needed and not found):
            text = f"the pod answers, but has no {selector.metric}"
            return PodFailed(
                NoDataReason.MISSING_METRIC, f"{text} that matches" if found == [] else text
            )
        rows[role] = [Row(pod, sample.labels, sample.value) for sample in found or ()]
    return rows


def _answered(failed: Mapping[str, PodFailed]) -> list[str]:
    """Return the pods that were read, but had nothing to count yet."""
    return [pod for pod, f in failed.items() if f.reason is NoDataReason.MISSING_METRIC]


def _sum(pod: str, rows: Sequence[Row]) -> Row:
    """Add up the series of one pod: a page has no way to aggregate by itself."""
    return Row(pod, {}, sum(row.value for row in rows))


def _majority(failed: Mapping[str, PodFailed]) -> tuple[NoDataReason, str]:
    """Return the most frequent reason and the first pod that failed for it."""
    reason, count = Counter(failure.reason for failure in failed.values()).most_common(1)[0]
    pod, failure = next((p, f) for p, f in failed.items() if f.reason is reason)
    others = f" (and {count - 1} more)" if count > 1 else ""
    return reason, f"pod {pod}{others}: {failure.detail}"
