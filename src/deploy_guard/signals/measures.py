"""The three measures of a metrics signal: a ratio, a latency, a value. Pure.

Decides which counters or numbers a measure is made of, and how those of several pods become one
value. Where they are read is the providers' business.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploy_guard.model import Counts, Gauge, Latencies, NoDataReason, Value
from deploy_guard.signals.counters import Growth, Series

if TYPE_CHECKING:
    from deploy_guard.policy.models import Metrics

REQUESTS = "requests"
ERRORS = "errors"
BUCKETS = "latency"
VALUE = "value"
NO_NUMBER = "value: it is NaN or Inf"
_MOST = 1e18  # a counter of nanoseconds reaches it after 30 years
_NO_IDENTITY = ("le", "pod", "__name__")  # labels that are elsewhere in a series' name


@dataclass(frozen=True, slots=True)
class Row:
    """One number with its labels; `pod` is empty when it belongs to no pod in particular."""

    pod: str
    labels: Mapping[str, str]
    value: float


class Unreadable(Exception):
    """Numbers that are not what the measure needs, and why."""

    def __init__(self, reason: NoDataReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def queries(spec: Metrics) -> dict[str, str]:
    """Return what a signal asks for, by the keys of the policy.

    Errors come before requests: should new numbers arrive in between, no error lacks its request.
    """
    if spec.ratio is not None:
        return {ERRORS: spec.ratio.errors, REQUESTS: spec.ratio.requests}
    if spec.latency is not None:
        return {BUCKETS: spec.latency}
    return {VALUE: spec.value or ""}


def series(role: str, row: Row) -> Series:
    """Return the name of a counter; raises Unreadable for a bucket without its bound."""
    part = _bound(row) if role == BUCKETS else role
    labels = tuple(sorted((k, v) for k, v in row.labels.items() if k not in _NO_IDENTITY))
    return Series(row.pod, part, labels)


def totals(rows: Mapping[str, Sequence[Row]]) -> dict[Series, float]:
    """Return the counters of a ratio or a latency by series.

    Raises Unreadable for a total that is not a number, and for buckets without bounds.
    """
    found: dict[Series, float] = {}
    for role, some in rows.items():
        for row in some:
            require_number(role, row.value)
            name = series(role, row)
            found[name] = found.get(name, 0.0) + row.value
    return found


def require_number(role: str, value: float) -> None:
    """Raise Unreadable for a total that no counter has: negative, NaN, Inf, or beyond counting."""
    if not 0 <= value <= _MOST:
        text = f"{role}: a counter cannot be {value:g}; the query must give the counter itself"
        raise Unreadable(NoDataReason.NOT_A_NUMBER, text)


def _bound(row: Row) -> str:
    try:
        return repr(float(row.labels["le"]))
    except (KeyError, ValueError):
        text = "latency: the label le is missing; keep it, as in sum by (pod, le) (…_bucket)"
        raise Unreadable(NoDataReason.REJECTED, text) from None


def combine(pods: Sequence[Mapping[str, Growth]], *, latency: bool) -> Value | None:
    """Return what several pods counted together, None without pods."""
    if not pods:
        return None
    return _latencies(pods) if latency else _counts(pods)


def _counts(pods: Iterable[Mapping[str, Growth]]) -> Counts:
    requests = errors = 0.0
    for parts in pods:
        asked = parts.get(REQUESTS)
        if asked is None:
            continue
        failed = parts.get(ERRORS, Growth())
        # More new errors than requests: the counter was only out of sight and has a past.
        plausible = failed.total <= asked.total
        requests += asked.total
        errors += failed.total if plausible else failed.grown
    return Counts(requests, errors)


def _latencies(pods: Iterable[Mapping[str, Growth]]) -> Latencies | None:
    """Sum histograms over the bounds that all of them have: cumulative counts allow that."""
    filled = [parts for parts in pods if repr(math.inf) in parts]
    if not filled:
        return None
    common = set.intersection(*(set(parts) for parts in filled))
    bounds = tuple(sorted(float(part) for part in common))
    at_most: list[float] = []
    for bound in bounds:
        total = sum(parts[repr(bound)].total for parts in filled)
        at_most.append(max(total, at_most[-1] if at_most else 0.0))
    return Latencies(bounds, tuple(at_most))


def part_of(whole: Value | None, part: Value | None) -> Value | None:
    """Return what some of the pods counted, in the form of the whole; None for nobody is zero.

    Latencies have the bounds of the whole. Returns None where the whole has no parts.
    """
    if isinstance(whole, Counts):
        return part if isinstance(part, Counts) else Counts(0.0, 0.0)
    if not isinstance(whole, Latencies):
        return None
    found = dict(zip(part.bounds, part.at_most, strict=True)) if isinstance(part, Latencies) else {}
    some = zip(whole.bounds, whole.at_most, strict=True)
    return Latencies(whole.bounds, tuple(min(found.get(bound, 0.0), most) for bound, most in some))


def mean(rows: Sequence[Row]) -> Gauge | None:
    """Return the mean over pods, leaving out what is not a number; None when nothing is left.

    Raises Unreadable when a pod, or the whole, has more than one number.
    """
    pods = [row.pod for row in rows]
    for pod in pods:
        if pods.count(pod) > 1:
            whose = f"pod {pod}" if pod else "the query"
            text = f"value: {whose} has {pods.count(pod)} series where one number is expected"
            raise Unreadable(NoDataReason.SEVERAL_SERIES, text)
    numbers = [row.value for row in rows if math.isfinite(row.value)]
    return Gauge(sum(numbers) / len(numbers)) if numbers else None


def both_means(new: Sequence[Row], old: Sequence[Row]) -> tuple[Gauge | None, Gauge | None]:
    """Return the means of both groups; raises Unreadable when there are rows but no number."""
    candidate, control = mean(new), mean(old)
    if candidate is None and control is None and (new or old):
        raise Unreadable(NoDataReason.NOT_A_NUMBER, NO_NUMBER)
    return candidate, control
