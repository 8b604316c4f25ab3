"""`guard explain`: what a recorded watch saw, step by step, and why its verdict was what it was.

Decides nothing about a deploy: the fold is `decide`'s, the record's format `record`'s. `explain`
reads and folds, `showing` tells it to people, `document` to machines.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deploy_guard import record
from deploy_guard.errors import GuardError
from deploy_guard.explanation.comparing import compare
from deploy_guard.explanation.model import Explanation
from deploy_guard.explanation.parts import parts_of, time_of
from deploy_guard.explanation.replaying import replay, second_look
from deploy_guard.outputs.format import LATEST
from deploy_guard.policy.models import Policy

LINES = 15  # so many steps a short watch has, about
MINUTE = 60.0
EVERY = (1.0, 2.0, 5.0, 10.0, 15.0, 30.0, MINUTE)  # seconds between two steps


def explain(file: Path, *, every: float | None = None, policy: Policy | None = None) -> Explanation:
    """Read a record and fold it again; with `policy` once more with that one.

    `every` is the time between two steps in seconds, by default a minute, less for a watch of
    some minutes. Raises GuardError when the file is no record, or damaged.
    """
    found = record.read(file)
    require_times(found, file)
    if every is None:
        lasted = parts_of(found).until - found.header.deployed_at
        every = next((e for e in EVERY if e * LINES >= lasted), MINUTE)
    try:
        return _folded(found, file, every=every, policy=policy)
    except (ArithmeticError, ValueError) as error:
        raise GuardError(
            f"{file} cannot be folded: it has a reading that cannot be one: {error}",
            help="the file was changed after it was written, or is damaged",
        ) from error


def _folded(
    found: record.Record, file: Path, *, every: float, policy: Policy | None
) -> Explanation:
    header, parts = found.header, parts_of(found)
    first = replay(header.policy, header, parts.watched, every=every, ends_at=header.ends_at)
    return Explanation(
        file=file,
        header=header,
        torn=found.torn,
        entries=len(found.entries),
        parts=parts,
        every=every,
        replay=first,
        second=second_look(parts, header, first, every=every),
        outcome=_outcome(file),
        other=None if policy is None else compare(policy, header, parts, every=every),
    )


def require_times(found: record.Record, file: Path) -> None:
    """Raise GuardError for a time that cannot be one, as in a file that was written by hand."""
    header = found.header
    ends_at = header.started_at if header.ends_at is None else header.ends_at
    lines: list[tuple[float, ...]] = [(header.started_at, header.deployed_at, ends_at)]
    lines += [(time_of(entry),) for entry in found.entries]
    for number, times in enumerate(lines, start=1):
        if not all(0 <= at <= LATEST for at in times):
            raise GuardError(
                f"{file}:{number}: not a line of a record: its time cannot be one",
                help="the file was changed after it was written, or is damaged",
            )


def _outcome(file: Path) -> dict[str, Any] | None:
    """Return the document that the watch left beside its record, None where there is none."""
    try:
        found = json.loads((file.parent / "outcome.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found.get("version") == 1 else None
