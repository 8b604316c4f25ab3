"""Judge a latency histogram: the share of slow requests at a few bounds, each a ratio."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from deploy_guard import detect, text
from deploy_guard.decide import ratio
from deploy_guard.model import Counts, Evidence, Finding, Latencies, OldPods, Sample

SLOW_SHARES = (0.3, 0.05, 0.01)  # compared at the bounds whose baseline share is nearest to these
BIN = detect.SCALES[0]  # seconds


@dataclass(frozen=True, slots=True)
class LatencyJudge:
    """One detector per bound, all fed from the same histogram.

    `settings` holds for each comparing detector; the limit (at most `1 - share` slower than
    `below` seconds) has a detector of its own. The level is divided by the number of detectors
    beforehand. The bounds to compare at are chosen once: from the baseline when the candidate's
    first sample arrives, without a baseline from the first old pods that served beside it.
    """

    name: str
    settings: detect.Settings
    min_requests: int
    share: float | None = None
    below: float | None = None
    before: tuple[tuple[float, Latencies], ...] = ()  # the baseline until the judging begins
    baseline: Latencies | None = None  # all of it, from then on
    judging: bool = False
    detectors: tuple[tuple[float, detect.State], ...] = ()  # by bound in seconds
    latest: Latencies | None = None

    @property
    def quantile(self) -> float:
        """The quantile that charts show."""
        return self.share if self.share is not None else 0.99

    def take(self, sample: Sample) -> LatencyJudge:
        """Return the judge after one more sample; before the first candidate, of the baseline."""
        candidate, control = sample.candidate, sample.control
        old = control if isinstance(control, Latencies) else None
        if not isinstance(candidate, Latencies):
            if old is None or self.judging:
                return self
            return replace(self, before=_binned(self.before, sample.seconds, old))
        judge = self if self.judging else self._begun(candidate)
        if judge.settings.compare and not judge._compares() and old is not None and old.count:
            bounds = _comparable_bounds(old, candidate)
            more = tuple((bound, detect.State(judge.settings)) for bound in bounds)
            judge = replace(judge, detectors=judge.detectors + more)
        warming = sample.warming if isinstance(sample.warming, Latencies) else None
        stepped = tuple(
            (bound, detect.step(state, sample.seconds, *_slow(bound, candidate, old, warming)))
            for bound, state in judge.detectors
        )
        latest = candidate if candidate.count > 0 else self.latest
        return replace(judge, detectors=stepped, latest=latest)

    def again(self) -> LatencyJudge:
        """Return a judge with the same baseline and nothing judged yet."""
        fresh = tuple((b, detect.restart(s)) for b, s in self.detectors)
        settings = replace(self.settings, warm_up=0.0)
        return replace(self, settings=settings, detectors=fresh, latest=None)

    def value(self, sample: Sample) -> float | None:
        """Return the quantile of the sample in seconds, None without requests."""
        candidate = sample.candidate
        return self._quantile_of(candidate if isinstance(candidate, Latencies) else None)

    def evidence(self, at: float) -> Evidence:
        """Return the finding of the detector that says most."""
        bound, state = self._worst()
        finding = Finding.LITTLE if state is None else ratio.finding_of(state, self.min_requests)
        total = self.baseline if self.judging else _total(self.before)
        current, before = self._quantile_of(self.latest), self._quantile_of(total)
        return Evidence(
            signal=self.name,
            finding=finding,
            text=self._words(finding, bound, state, current, before),
            at=at,
            old_pods=ratio.old_pods_of(state) if state is not None else OldPods.SILENT,
            rule="limit" if state and state.judgement.reference == "limit" else "comparison",
            unit="seconds",
            current=current,
            baseline=before,
            limit=self.below,
            numbers=({"bound": bound} | ratio.numbers_of(state)) if state is not None else {},
        )

    def _words(
        self,
        finding: Finding,
        bound: float,
        state: detect.State | None,
        current: float | None,
        before: float | None,
    ) -> str:
        if self.latest is None:
            return "no requests on the new pods to judge yet"
        if state is None:
            return (
                "no limit that the buckets can show, and no histogram of before or of old pods "
                "to compare with"
            )
        if finding is Finding.LITTLE:
            return ratio.lacking(state, self.min_requests, f"slower than {text.seconds(bound)}:")
        label = f"p{self.quantile * 100:g}"
        quantiles = f"{label} {text.seconds(current)}"
        if before is not None:
            quantiles += f", before {text.seconds(before)}"
        seen = ratio.tally(ratio.seen_of(state), f"slower than {text.seconds(bound)}:")
        words = f"{seen} {ratio.where(state)}{ratio.against(state)}; {quantiles}"
        if finding is Finding.GOOD:
            return words
        return f"{words}; {ratio.proof(state)}{ratio.suffix(state, finding)}"

    def _quantile_of(self, latencies: Latencies | None) -> float | None:
        value = math.nan if latencies is None else latencies.quantile(self.quantile)
        return None if math.isnan(value) else value

    def _worst(self) -> tuple[float, detect.State | None]:
        order = [Finding.BAD, Finding.SHARED, Finding.SUSPECT, Finding.LITTLE, Finding.GOOD]
        found = [(d, ratio.finding_of(d[1], self.min_requests)) for d in self.detectors]
        if any(state.settings.limit is not None for _, state in self.detectors):
            # As with ratios: a limit is enough, a comparison that has no past may stay silent.
            found = [
                (d, finding)
                for d, finding in found
                if finding is not Finding.LITTLE or not self._lacks_past(d[1])
            ]
        if not found:
            return math.nan, None
        return min(found, key=lambda f: (order.index(f[1]), f[0][1].judgement.p_value))[0]

    def _lacks_past(self, state: detect.State) -> bool:
        without = ratio.known_of(state).requests < self.min_requests
        return state.settings.limit is None and without

    def _compares(self) -> bool:
        return any(state.settings.compare for _, state in self.detectors)

    def _begun(self, candidate: Latencies) -> LatencyJudge:
        """Choose the bounds to judge at and give each detector its baseline."""
        chosen: list[tuple[float, detect.Settings]] = []
        bound = None if self.below is None else _nearest_bound(candidate, self.below)
        if bound is not None and self.share is not None:
            limit = replace(self.settings, compare=False, limit=1 - self.share)
            chosen.append((bound, limit))
        total = _total(self.before)
        if self.settings.compare and total is not None and total.count > 0:
            chosen += [(b, self.settings) for b in _comparable_bounds(total, candidate)]
        detectors = tuple((bound, self._learned(bound, settings)) for bound, settings in chosen)
        return replace(self, detectors=detectors, baseline=total, judging=True, before=())

    def _learned(self, bound: float, settings: detect.Settings) -> detect.State:
        state = detect.State(settings)
        for seconds, latencies in self.before:
            if bound in latencies.bounds:
                state = detect.learn(state, seconds, latencies.slower_than(bound))
        return state


def _slow(
    bound: float, candidate: Latencies, control: Latencies | None, warming: Latencies | None
) -> tuple[Counts, Counts | None, Counts | None]:
    """Count slow requests of both groups, and of pods in their warm-up.

    A histogram without the bound says nothing.
    """

    def slow(latencies: Latencies | None) -> Counts | None:
        if latencies is None or bound not in latencies.bounds:
            return None
        return latencies.slower_than(bound)

    return slow(candidate) or detect.NOTHING, slow(control), slow(warming)


def _binned(
    before: tuple[tuple[float, Latencies], ...], seconds: float, more: Latencies
) -> tuple[tuple[float, Latencies], ...]:
    """Add an increment to the baseline, in groups of `BIN` seconds to bound its size."""
    if before and before[-1][0] + seconds <= BIN and before[-1][1].bounds == more.bounds:
        return (*before[:-1], (before[-1][0] + seconds, before[-1][1] + more))
    return (*before, (seconds, more))


def _total(before: tuple[tuple[float, Latencies], ...]) -> Latencies | None:
    """Add up the part of the baseline that has the newest bounds."""
    if not before:
        return None
    newest = before[-1][1].bounds
    total = Latencies(newest, tuple(0.0 for _ in newest))
    for _, latencies in before:
        if latencies.bounds == newest:
            total += latencies
    return total


def _nearest_bound(latencies: Latencies, wanted: float) -> float | None:
    """Return the smallest bound that is not below the wanted one, else the largest finite one."""
    finite = [b for b in latencies.bounds if math.isfinite(b)]
    above = [b for b in finite if b >= wanted * (1 - 1e-9)]
    return above[0] if above else (finite[-1] if finite else None)


def _comparable_bounds(before: Latencies, candidate: Latencies) -> list[float]:
    """Return the bounds with baseline shares of slow requests nearest to `SLOW_SHARES`."""
    shared = [b for b in before.bounds if math.isfinite(b) and b in candidate.bounds]
    chosen: list[float] = []
    for share in SLOW_SHARES:
        left = [b for b in shared if b not in chosen]
        if left:
            chosen.append(min(left, key=lambda b: abs(_log_share(before, b) - math.log(share))))
    return chosen


def _log_share(latencies: Latencies, bound: float) -> float:
    slow = latencies.slower_than(bound)
    return math.log((slow.errors + 0.5) / (slow.requests + 1))
