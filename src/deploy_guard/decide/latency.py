"""Judge a latency histogram: the share of slow requests at a few bounds, each a ratio."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from deploy_guard import detect, text
from deploy_guard.decide import ratio
from deploy_guard.model import Counts, Evidence, Finding, Latencies, OldPods, Sample

SLOW_SHARES = (0.3, 0.05, 0.01)  # compared at the bounds whose baseline share is nearest to these
BIN = detect.SCALES[0]  # seconds
_REMEMBERED = 16  # baselines at a bound: those of one or two signals


class _Judged(NamedTuple):
    """What one bound's detector says, and in words why that is not held against the deploy."""

    bound: float
    state: detect.State
    finding: Finding
    excused: str = ""

    @property
    def old_pods(self) -> OldPods:
        return OldPods.AS_BAD if self.excused else ratio.old_pods_of(self.state)


@dataclass(frozen=True, slots=True)
class LatencyJudge:
    """One detector per bound, all fed from the same histogram.

    `settings` holds for each comparing detector; the limit (at most `1 - share` slower than
    `below` seconds) has a detector of its own. The level is divided by the number of detectors
    beforehand. The bounds to compare at are chosen once: from the baseline when the candidate's
    first sample that has some of its bounds arrives, else from the first old pods that served
    beside it.
    """

    name: str
    settings: detect.Settings
    min_requests: int
    share: float | None = None
    below: float | None = None
    before: tuple[tuple[float, Latencies], ...] = ()  # the baseline until it is compared with
    baseline: Latencies | None = None  # all of it, as soon as the candidate was seen
    judging: bool = False  # the candidate was seen: what comes now is no baseline
    detectors: tuple[tuple[float, detect.State], ...] = ()  # by bound in seconds
    restarted: bool = False  # after a rollback
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
        judge = self._begun(candidate, old)
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
        return replace(self, settings=settings, detectors=fresh, restarted=True, latest=None)

    def value(self, sample: Sample) -> float | None:
        """Return the quantile of the sample in seconds, None without requests."""
        candidate = sample.candidate
        return self._quantile_of(candidate if isinstance(candidate, Latencies) else None)

    def evidence(self, at: float) -> Evidence:
        """Return the finding of the detector that says most."""
        worst = self._worst()
        finding = Finding.LITTLE if worst is None else worst.finding
        total = self.baseline if self.judging else _total(self.before)
        current, before = self._quantile_of(self.latest), self._quantile_of(total)
        return Evidence(
            signal=self.name,
            finding=finding,
            text=self._words(worst, current, before),
            at=at,
            old_pods=worst.old_pods if worst is not None else OldPods.SILENT,
            rule="limit"
            if worst and ratio.told(worst.state).reference == "limit"
            else "comparison",
            unit="seconds",
            current=current,
            baseline=before,
            limit=self.below,
            numbers=(
                {"bound": worst.bound} | ratio.numbers_of(worst.state) if worst is not None else {}
            ),
        )

    def _words(self, worst: _Judged | None, current: float | None, before: float | None) -> str:
        if worst is None:
            return self._why_nothing()
        bound, state, finding, excuse = worst
        if self.latest is None:
            return f"no requests {ratio.where(state)} to judge yet"
        what = f"slower than {text.seconds(bound)}:"
        if finding is Finding.LITTLE:
            return ratio.lacking(state, self.min_requests, what)
        quantiles = f"p{self.quantile * 100:g} {text.seconds(current)}"
        if before is not None:
            quantiles += f", before {text.seconds(before)}"
        if self.below is not None and not self._limited():
            quantiles += f"; no bucket shows the limit of {text.seconds(self.below)}"
        seen = ratio.tally(ratio.seen_of(state), what)
        words = f"{seen} {ratio.where(state)}{ratio.against(state)}; {quantiles}"
        if finding is Finding.GOOD:
            return words
        return f"{words}; {ratio.proof(state)}{excuse or ratio.suffix(state, finding)}"

    def _why_nothing(self) -> str:
        """Say why there is not a single bound to judge at."""
        if self.latest is None:
            where = "after the rollback" if self.restarted else "on the new pods"
            return f"no requests {where} to judge yet"
        usual = self.baseline
        shared = [] if usual is None else _shared_bounds(usual, self.latest)
        if usual is None or usual.count <= 0 or not shared:
            return (
                "no limit that the buckets can show, and no histogram of before or of old pods "
                "to compare with"
            )
        slow = text.percent(usual.slower_than(shared[-1]).ratio)
        return (
            f"slower than {text.seconds(shared[-1])}: {slow} before: nothing could be seen to get "
            "slower"
        )

    def _quantile_of(self, latencies: Latencies | None) -> float | None:
        value = math.nan if latencies is None else latencies.quantile(self.quantile)
        return None if math.isnan(value) else value

    def _worst(self) -> _Judged | None:
        order = [Finding.BAD, Finding.SHARED, Finding.SUSPECT, Finding.LITTLE, Finding.GOOD]
        found = self._judged()
        if any(j.state.settings.limit is not None for j in found):
            # As with ratios: a limit is enough, a comparison that has no past may stay silent.
            found = [
                j for j in found if j.finding is not Finding.LITTLE or not self._lacks_past(j.state)
            ]
        # A bound that most requests exceeded before tells nothing; another one may.
        found = [
            j for j in found if j.finding is not Finding.LITTLE or not ratio.without_room(j.state)
        ] or found
        if not found:
            return None
        return min(
            found, key=lambda j: (order.index(j.finding), j.excused, j.state.judgement.p_value)
        )

    def _judged(self) -> list[_Judged]:
        """Return each detector's finding; slowness of the world spreads from bound to bound.

        While one bound is known to be as bad on the old pods, another one is held against the
        deploy only if the old pods are better there.
        """
        found = [
            _Judged(bound, state, ratio.finding_of(state, self.min_requests))
            for bound, state in self.detectors
        ]
        known = [
            j.bound for j in found if j.finding is not Finding.BAD and ratio.of_the_world(j.state)
        ]
        if not known:
            return found
        return [
            j._replace(finding=Finding.SHARED, excused=_excuse(known[0]))
            if j.finding is Finding.BAD and not j.state.judgement.accused_by_old
            else j
            for j in found
        ]

    def _lacks_past(self, state: detect.State) -> bool:
        without = ratio.known_of(state).requests < self.min_requests
        return state.settings.limit is None and without

    def _compares(self) -> bool:
        return any(state.settings.compare for _, state in self.detectors)

    def _limited(self) -> bool:
        return any(state.settings.limit is not None for _, state in self.detectors)

    def _begun(self, candidate: Latencies, old: Latencies | None) -> LatencyJudge:
        """Choose the bounds to judge at, as soon as there are any; give each its baseline."""
        judge = self
        if not self.judging:
            judge = replace(self, baseline=_total(self.before), judging=True)
        chosen: list[tuple[float, detect.Settings]] = []
        if self.share is not None and self.below is not None and not self._limited():
            bound = _nearest_bound(candidate, self.below)
            limit = replace(self.settings, compare=False, limit=1 - self.share)
            chosen += [(bound, limit)] if bound is not None else []
        before = judge.before
        if self.settings.compare and not self._compares():
            bounds: list[float] = []
            for usual in (judge.baseline, old):
                if not bounds and usual is not None and usual.count > 0:
                    bounds = _comparable_bounds(usual, candidate, times=self.settings.ratio)
            chosen += [(bound, self.settings) for bound in bounds]
            before = () if bounds else before
        if not chosen:
            return judge
        more = tuple((bound, judge._learned(bound, settings)) for bound, settings in chosen)
        return replace(judge, detectors=judge.detectors + more, before=before)

    def _learned(self, bound: float, settings: detect.Settings) -> detect.State:
        state = detect.State(settings, _usual(self.before, bound))
        return detect.restart(state) if self.restarted else state


@lru_cache(maxsize=_REMEMBERED)
def _usual(before: tuple[tuple[float, Latencies], ...], bound: float) -> detect.Baseline:
    """Return what is usual at a bound; asked again for each limit, test and setting of a sweep."""
    state = detect.State(detect.Settings())
    for seconds, latencies in before:
        if bound in latencies.bounds:
            state = detect.learn(state, seconds, latencies.slower_than(bound))
    return state.baseline


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
    """Return the smallest bound that is not below the wanted one, None without one.

    At a smaller bound a limit would accuse requests that it allows.
    """
    above = [b for b in latencies.bounds if math.isfinite(b) and b >= wanted * (1 - 1e-9)]
    return min(above, default=None)


def _shared_bounds(before: Latencies, candidate: Latencies) -> list[float]:
    return [b for b in before.bounds if math.isfinite(b) and b in candidate.bounds]


def _excuse(bound: float) -> str:
    words = f"slower than {text.seconds(bound)}"
    return f"; the old pods were as bad ({words}): not the deploy"


def _comparable_bounds(before: Latencies, candidate: Latencies, *, times: float) -> list[float]:
    """Return the bounds with baseline shares of slow requests nearest to `SLOW_SHARES`.

    Never one at which not even all requests would be so many `times` the usual share.
    """
    shared = [
        b for b in _shared_bounds(before, candidate) if before.slower_than(b).ratio * times <= 1
    ]
    chosen: list[float] = []
    for share in SLOW_SHARES:
        left = [b for b in shared if b not in chosen]
        if left:
            chosen.append(min(left, key=lambda b: abs(_log_share(before, b) - math.log(share))))
    return chosen


def _log_share(latencies: Latencies, bound: float) -> float:
    slow = latencies.slower_than(bound)
    return math.log((slow.errors + 0.5) / (slow.requests + 1))
