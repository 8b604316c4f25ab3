"""What would make a signal fire, found by trying: the real judges, in virtual time.

Decides which candidates are tried: a constant share of failures or of slow requests, a number just
beyond its limit, an API that always fails. The answer's words are in `firing_words`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from deploy_guard import text
from deploy_guard.check_live.firing_words import rate
from deploy_guard.check_live.virtual import Numbers, Trial, VirtualWatch
from deploy_guard.model import Counts, Finding, Gauge, Latencies, Probe, Value
from deploy_guard.policy.models import HttpSignal, LatencyLimit, Metrics, Policy, Signal

# Shares with the two digits that are shown: 0.001 % to 100 %.
SHARES = (*(m / 10**e for e in (6, 5, 4, 3, 2) for m in range(10, 100)), 1.0)
LONGER = 1.2  # times the threshold: what is nearer to it is no example worth telling
MORE_TRAFFIC = (1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0)  # times that of now
EXAMPLES = 2  # at most, besides 100 %
ALL = 1.0

Measure = Literal["ratio", "latency", "value", "calls"]


@dataclass(frozen=True, slots=True)
class Edge:
    """Where a signal begins to fire, and how many seconds that takes then.

    `at` is a share, a number or a count of calls; `above` is False where less is worse.
    """

    at: float
    seconds: float
    above: bool = True


@dataclass(frozen=True, slots=True)
class Firing:
    """What makes one signal fire within the watch; no `edges`: nothing does, and why.

    `examples` are further shares and the seconds that they take. `bound` is what slow means, in
    seconds. `now` and `before` are the present share or number, and the one of the time before.
    """

    measure: Measure
    edges: tuple[Edge, ...]
    never: str = ""
    examples: tuple[tuple[float, float], ...] = ()
    within: float = 0.0
    rate: float | None = None
    bound: float | None = None
    now: float | None = None
    before: float | None = None

    @property
    def short(self) -> str:
        """What makes it fire, for a column of a table."""
        if not self.edges:
            return "never"
        return " or ".join(self._edge(edge) for edge in self.edges)

    def _edge(self, edge: Edge) -> str:
        if self.measure == "calls":
            return text.plural(int(edge.at), "failure")
        if self.measure == "value":
            return f"{'>' if edge.above else '<'} {text.number(edge.at)}"
        return f"≥ {text.percent(edge.at)}" if edge.at < ALL else "100 %"


def firing(policy: Policy, spec: Signal, numbers: Numbers) -> Firing | None:
    """Return what would make a signal fire; None when nothing is known of its present numbers."""
    if numbers.now is None:
        return None
    watch = VirtualWatch(policy, spec, numbers)
    if isinstance(spec, HttpSignal):
        return _of_calls(spec, watch)
    if spec.value is not None:
        return _of_value(spec, watch)
    return _of_shares(spec, watch)


def _of_calls(spec: HttpSignal, watch: VirtualWatch) -> Firing:
    trial = watch.of_failures()
    if trial.fired is None:
        return Firing("calls", (), _why(spec, watch, trial), within=watch.length)
    edge = Edge(float(spec.failures), trial.fired)
    return Firing("calls", (edge,), within=watch.length)


def _of_value(spec: Metrics, watch: VirtualWatch) -> Firing:
    """Try a number just above, or just below, what is allowed."""
    edges: list[Edge] = []
    failed: Trial | None = None
    for limit, sign in ((spec.above, 1), (spec.below, -1)):
        if limit is None:
            continue
        trial = watch.of_value(limit + sign * max(1e-6, abs(limit) * 1e-6))
        if trial.fired is None:
            failed = trial
        else:
            edges.append(Edge(limit, trial.fired, above=sign > 0))
    never = _why(spec, watch, failed) if failed is not None and not edges else ""
    now = watch.numbers.now
    return Firing(
        "value",
        tuple(edges),
        never,
        within=watch.length,
        now=now.value if isinstance(now, Gauge) else None,
        before=_before(watch.numbers, lambda value: getattr(value, "value", math.nan)),
    )


def _of_shares(spec: Metrics, watch: VirtualWatch) -> Firing:
    """Find the smallest share that fires before the end of the watch, and try larger ones."""
    now = watch.numbers.now
    bound = _bound_of(watch)
    measure: Measure = "latency" if isinstance(now, Latencies) else "ratio"
    tried: dict[float, Trial] = {}

    def attempt(share: float) -> Trial:
        if share not in tried:
            tried[share] = watch.of_share(share, bound=bound or 0.0)
        return tried[share]

    before = _before(watch.numbers, lambda value: _share(value, bound))
    edge = _smallest(attempt)
    return Firing(
        measure,
        () if edge is None else (edge,),
        _why(spec, watch, attempt(ALL)) + _enough(watch, bound) if edge is None else "",
        examples=() if edge is None else _examples(spec, edge.at, before, attempt),
        within=watch.length,
        rate=watch.numbers.rate,
        bound=bound,
        now=_finite(_share(now, bound)),
        before=before,
    )


def _smallest(attempt: Callable[[float], Trial]) -> Edge | None:
    """Bisect the shares; the one that is returned was seen to fire."""
    if attempt(ALL).fired is None:
        return None
    low, high = -1, len(SHARES) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if attempt(SHARES[middle]).fired is None:
            low = middle
        else:
            high = middle
    found = SHARES[high]
    return Edge(found, attempt(found).fired or 0.0)


def _examples(
    spec: Metrics, edge: float, before: float | None, attempt: Callable[[float], Trial]
) -> tuple[tuple[float, float], ...]:
    """Return shares worth telling, with the seconds that each takes."""
    wanted: list[float] = []
    if before:
        wanted += [2 * before, 10 * before]
    if isinstance(spec.limit, LatencyLimit):
        wanted.append(1 - spec.limit.share)
    elif spec.limit is not None:
        wanted += [spec.limit, 2 * spec.limit]
    worth = sorted({_rounded(s) for s in wanted if edge * LONGER < s < 0.95})[:EXAMPLES]
    if edge < ALL:
        worth.append(ALL)
    found = [(share, attempt(share).fired) for share in worth]
    return tuple((share, seconds) for share, seconds in found if seconds is not None)


def _rounded(share: float) -> float:
    """Return the nearest share that is shown in two digits."""
    return min(SHARES, key=lambda one: abs(one - share))


def _bound_of(watch: VirtualWatch) -> float | None:
    """Return the bound in seconds that slow is told by: that of the limit, else the middle one."""
    bounds = watch.judged_bounds()
    limited = [bound for bound, of_limit in bounds if of_limit]
    compared = sorted(bound for bound, _ in bounds)
    if limited:
        return limited[0]
    if compared:
        return compared[len(compared) // 2]
    now = watch.numbers.now
    finite = [b for b in now.bounds if math.isfinite(b)] if isinstance(now, Latencies) else []
    return finite[len(finite) // 2] if finite else None


def _share(value: Value | None, bound: float | None) -> float:
    """Return the share that fails, or is slower than the bound; NaN without requests."""
    if isinstance(value, Latencies):
        return value.slower_than(bound or 0.0).ratio
    return value.ratio if isinstance(value, Counts) else math.nan


def _before(numbers: Numbers, number_of: Callable[[Value], float]) -> float | None:
    """Return the mean of the time before, weighted by requests; None when nothing is known."""
    total = weights = 0.0
    for sample in numbers.before:
        if sample.control is None or math.isnan(number := number_of(sample.control)):
            continue
        weight = _requests(sample.control)
        total, weights = total + weight * number, weights + weight
    return total / weights if weights > 0 else None


def _requests(value: Value) -> float:
    if isinstance(value, Counts):
        return value.requests
    return value.count if isinstance(value, Latencies) else 1.0


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _enough(watch: VirtualWatch, bound: float | None) -> str:
    """Say at which traffic it would fire, if more traffic is all that it lacks."""
    for times in MORE_TRAFFIC if watch.numbers.rate and watch.polls else ():
        more = watch.with_traffic(times)
        if more.of_share(ALL, bound=bound or 0.0).fired is not None:
            return f"; at {rate(more.numbers.rate or 0.0)} it could"
    return ""


def _why(spec: HttpSignal | Metrics, watch: VirtualWatch, trial: Trial) -> str:
    """Say why not even the worst candidate makes the signal fire."""
    length, interval = text.seconds(watch.length), text.seconds(watch.interval)
    if watch.polls < 1:
        return f"its interval of {interval} is longer than the watch of {length}"
    if isinstance(spec, HttpSignal):
        if isinstance(watch.numbers.now, Probe) and not watch.numbers.now.ok:
            return "the call fails already, before any deploy: that is not held against one"
        calls = text.plural(spec.failures, "call")
        return f"{calls} at an interval of {interval} do not fit into the watch of {length}"
    if trial.evidence.finding is Finding.SHARED:
        return f"what runs now is as bad already, which acquits a deploy: {_present(watch)}"
    if spec.value is not None:
        if spec.hold > watch.polls * watch.interval:
            return f"a breach must last {text.seconds(spec.hold)}, the watch lasts {length}"
        return trial.evidence.text
    if not watch.numbers.rate:
        return "there are no requests now to prove anything with"
    if spec.limit == ALL and spec.compare is False:
        return "no share exceeds the limit of 100 %, and nothing is compared"
    worst = "with every request slow" if spec.latency is not None else "with every request failing"
    found = f"even {worst} for {length}, at {rate(watch.numbers.rate)}"
    requests = trial.evidence.numbers.get("requests", 0.0)
    if trial.evidence.finding is Finding.LITTLE and requests < spec.min_requests:
        return f"{found}: {text.plural(round(requests), 'request')} would prove nothing"
    return f"{found}: {trial.evidence.text}"


def _present(watch: VirtualWatch) -> str:
    """Say what the number is now, and of a share what it was before."""
    now = watch.numbers.now
    if isinstance(now, Gauge):
        return text.number(now.value)
    before = _before(watch.numbers, lambda value: _share(value, None))
    return f"{text.percent(_share(now, None))} now, {text.percent(before)} before"
