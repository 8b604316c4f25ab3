"""Regressions that are put into ordinary days: how soon would a policy see one of this size?

Decides what a regression looks like in the samples. It is drawn, and never shown as history.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from deploy_guard.backtest.judging import Entry
from deploy_guard.backtest.model import Trial
from deploy_guard.model import Counts, Latencies, Sample, Value
from deploy_guard.policy.models import Policy

SHARES = (0.01, 0.05)  # of the requests
_MANY = 1000.0  # expected hits, above which a normal draw is as good


class Kind(StrEnum):
    """What gets worse."""

    ERRORS = "fail"
    SLOW = "slow"


@dataclass(frozen=True, slots=True)
class Injection:
    """A regression of one kind: `share` of the candidate's requests, a fraction."""

    kind: Kind
    share: float


def injections(policy: Policy, *, missing: Iterable[str] = ()) -> tuple[Injection, ...]:
    """Return the regressions that this policy's signals can show, the signals missing left out."""
    return tuple(
        Injection(kind, share)
        for kind in Kind
        if signals_of(policy, kind, missing=missing)
        for share in SHARES
    )


def signals_of(policy: Policy, kind: Kind, *, missing: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the signals that a regression of this kind shows in."""
    unread = set(missing)
    found = []
    for signal in policy.signals:
        measure = getattr(signal, "ratio" if kind is Kind.ERRORS else "latency", None)
        if measure is not None and signal.name not in unread:
            found.append(signal.name)
    return tuple(found)


def injected(
    policy: Policy, trial: Trial, entries: Iterable[Entry], injection: Injection, *, seed: int
) -> Iterator[Entry]:
    """Yield the entries with the regression in the candidate's part of one signal.

    The signal is drawn, so that each of the policy's has its turn. The same seed, deploy and
    injection give the same numbers, whatever the order of trials. Old pods stay as they are.
    """
    names = signals_of(policy, injection.kind, missing=[name for name, _ in trial.missing])
    deploy = trial.deploy
    draw = random.Random(f"{seed} {deploy.at!r} {deploy.label} {injection.kind} {injection.share}")
    name = draw.choice(names) if names else ""
    for entry in entries:
        if isinstance(entry, Sample) and entry.signal == name:
            yield _worse(entry, injection, draw)
        else:
            yield entry


def _worse(sample: Sample, injection: Injection, draw: random.Random) -> Sample:
    value, warming = sample.candidate, sample.warming
    if isinstance(value, Counts) and injection.kind is Kind.ERRORS:
        hit = _share_hit(value.requests - value.errors, injection.share, draw)
        return replace(sample, candidate=_failing(value, hit), warming=_failing(warming, hit))
    if isinstance(value, Latencies) and injection.kind is Kind.SLOW:
        hit = _share_hit(value.count, injection.share, draw)
        return replace(sample, candidate=_slower(value, hit), warming=_slower(warming, hit))
    return sample


def _share_hit(number: float, share: float, draw: random.Random) -> float:
    """Return the share of `number` requests that is hit, each with the chance `share`."""
    return binomial(round(number), share, draw) / round(number) if number >= 0.5 else 0.0


def _failing(value: Value | None, share: float) -> Value | None:
    if not isinstance(value, Counts):
        return value
    return Counts(value.requests, value.errors + share * (value.requests - value.errors))


def _slower(value: Value | None, share: float) -> Value | None:
    """Move this share of the observations into the slowest bucket."""
    if not isinstance(value, Latencies) or not value.at_most:
        return value
    quick = (n * (1 - share) for n in value.at_most[:-1])
    return Latencies(value.bounds, (*quick, value.at_most[-1]))


def binomial(n: int, p: float, draw: random.Random) -> int:
    """Draw how many of n are hit at the chance p, by the gaps between hits.

    A normal draw where more than a thousand are expected (Devroye, Non-Uniform Random Variate
    Generation, 1986, chapter X.4 has the gaps).
    """
    if n <= 0 or p <= 0:
        return 0
    if p >= 1:
        return n
    if n * p > _MANY:
        return min(n, max(0, round(draw.gauss(n * p, math.sqrt(n * p * (1 - p))))))
    hits, at = -1, 0
    while at <= n:
        hits += 1
        at += 1 + math.floor(math.log(1.0 - draw.random()) / math.log1p(-p))
    return hits
