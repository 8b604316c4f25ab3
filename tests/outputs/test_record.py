"""The record of a watch: what is written is what is read."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy_guard import record
from deploy_guard.codec import from_json, to_json
from deploy_guard.errors import GuardError
from deploy_guard.model import (
    Condition,
    Container,
    Counts,
    Decision,
    Event,
    Evidence,
    Finding,
    Gauge,
    Health,
    Latencies,
    NoData,
    NoDataReason,
    Pod,
    Probe,
    Rollout,
    Sample,
    Symptom,
    Target,
    Tick,
    Verdict,
    Workload,
)
from deploy_guard.policy.models import Policy
from deploy_guard.record import Header, Recorder

from .samples import LOOK, NEW, START, TARGET

TEXTS = st.text(max_size=20)
NUMBERS = st.floats(allow_nan=False)
COUNTS = st.integers(0, 10**6)
VALUES = st.one_of(
    st.builds(Counts, NUMBERS, NUMBERS),
    st.lists(NUMBERS, max_size=4).map(
        lambda bounds: Latencies(
            (*bounds, math.inf), tuple(float(n) for n in range(len(bounds) + 1))
        )
    ),
    st.builds(Gauge, NUMBERS),
    st.builds(Probe, st.booleans(), NUMBERS, TEXTS),
    st.builds(
        Health,
        COUNTS,
        COUNTS,
        COUNTS,
        st.lists(st.builds(Symptom, TEXTS, TEXTS, COUNTS, st.none() | NUMBERS), max_size=2).map(
            tuple
        ),
    ),
)
CONTAINERS = st.lists(
    st.builds(Container, TEXTS, st.booleans(), COUNTS, exit_code=st.none() | COUNTS), max_size=2
).map(tuple)
PODS = st.lists(
    st.builds(Pod, TEXTS, TEXTS, NUMBERS, ready_since=st.none() | NUMBERS, containers=CONTAINERS),
    max_size=3,
).map(tuple)
ROLLOUTS = st.builds(
    Rollout,
    COUNTS,
    paused=st.booleans(),
    conditions=st.lists(st.builds(Condition, TEXTS, TEXTS, TEXTS, TEXTS, NUMBERS), max_size=2).map(
        tuple
    ),
)
EVIDENCE = st.builds(
    Evidence,
    TEXTS,
    st.sampled_from(Finding),
    TEXTS,
    NUMBERS,
    limit=st.none() | NUMBERS,
    numbers=st.dictionaries(TEXTS, NUMBERS, max_size=3),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
ENTRIES = st.one_of(
    st.builds(Sample, TEXTS, NUMBERS, NUMBERS, *[st.none() | VALUES] * 3),
    st.builds(NoData, TEXTS, NUMBERS, st.sampled_from(NoDataReason), TEXTS),
    st.builds(Workload, st.just(TARGET), TEXTS, NUMBERS, NUMBERS, PODS, ROLLOUTS),
    st.builds(Tick, NUMBERS),
    st.builds(
        Decision,
        st.none() | st.sampled_from(Verdict),
        TEXTS,
        NUMBERS,
        st.lists(EVIDENCE, max_size=2).map(tuple),
    ),
    st.builds(Event, NUMBERS, TEXTS, TEXTS, st.dictionaries(TEXTS, JSON, max_size=3)),
)
POLICY = Policy.model_validate(
    {
        "version": 1,
        "watch": {"for": "1m30s"},
        "prometheus": {"url": "http://prometheus:9090", "bearer": {"env": "TOKEN"}},
        "signals": [
            {
                "name": "http-errors",
                "provider": "prometheus",
                "ratio": {"errors": "e", "requests": "r"},
                "limit": "5%",
            },
            {
                "name": "latency",
                "provider": "pods",
                "port": "metrics",
                "latency": "seconds",
                "limit": {"share": "99%", "below": "500ms"},
            },
        ],
    }
)
HEADER = Header(POLICY, TARGET, NEW, START, START - 2)
SAMPLE = Sample("latency", START + 1, 1.0, Latencies((0.1, math.inf), (3.0, 4.0)), Counts(8, 1))


class Warnings(list[str]):
    """Collects what a recorder warns of."""

    def __call__(self, text: str) -> None:
        self.append(text)


def refuse(text: str) -> None:
    """Fail on any warning."""
    raise AssertionError(text)


def written(directory: Path, *entries: record.Entry, header: Header = HEADER) -> Path:
    """Write a record and return its file."""
    with Recorder(directory, header, warn=refuse) as recorder:
        for entry in entries:
            recorder.write(entry)
    return recorder.directory / record.FILE


@given(st.lists(ENTRIES, max_size=6))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_what_is_read(tmp_path: Path, entries: list[record.Entry]) -> None:
    """Every entry comes back equal and in order, infinite bounds included."""
    file = written(tmp_path, *entries)
    assert record.read(file) == record.Record(HEADER, tuple(entries))


@given(ENTRIES)
def test_an_entry_becomes_strict_json(entry: record.Entry) -> None:
    """What is written is JSON that any reader takes: no NaN, no Infinity."""
    text = json.dumps(to_json(entry), allow_nan=False)
    assert from_json(type(entry), json.loads(text)) == entry


def test_not_a_number_survives() -> None:
    """NaN comes back as NaN."""
    back = from_json(Gauge, json.loads(json.dumps(to_json(Gauge(math.nan)), allow_nan=False)))
    assert math.isnan(back.value)


def test_the_header_carries_the_policy(tmp_path: Path) -> None:
    """The policy comes back with its parsed durations and percentages."""
    read = record.read(written(tmp_path)).header
    assert read == HEADER
    assert read.policy.watch.duration == 90.0


def test_no_secret_of_a_change_cause_is_recorded(tmp_path: Path) -> None:
    """kubectl --record writes command lines into the change-cause, passwords among them."""
    cause = "kubectl set env deployment/web --password=hunter2"
    file = written(tmp_path, header=replace(HEADER, candidate=replace(NEW, change_cause=cause)))
    assert "hunter2" not in file.read_text(encoding="utf-8")
    read = record.read(file).header.candidate
    assert read is not None
    assert read.change_cause.startswith("kubectl set env")


def test_the_part_of_young_pods_is_kept(tmp_path: Path) -> None:
    """What pods in their warm-up served is read as it was written, told apart from none."""
    warm = replace(SAMPLE, warming=Latencies((0.1, math.inf), (1.0, 2.0)))
    none = Sample("http-errors", START, 15.0, Counts(9, 1), warming=Counts(0, 0))
    assert record.read(written(tmp_path, warm, none, SAMPLE)).entries == (warm, none, SAMPLE)


def test_a_sample_without_the_part_of_young_pods_is_read(tmp_path: Path) -> None:
    """A record from before pods were told apart by age is still one."""
    file = written(tmp_path, SAMPLE)
    text = file.read_text()
    file.write_text(text.replace(',"warming":null', ""))
    assert file.read_text() != text
    assert record.read(file).entries == (SAMPLE,)


def test_a_look_that_changed_nothing_takes_one_short_line(tmp_path: Path) -> None:
    """A look that only differs in its time is written as its time, and read in full."""
    later = replace(LOOK, seen_at=LOOK.seen_at + 1)
    moved = replace(later, rollout=replace(LOOK.rollout, updated=3), seen_at=LOOK.seen_at + 2)
    file = written(tmp_path, LOOK, later, moved)
    assert json.loads(file.read_text().splitlines()[2]) == {"same_look": LOOK.seen_at + 1}
    assert record.read(file).entries == (LOOK, later, moved)


def test_each_line_is_there_at_once(tmp_path: Path) -> None:
    """A record can be read while it is written, and so after its writer was killed."""
    with Recorder(tmp_path, HEADER, warn=refuse) as recorder:
        recorder.write(SAMPLE)
        assert record.read(tmp_path).entries == (SAMPLE,)


@pytest.mark.parametrize("cut", [1, 2, 20])
def test_a_torn_last_line_is_left_out(tmp_path: Path, cut: int) -> None:
    """A last line that was cut off costs that line only, and is told."""
    file = written(tmp_path, SAMPLE, Tick(START + 2))
    file.write_bytes(file.read_bytes()[:-cut])
    read = record.read(file)
    assert read.entries[0] == SAMPLE
    assert read.torn is (cut > 1)  # without its newline the line is still whole
    assert len(read.entries) == (2 if cut == 1 else 1)


def test_a_line_torn_within_a_character_is_left_out(tmp_path: Path) -> None:
    """Half a character at the end is a torn line, not an error."""
    file = written(tmp_path, SAMPLE)
    file.write_bytes(file.read_bytes() + '{"event":{"text":"é'.encode()[:-1])
    assert record.read(file) == record.Record(HEADER, (SAMPLE,), torn=True)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{not json", "Expecting"),
        ("[1]", "an object with one key"),
        ('{"sample":{},"tick":{}}', "an object with one key"),
        ('{"guess":{}}', "unknown kind 'guess'"),
        ('{"tick":{}}', "the field 'at' is missing"),
        ('{"tick":{"at":1,"by":2}}', "unknown field 'by'"),
        ('{"tick":{"at":"soon"}}', "tick.at: a number was expected, 'soon' came"),
        ('{"tick":{"at":true}}', "tick.at: a number was expected, True came"),
        ('{"sample":{"signal":1,"at":1,"seconds":1}}', "sample.signal: str was expected"),
        ('{"no_data":{"signal":"a","at":1,"reason":"bored","detail":""}}', "bored"),
        (
            '{"sample":{"signal":"a","at":1,"seconds":1,"candidate":{"type":"guess"}}}',
            "sample.candidate: unknown type 'guess'",
        ),
        ('{"same_look":1}', "there was none"),
        ("", "Expecting value"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, problem: str) -> None:
    """A line that cannot be read is an error with file and line number, not skipped."""
    file = written(tmp_path, SAMPLE)
    file.write_text(file.read_text() + line + "\n" + '{"tick":{"at":1}}\n')
    with pytest.raises(GuardError, match="not a line of a record") as caught:
        record.read(file)
    assert f"{record.FILE}:3: " in caught.value.message
    assert problem in caught.value.message


def test_a_missing_record_is_an_error(tmp_path: Path) -> None:
    """A directory without a record is told, with what to name instead."""
    with pytest.raises(GuardError, match="cannot be read: No such file") as caught:
        record.read(tmp_path)
    assert "--report" in caught.value.help


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello\n",
        b"[]\n",
        b"\xff\xfe\n",
        b'{"version":"1"}\n',
        b'{"version":1}\n',
        b"[" * 9999,
    ],
)
def test_a_foreign_file_is_an_error(tmp_path: Path, content: bytes) -> None:
    """A file that is no record is refused as such."""
    file = tmp_path / "other.jsonl"
    file.write_bytes(content)
    with pytest.raises(GuardError, match="is not a record of a watch"):
        record.read(file)


def test_a_newer_record_is_an_error(tmp_path: Path) -> None:
    """A record of a later format names the guard that reads it."""
    file = tmp_path / record.FILE
    file.write_text('{"version":2,"guard":"3.4.5"}\n')
    with pytest.raises(GuardError, match="has version 2, this guard reads up to 1") as caught:
        record.read(file)
    assert "3.4.5" in caught.value.help


def test_another_record_is_not_overwritten(tmp_path: Path) -> None:
    """A directory that holds a record gets a subdirectory for each further watch."""
    directory = tmp_path / "new" / "report"
    first = written(directory, SAMPLE)
    second, third = written(directory), written(directory)
    assert first == directory / record.FILE
    assert second == directory / "20261123T174012Z" / record.FILE
    assert third == directory / "20261123T174012Z-2" / record.FILE
    assert record.read(first).entries == (SAMPLE,)


def test_another_outcome_is_not_overwritten(tmp_path: Path) -> None:
    """A directory with an outcome and no record is left alone as well."""
    (tmp_path / "outcome.json").write_text("mine")
    with Recorder(tmp_path, HEADER, warn=refuse) as recorder:
        recorder.write_file("outcome.json", "guard's")
    assert (tmp_path / "outcome.json").read_text() == "mine"
    assert (recorder.directory / "outcome.json").read_text() == "guard's"


def test_a_directory_that_cannot_be_written_is_an_error_at_once(tmp_path: Path) -> None:
    """A report directory that is a file ends the command before the watch begins."""
    (tmp_path / "file").write_text("")
    with pytest.raises(GuardError, match="cannot be written: ") as caught:
        Recorder(tmp_path / "file" / "report", HEADER, warn=refuse)
    assert caught.value.exit_code == 1


FULL_DISK = """
import resource, sys
from pathlib import Path
from outputs.test_record import HEADER, SAMPLE
from deploy_guard.errors import GuardError
from deploy_guard.record import Recorder

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
warnings = []
try:
    def warn(text):
        warnings.append(text)
        recorder.write(SAMPLE)  # as a watch does: its warnings are events of the record

    with Recorder(Path(sys.argv[1]), HEADER, warn=warn) as recorder:
        for _ in range(9):
            recorder.write(SAMPLE)
except GuardError as error:
    warnings.append("error: " + error.message)
print("\\n".join(warnings))
"""


def on_full_disk(directory: Path, *, room: int) -> str:
    """Write a record where only `room` bytes of a file fit; return what was warned of."""
    tests = Path(__file__).parent.parent
    command = [sys.executable, "-c", FULL_DISK, str(directory), str(room)]
    done = subprocess.run(
        command, cwd=tests, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def test_a_full_disk_ends_the_record_and_not_the_watch(tmp_path: Path) -> None:
    """Lines that no longer fit are told once; what was written before can be read."""
    room = len(written(tmp_path / "whole", SAMPLE).read_bytes()) + 10
    told = on_full_disk(tmp_path / "full", room=room)
    assert told == "the record ends here: record.jsonl cannot be written: File too large"
    assert record.read(tmp_path / "full") == record.Record(HEADER, (SAMPLE,), torn=True)


def test_a_disk_without_room_for_the_header_is_an_error_at_once(tmp_path: Path) -> None:
    """A record that cannot begin ends the command before the watch begins."""
    told = on_full_disk(tmp_path / "full", room=10)
    assert told == f"error: the report directory {tmp_path}/full cannot be written: File too large"


def test_a_file_of_the_record_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    """An outcome that cannot be written is told, and nothing is raised."""
    warnings = Warnings()
    with Recorder(tmp_path, HEADER, warn=warnings) as recorder:
        (tmp_path / "outcome.json").mkdir()
        recorder.write_file("outcome.json", "{}")
    assert warnings == ["outcome.json of the record cannot be written: Is a directory"]


def test_writing_after_the_end_is_nothing(tmp_path: Path) -> None:
    """A late observation after the watch closed its record is dropped."""
    with Recorder(tmp_path, HEADER, warn=refuse) as recorder:
        pass
    recorder.write(SAMPLE)
    assert record.read(tmp_path).entries == ()


def test_secrets_that_stand_in_a_policy_do_not_reach_the_record(tmp_path: Path) -> None:
    """Passwords in URLs, tokens in queries, literal credentials in headers, bodies: blanked."""
    policy = Policy.model_validate(
        {
            "version": 1,
            "prometheus": {
                "url": "https://me:hunter2@prometheus:9090/?token=hunter2&part=checkout",
                "headers": {"Authorization": "Bearer hunter2", "X-Scope-OrgID": "shop"},
            },
            "signals": [
                {
                    "name": "api",
                    "provider": "http",
                    "url": "http://api/health?api_key=hunter2",
                    "headers": {"X-Auth": "hunter2", "Cookie": {"env": "COOKIE"}},
                    "body": "hunter2",
                    "method": "POST",
                }
            ],
        }
    )
    file = written(tmp_path, header=replace(HEADER, policy=policy))
    assert "hunter2" not in file.read_text()
    read = record.read(file).header.policy
    assert read.prometheus is not None
    assert read.prometheus.url == "https://***@prometheus:9090/?token=***&part=checkout"
    assert read.prometheus.headers["X-Scope-OrgID"] == "shop"


def test_every_kind_of_entry_is_a_dataclass_with_a_time() -> None:
    """Each entry says when it was: the record is a timeline."""
    for kind in record.KINDS.values():
        assert is_dataclass(kind)
        assert {"at", "seen_at"} & {field.name for field in fields(kind)}


def test_a_target_is_read_by_its_own_kind() -> None:
    """A field named `kind` is a field like any other."""
    assert from_json(Target, to_json(TARGET)) == TARGET
