"""The record of a watch: everything the decision was made from, one JSON object a line, in order.

Decides the format and when a file can be trusted. Does not decide anything about the deploy, and
does not replay: whoever reads a record folds its entries again. The format is in docs/output.md.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deploy_guard import __version__
from deploy_guard.codec import from_json, to_json
from deploy_guard.errors import GuardError
from deploy_guard.masking import HIDDEN
from deploy_guard.model import Decision, Event, NoData, Revision, Sample, Target, Tick, Workload
from deploy_guard.policy.models import Policy
from deploy_guard.redact import redacted
from deploy_guard.secret_names import hide

VERSION = 1
FILE = "record.jsonl"
FILES = (FILE, "outcome.json", "summary.txt", "summary.md")


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a record: what was watched, by what, and since when."""

    policy: Policy  # secrets are references; what looks like one is blanked when written
    target: Target
    candidate: Revision | None
    started_at: float
    deployed_at: float
    dry_run: bool = False
    guard: str = __version__
    ends_at: float | None = None  # when the watch ends unless it is held; None: after `watch.for`


Entry = Sample | NoData | Workload | Tick | Decision | Event

KINDS: dict[str, type[Entry]] = {
    "sample": Sample,
    "no_data": NoData,
    "look": Workload,
    "tick": Tick,
    "decision": Decision,
    "event": Event,
}
_NAMES = {kind: name for name, kind in KINDS.items()}
_SAME_LOOK = "same_look"  # the last look once more; only its time differs


@dataclass(frozen=True, slots=True)
class Record:
    """A record as read; `torn` says that its last line was cut off, as by a killed guard."""

    header: Header
    entries: tuple[Entry, ...]
    torn: bool = False


class Recorder:
    """Writes a record, each line at once, so that a killed guard leaves one that can be read.

    `directory` is where it writes: the one asked for, or a fresh one inside it when that already
    holds a record. Raises GuardError when it cannot begin; a later failure ends the record and is
    told once through `warn`, never raised.
    """

    def __init__(self, directory: Path, header: Header, *, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._lock = threading.RLock()  # a warning may be written, too
        self._failed = False
        self._look: Workload | None = None
        try:
            self.directory, self._file = _open_fresh(directory, header.started_at)
            with _closed_on_error(self._file):
                self._append(_header_to_json(header))
        except OSError as error:
            raise GuardError(
                f"the report directory {directory} cannot be written: {error.strerror}",
                help="name a directory that can be written with --report, or leave it out",
            ) from error

    def write(self, item: Entry) -> None:
        """Append one thing that was observed, decided or told."""
        with self._lock:
            if self._failed:
                return
            try:
                self._append(self._line_of(item))
            except OSError as error:
                self._fail(f"the record ends here: {FILE} cannot be written: {error.strerror}")

    def write_file(self, name: str, text: str) -> None:
        """Write one of the other files of the record."""
        try:
            (self.directory / name).write_text(text, encoding="utf-8", errors="replace")
        except OSError as error:
            self._warn(f"{name} of the record cannot be written: {error.strerror}")

    def close(self) -> None:
        """End the record."""
        with self._lock:
            self._failed = True
            try:
                self._file.close()
            except OSError as error:
                self._warn(f"{FILE} cannot be closed: {error.strerror}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _line_of(self, item: Entry) -> dict[str, Any]:
        if isinstance(item, Workload):
            last, self._look = self._look, item
            if last is not None and replace(last, seen_at=item.seen_at) == item:
                return {_SAME_LOOK: item.seen_at}
        return {_NAMES[type(item)]: to_json(item)}

    def _append(self, line: dict[str, Any]) -> None:
        text = json.dumps(line, allow_nan=False, separators=(",", ":"))
        left = memoryview(text.encode() + b"\n")
        while left:  # a disk that fills up takes a part, and refuses the rest
            left = left[self._file.write(left) :]

    def _fail(self, problem: str) -> None:
        self._failed = True
        self._warn(problem)


@contextmanager
def _closed_on_error(file: FileIO) -> Iterator[None]:
    try:
        yield
    except BaseException:
        file.close()
        raise


def _open_fresh(directory: Path, started_at: float) -> tuple[Path, FileIO]:
    """Create the record's file where no record is overwritten, and return its directory."""
    directory.mkdir(parents=True, exist_ok=True)
    if any((directory / name).exists() for name in FILES):
        directory = _fresh_subdirectory(directory, started_at)
    # without a buffer: each line reaches the system at once, and none waits for close()
    return directory, FileIO(directory / FILE, "x")


def _fresh_subdirectory(directory: Path, started_at: float) -> Path:
    name = datetime.fromtimestamp(started_at, UTC).strftime("%Y%m%dT%H%M%SZ")
    number = 1
    while True:
        fresh = directory / (name if number == 1 else f"{name}-{number}")
        try:
            fresh.mkdir()
        except FileExistsError:
            number += 1
        else:
            return fresh


def _candidate(revision: Revision | None) -> Any:
    """Return a revision without what looks like a secret in its change-cause, a command line."""
    if revision is None:
        return None
    return to_json(replace(revision, change_cause=hide(revision.change_cause, HIDDEN)))


def _header_to_json(header: Header) -> dict[str, Any]:
    return {
        "version": VERSION,
        "guard": header.guard,
        "target": to_json(header.target),
        "candidate": _candidate(header.candidate),
        "started_at": header.started_at,
        "deployed_at": header.deployed_at,
        "dry_run": header.dry_run,
        "ends_at": header.ends_at,
        "policy": to_json(redacted(header.policy.model_dump(mode="python", by_alias=True))),
    }


def read(path: Path) -> Record:
    """Read a record from its file or its directory.

    Raises GuardError when there is none, when it is something else or of a newer version, and
    for a broken line, with its number. A torn last line is left out.
    """
    file = path / FILE if path.is_dir() else path
    try:
        first, *lines = file.read_bytes().split(b"\n")
    except OSError as error:
        raise GuardError(
            f"the record {file} cannot be read: {error.strerror}",
            help="name the directory that guard watch --report wrote",
        ) from error
    header = _header(first, file)
    torn = lines.pop() if lines else b""
    entries: list[Entry] = []
    look: Workload | None = None
    for number, line in enumerate([*lines, torn] if torn else lines, start=2):
        try:
            entry = _entry(line, look)
        except (ValueError, TypeError, RecursionError) as error:
            if number == len(lines) + 2:
                return Record(header, tuple(entries), torn=True)
            raise GuardError(
                f"{file}:{number}: not a line of a record: {error}",
                help="the file was changed after it was written, or is damaged",
            ) from error
        look = entry if isinstance(entry, Workload) else look
        entries.append(entry)
    return Record(header, tuple(entries))


def observations(record: Record) -> list[Sample | NoData | Workload | Tick]:
    """Return what the decision was made from, in order: what a replay folds again."""
    return [e for e in record.entries if isinstance(e, Sample | NoData | Workload | Tick)]


def _entry(line: bytes, look: Workload | None) -> Entry:
    data = json.loads(line)
    if not isinstance(data, dict) or len(data) != 1:
        raise ValueError("an object with one key was expected")
    [(name, value)] = data.items()
    if name == _SAME_LOOK:
        if look is None:
            raise ValueError("the same look as before, but there was none")
        return replace(look, seen_at=from_json(float, value))
    if name not in KINDS:
        raise ValueError(f"unknown kind {name!r}")
    return from_json(KINDS[name], value)


def _header(line: bytes, file: Path) -> Header:
    foreign = GuardError(
        f"{file} is not a record of a watch: its first line is not a record's header",
        help=f"name the directory that guard watch --report wrote, or its {FILE}",
    )
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise foreign from error
    if not isinstance(data, dict) or not isinstance(data.get("version"), int):
        raise foreign
    if data["version"] > VERSION:
        raise GuardError(
            f"{file} has version {data['version']}, this guard reads up to {VERSION}",
            help=f"read it with guard {data.get('guard', '')} or newer".replace("  ", " "),
        )
    ends_at = data.get("ends_at")
    try:
        return Header(
            policy=Policy.model_validate(data["policy"]),
            target=from_json(Target, data["target"]),
            candidate=from_json(Revision, data["candidate"]) if data["candidate"] else None,
            started_at=from_json(float, data["started_at"]),
            deployed_at=from_json(float, data["deployed_at"]),
            dry_run=bool(data["dry_run"]),
            guard=str(data["guard"]),
            ends_at=from_json(float, ends_at) if ends_at is not None else None,
        )
    except (KeyError, ValueError, TypeError) as error:  # pydantic's error is a ValueError
        raise foreign from error
