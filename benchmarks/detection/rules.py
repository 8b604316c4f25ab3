"""All rules by name: ours, its forerunners, the peers', the textbooks', and the oracles.

Decides which rules there are, and what each is told besides the counts.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.detection import peers, sequential
from benchmarks.detection.prototype import prototype
from benchmarks.detection.reference import reference
from benchmarks.detection.sequential import Truth
from benchmarks.detection.setting import Array
from benchmarks.detection.traces import Traces
from deploy_guard.detect import Moments, Settings, moments

GUARD, ALONE = "guard", "guard without old pods"
ORACLE_30 = "oracle+30"
LEVEL = Settings().level


@dataclass(frozen=True, slots=True)
class Said:
    """Seconds from each deploy to the rollback, the first suspicion, "not the deploy's fault".

    Infinite for never; None where a rule does not say such a thing.
    """

    declared: Array
    suspected: Array | None = None
    shared: Array | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: from the traces of a deploy's signals, and the truth, to what it says.

    A `clairvoyant` one needs the truth, so it has no part in healthy deploys. `poll` is the only
    interval that a rule is defined for, 0 if it is for all.
    """

    name: str
    judge: Callable[[Sequence[Traces], Truth], Said]
    clairvoyant: bool = False
    poll: int = 0


def guard(signals: Sequence[Traces]) -> Said:
    """Say what `deploy_guard.detect` says, whatever it is today, at the defaults.

    Several signals share the level evenly, and the first one that speaks is heard.
    """
    settings = Settings(level=LEVEL / len(signals)) if len(signals) > 1 else None
    found = [
        [moments(*traces.of_one(row), settings=settings) for traces in signals]
        for row in range(signals[0].count)
    ]
    return Said(
        _first(found, lambda said: said.declared),
        _first(found, lambda said: said.suspected),
        _first(found, lambda said: said.shared),
    )


def _first(found: list[list[Moments]], when: Callable[[Moments], float | None]) -> Array:
    return np.array(
        [min((t for said in row if (t := when(said)) is not None), default=np.inf) for row in found]
    )


def alone(signals: Sequence[Traces]) -> Said:
    """Say what guard says of the same counts of new pods when it is told of no old ones."""
    return guard([traces.without_control() for traces in signals])


def plain(times: Callable[[Traces], Array]) -> Callable[[Sequence[Traces], Truth], Said]:
    """Return a rule that says one thing about one signal."""
    return lambda signals, _truth: Said(times(signals[0]))


def told(times: Callable[[Traces, Truth], Array]) -> Callable[[Sequence[Traces], Truth], Said]:
    """Return a rule that says one thing about one signal, knowing the truth."""
    return lambda signals, truth: Said(times(signals[0], truth))


RULES = (
    Rule(GUARD, lambda signals, _truth: guard(signals)),
    Rule(ALONE, lambda signals, _truth: alone(signals)),
    Rule("prototype", plain(prototype)),
    Rule("reference", plain(reference), poll=15),
    Rule("Argo 5 m", plain(peers.argo_every_5_minutes)),
    Rule("Argo 60 s", plain(peers.argo_five_minutes)),
    Rule("Flagger", plain(peers.flagger)),
    Rule("Kayenta", plain(peers.kayenta)),
    Rule("burn rate", told(lambda traces, truth: peers.burn_rate(traces, truth.healthy))),
    Rule("mixture SPRT", plain(sequential.mixture_sprt)),
    Rule("CUSUM", plain(sequential.cusum)),
    Rule("GLR", plain(sequential.glr)),
    Rule("oracle", told(sequential.oracle), clairvoyant=True),
    Rule(ORACLE_30, told(sequential.oracle_30), clairvoyant=True),
)
BY_NAME = {rule.name: rule for rule in RULES}
OURS = (GUARD, ALONE, "prototype", "reference")


def chosen(names: Sequence[str]) -> list[Rule]:
    """Return the rules of these names, all for none; raise ValueError for an unknown one."""
    for name in names:
        if name not in BY_NAME:
            close = difflib.get_close_matches(name, BY_NAME, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"one of {', '.join(BY_NAME)}"
            raise ValueError(f"rule {name!r} is unknown: {hint}")
    return [BY_NAME[name] for name in names] or list(RULES)
