"""Outcomes, events and progress of one imagined watch, for the tests of the outputs."""

from __future__ import annotations

from dataclasses import replace

from deploy_guard.model import (
    Action,
    Change,
    Condition,
    Event,
    Evidence,
    Finding,
    Outcome,
    Phase,
    Progress,
    Recovery,
    Revision,
    Rollout,
    SignalSummary,
    Target,
    Verdict,
    Workload,
)

START = 1795455612.25  # 2026-11-23T17:40:12Z
TARGET = Target("deployment", "shop", "checkout")
NEW = Revision(8, "checkout-7c9", "uid-8", "7c9", ("registry.example/checkout:2.0.0",), START - 8)
OLD = Revision(7, "checkout-5d4", "uid-7", "5d4", ("registry.example/checkout:1.9.3",), START - 9e5)

HTTP = SignalSummary(
    name="http-errors",
    provider="prometheus",
    unit="ratio",
    finding=Finding.BAD,
    current=0.5,
    baseline=0.0011,
    limit=0.05,
    limit_text="at most 5 %",
    history=(0.0, 0.001, 0.12, None, None, 0.4, 0.5),
    samples=5,
    no_data=2,
    text="errors 412 of 824 (50 %) on the new pods against 0.11 % before (0.9 expected); p < 10⁻⁶",
)
LATENCY = SignalSummary(
    name="latency",
    provider="pods",
    unit="seconds",
    finding=Finding.GOOD,
    current=0.34,
    baseline=0.31,
    limit_text="99 % below 500 ms",
    history=(0.31, 0.33, 0.32, 0.34),
    samples=7,
    text="p99 340 ms, before 310 ms",
)
PAYMENTS = SignalSummary(
    name="payments-api",
    provider="http",
    unit="",
    finding=Finding.NO_DATA,
    limit_text="3 failures in a row",
    history=(None, None, None),
    no_data=3,
    problem="timeout: no answer within 5 s",
    text="no data in 3 polls; timeout: no answer within 5 s",
)
CLUSTER = SignalSummary(
    name="kubernetes",
    provider="kubernetes",
    unit="",
    finding=Finding.GOOD,
    samples=30,
    text="3 of 3 new pods ready, 0 restarts",
)
SIGNALS = (CLUSTER, HTTP, LATENCY, PAYMENTS)


def evidence_of(signal: SignalSummary) -> Evidence:
    """Return the evidence that a signal's summary stands for."""
    return Evidence(
        signal=signal.name,
        finding=signal.finding,
        text=signal.text,
        at=START + 34,
        rule="comparison",
        unit=signal.unit,
        current=signal.current,
        baseline=signal.baseline,
        limit=signal.limit,
        samples=signal.samples,
        no_data=signal.no_data,
        numbers={"expected": 0.9, "p_value": 1e-9},
    )


REGRESSED = Outcome(
    target=TARGET,
    verdict=Verdict.REGRESSED,
    action=Action.ROLLED_BACK,
    reason=f"http-errors: {HTTP.text}",
    exit_code=10,
    started_at=START,
    deployed_at=START - 2,
    regressed_at=START + 34,
    rolled_back_at=START + 35,
    restored_at=START + 53,
    ended_at=START + 83,
    candidate=NEW,
    target_revision=OLD,
    recovered=Recovery.RECOVERED,
    policy="http-errors",
    signals=(CLUSTER, replace(HTTP, finding=Finding.GOOD, current=0.001), LATENCY, PAYMENTS),
    evidence=tuple(evidence_of(s) for s in SIGNALS),
    timeline=(
        Event(START, "preflight", "revision 7 is there to go back to"),
        Event(START + 34, "verdict", "regressed", {"signal": "http-errors", "level": 0.01}),
    ),
    next_steps=(
        "Revert the change in the repository: the next apply of the same manifest deploys "
        "revision 8 again.",
        "Look at the difference: kubectl rollout history deployment/checkout -n shop --revision=8",
    ),
    changes=(
        Change("container checkout image", NEW.images[0], OLD.images[0]),
        Change("container checkout env PAYMENTS_URL", "http://payment:8080", "http://payments"),
    ),
    configuration=(Change("ConfigMap checkout key timeout", "1s", "5s"),),
)
UNTOUCHED = replace(
    REGRESSED,
    rolled_back_at=None,
    restored_at=None,
    recovered=None,
    ended_at=START + 35,
    signals=SIGNALS,
)
GOOD_SIGNALS = (CLUSTER, replace(HTTP, finding=Finding.GOOD, current=0.001, no_data=0), LATENCY)
HEALTHY = replace(
    UNTOUCHED,
    verdict=Verdict.HEALTHY,
    action=Action.NONE,
    reason="3 signals good to the end of the watch, the rollout is complete",
    exit_code=0,
    regressed_at=None,
    ended_at=START + 600,
    signals=GOOD_SIGNALS,
    evidence=tuple(evidence_of(s) for s in GOOD_SIGNALS),
    next_steps=(),
)
OUTCOMES: dict[str, Outcome] = {
    "healthy": HEALTHY,
    "recovered": REGRESSED,
    "still-bad": replace(REGRESSED, recovered=Recovery.STILL_BAD, signals=SIGNALS),
    "recovery-unknown": replace(REGRESSED, recovered=Recovery.UNKNOWN),
    "dry-run": replace(UNTOUCHED, action=Action.WOULD_ROLL_BACK, dry_run=True, exit_code=11),
    "report-only": replace(UNTOUCHED, action=Action.WOULD_ROLL_BACK, exit_code=11),
    "refused": replace(
        UNTOUCHED,
        action=Action.REFUSED,
        exit_code=11,
        reason="the ConfigMap checkout-1.9 that revision 7 needs no longer exists",
    ),
    "rollback-failed": replace(
        REGRESSED,
        action=Action.ROLLBACK_FAILED,
        exit_code=11,
        restored_at=None,
        recovered=None,
        reason="revision 7 is not available 10 m after the rollback: ImagePullBackOff",
    ),
    "inconclusive": replace(
        HEALTHY,
        verdict=Verdict.INCONCLUSIVE,
        exit_code=12,
        reason="http-errors: errors 0 of 12: fewer than the 50 requests that can show it healthy",
    ),
    "not-the-deploy": replace(
        HEALTHY,
        verdict=Verdict.INCONCLUSIVE,
        exit_code=12,
        reason="not the deploy: http-errors: errors 412 of 824 (50 %); the old pods were as bad",
        evidence=(
            evidence_of(CLUSTER),
            replace(
                evidence_of(HTTP),
                finding=Finding.SHARED,
                text="errors 412 of 824 (50 %); the old pods were as bad: not the deploy",
            ),
        ),
    ),
    "no-data": replace(
        HEALTHY,
        verdict=Verdict.NO_DATA,
        exit_code=12,
        reason="no signal could be read: payments-api: timeout: no answer within 5 s",
        signals=(CLUSTER, PAYMENTS),
        evidence=(evidence_of(CLUSTER), evidence_of(PAYMENTS)),
    ),
    "superseded": replace(
        UNTOUCHED,
        verdict=None,
        action=Action.SUPERSEDED,
        exit_code=13,
        regressed_at=None,
        reason="revision 9 was deployed during the watch",
    ),
    "interrupted": replace(
        UNTOUCHED,
        verdict=None,
        action=Action.INTERRUPTED,
        exit_code=130,
        regressed_at=None,
        reason="SIGTERM came before a verdict",
    ),
    "interrupted-in-rollback": replace(
        REGRESSED,
        action=Action.INTERRUPTED,
        exit_code=130,
        restored_at=None,
        recovered=None,
        reason="SIGINT came while the rollback was followed",
    ),
    "interrupted-after-rollback": replace(
        REGRESSED,
        action=Action.INTERRUPTED,
        exit_code=130,
        recovered=None,
        reason="SIGINT came while the signals were looked at again",
    ),
    "rolled-back-then-superseded": replace(
        REGRESSED,
        restored_at=None,
        recovered=None,
        reason=f"http-errors: {HTTP.text}; after the rollback: revision 9 was deployed",
    ),
}

STUCK = Condition(
    "Progressing",
    "False",
    "ProgressDeadlineExceeded",
    'ReplicaSet "checkout-7c9" has timed out progressing.',
    START + 30,
)
ROLLOUT = Rollout(desired=3, updated=2, ready=3, available=3, old=1, observed=True)
LOOK = Workload(TARGET, "7c9", START - 2, START + 30, rollout=ROLLOUT)
PROGRESS = Progress(
    at=START + 30,
    phase=Phase.WATCHING,
    started_at=START,
    ends_at=START + 600,
    workload=LOOK,
    candidate=NEW,
    target_revision=OLD,
    signals=SIGNALS,
)
