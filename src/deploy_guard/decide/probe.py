"""Judge the probe of an API integration: consecutive failures of what was known to be good."""

from __future__ import annotations

from dataclasses import dataclass, replace

from deploy_guard import text
from deploy_guard.model import Evidence, Finding, Probe, Sample


@dataclass(frozen=True, slots=True)
class ProbeJudge:
    """`failures` in a row are bad if the probe was good before, else nobody knows whose fault.

    Good before is a good answer before the deploy, or of the candidate itself.
    """

    name: str
    failures: int
    limit: float | None = None  # seconds, for display: the probe itself applies it
    row: int = 0
    answered: int = 0
    latest: Probe | None = None
    was_good: bool = False
    before: float | None = None

    def take(self, sample: Sample) -> ProbeJudge:
        """Return the judge after one more probe."""
        judge = self
        if isinstance(sample.control, Probe):
            judge = replace(self, was_good=sample.control.ok, before=sample.control.seconds)
        probe = sample.candidate
        if not isinstance(probe, Probe):
            return judge
        judge = replace(judge, latest=probe)
        if probe.ok:
            return replace(judge, row=0, answered=self.answered + 1, was_good=True)
        return replace(judge, row=self.row + 1)

    def again(self) -> ProbeJudge:
        """Return a judge with nothing probed yet."""
        return replace(self, row=0, answered=0, latest=None)

    def value(self, sample: Sample) -> float | None:
        """Return how long the answer took, None when it was not a good one."""
        probe = sample.candidate
        return probe.seconds if isinstance(probe, Probe) and probe.ok else None

    def evidence(self, at: float) -> Evidence:
        """Return the finding with what was expected and what came."""
        finding, words = self._finding()
        return Evidence(
            signal=self.name,
            finding=finding,
            text=words,
            at=at,
            rule="probe",
            unit="seconds",
            current=self.latest.seconds if self.latest is not None else None,
            baseline=self.before,
            limit=self.limit,
            numbers={"failures_in_a_row": float(self.row), "answered": float(self.answered)},
        )

    def _finding(self) -> tuple[Finding, str]:
        if self.latest is None:
            return Finding.LITTLE, "not probed yet since the deploy"
        if self.row == 0:
            return Finding.GOOD, f"answers as expected in {text.seconds(self.latest.seconds)}"
        words = f"{text.plural(self.row, 'failed probe')} in a row: {self.latest.detail}"
        if self.row < self.failures:
            return Finding.SUSPECT, f"{words}; {self.failures} in a row count"
        if self.was_good:
            return Finding.BAD, words
        if self.before is not None:
            return Finding.SHARED, f"{words}; it failed before the deploy: not the deploy"
        return Finding.SUSPECT, f"{words}; no good answer is known from before the deploy"
