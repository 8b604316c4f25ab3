"""A record that was changed by hand or damaged is explained or refused, never a crash."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decide.building import baseline, fine, latency, policy, ratio, sample, watched
from deploy_guard.errors import GuardError
from deploy_guard.explanation import explain
from deploy_guard.explanation.document import document
from deploy_guard.explanation.showing import show
from deploy_guard.model import Event, Latencies, Reading

from .recording import written

ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 1e300, -1e300, 1e18, 3.5, "inf", "nan", "-inf", "", "x", [], {}]
)
POLICY = policy(ratio(), latency(limit={"share": 0.9, "below": 0.5}))


def poll(at: float) -> list[Reading]:
    """Return a poll of both signals."""
    slow = Latencies((0.1, 0.5, float("inf")), (900.0, 990.0, 1000.0))
    return [*fine(at), sample(at, slow, signal="latency")]


@pytest.fixture(scope="module")
def lines() -> Iterator[list[str]]:
    """Return the lines of a record, with few entries of each kind."""
    with tempfile.TemporaryDirectory() as folder:
        events = [Event(1_700_000_001.0, "rollout", "1 of 3 pods new")]
        entries = watched(poll, before=baseline(minutes=1))
        file = written(Path(folder), POLICY, entries, events=events)
        whole = file.read_text().splitlines()
        yield [*whole[:12], *whole[-4:]]


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every container with each key of it, however deep."""
    if isinstance(value, dict | list):
        keys = list(value) if isinstance(value, dict) else range(len(value))
        for key in keys:
            yield value, key
            yield from places(value[key])


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_any_change_of_a_record(lines: list[str], data: st.DataObject) -> None:
    """Whatever stands in one place of it: there is an explanation, or an error with words."""
    number = data.draw(st.integers(0, len(lines) - 1))
    line = json.loads(lines[number])
    container, key = data.draw(st.sampled_from(list(places(line))))
    container[key] = data.draw(ODD)
    changed = [*lines]
    changed[number] = json.dumps(line)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "record.jsonl")
        file.write_text("\n".join(changed) + "\n")
        try:
            found = explain(file, policy=POLICY)
        except GuardError as error:
            assert str(file) in error.message
            return
        assert show(found, width=80)
        json.dumps(document(found), allow_nan=False)


@pytest.mark.parametrize("at", ["1e300", '"nan"', "-5"])
def test_a_time_that_cannot_be_one_is_named_with_its_line(tmp_path: Path, at: str) -> None:
    """The error has file and line."""
    file = written(tmp_path, POLICY, watched(poll))
    text = file.read_text().splitlines()
    text[3] = '{"event":{"at":' + at + ',"kind":"warning","text":"","data":{}}}'
    file.write_text("\n".join(text) + "\n")
    with pytest.raises(GuardError, match=r"record\.jsonl:4: not a line of a record"):
        explain(file)
