"""Judge a plain number: bad when it stays beyond its limit for long enough without a break."""

from __future__ import annotations

from dataclasses import dataclass, replace

from deploy_guard import text
from deploy_guard.model import Evidence, Finding, Gauge, Sample


@dataclass(frozen=True, slots=True)
class GaugeJudge:
    """`above` and `below` are the limits, `hold` the seconds that a breach must last.

    A gap between two samples of more than `gap` seconds is a break: nobody knows what was in it.
    """

    name: str
    above: float | None
    below: float | None
    hold: float
    gap: float = 60.0
    latest: float | None = None
    before: float | None = None
    bad_since: float | None = None
    last_at: float | None = None
    old_bad: bool = False  # the old pods, or the time before, were beyond the limit as well

    def take(self, sample: Sample) -> GaugeJudge:
        """Return the judge after one more sample."""
        judge = self
        if isinstance(sample.control, Gauge):
            judge = replace(
                judge, before=sample.control.value, old_bad=self._beyond(sample.control.value)
            )
        if not isinstance(sample.candidate, Gauge):
            return judge
        value, at = sample.candidate.value, sample.at
        judge = replace(judge, latest=value, last_at=at)
        if not self._beyond(value):
            # Whatever was before the deploy, the new pods have been well since.
            return replace(judge, bad_since=None, old_bad=False)
        broken = self.last_at is None or at - self.last_at > self.gap
        since = at if self.bad_since is None or broken else self.bad_since
        return replace(judge, bad_since=since)

    def again(self) -> GaugeJudge:
        """Return a judge with the same limits and nothing judged yet."""
        return replace(self, latest=None, bad_since=None, last_at=None, old_bad=False)

    def value(self, sample: Sample) -> float | None:
        """Return the number."""
        return sample.candidate.value if isinstance(sample.candidate, Gauge) else None

    def evidence(self, at: float) -> Evidence:
        """Return the finding with the value, the limit and for how long."""
        finding, words = self._finding()
        return Evidence(
            signal=self.name,
            finding=finding,
            text=words,
            at=at,
            rule="limit",
            current=self.latest,
            baseline=self.before,
            limit=self.above if self.above is not None else self.below,
        )

    def _beyond(self, value: float) -> bool:
        too_high = self.above is not None and value > self.above
        return too_high or (self.below is not None and value < self.below)

    def _finding(self) -> tuple[Finding, str]:
        if self.latest is None or self.last_at is None:
            return Finding.LITTLE, "no value of the new pods yet"
        now = f"now {text.number(self.latest)}"
        if self.before is not None:
            now += f" against {text.number(self.before)} before or on the old pods"
        if self.bad_since is None:
            return Finding.GOOD, f"{now}, within {self._limit_words()}"
        lasted = self.last_at - self.bad_since
        words = f"{now}, beyond {self._limit_words()} for {text.seconds(lasted)}"
        if lasted < self.hold:
            return Finding.SUSPECT, f"{words}; counts after {text.seconds(self.hold)}"
        if self.old_bad:
            return Finding.SHARED, f"{words}; it was so before, or on the old pods: not the deploy"
        return Finding.BAD, words

    def _limit_words(self) -> str:
        limits = [("at most", self.above), ("at least", self.below)]
        return " and ".join(f"{w} {text.number(v)}" for w, v in limits if v is not None)
