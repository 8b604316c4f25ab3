"""What makes no sense in a test file over several mappings, or with the policy it is about.

Decides which keys a signal's measure needs and which faults can be; one mapping by itself is
checked by the `models`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from deploy_guard import text
from deploy_guard.model import KUBERNETES
from deploy_guard.policy.models import HttpSignal, LatencyLimit, Policy, Signal
from deploy_guard.policy.place import Place
from deploy_guard.policy.problems import Problem, quoted, suggestion
from deploy_guard.policy.yaml import Path
from deploy_guard.policy_tests.amounts import by_bound, counted, rates
from deploy_guard.policy_tests.inputs import BucketsByGroup, SignalInput
from deploy_guard.policy_tests.models import (
    OF_PODS,
    Case,
    Fault,
    PolicyTests,
)
from deploy_guard.policy_tests.scene import PODS, inputs, is_of


def keys_of(signal: Signal) -> tuple[str, ...]:
    """Return the keys that a signal's input can have, by its measure."""
    if isinstance(signal, HttpSignal):
        return ("answers",)
    if signal.ratio is not None:
        return ("requests", "errors")
    if signal.latency is not None:
        return ("requests", "slow", "buckets")
    return ("value",)


def measure_of(signal: Signal) -> str:
    """Name what a signal measures, as its policy does."""
    if isinstance(signal, HttpSignal):
        return "a probe over http"
    return "a ratio" if signal.ratio else "a latency" if signal.latency else "a value"


@dataclass(slots=True)
class Checked:
    """Checks the cases of a file one by one; problems are added to the list."""

    tests: PolicyTests
    place: Place
    problems: list[Problem]
    _names: dict[str, int] = field(default_factory=dict)

    def case(self, case: Case, number: int, policy: Policy | None) -> None:
        """Check one case, with its policy if that is valid."""
        path: Path = ("cases", number)
        if case.name in self._names:
            line = self.place.line(("cases", self._names[case.name], "name"))
            help = f"the first is in line {line}"
            message = f"two cases have the name '{case.name[:60]}'"
            self._tell("duplicate-name", (*path, "name"), message, help)
        self._names.setdefault(case.name, number)
        for position, fault in enumerate(case.faults):
            self._fault(fault, (*path, "faults", position), case, policy)
        if policy is None:
            return
        self._signals(case.signals, (*path, "signals"), policy)
        self._whole_inputs(case, path, policy)
        for key, time in (("after", case.expect.after), ("by", case.expect.by)):
            if time is not None and time > policy.watch.duration:
                self._too_late(key, (*path, "expect", key), policy)
        accused = case.expect.signal
        if accused is not None:
            at = (*path, "expect", "signal")
            self._known(accused, at, policy, also=(KUBERNETES,))

    def whole(self, policies: Sequence[Policy]) -> None:
        """Check what the cases share."""
        if policies:
            self._signals(self.tests.defaults.signals, ("defaults", "signals"), policies[0])

    def _tell(self, code: str, path: Path, message: str, help: str = "") -> None:
        self.problems.append(self.place.at(code, path, message, help=help))

    def _too_late(self, key: str, path: Path, policy: Policy) -> None:
        ends = text.seconds(policy.watch.duration)
        self._tell("no-effect", path, f"'{key}' is not within the watch, which ends after {ends}")

    def _known(self, name: str, path: Path, policy: Policy, *, also: Iterable[str] = ()) -> bool:
        """Whether the policy has a signal of this name; tell if it does not."""
        known = [*(signal.name for signal in policy.signals), *also]
        if name in known:
            return True
        help = suggestion(name, known) or (f"known: {', '.join(known)}" if known else "")
        message = f"the policy has no signal '{name[:60]}'"
        self.problems.append(self.place.key("unknown-signal", path, message, help=help))
        return False

    def _signals(self, given: dict[str, SignalInput], path: Path, policy: Policy) -> None:
        """Check names, and that the keys of each are those of its measure."""
        for name, one in given.items():
            if not self._known(name, (*path, name), policy):
                continue
            signal = next(s for s in policy.signals if s.name == name)
            allowed = keys_of(signal)
            for key in sorted(one.model_fields_set - set(allowed)):
                message = f"'{key}' is not for the signal '{name}', which is {measure_of(signal)}"
                help = f"expected {quoted(allowed)}"
                at = (*path, name, key)
                self.problems.append(self.place.key("wrong-key", at, message, help=help))
            self._latency(signal, one, (*path, name))

    def _latency(self, signal: Signal, given: SignalInput, path: Path) -> None:
        """Check that it is known which requests are slow, by the same bounds everywhere."""
        if given.slow is not None and given.buckets is not None:
            message = "'slow' and 'buckets' say the same in two ways: expected one of them"
            self.problems.append(self.place.key("contradiction", (*path, "slow"), message))
        latency = not isinstance(signal, HttpSignal) and signal.latency is not None
        limited = latency and isinstance(getattr(signal, "limit", None), LatencyLimit)
        if latency and given.slow is not None and not limited:
            message = f"'slow' needs a limit, and the signal '{signal.name}' has none"
            help = "write buckets: {0.1: 90%, 0.5: 99%}"
            at = (*path, "slow")
            self.problems.append(self.place.key("wrong-key", at, message, help=help))
        if isinstance(given.buckets, BucketsByGroup):
            before, old, new = (set(table) for table in by_bound(given))
            if before != new or old != new:
                message = "'buckets': expected the same bounds in every group"
                self._tell("bad-value", (*path, "buckets"), message)

    def _whole_inputs(self, case: Case, path: Path, policy: Policy) -> None:
        """Check that every signal that is read has all that it needs."""
        given = inputs(case, self.tests.defaults)
        for signal in policy.signals:
            one = given.get(signal.name)
            at = (*path, "signals", signal.name) if signal.name in case.signals else path
            if one is None:
                if not (signal.optional or _never_read(case.faults, signal.name)):
                    message = f"nothing says what the signal '{signal.name}' reads"
                    help = f"add it under 'signals', here or in 'defaults': {_example(signal)}"
                    self._tell("missing-signal", (*path, "name"), message, help)
                continue
            for key in ("errors", "slow"):
                self._more_than_all(key, one, at)
            missing = list(_missing(signal, one))
            if missing and not one.model_fields_set - set(keys_of(signal)):
                message = f"the signal '{signal.name}' needs {' and '.join(missing)}"
                code, help = "missing-key", f"such as {_example(signal)}"
                self.problems.append(self.place.key(code, at, message, help=help))

    def _more_than_all(self, key: str, given: SignalInput, path: Path) -> None:
        """Check that no rate of a part is above every rate of the requests."""
        parts, requests = getattr(given, key), given.requests
        most = max(rates(requests), default=math.inf)
        if not counted(requests) and max(rates(parts), default=0.0) > most:
            message = f"'{key}' are more than the {text.number(most)} requests per second"
            self.problems.append(self.place.key("more-than-all", (*path, key), message))

    def _fault(self, fault: Fault, path: Path, case: Case, policy: Policy | None) -> None:
        """Check that the keys of a fault belong together and can have an effect."""
        given = fault.model_fields_set
        of_pods = fault.what in OF_PODS
        wrong = {"signal", "takes"} if of_pods else {"pods", "of"}
        if fault.what not in ("slow",):
            wrong.add("takes")
        for key in sorted(wrong & given):
            if key == "takes":
                message = f"'takes' is for slow readings, not for '{fault.what}'"
            elif of_pods:
                message = f"'{key}' has no effect: '{fault.what}' is a fault of pods"
            else:
                message = f"'{key}' has no effect: '{fault.what}' is a fault of readings"
            self.problems.append(self.place.key("no-effect", (*path, key), message))
        pods = case.pods or self.tests.defaults.pods or PODS
        if fault.pods is not None and fault.pods > pods:
            message = f"'pods': there are only {pods}"
            self._tell("bad-value", (*path, "pods"), message)
        if policy is None:
            return
        if fault.at >= policy.watch.duration:
            self._too_late("at", (*path, "at"), policy)
        if fault.signal is not None and not of_pods:
            self._known(fault.signal, (*path, "signal"), policy, also=(KUBERNETES,))
        if fault.signal == KUBERNETES and fault.what == "slow":
            message = "'slow' has no effect on the cluster's own signs: a watch follows them"
            self._tell("no-effect", (*path, "what"), message)


def _never_read(faults: Iterable[Fault], signal: str) -> bool:
    """Whether a fault takes all readings of a signal away."""
    return any(
        fault.at == 0
        and fault.duration is None
        and fault.what not in OF_PODS
        and fault.what != "slow"
        and is_of(fault, signal)
        for fault in faults
    )


def _missing(signal: Signal, given: SignalInput) -> Iterator[str]:
    """Yield the keys that a signal's input lacks."""
    keys = keys_of(signal)
    if "slow" in keys:
        if given.requests is None:
            yield "'requests'"
        if given.slow is None and given.buckets is None:
            yield "'slow' or 'buckets'"
        return
    yield from (f"'{key}'" for key in keys if getattr(given, key) is None)


def _example(signal: Signal) -> str:
    """Return a healthy input for a signal, to be pasted."""
    if isinstance(signal, HttpSignal):
        return f"{signal.name}: {{answers: ok}}"
    if signal.ratio is not None:
        return f"{signal.name}: {{requests: 40/s, errors: 0.1%}}"
    if signal.latency is None:
        return f"{signal.name}: {{value: 10}}"
    slow = "slow: 0.5%" if signal.limit is not None else "buckets: {0.1: 90%, 0.5: 99%}"
    return f"{signal.name}: {{requests: 40/s, {slow}}}"
