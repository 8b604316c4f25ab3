"""Whole watches at once, for benchmarks and for others' checks: `replay` and `moments`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deploy_guard.detect.comparison import State, learn, step
from deploy_guard.detect.evidence import Settings
from deploy_guard.model import Counts

Increment = tuple[float, float, float]  # seconds, requests, errors


@dataclass(frozen=True, slots=True)
class Moments:
    """When a watch first said what, in seconds from the deploy; None for never.

    `suspected` is never later than `declared`; `shared` is when the excess was first known to be
    not the deploy's, `unattributed` when it was first proven with nobody left to tell whose it is.
    """

    suspected: float | None = None
    declared: float | None = None
    shared: float | None = None
    unattributed: float | None = None


def moments(
    baseline: Sequence[Increment],
    watch: Sequence[Increment],
    control: Sequence[Increment | None] | None = None,
    *,
    settings: Settings | None = None,
) -> Moments:
    """Replay a watch up to the declared regression and return when it first said what.

    The arguments are those of `replay`; `settings` are the defaults for None.
    """
    state = State(settings or Settings())
    for seconds, requests, errors in baseline:
        state = learn(state, seconds, Counts(requests, errors))
    suspected = shared = unattributed = None
    for i, (seconds, requests, errors) in enumerate(watch):
        beside = control[i] if control is not None else None
        old = Counts(beside[1], beside[2]) if beside is not None else None
        state = step(state, seconds, Counts(requests, errors), old)
        judgement, now = state.judgement, state.elapsed
        if suspected is None and (judgement.suspect or judgement.bad):
            suspected = now
        if shared is None and judgement.shared:
            shared = now
        if unattributed is None and judgement.unattributed:
            unattributed = now
        if judgement.bad:
            return Moments(suspected, now, shared, unattributed)
    return Moments(suspected, None, shared, unattributed)


def replay(
    baseline: Sequence[Increment],
    watch: Sequence[Increment],
    control: Sequence[Increment | None] | None = None,
) -> float | None:
    """Return the seconds from the deploy to the declared regression, or None, at the defaults.

    `baseline` and `watch` are increments (seconds, requests, errors), oldest first; `control` has
    the old pods' increments over the same intervals as `watch`, None where none lives any more.
    """
    return moments(baseline, watch, control).declared
