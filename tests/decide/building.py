"""Policies and observations for the tests: all is well, so that each test breaks one thing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from deploy_guard import decide
from deploy_guard.model import (
    Counts,
    Decision,
    Evidence,
    Health,
    NoData,
    NoDataReason,
    Reading,
    Rollout,
    Sample,
    Symptom,
    Target,
    Tick,
    Value,
    Workload,
)
from deploy_guard.policy.models import Policy

START = 1_700_000_000.0
LENGTH = 600.0
EVERY = 15.0

Entry = Reading | Workload | Tick
Readings = Callable[[float], Iterable[Reading]]


def policy(*signals: dict[str, Any], **watch: object) -> Policy:
    """Return a policy with these signals, watched for `LENGTH` every `EVERY` seconds."""
    settings = {"for": LENGTH, "interval": EVERY, **watch}
    return Policy.model_validate({"version": 1, "watch": settings, "signals": list(signals)})


def ratio(name: str = "errors", **more: object) -> dict[str, Any]:
    """Return a signal of failed requests."""
    counters = {"errors": "errors_total", "requests": "requests_total"}
    return {"provider": "prometheus", "name": name, "ratio": counters, **more}


def latency(name: str = "latency", **more: object) -> dict[str, Any]:
    """Return a signal of a histogram."""
    return {"provider": "prometheus", "name": name, "latency": "seconds_bucket", **more}


def gauge(name: str = "queue", **more: object) -> dict[str, Any]:
    """Return a signal of a plain number, bad above 100 for a minute."""
    return {"provider": "prometheus", "name": name, "value": "depth", "above": 100, **more}


def probe(name: str = "payments", **more: object) -> dict[str, Any]:
    """Return a signal of an API integration, bad after three failures."""
    return {"provider": "http", "name": name, "url": "http://payments/healthz", **more}


def baseline(
    value: Value | None = None, *, signal: str = "errors", minutes: float = 30
) -> list[Reading]:
    """Return samples of the time before: at 100 requests per second, 0.1 % fail."""
    every = value if value is not None else Counts(100 * EVERY, 0.1 * EVERY)
    number = round(minutes * 60 / EVERY)
    return [
        Sample(signal, START - (number - i) * EVERY, EVERY, control=every) for i in range(number)
    ]


def sample(
    at: float,
    candidate: Value | None,
    control: Value | None = None,
    *,
    signal: str = "errors",
    seconds: float = EVERY,
) -> Sample:
    """Return a sample taken `at` seconds after the start."""
    return Sample(signal, START + at, seconds, candidate, control)


def gap(at: float, *, signal: str = "errors") -> NoData:
    """Return a reading without data, `at` seconds after the start."""
    return NoData(signal, START + at, NoDataReason.TIMEOUT, "no answer within 10 s")


def pods(at: float, *symptoms: Symptom, control: Health | None = None) -> Sample:
    """Return what the cluster says of three ready pods of the candidate."""
    return Sample("kubernetes", START + at, 1.0, Health(3, 3, 0, symptoms), control)


def look(at: float, *, complete: bool = True) -> Workload:
    """Return a look at a workload, its rollout complete or two of three pods done."""
    rollout = Rollout(
        desired=3,
        updated=3 if complete else 2,
        available=3,
        observed=True,
        complete=complete,
    )
    target = Target("deployment", "shop", "checkout")
    return Workload(target, "new", START, START + at, rollout=rollout)


def watched(
    readings: Readings, *, before: Iterable[Reading] = (), complete: bool = True
) -> list[Entry]:
    """Return the entries of a whole watch: readings at each poll, pods that are well, the end."""
    entries: list[Entry] = [*before, look(0, complete=complete)]
    at = EVERY
    while at < LENGTH:
        entries += [pods(at), *readings(at)]
        at += EVERY
    return [*entries, Tick(START + LENGTH)]


def judge(policy: Policy, entries: Iterable[Entry]) -> Decision:
    """Return the decision that the entries lead to."""
    return decide.replay(policy, START, entries)


def seen(policy: Policy, entries: Iterable[Entry], signal: str = "errors") -> Evidence:
    """Return the evidence of one signal after all entries, whatever the verdict was before."""
    state, at = decide.begin(policy, started_at=START), START
    for entry in entries:
        if isinstance(entry, Tick):
            at = entry.at
            continue
        state = decide.observe(state, entry)
        at = entry.seen_at if isinstance(entry, Workload) else entry.at
    return next(e for e in decide.evidence_of(state, at) if e.signal == signal)


def fine(at: float) -> list[Reading]:
    """Return a poll like the baseline's: 100 requests per second, 0.1 % fail."""
    return [sample(at, Counts(100 * EVERY, 0.1 * EVERY))]
