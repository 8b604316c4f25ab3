"""What another policy would have said of the same record, and where nobody can know.

A record has what one policy asked for. Another one is judged by these samples alone: what it would
have read differently is told as a doubt, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from deploy_guard import decide, text
from deploy_guard.explanation.model import Doubt, Other, Parts
from deploy_guard.explanation.replaying import replay
from deploy_guard.model import KUBERNETES, NoData, Sample
from deploy_guard.policy.models import Metrics, Policy, Signal
from deploy_guard.record import Header
from deploy_guard.redact import redacted

_MEASURES = ("ratio", "latency", "value")
_READING = (*_MEASURES, "port", "path", "via", "url", "method", "headers", "body", "expect")
_WATCH = {
    "baseline": ("watch.baseline", "what is usual is that of the recorded time"),
    "warm_up": ("watch.warm_up", "where pods are told apart, theirs was told apart as recorded"),
}


def compare(policy: Policy, header: Header, parts: Parts, *, every: float) -> Other:
    """Fold the record's samples with another policy; say what they cannot tell of it.

    The time of the watch is the policy's own, from when the recorded watch began to judge.
    """
    recorded = header.policy
    doubts = [*_about_signals(policy, recorded), *_about_settings(policy, recorded)]
    blind = ("not_recorded", "other_measure")
    absent = tuple(d.signal for d in doubts if d.kind in blind)
    ends_at = header.started_at + policy.watch.duration
    if header.ends_at is not None:  # a watch that another guard had begun ends earlier
        ends_at += header.ends_at - header.started_at - recorded.watch.duration
    entries = tuple(
        e for e in parts.watched if not (isinstance(e, Sample | NoData) and e.signal in absent)
    )
    found = replay(_without(policy, absent), header, entries, every=every, ends_at=ends_at)
    if policy.signals and len(absent) == len(policy.signals):
        words = "none of its signals can be judged from this record"
        found = replace(found, decision=replace(found.decision, reason=words))
    if found.decision.verdict is None:
        left = ends_at - parts.until
        end = "the record ends" if parts.recorded is None else "the recorded watch was decided"
        words = f"{end} {text.seconds(max(0.0, left))} before the end of this policy's watch"
        doubts.append(Doubt("record_ends", "", f"{words}: it would have watched on"))
    return Other(found, tuple(doubts), absent)


def _without(policy: Policy, absent: tuple[str, ...]) -> Policy:
    """Return the policy whose verdict does not wait for these signals.

    They stay in it: the accepted chance of a false rollback is divided by all comparisons.
    """
    signals = [
        s.model_copy(update={"optional": True}) if s.name in absent else s for s in policy.signals
    ]
    return policy.model_copy(update={"signals": signals})


def _about_signals(policy: Policy, recorded: Policy) -> Iterator[Doubt]:
    known: Mapping[str, Signal] = {s.name: s for s in recorded.signals}
    for signal in policy.signals:
        was = known.get(signal.name)
        if was is None:
            yield Doubt("not_recorded", signal.name, "not in the record: left out")
        elif measure(was) != measure(signal):
            words = f"recorded as {measure(was)}, asked for as {measure(signal)}: left out"
            yield Doubt("other_measure", signal.name, words)
        elif asked := _differing(signal, was):
            words = f"{', '.join(asked)} differ: the samples are those of the recorded query"
            if len(asked) == 1:
                words = words.replace(" differ:", " differs:")
            yield Doubt("other_query", signal.name, words)
    for signal in policy.signals:
        was = known.get(signal.name)
        if was is None:
            continue
        then, now = _interval(was, recorded), _interval(signal, policy)
        if then != now:
            words = f"read every {text.seconds(then)} in the record, not every {text.seconds(now)}"
            yield Doubt("other_setting", signal.name, words)
    if policy.kubernetes != recorded.kubernetes:
        words = "restarts and unready: the symptoms are those of the recorded settings"
        yield Doubt("other_setting", KUBERNETES, words)


def measure(signal: Signal) -> str:
    """Return what kind of value a signal reads."""
    if not isinstance(signal, Metrics):
        return "a probe"
    return next((f"a {m}" for m in _MEASURES if getattr(signal, m) is not None), "nothing")


def _differing(signal: Signal, was: Signal) -> list[str]:
    """Return the keys by which a signal would be read in another way."""
    now, then = _plain(signal), _plain(was)
    keys = ["provider"] if now["provider"] != then["provider"] else []
    return keys + [key for key in _READING if now.get(key) != then.get(key)]


def _plain(signal: Signal) -> dict[str, object]:
    """Return a signal's keys as they stand in a record, where secrets are blanked."""
    return dict(redacted(signal.model_dump(mode="json", by_alias=True)))


def _interval(signal: Signal, policy: Policy) -> float:
    return signal.interval or policy.watch.interval


def _about_settings(policy: Policy, recorded: Policy) -> Iterator[Doubt]:
    for key, (name, words) in _WATCH.items():
        then, now = getattr(recorded.watch, key), getattr(policy.watch, key)
        if then != now:
            told = f"{name} is {text.seconds(now)}, {text.seconds(then)} in the record: {words}"
            yield Doubt("other_setting", "", told)
    if policy.hold != recorded.hold:
        words = "hold differs: the rollout went on, or was paused, as recorded"
        yield Doubt("other_setting", "", words)


def rule_of(name: str, policy: Policy) -> str:
    """Return a signal's absolute limit in words, for a table; empty without one."""
    signal = next((s for s in policy.signals if s.name == name), None)
    return "" if signal is None else decide.limit_text(signal)
