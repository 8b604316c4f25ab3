"""Decide: a pure fold from what was observed to a verdict.

`begin` makes a state from the policy, `observe` folds in one sample, gap or look at the workload,
`decide` says what the state means at a moment. No socket, clock, file or environment: `replay` of
the record of a watch gives the same verdict.

The verdict: *regressed* as soon as one signal is bad; at the deadline *healthy* when the rollout
is complete and every signal that is not optional is good with enough evidence, *no data* when
none of them could be read, else *inconclusive*. A signal that is as bad on the old pods, or was
before the deploy, never makes a regression.
"""

from deploy_guard.decide.fold import (
    Moment,
    Observation,
    State,
    begin,
    decide,
    evidence_of,
    known,
    observe,
    replay,
    summaries,
    trace,
)
from deploy_guard.decide.judges import limit_text
from deploy_guard.decide.verification import Verification, verifying

__all__ = [
    "Moment",
    "Observation",
    "State",
    "Verification",
    "begin",
    "decide",
    "evidence_of",
    "known",
    "limit_text",
    "observe",
    "replay",
    "summaries",
    "trace",
    "verifying",
]
