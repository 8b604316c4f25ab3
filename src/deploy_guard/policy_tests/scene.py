"""What a case is about, with the defaults of its file filled in.

Decides what a case inherits: keys of `defaults` that it does not have, and of signals the keys that
it does not have. Nothing is run here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from deploy_guard.model import KUBERNETES, NoDataReason
from deploy_guard.policy.models import Policy
from deploy_guard.policy_tests.flows import Gap
from deploy_guard.policy_tests.inputs import SignalInput
from deploy_guard.policy_tests.models import OF_PODS, Case, Fault, Setting
from deploy_guard.policy_tests.polls import Slowness
from deploy_guard.policy_tests.world import PodFault, World

PODS = 4
ROLLOUT = 30.0
ALIASES = {"no data": NoDataReason.EMPTY, "NaN": NoDataReason.NOT_A_NUMBER}
T = TypeVar("T")
_CRASH = {"crash": "CrashLoopBackOff"}


@dataclass(frozen=True)
class Scene:
    """A case to be run: the world, what each signal reads, what goes wrong with readings."""

    world: World
    inputs: dict[str, SignalInput]
    baseline: float  # seconds of history
    interval: float | None  # of series, in seconds; None: the signal's own
    seed: int | None
    faults: tuple[Fault, ...]

    def gaps(self, signal: str) -> tuple[Gap, ...]:
        """Return when and why a signal cannot be read; one of which nothing is said has no data."""
        faults = tuple(
            (fault.at, _end(fault), reason_of(fault.what))
            for fault in self.faults
            if fault.what not in OF_PODS and fault.what != "slow" and is_of(fault, signal)
        )
        if signal in self.inputs or signal == KUBERNETES:
            return faults
        return (*faults, (0.0, math.inf, NoDataReason.EMPTY))

    def slowness(self, signal: str) -> tuple[Slowness, ...]:
        """Return when a signal's readings take long."""
        return tuple(
            Slowness(fault.at, _end(fault), fault.takes)
            for fault in self.faults
            if fault.what == "slow" and is_of(fault, signal)
        )


def is_of(fault: Fault, signal: str) -> bool:
    """Whether a fault of readings hits a signal; the cluster only if it is named."""
    return fault.signal == signal or (fault.signal is None and signal != KUBERNETES)


def reason_of(what: str) -> NoDataReason:
    """Return the reason for no data that a fault's words name."""
    return ALIASES[what] if what in ALIASES else NoDataReason(what)


def scene_of(case: Case, defaults: Setting, policy: Policy) -> Scene:
    """Return what a case is about."""
    pods = _first(case.pods, defaults.pods, PODS)
    known = _first(case.baseline, defaults.baseline, math.inf)
    noise = _first(case.noise, defaults.noise, "none")
    seed = _first(case.seed, defaults.seed, 0)
    world = World(
        pods=pods,
        rollout=_first(case.rollout, defaults.rollout, ROLLOUT),
        length=policy.watch.duration,
        faults=tuple(_pod_faults(case.faults, pods)),
        blind=tuple(
            (f.at, _end(f), f"{reason_of(f.what)}: as the test has it")
            for f in case.faults
            if f.signal == KUBERNETES and f.what not in OF_PODS and f.what != "slow"
        ),
    )
    return Scene(
        world,
        inputs(case, defaults),
        baseline=min(policy.watch.baseline, known),
        interval=case.interval if case.interval is not None else defaults.interval,
        seed=seed if noise == "poisson" else None,
        faults=tuple(case.faults),
    )


def inputs(case: Case, defaults: Setting) -> dict[str, SignalInput]:
    """Return what each signal reads: the case's keys, and those of the defaults beside them."""
    found = dict(defaults.signals)
    for name, own in case.signals.items():
        shared = found.get(name)
        if shared is None:
            found[name] = own
            continue
        keys = {key: getattr(own, key) for key in own.model_fields_set}
        if {"slow", "buckets"} & set(keys):
            shared = shared.model_copy(update={"slow": None, "buckets": None})
        found[name] = shared.model_copy(update=keys)
    return found


def _first(own: T | None, shared: T | None, usual: T) -> T:
    """Return the case's value, else that of the file, else the usual one."""
    return own if own is not None else shared if shared is not None else usual


def _end(fault: Fault) -> float:
    return math.inf if fault.duration is None else fault.at + fault.duration


def _pod_faults(faults: list[Fault], pods: int) -> Iterator[PodFault]:
    for fault in faults:
        if fault.what in OF_PODS:
            yield PodFault(
                _CRASH.get(fault.what, fault.what),
                fault.at,
                _end(fault),
                pods if fault.pods is None else fault.pods,
                new=fault.of != "old",
                old=fault.of != "new",
            )
