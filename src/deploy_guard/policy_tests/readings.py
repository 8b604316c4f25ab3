"""What a metrics signal reads in a case: samples as the providers make them, or no data.

Decides which counts a reading has for the new pods, the old ones, and the young among the new. The
rules are those of `signals.prometheus` and `signals.pods`, whose arithmetic of counters is not
needed: here the increments are known. Which pods serve is the `world`'s.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deploy_guard.model import (
    Counts,
    Gauge,
    Latencies,
    NoData,
    NoDataReason,
    Reading,
    Sample,
    Value,
)
from deploy_guard.policy.models import LatencyLimit, Metrics, Policy, PrometheusSignal
from deploy_guard.policy.promql import keeps_label
from deploy_guard.policy_tests.amounts import Resolved, by_bound, number, rate_of, resolved, slower
from deploy_guard.policy_tests.counting import Counter
from deploy_guard.policy_tests.flows import Course, Gap, Steps, course, gap_at
from deploy_guard.policy_tests.inputs import SignalInput
from deploy_guard.policy_tests.world import DEPLOYED_AT, OnePod, World
from deploy_guard.signals.measures import queries
from deploy_guard.signals.prometheus_baseline import (
    BASELINE_TRIES,
    FEWEST_STEPS,
    FINEST,
    MOST_STEPS,
)
from deploy_guard.signals.prometheus_scope import Scope
from deploy_guard.signals.warm_up import WarmUp

Serving = Sequence[tuple[OnePod, float]]  # pods and since when they serve
SAID = "as the test has it"
_WITH_HISTORY = {  # the query for the past works all the same
    NoDataReason.EMPTY,
    NoDataReason.STALE,
    NoDataReason.NOT_A_NUMBER,
    NoDataReason.SEVERAL_SERIES,
    NoDataReason.NO_PODS,
    NoDataReason.MISSING_METRIC,
}


@dataclass(frozen=True)
class Story:
    """What a signal's readings depend on, beside its own input.

    `interval` is that of series in seconds, `baseline` the seconds of history there are, `gaps` the
    faults of this signal. `seed` is None without noise.
    """

    world: World
    interval: float
    baseline: float
    gaps: tuple[Gap, ...] = ()
    seed: int | None = None


@dataclass(frozen=True)
class _Group:
    """Flows of one group of pods: of requests, then of parts of them, each below the one before.

    Each is a rate per second and pod.
    """

    flows: tuple[Steps, ...]


class MetricReadings:
    """Reads a `ratio`, `latency` or `value` of a case; `read` is called at rising times."""

    def __init__(
        self, spec: Metrics, policy: Policy, given: SignalInput | None, story: Story
    ) -> None:
        self.name = spec.name
        self._spec, self._story, self._world = spec, story, story.world
        asked = queries(spec)
        scope = Scope(asked.values())
        metrics_server = isinstance(spec, PrometheusSignal)
        self._by_pod = not metrics_server or all(keeps_label(q, "pod") for q in asked.values())
        self._only_new, self._only_old = scope.candidate_only, scope.control_only
        self._from_history = metrics_server and not self._only_new
        self._step = policy.watch.interval if spec.interval is None else spec.interval
        self._tries = BASELINE_TRIES if self._from_history else 0
        self._old_known = False
        self._warm_up = WarmUp(policy.watch.warm_up)
        self._last: float | None = None
        self._given = given or SignalInput()
        self._gaps: list[Gap] = list(story.gaps)
        self._bounds: tuple[float, ...] = ()
        self._prepare()

    def _prepare(self) -> None:
        """Work out the flows of both groups, and what was before the deploy."""
        self._before: tuple[float, ...] = ()
        self._values: dict[bool, Course] = {}
        self._groups: dict[bool, _Group] = {}
        given = self._given
        if self._spec.value is not None:
            value = resolved(given.value)
            self._before = () if value.before is None else (number(value.before),)
            for is_new in (False, True):
                self._values[is_new] = self._course(value, is_new=is_new, counts=False)
            return
        requests = resolved(given.requests)
        parts = self._parts()
        if requests.before is not None and all(part.before is not None for part in parts):
            rate = number(requests.before)
            self._before = (rate, *(rate_of(part.before, rate) for part in parts))
        serving = Steps(*zip(*self._world.serving, strict=True))
        for is_new in (False, True):
            asked = self._course(requests, is_new=is_new).steps
            flows = [asked]
            for part in parts:
                one = self._course(part, is_new=is_new)
                share = one.kind == "share"
                flows.append(asked.with_(one.steps, lambda n, p: n * p) if share else one.steps)
            self._groups[is_new] = _Group(tuple(f.with_(serving, _each) for f in flows))
        self._counters = [Counter(len(parts) + 1, self._source(key)) for key in range(4)]

    def _source(self, key: int) -> str | None:
        seed = self._story.seed
        return None if seed is None else f"{seed}/{self.name}/{key}"

    def _parts(self) -> list[Resolved]:
        """Return the parts of the requests, before the deploy, on old and on new pods.

        Those of a latency are the requests slower than each of its finite bounds.
        """
        if self._spec.ratio is not None:
            return [resolved(self._given.errors)]
        if self._given.buckets is None:
            limit = self._spec.limit
            below = limit.below if isinstance(limit, LatencyLimit) else 0.5
            self._bounds = (below, math.inf)
            return [resolved(self._given.slow)]
        tables = by_bound(self._given)
        self._bounds = (*(b for b in tables[2] if b < math.inf), math.inf)
        return [
            Resolved(*(slower(table, bound) for table in tables)) for bound in self._bounds[:-1]
        ]

    def _course(self, of: Resolved, *, is_new: bool, counts: bool = True) -> Course:
        amount, interval = of.new if is_new else of.old, self._story.interval
        found = course(amount, interval=interval, counts=counts, before=of.before)
        self._gaps += found.gaps
        return found

    # --- before the deploy ----------------------------------------------------------------------

    def baseline(self) -> Iterator[Sample]:
        """Yield the samples of the history, oldest first."""
        span = self._story.baseline
        if not self._from_history or not self._before or span <= 0:
            return
        step = max(self._step, span / MOST_STEPS, min(FINEST, span / FEWEST_STEPS))
        steps = int(span / step + 1e-6)
        if self._spec.value is not None:
            for k in range(steps + 1):
                at = DEPLOYED_AT - (steps - k) * step
                yield Sample(self.name, at, step, control=Gauge(self._before[0]))
            return
        counter = Counter(len(self._before), self._source(-1))
        amounts = [rate * step for rate in self._before]
        for k in range(1, steps + 1):
            at = DEPLOYED_AT - (steps - k) * step
            yield Sample(self.name, at, step, control=self._value(counter.take(amounts)))

    @property
    def history_key(self) -> tuple[object, ...]:
        """What the baseline depends on: two signals of one policy with equal keys have the same."""
        return self.name, self._before, self._bounds, self._story.baseline, self._story.seed

    def history_is_read(self, moment: float) -> bool:
        """Whether the reading at a moment brings the history; at most three are tried."""
        reason = gap_at(self._gaps, moment)
        if self._tries == 0 or (reason is not None and reason not in _WITH_HISTORY):
            self._tries = max(0, self._tries - 1)
            return False
        self._tries = 0
        self._old_known = bool(self._before)
        return True

    # --- since the deploy -----------------------------------------------------------------------

    def read(self, moment: float) -> list[Reading]:
        """Return what is read at a moment, seconds after the deploy."""
        at = DEPLOYED_AT + moment
        if reason := gap_at(self._gaps, moment):
            return [NoData(self.name, at, reason, SAID)]
        serving = self._world.present(moment)
        new = [] if self._only_old else [one for one in serving if one[0].new]
        old = [] if self._only_new else [one for one in serving if not one[0].new]
        if problem := self._nothing(new, old):
            return [NoData(self.name, at, *problem)]
        begin = 0.0 if self._last is None else self._last
        if self._spec.value is not None:
            candidate, control, warming = (*self._numbers(moment, new, old), None)
        else:
            candidate, control, warming = self._increments(begin, moment, new, old)
        self._last, self._old_known = moment, True
        found: list[Reading] = []
        if candidate is not None or control is not None:
            found.append(Sample(self.name, at, moment - begin, candidate, control, warming))
        if late := self._silent_pods(moment, new):
            found.append(NoData(self.name, at, *late))
        return found

    def _nothing(self, new: Serving, old: Serving) -> tuple[NoDataReason, str] | None:
        """Say why there is nothing at all to read; None when there is."""
        if new or old:
            return None
        if not isinstance(self._spec, PrometheusSignal):
            return NoDataReason.NO_PODS, "no pod of the workload answers"
        if self._only_new:
            return NoDataReason.NO_PODS, "no pod of the candidate is ready yet"
        return NoDataReason.EMPTY, "the query has no result now: no pod serves"

    def _silent_pods(self, moment: float, new: Serving) -> tuple[NoDataReason, str] | None:
        """Say that new pods run and none answers, which only the provider `pods` can tell."""
        if new or isinstance(self._spec, PrometheusSignal):
            return None
        look = self._world.latest(moment)
        if any(pod.phase == "Running" for pod in look.candidates()):
            return NoDataReason.NO_PODS, "no candidate pod is ready yet"
        return None

    def _numbers(
        self, moment: float, new: Serving, old: Serving
    ) -> tuple[Value | None, Value | None]:
        """Return the number of both groups, as far as they serve."""

        candidate, control = (Gauge(self._values[k].steps.at(moment)) for k in (True, False))
        if not (self._by_pod or self._only_new or self._only_old):
            return candidate, None
        return (candidate if new else None), (control if old else None)

    def _increments(
        self, begin: float, moment: float, new: Serving, old: Serving
    ) -> tuple[Value | None, Value | None, Value | None]:
        """Return what both groups counted, and the young pods' part of the candidate's."""
        if not self._by_pod and not (self._only_new or self._only_old):
            return self._value(self._counters[0].take(self._of_all(begin, moment))), None, None
        self._warm_up.update(self._world.latest(moment))
        names = [pod.name for pod, _ in (*new, *old)]
        young = self._warm_up.advance(names, DEPLOYED_AT + moment)
        control = None
        if old:
            counted = self._counters[1].take(self._grown(False, begin, moment, old))
            control = self._value(counted) if self._old_known else None
        if not new:
            return None, control, None
        fresh = [one for one in new if one[0].name in young]
        aged = [one for one in new if one[0].name not in young]
        warming = self._counters[2].take(self._grown(True, begin, moment, fresh))
        mature = self._counters[3].take(self._grown(True, begin, moment, aged))
        both = [a + b for a, b in zip(warming, mature, strict=True)]
        told_apart = self._value(warming) if self._by_pod else None
        return self._value(both), control, told_apart

    def _grown(self, is_new: bool, begin: float, moment: float, pods: Serving) -> list[float]:
        """Return by how much the counters of some pods grew, exactly."""
        flows = self._groups[is_new].flows
        starts: dict[float, int] = {}
        for _, ready in pods:
            since = max(begin, ready)
            starts[since] = starts.get(since, 0) + 1
        return [
            sum(n * (flow.total(moment) - flow.total(since)) for since, n in starts.items())
            for flow in flows
        ]

    def _of_all(self, begin: float, moment: float) -> list[float]:
        """Return what all pods counted, those that are gone since, too."""
        sums = [0.0] * len(self._groups[True].flows)
        for pod in self._world.all_pods:
            flows = self._groups[pod.new].flows
            for since, until in pod.stretches:
                low, high = max(begin, since, 0.0), min(moment, until)
                if low < high:
                    for k, flow in enumerate(flows):
                        sums[k] += flow.total(high) - flow.total(low)
        return sums

    def _value(self, counted: Sequence[float]) -> Value:
        """Return counts as the measure has them."""
        if self._spec.ratio is not None:
            return Counts(counted[0], counted[1])
        quick = [counted[0] - slower for slower in counted[1:]]
        return Latencies(self._bounds, (*quick, counted[0]))


def _each(rate: float, pods: float) -> float:
    """Return one pod's share of a rate; without any pod the requests are lost."""
    return rate / pods if pods > 0 else 0.0
