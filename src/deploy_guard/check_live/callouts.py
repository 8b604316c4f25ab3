"""What to know before a policy guards anything: it cannot fire, it would fire now, or say nothing.

Decides which of a check's findings are called out, and says them in one sentence each. What a
signal does is `firing`'s and the judges'; these words only tell it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from deploy_guard import text
from deploy_guard.check_live.firing import Firing
from deploy_guard.check_live.firing_words import rate
from deploy_guard.check_live.recent import Recent
from deploy_guard.check_live.virtual import Numbers, VirtualWatch
from deploy_guard.model import Counts, Evidence, Finding, Latencies, NoData, NoDataReason, Reading
from deploy_guard.policy.models import Metrics, Policy, Signal

Kind = Literal["never_fires", "fires_now", "too_little", "inconclusive", "old_data"]
NOTHING_THERE = (NoDataReason.EMPTY, NoDataReason.MISSING_METRIC)


@dataclass(frozen=True, slots=True)
class Callout:
    """One warning; `signal` is empty where it is about the whole policy."""

    kind: Kind
    signal: str
    text: str

    @property
    def words(self) -> str:
        """The warning as a person reads it."""
        return f"{self.signal}: {self.text}" if self.signal else self.text


def callouts(
    policy: Policy,
    *,
    evidence: Sequence[Evidence],
    recent: dict[str, Recent],
    fires: dict[str, Firing | None],
    readings: dict[str, list[Reading]],
) -> tuple[Callout, ...]:
    """Return the warnings about a policy; `evidence` is that of the watch that ended now."""
    condemned = {e.signal: e for e in evidence if e.finding is Finding.BAD}
    found = [
        Callout("fires_now", name, f"would condemn what runs now: {bad.text}")
        for name, bad in condemned.items()
    ]
    for spec in policy.signals:
        firing, known = fires.get(spec.name), recent[spec.name]
        if known.old and not known.gone:
            found.append(Callout("old_data", spec.name, known.old))
        if firing is None:
            found += _without_data(known, readings.get(spec.name, []))
            continue
        if not firing.edges:
            found.append(Callout("never_fires", spec.name, f"can never fire now: {firing.never}"))
        told = spec.name in condemned
        found += _next_deploy(policy, spec, known.numbers, firing, told=told)
    silent = {c.signal for c in found if c.kind == "never_fires"}
    if policy.signals and all(spec.name in silent for spec in policy.signals):
        words = "no signal of this policy can fire now: only the cluster's own signs would"
        found.append(Callout("never_fires", "", words))
    return tuple(found)


def notes(policy: Policy) -> tuple[str, ...]:
    """Return what is worth knowing and no warning."""
    found = []
    if not policy.rollback.enabled:
        found.append("rollback.enabled is false: a regression is reported, nothing is taken back")
    if not policy.signals:
        found.append("the policy has no signals: only the cluster's own signs are judged")
    elif all(spec.optional for spec in policy.signals):
        found.append("all signals are optional: a watch may end healthy without most of their data")
    return tuple(found)


def _without_data(recent: Recent, readings: Sequence[Reading]) -> Iterator[Callout]:
    failures = [r for r in readings if isinstance(r, NoData)]
    if failures and failures[-1].reason in NOTHING_THERE:
        why = "; ".join([str(failures[-1].reason), *recent.warnings])
        words = f"can never fire now: it brings nothing at all ({why})"
        yield Callout("never_fires", recent.numbers.signal, words)


def _next_deploy(
    policy: Policy, spec: Signal, numbers: Numbers, firing: Firing, *, told: bool
) -> Iterator[Callout]:
    """Judge a deploy that changes nothing: the new pods do what runs now."""
    watch = VirtualWatch(policy, spec, numbers)
    trial = watch.of_now(bound=firing.bound)
    evidence = trial.evidence
    if trial.fired is not None:
        if not told:
            yield Callout("fires_now", spec.name, _condemned(firing, trial.fired))
        return
    if spec.optional:
        return
    if isinstance(spec, Metrics) and spec.value is None and (few := _few(spec, watch)):
        yield Callout("too_little", spec.name, few)
    elif firing.edges and evidence.finding not in (Finding.GOOD, Finding.NO_DATA):
        words = f"a deploy that changes nothing would end inconclusive: {evidence.text}"
        yield Callout("inconclusive", spec.name, words)


def _condemned(firing: Firing, seconds: float) -> str:
    show = text.number if firing.measure == "value" else text.percent
    return (
        f"would condemn a healthy deploy: {show(firing.now)} now, and {firing.short} fires: a "
        f"deploy that changes nothing is condemned after {text.seconds(seconds)}, unless old pods "
        "beside it are as bad"
    )


def _few(spec: Metrics, watch: VirtualWatch) -> str:
    """Say by how much the traffic falls short of what is needed; empty when it does not."""
    numbers = watch.numbers
    if not isinstance(numbers.now, Counts | Latencies):
        return ""
    left = max(0.0, watch.polls * watch.interval - watch.warm_up)
    expected = (numbers.rate or 0.0) * left
    if expected >= spec.min_requests:
        return ""
    needs = f"a watch would end inconclusive: min_requests needs {spec.min_requests:,} requests"
    if not numbers.rate:
        return f"{needs}, there are none now"
    after = f" after the warm-up of {text.seconds(watch.warm_up)}" if watch.warm_up else ""
    return (
        f"{needs}, about {text.count(expected)} are expected in {text.seconds(left)}{after}, at "
        f"{rate(numbers.rate)}"
    )
