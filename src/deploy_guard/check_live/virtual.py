"""A watch in virtual time: what the real judges say of a candidate that behaves so and so.

Decides what such a candidate looks like: reading by reading, at the traffic that is there now, with
no old pod beside it, as at the end of a rollout. Judging is `decide`'s. Pure: no clock, no network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from deploy_guard import decide
from deploy_guard.model import (
    Counts,
    Evidence,
    Gauge,
    Latencies,
    Probe,
    Sample,
    Value,
    Verdict,
)
from deploy_guard.policy.models import Policy, Signal

SURE = 2.0  # standard deviations of a count
MOST_POLLS = 2400  # of one virtual watch: ten hours at 15 s, and seconds of work


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a watch that begins now would know of one signal.

    `before` are the samples of the time before (control only, oldest first), `now` what the
    workload does at present, taken over `seconds` up to the moment `at` (Unix seconds).
    """

    signal: str
    at: float
    before: tuple[Sample, ...] = ()
    now: Value | None = None
    seconds: float = 0.0

    @property
    def rate(self) -> float | None:
        """Requests per second now; None where requests are not counted, or not known."""
        if self.seconds <= 0:
            return None
        if isinstance(self.now, Counts):
            return self.now.requests / self.seconds
        return self.now.count / self.seconds if isinstance(self.now, Latencies) else None


@dataclass(frozen=True, slots=True)
class Trial:
    """How a virtual watch ended: `fired` seconds after its begin, None for not at all."""

    fired: float | None
    evidence: Evidence


Values = Callable[[int, int], Value]  # of the requests between two counts


class VirtualWatch:
    """A watch of `watch.for` that knows the time before, and nothing else yet.

    Pods that are told apart are taken as ready from the start: the warm-up is the first seconds.
    """

    def __init__(self, policy: Policy, spec: Signal, numbers: Numbers) -> None:
        self.warm_up = policy.watch.warm_up
        self.interval = spec.interval or policy.watch.interval
        self.length = min(policy.watch.duration, MOST_POLLS * self.interval)
        self.policy = policy
        self.spec = spec
        self.numbers = numbers
        self._start = numbers.at
        self._state = decide.begin(policy, started_at=numbers.at)
        for sample in numbers.before:
            self._state = decide.observe(self._state, sample)

    @property
    def polls(self) -> int:
        """How many readings there are after the first."""
        return int(self.length / self.interval + 1e-9)

    def with_traffic(self, times: float) -> VirtualWatch:
        """Return the same watch with so many times the requests, after the same past."""
        numbers = replace(self.numbers, seconds=self.numbers.seconds / times)
        return VirtualWatch(self.policy, self.spec, numbers)

    def judged_bounds(self) -> tuple[tuple[float, bool], ...]:
        """Return the bounds in seconds that a latency is judged at; True for that of the limit."""
        if not isinstance(self.numbers.now, Latencies):
            return ()
        sample = self._sample(0.0, self.interval, self.numbers.now)
        state = decide.observe(self._state, sample)
        judge = next(w.judge for w in state.signals if w.name == self.spec.name)
        detectors = getattr(judge, "detectors", ())
        return tuple((bound, one.settings.limit is not None) for bound, one in detectors)

    def of_share(self, share: float, *, bound: float = 0.0) -> Trial:
        """Judge a candidate of whose requests this share fails, or is slower than `bound`."""
        now = self.numbers.now
        if isinstance(now, Latencies):
            shape = _shape(now, share, bound)
            return self._counted(lambda done, more: _latencies(now.bounds, shape, done, more))
        return self._counted(lambda done, more: _counts(share, done, more))

    def of_value(self, value: float) -> Trial:
        """Judge a candidate whose number is this one all the time."""
        return self._run(self._at_polls(Gauge(value)))

    def of_failures(self) -> Trial:
        """Judge a candidate with which every call fails."""
        return self._run(self._at_polls(Probe(False, 0.0, "no good answer")))

    def of_now(self, *, bound: float | None = None) -> Trial:
        """Judge a candidate that does what runs now, as far as that is no chance.

        A few errors in few requests are not taken for a share that lasts (`surely`).
        """
        now = self.numbers.now
        if isinstance(now, Counts):
            return self.of_share(surely(now))
        if isinstance(now, Latencies):
            bound = now.bounds[-1] if bound is None else bound
            return self.of_share(surely(now.slower_than(bound)), bound=bound)
        return self._run(self._at_polls(now) if now is not None else iter(()))

    def _run(self, samples: Iterator[Sample]) -> Trial:
        state, at = self._state, self._start
        for sample in samples:
            state, at = decide.observe(state, sample), sample.at
            decision = decide.decide(state, at)
            if decision.verdict is Verdict.REGRESSED:
                return Trial(at - self._start, self._evidence(decision.evidence))
        return Trial(None, self._evidence(decide.evidence_of(state, at)))

    def _evidence(self, found: tuple[Evidence, ...]) -> Evidence:
        return next(e for e in found if e.signal == self.spec.name)

    def _at_polls(self, value: Value) -> Iterator[Sample]:
        """Yield a sample at once and at every poll."""
        for poll in range(self.polls + 1):
            yield self._sample(poll * self.interval, self.interval if poll else 0.0, value)

    def _counted(self, values: Values) -> Trial:
        return self._run(self._counters(values))

    def _counters(self, values: Values) -> Iterator[Sample]:
        """Yield a sample at every poll, at the present rate of requests."""
        done, rate = 0, self.numbers.rate or 0.0
        for poll in range(1, self.polls + 1):
            total = math.floor(rate * poll * self.interval + 1e-9)
            yield self._sample(poll * self.interval, self.interval, values(done, total))
            done = total

    def _sample(self, after: float, seconds: float, value: Value) -> Sample:
        return Sample(self.spec.name, self._start + after, seconds, candidate=value)


def surely(seen: Counts) -> float:
    """Return the share that is there at least: two standard deviations below what was counted."""
    least = seen.errors - SURE * math.sqrt(max(0.0, seen.errors))
    return max(0.0, least) / seen.requests if seen.requests > 0 else 0.0


def _counts(share: float, done: int, total: int) -> Counts:
    """Count whole requests and whole failures, as counters do."""
    failed = math.floor(share * total + 1e-9) - math.floor(share * done + 1e-9)
    return Counts(float(total - done), float(min(failed, total - done)))


def _latencies(
    bounds: tuple[float, ...], shape: tuple[float, ...], done: int, total: int
) -> Latencies:
    """Count whole requests in cumulative buckets; `shape` is the share up to each bound."""
    at_most: list[float] = []
    for share in shape:
        more = math.floor(share * total + 1e-9) - math.floor(share * done + 1e-9)
        at_most.append(min(float(total - done), max(float(more), at_most[-1] if at_most else 0.0)))
    return Latencies(bounds, (*at_most[:-1], float(total - done)))


def _shape(now: Latencies, share: float, bound: float) -> tuple[float, ...]:
    """Return the shares up to each bound when so many are slower than `bound`.

    On either side of it requests are spread as they are now; slow ones that are not there yet
    fall into the next bucket.
    """
    quick = now.count - now.slower_than(bound).errors
    slow = now.count - quick
    found = []
    for edge, at_most in zip(now.bounds, now.at_most, strict=True):
        if edge <= bound * (1 + 1e-9):
            found.append((1 - share) * (at_most / quick if quick > 0 else edge >= bound))
        else:
            found.append(1 - share * ((now.count - at_most) / slow if slow > 0 else 0.0))
    return tuple(found)
