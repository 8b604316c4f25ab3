"""What the final screen and the Markdown report say, before either lays it out.

Decides the plain words for every combination of verdict, action and recovery. Does not decide
widths, colours or marks.
"""

from __future__ import annotations

from deploy_guard import text
from deploy_guard.model import Action, Evidence, Finding, Outcome, Recovery, SignalSummary, Verdict
from deploy_guard.outputs import deploy_words
from deploy_guard.outputs import format as fmt


def headline(outcome: Outcome) -> str:
    """Say verdict and action in capitals, then what it means for the workload."""
    if deploy_words.unwatched(outcome):
        return deploy_words.headline(outcome)
    return deploy_words.prefix(outcome) + _headline(outcome)


def _headline(outcome: Outcome) -> str:
    what = str(outcome.target)
    back = _number(outcome, "target_revision", "the revision before")
    match outcome.action:
        case Action.ROLLED_BACK:
            return _rolled_back(outcome, what, back)
        case Action.WOULD_ROLL_BACK if outcome.dry_run:
            return f"REGRESSED, NOT ROLLED BACK: dry run; {what} would go back to {back}"
        case Action.WOULD_ROLL_BACK:
            return f"REGRESSED, NOT ROLLED BACK: the policy only reports; {what} stays"
        case Action.REFUSED:
            return f"REGRESSED, NOT ROLLED BACK: the rollback of {what} was refused"
        case Action.ROLLBACK_FAILED if outcome.answer_lost:
            return f"REGRESSED, ROLLBACK UNKNOWN: whether {what} was rolled back is not known"
        case Action.ROLLBACK_FAILED if outcome.rolled_back_at is None:
            return f"REGRESSED, ROLLBACK FAILED: it could not be written to {what}"
        case Action.ROLLBACK_FAILED:
            return f"REGRESSED, ROLLBACK FAILED: {back} of {what} does not serve"
        case Action.SUPERSEDED:
            return f"SUPERSEDED: a newer deploy of {what} arrived and was left alone"
        case Action.INTERRUPTED:
            return f"INTERRUPTED: {what}, {_interrupted(outcome)}"
        case Action.NONE:
            return _no_action(outcome, what)


def _rolled_back(outcome: Outcome, what: str, back: str) -> str:
    if outcome.restored_at is None:
        return f"REGRESSED, ROLLED BACK: {back} of {what} was not seen to serve"
    match outcome.recovered:
        case Recovery.RECOVERED:
            return f"REGRESSED, ROLLED BACK, RECOVERED: {what} runs {back} again"
        case Recovery.STILL_BAD:
            return "STILL BAD AFTER THE ROLLBACK: the deploy was not the cause"
        case _:
            return f"REGRESSED, ROLLED BACK, RECOVERY UNKNOWN: {what} runs {back} again"


def _interrupted(outcome: Outcome) -> str:
    if outcome.restored_at is not None:
        return "after the rollback, before its effect was known"
    if outcome.rolled_back_at is not None:
        return "after the rollback had begun"
    if outcome.answer_lost:
        return "while it was rolled back; whether that was done is not known"
    if outcome.deploy is not None:
        return deploy_words.interrupted(outcome)
    if outcome.verdict is Verdict.REGRESSED:
        return "regressed, and nothing was changed"
    return "before a verdict; nothing was changed"


def _no_action(outcome: Outcome, what: str) -> str:
    candidate = _number(outcome, "candidate", "the new revision")
    match outcome.verdict:
        case Verdict.HEALTHY:
            return f"HEALTHY: {candidate} of {what} stays"
        case Verdict.REGRESSED:
            return f"REGRESSED, NOTHING DONE: {candidate} of {what} stays"
        case Verdict.INCONCLUSIVE if _is_shared(outcome):
            return f"INCONCLUSIVE: what is bad is not the fault of {candidate} of {what}"
        case Verdict.INCONCLUSIVE:
            return f"INCONCLUSIVE: {candidate} of {what} is neither proven good nor bad"
        case Verdict.NO_DATA:
            return f"NO DATA: {candidate} of {what} could not be judged"
        case None:
            return f"NO VERDICT: {candidate} of {what} was not judged"


def _is_shared(outcome: Outcome) -> bool:
    return any(evidence.finding is Finding.SHARED for evidence in outcome.evidence)


def _number(outcome: Outcome, which: str, otherwise: str) -> str:
    known = outcome.candidate if which == "candidate" else outcome.target_revision
    return f"revision {known.number}" if known is not None else otherwise


def ending(outcome: Outcome) -> str:
    """Say in a few words how the watch ended."""
    verdict = outcome.verdict.value.replace("_", " ") if outcome.verdict is not None else ""
    action = outcome.action.value.replace("_", " ") if outcome.action is not Action.NONE else ""
    recovered = outcome.recovered.value.replace("_", " ") if outcome.recovered is not None else ""
    if outcome.recovered is Recovery.UNKNOWN:
        recovered = "recovery unknown"
    return ", ".join(word for word in (verdict, action, recovered) if word).upper()


def mood(outcome: Outcome) -> str:
    """Return ``good``, ``warning`` or ``bad``: how loud the headline has to be."""
    if deploy_words.unwatched(outcome):
        return deploy_words.mood(outcome)
    if deploy_words.prefix(outcome):
        return "bad"
    if outcome.action is Action.ROLLED_BACK:
        return {Recovery.RECOVERED: "good", Recovery.STILL_BAD: "bad"}.get(
            outcome.recovered or Recovery.UNKNOWN, "warning"
        )
    if outcome.verdict is Verdict.REGRESSED:
        return "bad"
    return "good" if outcome.verdict is Verdict.HEALTHY else "warning"


def warnings(outcome: Outcome) -> list[str]:
    """Return what must not be overlooked."""
    if outcome.recovered is Recovery.STILL_BAD:
        return [
            "The rollback did not cure it: the deploy was not the cause, or not the only one. "
            "Look at what the service depends on (databases, other services, the network, the "
            "cluster)."
        ]
    return []


def running(outcome: Outcome) -> str:
    """Say which revision runs now."""
    candidate, back = fmt.revision(outcome.candidate), fmt.revision(outcome.target_revision)
    if outcome.answer_lost:
        return f"not known: {back} if the rollback was accepted, else {candidate}"
    newer = outcome.action is Action.SUPERSEDED
    if outcome.rolled_back_at is None:
        return f"a newer revision than {candidate}" if newer else f"{candidate}, the new one"
    match outcome.action:
        case Action.ROLLED_BACK if outcome.restored_at is None:
            return f"asked for {back}, which was not seen to serve"
        case Action.ROLLED_BACK:
            return f"{back}, after the rollback"
        case Action.INTERRUPTED if outcome.restored_at is not None:
            return f"{back}, after the rollback; the signals were not watched to the end"
        case Action.ROLLBACK_FAILED:
            return f"asked for {back}, which does not serve; pods of {candidate} may still run"
        case Action.SUPERSEDED:
            return f"a newer deploy, which arrived after the rollback to {back}"
    return f"asked for {back}; the cluster goes on with the rollback without guard"


def changed(outcome: Outcome) -> str:
    """Say that guard changed nothing, where that is so."""
    untouched = outcome.rolled_back_at is None and not outcome.answer_lost
    return "guard changed nothing" if untouched else ""


def watched(outcome: Outcome) -> str:
    """Name the workload as kubectl takes it, and the policy."""
    policy = f", policy {fmt.clean(outcome.policy, longest=200)}" if outcome.policy else ""
    dry = ", dry run" if outcome.dry_run else ""
    return f"{outcome.target} -n {outcome.target.namespace}{policy}{dry}"


def reason(outcome: Outcome) -> str:
    """Return why, without what a finding that is spelled out says in the same words."""
    for evidence in findings(outcome):
        told = f"{evidence.signal}: {evidence.text}"
        if evidence.finding in SPELLED_OUT and outcome.reason.startswith(told):
            return outcome.reason.removeprefix(told).lstrip("; ")
        if evidence.finding is Finding.SHARED and _excuses(outcome, evidence):
            return ""
    return outcome.reason


def _excuses(outcome: Outcome, evidence: Evidence) -> bool:
    """Tell whether the whole reason is what this finding says."""
    words = outcome.reason.removeprefix("not the deploy: ")
    return f"{evidence.signal}: {evidence.text}".startswith(words)


def recovery(outcome: Outcome) -> str:
    """Say what the signals said after a rollback, with their values; empty without a rollback."""
    word = (
        {
            Recovery.RECOVERED: "recovered",
            Recovery.STILL_BAD: "STILL BAD",
            Recovery.UNKNOWN: "not known: too little evidence after the rollback",
        }.get(outcome.recovered)
        if outcome.recovered is not None
        else None
    )
    if word is None:
        return ""
    values = ", ".join(
        f"{s.name} {fmt.value(s.current, s.unit)}" for s in outcome.signals if s.current is not None
    )
    return f"{word}; now {values}" if values else word


def deployed_changes(outcome: Outcome) -> list[str]:
    """Return what the deploy had changed, from the target revision to the candidate."""
    found = [f"{c.where}: {c.after} → {c.before}" for c in outcome.changes]
    how = "" if not outcome.configuration_restored else ", and was restored"
    return found + [f"{c.where}: {c.after} → {c.before}{how}" for c in outcome.configuration]


def tells_changes(outcome: Outcome) -> bool:
    """Tell whether the differences of the two revisions say something about the result."""
    return outcome.verdict is Verdict.REGRESSED or outcome.rolled_back_at is not None


def times(outcome: Outcome) -> list[tuple[str, str, str]]:
    """Return the moments that matter: word, time of day, and how long since which moment."""
    steps = [
        ("deployed", outcome.deployed_at),
        ("detected", outcome.regressed_at),
        ("rolled back", outcome.rolled_back_at),
        ("restored", outcome.restored_at),
        ("ended", outcome.ended_at),
    ]
    known = [(word, at) for word, at in steps if at is not None]
    rows = []
    for index, (word, at) in enumerate(known):
        if index == 0:
            since = "" if word != "ended" else f"watched {_span(outcome.started_at, at)}"
        else:
            before_word, before = known[index - 1]
            since = f"{_span(before, at)} after {_NOUNS[before_word]}"
            if index > 1 and outcome.deployed_at is not None:
                since += f", {_span(outcome.deployed_at, at)} after the deploy"
        rows.append((word, fmt.clock(at), since))
    return rows


_NOUNS = {
    "deployed": "the deploy",
    "detected": "the detection",
    "rolled back": "the rollback",
    "restored": "the restoration",
}


def _span(start: float, end: float) -> str:
    return text.seconds(max(0.0, end - start))


def findings(outcome: Outcome) -> list[Evidence]:
    """Return what the verdict rests on, worst first; the signals' last words without evidence."""
    known = list(outcome.evidence) or [_as_evidence(s, outcome.ended_at) for s in outcome.signals]
    return sorted(known, key=lambda e: fmt.WORST_FIRST.index(e.finding))


def _as_evidence(signal: SignalSummary, at: float) -> Evidence:
    return Evidence(
        signal=signal.name,
        finding=signal.finding,
        text=signal.text or signal.problem,
        at=at,
        unit=signal.unit,
        current=signal.current,
        baseline=signal.baseline,
        limit=signal.limit,
        samples=signal.samples,
        no_data=signal.no_data,
    )


def numbers(evidence: Evidence) -> str:
    """Return the evidence in numbers: now, before, limit, and how much was read."""
    parts = [
        (fmt.value(evidence.current, evidence.unit), "now"),
        (fmt.value(evidence.baseline, evidence.unit), "before"),
    ]
    words = [f"{number} {word}" for number, word in parts if number != fmt.NONE]
    if evidence.limit is not None:
        words.append(f"limit {fmt.value(evidence.limit, evidence.unit)}")
    if evidence.samples or evidence.no_data:
        words.append(text.plural(evidence.samples, "sample"))
    if evidence.no_data:
        words.append(f"{evidence.no_data:,} without data")
    return ", ".join(words)


def others(rest: list[Evidence]) -> str:
    """Count the findings that are not spelled out: ``3 good, 1 no data (payments)``."""
    words = []
    for finding in fmt.WORST_FIRST:
        names = [fmt.clean(e.signal, longest=60) for e in rest if e.finding is finding]
        if names:
            listed = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
            words.append(f"{len(names)} {finding.value} ({listed})")
    return ", ".join(words)


SPELLED_OUT = (Finding.BAD, Finding.SHARED, Finding.NO_DATA)
"""Findings whose text is always worth reading."""
