"""Trials from the records of watches: what was observed then, and what that watch said.

Decides which files are records, and where what a record says about the deploy ends.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from deploy_guard import record
from deploy_guard.backtest.model import Deploy, Trial
from deploy_guard.errors import GuardError, UsageError
from deploy_guard.explanation import require_times
from deploy_guard.model import (
    KUBERNETES,
    Counts,
    Decision,
    Latencies,
    NoData,
    Sample,
    Tick,
    Verdict,
    Workload,
)
from deploy_guard.outputs.format import stamp
from deploy_guard.policy.models import Policy


def find_records(folder: Path) -> list[Path]:
    """Return every record below a directory, by name; raises UsageError where there is none."""
    if not folder.is_dir():
        raise UsageError(f"the directory {folder} does not exist")
    found = []
    for where, folders, names in os.walk(folder):
        folders.sort()
        if record.FILE in names:
            found.append(Path(where, record.FILE))
    if not found:
        raise UsageError(
            f"the directory {folder} has no record: no {record.FILE} in it or below",
            help="guard watch --report DIR writes one",
        )
    return found


def read_records(
    files: list[Path],
    policy: Policy,
    *,
    folder: Path,
    verdicts: dict[str, Verdict | None],
    warn: Callable[[str], None],
) -> Iterator[Trial]:
    """Yield each record as a trial whose label is its place below `folder`.

    What the recorded watch said is put into `verdicts` under that label, None where it ended
    without a verdict. A damaged record is told through `warn` and left out. What was observed
    after the recorded verdict is left out too: by then the deploy may have been taken back.
    """
    for file in files:
        try:
            found = record.read(file)
            require_times(found, file)
        except GuardError as error:
            warn(f"left out: {error.message}")
            continue
        wrong = next((e for e in found.entries if isinstance(e, Sample) and not _can_be(e)), None)
        if wrong is not None:
            at = stamp(wrong.at)
            warn(f"left out: {file}: what {wrong.signal} read at {at} cannot be: it is damaged")
            continue
        place = file.parent.relative_to(folder)
        label = str(place) if place.parts else str(found.header.target)
        observed: list[Sample | NoData | Workload | Tick] = []
        verdicts[label] = None
        for entry in found.entries:
            if isinstance(entry, Decision) and entry.verdict is not None:
                verdicts[label] = entry.verdict
                break
            if isinstance(entry, Sample | NoData | Workload | Tick):
                observed.append(entry)
        if found.torn:
            warn(f"{file}: the last line was cut off, and is left out")
        yield Trial(
            Deploy(found.header.deployed_at, label, revision=found.header.candidate),
            found.header.started_at,
            tuple(observed),
            ends_at=found.header.ends_at,
            missing=_missing(policy, observed),
        )


def _can_be(sample: Sample) -> bool:
    """Tell whether counts are counts: finite, not negative, the buckets of a histogram rising.

    More errors than requests can be: the two counters are not scraped at the same moment.
    """
    for value in (sample.candidate, sample.control, sample.warming):
        counts: tuple[float, ...] = ()
        if isinstance(value, Counts):
            counts = (value.requests, value.errors)
        elif isinstance(value, Latencies):
            counts = value.at_most
            if len(counts) != len(value.bounds) or list(counts) != sorted(counts):
                return False
        if not all(0 <= count < math.inf for count in counts):
            return False
    return True


def _missing(
    policy: Policy, observed: list[Sample | NoData | Workload | Tick]
) -> tuple[tuple[str, str], ...]:
    read = {e.signal for e in observed if isinstance(e, Sample | NoData)} | {KUBERNETES}
    return tuple(
        (signal.name, "the record has no reading of it")
        for signal in policy.signals
        if signal.name not in read
    )
