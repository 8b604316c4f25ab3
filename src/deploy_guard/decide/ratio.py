"""Judge a ratio: failed requests per request, against a limit and against the baseline."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from deploy_guard import detect, text
from deploy_guard.model import Counts, Evidence, Finding, OldPods, Sample


@dataclass(frozen=True, slots=True)
class RatioJudge:
    """Feeds the detector with increments and puts its judgement into words."""

    name: str
    state: detect.State
    min_requests: int
    latest: float | None = None
    judging: bool = False  # the candidate was seen: what comes now is no baseline

    def take(self, sample: Sample) -> RatioJudge:
        """Return the judge after one more sample; before the first candidate, of the baseline."""
        candidate, control = sample.candidate, sample.control
        if isinstance(candidate, Counts):
            old = control if isinstance(control, Counts) else None
            latest = candidate.ratio if candidate.requests > 0 else self.latest
            warming = sample.warming if isinstance(sample.warming, Counts) else None
            state = detect.step(self.state, sample.seconds, candidate, old, warming)
            return replace(self, state=state, latest=latest, judging=True)
        if isinstance(control, Counts) and not self.judging:
            return replace(self, state=detect.learn(self.state, sample.seconds, control))
        return self

    def again(self) -> RatioJudge:
        """Return a judge with the same baseline and nothing judged yet."""
        return replace(self, state=detect.restart(self.state), latest=None, judging=True)

    def value(self, sample: Sample) -> float | None:
        """Return the ratio of the sample, None without requests."""
        candidate = sample.candidate
        if not isinstance(candidate, Counts) or candidate.requests <= 0:
            return None
        return candidate.ratio

    def evidence(self, at: float) -> Evidence:
        """Return the finding with counts, expectation and p-value."""
        state = self.state
        finding = finding_of(state, self.min_requests)
        before = state.baseline.total.ratio if state.baseline.known else None
        return Evidence(
            signal=self.name,
            finding=finding,
            text=self._words(finding),
            at=at,
            old_pods=old_pods_of(state),
            rule="limit" if told(state).reference == "limit" else "comparison",
            unit="ratio",
            current=self.latest,
            baseline=before,
            limit=state.settings.limit,
            numbers=numbers_of(state),
        )

    def _words(self, finding: Finding) -> str:
        if finding is Finding.LITTLE:
            return lacking(self.state, self.min_requests, "errors")
        words = f"{tally(seen_of(self.state), 'errors')} {where(self.state)}{against(self.state)}"
        if finding is Finding.GOOD:
            return words
        return f"{words}; {proof(self.state)}{suffix(self.state, finding)}"


def finding_of(state: detect.State, min_requests: int) -> Finding:
    """Return the finding of a detector's state; good only when nothing is lacking."""
    judgement = state.judgement
    if judgement.bad:
        return Finding.BAD
    if judgement.shared:
        return Finding.SHARED
    if judgement.suspect or detect.over_limit(state):
        return Finding.SUSPECT
    return Finding.LITTLE if lacking(state, min_requests, "") else Finding.GOOD


def old_pods_of(state: detect.State) -> OldPods:
    """Return what the old pods say of a finding that is bad or shared."""
    if state.judgement.bad and state.judgement.accused_by_old:
        return OldPods.BETTER
    return OldPods.AS_BAD if of_the_world(state) else OldPods.SILENT


def of_the_world(state: detect.State) -> bool:
    """Whether the old pods were as bad, and that has not been seen to end."""
    return state.judgement.world or (state.scene is not None and state.scene.world is not None)


def told(state: detect.State) -> detect.Judgement:
    """Return the judgement to be told: that of the limit where only `over_limit` is suspect."""
    judgement, limit = state.judgement, state.settings.limit
    found = judgement.bad or judgement.shared or judgement.suspect
    if found or limit is None or not detect.over_limit(state):
        return judgement
    seen = state.mature.candidate
    return detect.Judgement(
        reference="limit", counts=seen, expected=seen.requests * limit, expected_ratio=limit
    )


def without_room(state: detect.State) -> bool:
    """Whether so much was bad before that no ratio is worth acting on, and there is no limit."""
    if state.settings.limit is not None:
        return False
    usual = state.baseline.total if state.baseline.known else state.mature.control
    return not state.settings.worth(1.0, usual.ratio)


def lacking(state: detect.State, min_requests: int, what: str) -> str:
    """Say what is missing to call the candidate good; empty when nothing is."""
    seen, known = state.mature.candidate, known_of(state)
    anew = state.seen.beside.requests > state.seen.candidate.requests  # all else was forgotten
    if state.seen.candidate.requests <= 0:
        if anew:
            return f"judged anew {where(state)}: a fault that was not theirs has just ended"
        return f"no requests {where(state)} to judge yet"
    if seen.requests <= 0:
        return f"{tally(state.seen.candidate, what)} so far, all in the warm-up: too few to judge"
    since = "a fault that was not theirs ended" if anew else "the warm-up"
    words = f"{tally(seen, what)} since {since}"
    if seen.requests < min_requests:
        return f"{words}: fewer than the {_requests(min_requests)} needed to call it healthy"
    if state.settings.limit is None and known.requests < min_requests:
        return f"{words}: no limit, and only {_requests(known.requests)} to compare with"
    if without_room(state):
        usual = state.baseline.total if state.baseline.known else state.mature.control
        when = "before" if state.baseline.known else "on the old pods"
        return f"{words}, {text.percent(usual.ratio)} {when}: nothing could be seen to get worse"
    if not detect.recovered(state):
        return f"{words}: too few to exclude {text.percent(state.condemned)} as before"
    return ""


def _requests(number: float) -> str:
    words = text.count(number)
    return f"{words} request" if words == "1" else f"{words} requests"


def where(state: detect.State) -> str:
    """Return on which pods the counts were taken, in words."""
    return "after the rollback" if state.restarted else "on the new pods"


def known_of(state: detect.State) -> Counts:
    """Return all that the candidate can be compared with: before, and on old pods beside it."""
    return state.baseline.total + state.mature.control


def seen_of(state: detect.State) -> Counts:
    """Return the counts that the judgement is about, else all since the deploy."""
    seen = told(state).counts
    return seen if seen.requests > 0 else state.seen.candidate


def tally(counts: Counts, what: str) -> str:
    """Return ``errors 38 of 1,204 (3.2 %)``."""
    ratio = text.percent(counts.ratio)
    return f"{what} {text.count(counts.errors)} of {text.count(counts.requests)} ({ratio})"


def against(state: detect.State) -> str:
    """Return what the candidate is compared with, in words."""
    judgement = told(state)
    if judgement.reference == "limit":
        limit = f" against the limit of {text.percent(judgement.expected_ratio)}"
        if state.baseline.known:
            return f"{limit} ({text.percent(state.baseline.total.ratio)} before)"
        if state.settings.compare and state.seen.control.requests <= 0:
            return f"{limit} (nothing to compare with)"
        return limit
    if judgement.reference == "control":
        where = "on the old pods at the same time"
    elif judgement.reference == "before":
        where = "before"
    else:
        return ""
    ratio, expected = text.percent(judgement.expected_ratio), text.count(judgement.expected)
    if judgement.reference == "before":
        total = state.baseline.total
        counted = f"{text.count(total.errors)} of {text.count(total.requests)}, so "
    else:
        counted = ""
    return f" against {ratio} {where} ({counted}{expected} expected)"


def proof(state: detect.State) -> str:
    """Return how sure it is, unless that says nothing, and after how long, in words."""
    p_value, lasted = told(state).p_value, f"after {text.seconds(state.elapsed)}"
    return lasted if p_value > 0.99 else f"{text.chance(p_value)} {lasted}"


def suffix(state: detect.State, finding: Finding) -> str:
    """Return what a finding that is not bad means for the deploy."""
    if finding is Finding.SHARED:
        who = "the old pods were as bad" if state.judgement.world else "it was so before"
        return f"; {who}: not the deploy"
    judgement = state.judgement
    if finding is Finding.BAD:
        heard = state.seen.control.requests > 0 and state.settings.attribute
        if not heard or judgement.accused_by_old:
            return ""
        if judgement.unattributed:
            return "; it began when the old pods were gone"
        if state.old_pods_live:
            return "; the old pods serve too few requests to tell whose fault it is"
        return "; the old pods were gone before they could tell whose fault it is"
    if finding is not Finding.SUSPECT:
        return ""
    if judgement.unattributed:
        return (
            "; it began when the old pods were gone, and the new ones had been well next to them: "
            "nobody can tell whether it is the deploy"
        )
    if judgement.suspect and judgement.p_value <= judgement.level and state.old_pods_live:
        return "; the old pods have not had enough requests yet to tell whose fault it is"
    return "; not proven yet"


def numbers_of(state: detect.State) -> dict[str, float]:
    """Return the numbers behind a finding, for the JSON document and the record."""
    judgement, seen = told(state), seen_of(state)
    found = {
        "requests": seen.requests,
        "errors": seen.errors,
        "expected": judgement.expected,
        "p_value": judgement.p_value,
        "level": judgement.level,
        "seconds": state.elapsed,
        "suspected": state.suspected,
        "baseline_requests": state.baseline.total.requests,
        "baseline_errors": state.baseline.total.errors,
    }
    return {key: value for key, value in found.items() if math.isfinite(value)}
