"""Replaying the record of a watch gives the verdict of the watch, always the same."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from deploy_guard import decide
from deploy_guard.model import (
    Counts,
    Gauge,
    Health,
    Latencies,
    Probe,
    Sample,
    Symptom,
    Tick,
    Value,
    Verdict,
    Workload,
)

from .building import (
    LENGTH,
    START,
    Entry,
    baseline,
    fine,
    gap,
    gauge,
    judge,
    latency,
    look,
    policy,
    probe,
    ratio,
    sample,
    watched,
)

POLICY = policy(ratio(limit=0.2), latency(limit={"share": 0.9, "below": 0.3}), gauge(), probe())

RATIOS = st.tuples(st.integers(0, 2000), st.floats(0, 1)).map(
    lambda t: Counts(float(t[0]), round(t[0] * t[1]))
)
HISTOGRAMS = st.lists(st.integers(0, 500), min_size=3, max_size=3).map(
    lambda n: Latencies((0.1, 0.5, float("inf")), (float(n[0]), float(n[0] + n[1]), float(sum(n))))
)
VALUES: dict[str, st.SearchStrategy[Value]] = {
    "errors": RATIOS,
    "latency": HISTOGRAMS,
    "queue": st.floats(0, 200).map(Gauge),
    "payments": st.booleans().map(lambda ok: Probe(ok, 0.1, "")),
    "kubernetes": st.booleans().map(
        lambda bad: Health(3, 3, 0, (Symptom("ErrImageNeverPull", ""),) if bad else ())
    ),
}


@st.composite
def entry(draw: st.DrawFn) -> Entry:
    """Draw any entry of a record; its time is set later."""
    kind = draw(st.sampled_from(["sample"] * 6 + ["gap", "look", "tick"]))
    if kind == "tick":
        return Tick(0)
    if kind == "look":
        return look(0, complete=draw(st.booleans()))
    signal = draw(st.sampled_from(sorted(VALUES)))
    if kind == "gap":
        return gap(0, signal=signal)
    values = st.none() | VALUES[signal]
    return sample(0, draw(values), draw(values), signal=signal)


def timed(item: Entry, at: float) -> Entry:
    """Return the entry at this time."""
    if isinstance(item, Workload):
        return look(at - START, complete=item.rollout.complete)
    if isinstance(item, Tick):
        return Tick(at)
    if isinstance(item, Sample):
        return Sample(item.signal, at, item.seconds, item.candidate, item.control)
    return gap(at - START, signal=item.signal)


@st.composite
def records(draw: st.DrawFn) -> list[Entry]:
    """Draw a record: entries in the order of their times, some after the deadline."""
    items = draw(st.lists(st.tuples(entry(), st.floats(0, 60)), max_size=40))
    entries, at = [], START - 200
    for item, passed in items:
        at += passed
        entries.append(timed(item, at))
    return entries


@given(records())
@settings(max_examples=60)
def test_the_same_entries_give_the_same_decision(entries: list[Entry]) -> None:
    """A replay depends on nothing but the policy, the start and the entries."""
    assert repr(judge(POLICY, entries)) == repr(judge(POLICY, list(entries)))


@given(records(), st.integers(0, 40))
@settings(max_examples=60)
def test_a_prefix_of_a_record_is_a_prefix_of_the_watch(entries: list[Entry], cut: int) -> None:
    """A verdict does not depend on what comes after it, and no verdict comes sooner without it."""
    whole, part = judge(POLICY, entries), judge(POLICY, entries[:cut])
    if part.verdict is not None:
        assert repr(part) == repr(whole)
    if whole.verdict is None:
        assert part.verdict is None


@given(records())
@settings(max_examples=60)
def test_any_record_can_be_told(entries: list[Entry]) -> None:
    """Every state of a watch has words for each signal, and never a verdict too early."""
    state = decide.begin(POLICY, started_at=START)
    for item in entries:
        if not isinstance(item, Tick):
            state = decide.observe(state, item)
        at = item.seen_at if isinstance(item, Workload) else item.at
        decision = decide.decide(state, at)
        assert all(summary.text for summary in decide.summaries(state, at))
        if decision.verdict is not Verdict.REGRESSED:
            assert (decision.verdict is None) == (at < state.ends_at)


@given(records())
@settings(max_examples=60)
def test_what_a_replay_remembers_changes_nothing(entries: list[Entry]) -> None:
    """Every decision of a trace is the one that its state alone gives at that moment."""
    for moment in decide.trace(POLICY, START, entries):
        assert repr(moment.decision) == repr(decide.decide(moment.state, moment.at))


def test_as_the_watch_does() -> None:
    """The decision is taken after every entry, at its own time, up to the first verdict."""
    entries = watched(lambda at: [sample(at, Counts(1500, 750))], before=baseline())
    state = decide.begin(policy(ratio()), started_at=START)
    taken = []
    for item in entries:
        if not isinstance(item, Tick):
            state = decide.observe(state, item)
        taken.append(decide.decide(state, item.seen_at if isinstance(item, Workload) else item.at))
    first = next(d for d in taken if d.verdict is not None)
    assert judge(policy(ratio()), entries) == first


def test_nothing_recorded() -> None:
    """An empty record has no verdict."""
    decision = judge(POLICY, [])
    assert decision.verdict is None
    assert decision.at == START


def test_a_tick_ends_the_watch() -> None:
    """The end of the watch is a tick: it decides without any new observation."""
    entries = watched(fine, before=baseline())
    assert judge(policy(ratio()), entries[:-1]).verdict is None
    assert judge(policy(ratio()), entries).verdict is Verdict.HEALTHY
    assert entries[-1] == Tick(START + LENGTH)


def test_a_late_sample_ends_the_watch() -> None:
    """An observation after the deadline decides as well as a tick."""
    entries = [*watched(fine, before=baseline())[:-1], *fine(LENGTH + 3)]
    decision = judge(policy(ratio()), entries)
    assert decision.verdict is Verdict.HEALTHY
    assert decision.at == START + LENGTH + 3
