"""All rules by name: ours, the peers', the textbooks', and the oracles.

Decides which rules take part, and what each is told besides the counts.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.detection import peers, sequential
from benchmarks.detection.traces import Array, Traces
from deploy_guard.detect import replay

GUARD = "guard"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: from traces, and what is healthy and worse, to seconds until it fires.

    A `clairvoyant` one needs to be told both ratios, so it has no part in healthy deploys.
    """

    name: str
    times: Callable[[Traces, float, float], Array]
    clairvoyant: bool = False


def guard(traces: Traces) -> Array:
    """Return the times of `deploy_guard.detect.replay`, whatever it is today."""
    found = [replay(*traces.of_one(row)) for row in range(len(traces.phase))]
    return np.array([np.inf if seconds is None else seconds for seconds in found])


RULES = (
    Rule(GUARD, lambda traces, _healthy, _worse: guard(traces)),
    Rule("Argo 5 m", lambda traces, _healthy, _worse: peers.argo_every_5_minutes(traces)),
    Rule("Argo 60 s", lambda traces, _healthy, _worse: peers.argo_five_minutes(traces)),
    Rule("Flagger", lambda traces, _healthy, _worse: peers.flagger(traces)),
    Rule("Kayenta", lambda traces, _healthy, _worse: peers.kayenta(traces)),
    Rule("burn rate", lambda traces, healthy, _worse: peers.burn_rate(traces, healthy)),
    Rule("mixture SPRT", lambda traces, _healthy, _worse: sequential.mixture_sprt(traces)),
    Rule("CUSUM", lambda traces, _healthy, _worse: sequential.cusum(traces)),
    Rule("oracle", sequential.oracle, clairvoyant=True),
    Rule("oracle+30", sequential.oracle_30, clairvoyant=True),
)


def chosen(names: Sequence[str]) -> list[Rule]:
    """Return the rules of these names, all for none; raise ValueError for an unknown one."""
    by_name = {rule.name: rule for rule in RULES}
    for name in names:
        if name not in by_name:
            close = difflib.get_close_matches(name, by_name, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"one of {', '.join(by_name)}"
            raise ValueError(f"rule {name!r} is unknown: {hint}")
    return [by_name[name] for name in names] or list(RULES)
