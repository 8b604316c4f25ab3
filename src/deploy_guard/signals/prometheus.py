"""Metrics by PromQL: the baseline from before the deploy, then the increments since.

Decides which series speak of the candidate and which of the old pods. How the server is asked is
in `prometheus_api`, the arithmetic of counters in `counters` and `measures`.

Queries are asked for the moment of the reading, so that those of one reading fit together. A
query may keep the label `pod`: then pods are told apart by name. Without it, all that a query
returns is the control before the deploy and the candidate after it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from deploy_guard import text
from deploy_guard.model import NoData, NoDataReason, Reading, Sample, Value, Workload
from deploy_guard.policy.template import TemplateError, render
from deploy_guard.signals import measures
from deploy_guard.signals.counters import Counters
from deploy_guard.signals.http_failures import CallFailed
from deploy_guard.signals.measures import Row, Unreadable
from deploy_guard.signals.prometheus_api import Asked, BadQuery
from deploy_guard.signals.prometheus_baseline import BASELINE_TRIES, read_baseline
from deploy_guard.signals.prometheus_ingestion import Ingestion, question
from deploy_guard.signals.prometheus_scope import Scope
from deploy_guard.signals.warm_up import WarmUp

if TYPE_CHECKING:
    from deploy_guard.policy.models import PrometheusSignal

SKEWED = 5.0  # seconds between two clocks that are worth a word
A_DAY = 86_400.0
PATIENCE = 60.0  # seconds that a ready pod may be without series: it must be found and scraped


class PrometheusMetricsSignal:
    """Reads one measure by PromQL.

    `baseline` is how many seconds before the deploy are read, once; `warm_up` is the age in
    seconds below which a pod is young, where pods are told apart. `warnings` has what the
    server said beside the numbers of the last reading, and what was left out of them.
    """

    def __init__(
        self,
        spec: PrometheusSignal,
        *,
        interval: float,
        baseline: float,
        warm_up: float,
        api: Asked,
        variables: Callable[[Workload], Mapping[str, str]],
    ) -> None:
        self.name = spec.name
        self.interval = interval
        self.warnings: tuple[str, ...] = ()
        self._baseline = baseline
        self._api = api
        self._variables = variables
        self._queries = measures.queries(spec)
        self._last_role = [*self._queries][-1]  # of a ratio its requests, which errors may lack
        self._latency = spec.latency is not None
        self._scope = Scope(self._queries.values())
        self._counters = Counters()
        self._warm_up = WarmUp(warm_up)
        self._tries_left = 0 if self._scope.candidate_only else BASELINE_TRIES
        self._last_read: float | None = None
        self._ingestion: Ingestion | None = Ingestion()
        self._skew = 0.0  # seconds by which the server's clock was told to be ahead

    def read(self, workload: Workload, now: float) -> list[Reading]:
        """Ask for the newest numbers; the first time for those before the deploy as well."""
        self.warnings = ()
        self._scope.update(workload, now)
        self._warm_up.update(workload, self._scope.pod_place)
        began = time.monotonic()
        readings = self._read_baseline(workload, now) if self._tries_left else []
        try:
            rows = self._ask(workload, now)
            self._compare_clocks(now + time.monotonic() - began)
            if silence := self._silence(workload, now):
                problem = NoData(self.name, now, NoDataReason.STALE, _no_news(silence))
                return [*(r for r in readings if isinstance(r, Sample)), problem]
            return [*readings, *self._readings(workload, now, rows)]
        except (CallFailed, Unreadable) as error:
            self._compare_clocks(now + time.monotonic() - began)
            problem = NoData(self.name, now, error.reason, error.detail)
        except TemplateError as error:
            problem = NoData(self.name, now, NoDataReason.REJECTED, error.message)
        return [*(r for r in readings if isinstance(r, Sample)), problem]

    def _read_baseline(self, workload: Workload, now: float) -> list[Reading]:
        """Read the time before the deploy; a failure is told, and tried again next time."""
        self._tries_left -= 1
        end = min(now, workload.deployed_at)
        first = self._last_read is None
        try:
            samples = read_baseline(
                self.name,
                api=self._api,
                queries=self._rendered(workload),
                scope=self._scope,
                workload=workload,
                counters=self._counters if first else Counters(),
                start=end - self._baseline,
                end=end,
                step=self.interval,
            )
        except (CallFailed, Unreadable) as error:
            words = f"the baseline could not be read: {error.detail}"
            return [NoData(self.name, now, error.reason, words)]
        except TemplateError as error:
            return [NoData(self.name, now, NoDataReason.REJECTED, error.message)]
        self._tries_left = 0
        if not samples:
            self.warnings += (
                f"no numbers in the {text.seconds(self._baseline)} before the deploy",
            )
        return [*samples]

    def _rendered(self, workload: Workload) -> dict[str, str]:
        variables = self._variables(workload)
        return {role: render(query, variables) for role, query in self._queries.items()}

    def _ask(self, workload: Workload, now: float) -> dict[str, list[Row]]:
        """Return the rows of every query; all of them share the connection's timeout."""
        deadline = time.monotonic() + self._api.timeout
        rows: dict[str, list[Row]] = {}
        for role, query in self._rendered(workload).items():
            result = self._api.instant(query, at=now, seconds=deadline - time.monotonic())
            self.warnings += result.warnings
            rows[role] = [
                Row(found.labels.get("pod", ""), found.labels, found.points[-1][1])
                for found in result.series
            ]
        for role in self._queries:
            if not rows[role] and role != measures.ERRORS:
                raise self._empty(role, workload)
        return rows

    def _silence(self, workload: Workload, now: float) -> float | None:
        """Ask for the samples' own times; return for how long there was nothing new, if so."""
        asked = self._rendered(workload).get(self._last_role, "")
        query = question(asked) if self._ingestion is not None else None
        if self._ingestion is None or query is None:
            return None
        try:
            found = self._api.instant(query, at=now, seconds=self._api.timeout)
        except BadQuery:  # the rest of what the server does not know is of use all the same
            self._ingestion = None
            return None
        except CallFailed:
            return None  # the next reading tells, should it be more than a moment
        newest = {one.labels.get("pod", ""): one.points[-1][1] for one in found.series}
        return self._ingestion.silence(newest, now)

    def _compare_clocks(self, now: float) -> None:
        """Warn when the server's clock is not the cluster's: its numbers come early or late."""
        skew = (self._api.clock or now) - now
        if not SKEWED < abs(skew) < A_DAY:  # beyond a day the past is read on purpose
            self._skew = 0.0
            return
        if abs(skew - self._skew) > SKEWED:  # else it is the one that was told
            self._skew = skew
        which = "ahead of" if self._skew > 0 else "behind"
        seconds = text.seconds(abs(self._skew))
        self.warnings += (f"its server's clock is {seconds} {which} the cluster's",)

    def _empty(self, role: str, workload: Workload) -> Unreadable:
        if self._scope.candidate_only and not any(pod.ready for pod in workload.candidates()):
            return Unreadable(NoDataReason.NO_PODS, "no pod of the candidate is ready yet")
        words = f"{role}: the query has no result now; nothing is scraped, or no label matches"
        return Unreadable(NoDataReason.EMPTY, words)

    def _readings(
        self, workload: Workload, now: float, rows: Mapping[str, Sequence[Row]]
    ) -> list[Reading]:
        self.warnings += self._scope.learn(row.pod for some in rows.values() for row in some)
        placed = self._scope.place(rows, workload, now)
        candidate, control, warming = self._values(placed, workload, now)
        since = min(now, workload.deployed_at) if self._last_read is None else self._last_read
        self._last_read = now
        readings: list[Reading] = []
        if candidate is not None or control is not None:
            readings.append(Sample(self.name, now, now - since, candidate, control, warming))
        problem = self._problem(placed, workload, now, candidate=candidate)
        return [*readings, problem] if problem else readings

    def _values(
        self, placed: Mapping[str, Sequence[Row]], workload: Workload, now: float
    ) -> tuple[Value | None, Value | None, Value | None]:
        """Return the value of the candidate, of the control, and of the candidate's young pods."""
        scope = self._scope
        if measures.VALUE in placed:
            rows = placed[measures.VALUE]
            new = [row for row in rows if scope.is_candidate(row.pod, workload, now)]
            old = [row for row in rows if not scope.is_candidate(row.pod, workload, now)]
            return *measures.both_means(new, old), None
        totals = measures.totals(placed)
        increments = self._counters.advance(
            totals, began_at_zero=lambda pod: scope.began_at_zero(pod, workload)
        )
        young = self._warm_up.advance((series.pod for series in totals), now)
        groups: tuple[list[str], list[str]] = ([], [])
        for pod in increments:
            groups[not scope.is_candidate(pod, workload, now)].append(pod)
        parts = (*groups, [pod for pod in groups[0] if pod in young])
        candidate, control, warming = (
            measures.combine([increments[pod] for pod in pods], latency=self._latency)
            for pods in parts
        )
        if not scope.are_pods(groups[0]):
            return candidate, control, None
        return candidate, control, measures.part_of(candidate, warming)

    def _problem(
        self,
        placed: Mapping[str, Sequence[Row]],
        workload: Workload,
        now: float,
        *,
        candidate: Value | None,
    ) -> NoData | None:
        """Say why the candidate has no value though it should; None when all is well."""
        if candidate is not None or now < workload.deployed_at or self._scope.control_only:
            return None
        rows = [row for role, some in placed.items() if role != measures.ERRORS for row in some]
        if any(self._scope.is_candidate(row.pod, workload, now) for row in rows):
            if measures.VALUE not in placed:
                return None  # counters with a past: the next reading has the increment
            return NoData(self.name, now, NoDataReason.NOT_A_NUMBER, measures.NO_NUMBER)
        ready = [pod for pod in workload.candidates() if pod.ready]
        if not any(now - (pod.ready_since or now) > PATIENCE for pod in ready):
            return None
        seen = self._scope.candidate_was_seen(workload)
        reason = NoDataReason.STALE if seen else NoDataReason.EMPTY
        old = len({row.pod for row in rows})
        which = "no longer any" if seen else "none"
        words = f"series of {old} old pods, but {which} of the candidate's {len(ready)} ready pods"
        return NoData(self.name, now, reason, words)


def _no_news(seconds: float) -> str:
    return f"no new sample for {text.seconds(seconds)}: the server answers with old numbers"
