"""Guard's notes in annotations are readable by guard, or count as none, whatever stands in them.

Anybody who may change a workload may change its annotations, and controllers copy them around.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deploy_guard.cluster.lease_claim import Held, Previous
from deploy_guard.cluster.lease_record import WATCH_NOTE, Holding, holding_of
from deploy_guard.cluster.notes import parsed
from deploy_guard.cluster.snapshot import Json, Snapshot
from deploy_guard.cluster.templates import hash_of
from deploy_guard.cluster.times import seconds
from deploy_guard.cluster.workload import FORMER, REVISION, VERDICT, revision_of
from deploy_guard.configuration.command import Report, Row, as_json, as_text
from deploy_guard.configuration.copies import MANAGED_BY, SOURCE, original_of
from deploy_guard.configuration.index import CONFIG, copies_named, indices, joined, note_text
from deploy_guard.configuration.objects import path_of
from deploy_guard.model import Target
from deploy_guard.outputs.format import stamp
from deploy_guard.outputs.json import time_text
from deploy_guard.ownership.marks import Owner, Tool
from deploy_guard.ownership.resuming import NOTE, read_note, resume_commands
from deploy_guard.rollback import revisions
from deploy_guard.rollback.fast import STRATEGY, read_saved, restore_patch, strategy_words
from deploy_guard.rollback.holding import HELD, read_hold, release_patch
from deploy_guard.rollback.revisions import ROLLBACK
from deploy_guard.watch.unfinished import read_left

WEB = Target("deployment", "shop", "web")
AT = 1_900_000_000.0
LIVE = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "100%"}}
FAST: Json = {
    "metadata": {"uid": "u", "annotations": {}},
    "spec": {"paused": True, "strategy": LIVE, "template": {}},
}
REVISION_OBJECT: Json = {
    "metadata": {
        "name": "web-1",
        "uid": "r",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {"pod-template-hash": "1"},
    },
    "spec": {"template": {"spec": {"containers": []}}},
}
NESTED = "[" * 100_000
DEEP = '{"a":' * 100_000
TOO_LATE = "9999-12-31T23:59:59-23:59"
TOO_EARLY = "0001-01-01T00:00:00+23:59"
ESCAPE = "\x1b]0;title\x07"

times = st.sampled_from(
    [TOO_LATE, TOO_EARLY, "2026-01-01T00:00:00Z", "0001-01-01T00:00:00", "", "x", "-1"]
)
words = st.one_of(st.text(max_size=8), times, st.sampled_from(["1", "u", "healthy", ESCAPE]))
values = st.recursive(
    st.one_of(words, st.none(), st.booleans(), st.integers(), st.floats()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["template", "revision", "kind", "name"]), inner),
    ),
    max_leaves=6,
)


def notes(**likely: Any) -> st.SearchStrategy[str]:
    """Make notes with these keys: each with a likely value, or with anything at all."""
    fields = {key: st.one_of(value, values) for key, value in likely.items()}
    return st.one_of(
        st.text(max_size=20),
        values.map(json.dumps),
        st.fixed_dictionaries({}, optional=fields).map(json.dumps),
        st.fixed_dictionaries(fields).map(json.dumps),
        st.fixed_dictionaries(fields).map(lambda note: json.dumps(note, ensure_ascii=False)),
    )


def noted(obj: Json, key: str, text: str) -> Json:
    """Return an object with one annotation more."""
    kept = obj["metadata"].get("annotations") or {}
    return {**obj, "metadata": {**obj["metadata"], "annotations": {**kept, key: text}}}


def told(*parts: object) -> None:
    """Write what was read as the outputs do."""
    json.dumps(parts, ensure_ascii=False, allow_nan=False, default=str).encode()


@given(st.one_of(st.text(), values.map(json.dumps), st.sampled_from([NESTED, DEEP, "9" * 5000])))
def test_a_note_is_an_object_or_nothing(text: str) -> None:
    """Whatever stands in an annotation is read as a JSON object, or as none."""
    found = parsed(text)
    assert isinstance(found, dict)
    told(found)


@pytest.mark.parametrize(
    "text",
    [NESTED, DEEP, '{"a": Infinity}', '{"a": 1e999}', '{"a": NaN}', '{"a": "\\ud800"}', "[]", ""],
    ids=["nested", "deep", "infinite", "too-large", "nan", "half-surrogate", "list", "empty"],
)
def test_what_guard_would_not_write_is_no_note(text: str) -> None:
    """JSON that Python reads and cannot write again, or not at all, counts as nothing."""
    assert parsed(text) == {}


@given(times)
@example(TOO_LATE)
@example(TOO_EARLY)
def test_a_time_that_is_read_can_be_written(text: str) -> None:
    """A moment without a year in UTC is refused, so no output stumbles over it."""
    try:
        at = seconds(text)
    except ValueError:
        return
    assert stamp(at)
    assert time_text(at)


ROLLBACK_NOTES = notes(
    **{"from": st.just({"template": "1"}), "to": st.just({"template": "2", "revision": 2})},
    at=times,
    reason=words,
    by=words,
)


@given(ROLLBACK_NOTES)
@example(NESTED)
@example('{"from":{"template":"1"},"to":{"template":"2","revision":1e999},"at":""}')
def test_any_note_on_the_last_rollback(text: str) -> None:
    """The note on a workload about its last rollback is read, or it is none."""
    found = revisions.read_note(noted(FAST, ROLLBACK, text))
    if found is not None:
        told(found.from_hash, found.to_hash, found.number, found.reason, found.by)
        assert stamp(found.at)


@given(notes(template=words, why=words, at=times, by=words))
@example(NESTED)
def test_any_note_on_a_pause(text: str) -> None:
    """A pause's note is read, or it is none; in both cases it can be removed."""
    workload = noted(FAST, HELD, text)
    hold = read_hold(workload)
    if hold is not None:
        told(hold.template, hold.why, hold.by, stamp(hold.at), time_text(hold.at))
    assert release_patch(workload)[-1]["op"] == "remove"


@given(notes(was=st.just({"type": "Recreate"}), set=st.just(LIVE), at=times))
@example(NESTED)
@example(json.dumps({"was": {"rollingUpdate": "x"}, "set": LIVE, "at": "2026-01-01T00:00:00Z"}))
def test_any_note_on_a_strategy(text: str) -> None:
    """A fast rollback's note is read, or it is none; in both cases it can be removed."""
    workload = noted(FAST, STRATEGY, text)
    saved = read_saved(workload)
    if saved is not None:
        told(saved.was, strategy_words(saved.was), stamp(saved.at))
    assert restore_patch(workload)[-1]["op"] == "remove"


@given(notes(verdict=words, template=words, at=times, reason=words), words, words)
@example(NESTED, "9" * 5000, "9" * 5000)
@example(json.dumps({"verdict": "healthy", "template": "1", "at": TOO_LATE}), "1", "²")
def test_any_note_on_a_verdict(text: str, number: str, former: str) -> None:
    """A revision with any verdict and any number is a revision that can be shown."""
    obj = noted(noted(noted(REVISION_OBJECT, VERDICT, text), REVISION, number), FORMER, former)
    revision = revision_of(obj)
    told(revision.verdict, revision.number, revision.former_numbers)
    assert revision.verdict_at is None or stamp(revision.verdict_at)


KEPT = st.fixed_dictionaries(
    {
        "kind": st.one_of(st.sampled_from(["ConfigMap", "Secret", "Pod"]), values),
        "name": st.one_of(st.sampled_from(["app", "../../x", "a?b", ESCAPE]), values),
        "uid": values,
        "copy": st.one_of(st.sampled_from(["copy", "../../../x/secrets/y"]), values),
        "why": values,
    }
)
SNAPSHOT = st.fixed_dictionaries(
    {"at": st.one_of(times, values), "kept": st.one_of(st.lists(KEPT, max_size=2), values)},
    optional={
        "since": times,
        "by": values,
        "without": st.one_of(st.lists(KEPT, max_size=2), values),
    },
)


@given(notes(template=st.just("1"), snapshots=st.lists(SNAPSHOT, max_size=2)))
@example(NESTED)
@settings(max_examples=200)
def test_any_note_on_configuration(text: str) -> None:
    """Snapshots that are read can be shown, noted again, and asked for: all names are names."""
    obj = noted(REVISION_OBJECT, CONFIG, text)
    assert hash_of(obj) == "1"
    found = indices(obj)
    assert isinstance(copies_named([obj]), set)
    row = Row(revision_of(obj), live=True, snapshots=found)
    report = Report(WEB, (row,))
    assert "\x1b" not in as_text(report)
    told(as_json(report))
    for index in found:
        told(note_text(joined(index, found)))
        for kept in index.kept:
            for name in (kept.name, kept.copy):
                assert path_of(WEB, kept.kind, name).rpartition("/")[2] == name


@given(notes(kind=words, name=words, uid=words, labels=st.just({"a": "b"})))
@example(NESTED)
def test_any_note_on_a_copy(text: str) -> None:
    """What a copy says about its source is read, or it is no copy of guard's."""
    labels = {MANAGED_BY: "deploy-guard"}
    original = original_of(noted({"metadata": {"labels": labels}}, SOURCE, text))
    assert original is None or isinstance(original.labels, dict)


@given(notes(uid=st.just("u"), was=values, at=times, by=words, reason=words))
@example(NESTED)
def test_any_note_on_a_suspended_owner(text: str) -> None:
    """Whatever the note says was there, the commands that resume are one line each."""
    obj = noted({"metadata": {"uid": "u"}, "spec": {"suspend": True}}, NOTE, text)
    found = read_note(obj, Tool.FLUX_KUSTOMIZATION)
    if found is not None:
        commands = resume_commands(Owner(Tool.FLUX_KUSTOMIZATION, "a", "b"), found.get("was"))
        assert all(command.isprintable() for command in commands)


LEASE_NOTES = notes(
    candidate=st.just("1"), started=times, condemned=times, reason=words, accused=st.just(["a"])
)


@given(LEASE_NOTES, times, st.sampled_from([0, 1, 60, 2**31 - 1]), words)
@example(NESTED, "9999-12-31T23:59:59.999999Z", 2**31 - 1, ESCAPE)
def test_any_lease(text: str, renewed: str, duration: int, holder: str) -> None:
    """Who holds a Lease can be told, and what a guard left in it is read, or it is nothing."""
    spec = {"holderIdentity": f"{holder}_1", "leaseDurationSeconds": duration}
    spec |= {"renewTime": renewed, "acquireTime": renewed}
    holding = holding_of(noted({"metadata": {}, "spec": spec}, WATCH_NOTE, text))
    assert holding is not None
    assert "\x1b" not in f"{Held(WEB, holding, AT)}{Held(WEB, holding, None)}"
    assert stamp(holding.free_at)
    assert _left(holding, live="2") is None
    left = _left(holding, live="1")
    assert left is None or stamp(left.started_at)


def _left(holding: Holding, *, live: str) -> Any:
    previous = Previous(holding.holder, holding.renewed_at, holding.note)
    snapshot = Snapshot(WEB, seen_at=AT, workload=FAST, revisions=(), pods=())
    return read_left(previous, snapshot, live, now=AT)


@pytest.mark.parametrize("off", [-7200, 7200, 10**9])
def test_a_verdict_of_another_time_is_judged_again(off: int) -> None:
    """A dead guard's verdict from long ago, or from the future, is not acted upon."""
    note = {"candidate": "1", "started": stamp(AT - 60), "condemned": stamp(AT + off)}
    previous = Previous("ann@ws", AT, note)
    snapshot = Snapshot(WEB, seen_at=AT, workload=FAST, revisions=(), pods=())
    left = read_left(previous, snapshot, "1", now=AT)
    assert left is not None
    assert left.stage.value == "watching"


Reader = Callable[[Json], object]


@pytest.mark.parametrize(
    ("reader", "key", "note"),
    [
        (read_hold, HELD, {"template": "1", "why": "gate", "at": "2026-01-01T00:00:00Z", "by": ""}),
        (read_saved, STRATEGY, {"was": None, "set": LIVE, "at": "2026-01-01T00:00:00Z"}),
    ],
)
def test_a_note_of_guards_own_is_read(reader: Reader, key: str, note: Json) -> None:
    """The notes above are refused for what stands in them: these are believed."""
    assert reader(noted(FAST, key, json.dumps(note))) is not None
