"""`guard explain`: what a recorded watch saw, step by step, and why its verdict was what it was.

Decides nothing about a deploy: the fold is `decide`'s, the record's format `record`'s. `explain`
reads and folds, `showing` tells it to people, `document` to machines.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deploy_guard import record
from deploy_guard.explanation.comparing import compare
from deploy_guard.explanation.model import Explanation
from deploy_guard.explanation.parts import parts_of
from deploy_guard.explanation.replaying import replay, second_look
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
    parts = parts_of(found)
    if every is None:
        lasted = parts.until - found.header.deployed_at
        every = next((e for e in EVERY if e * LINES >= lasted), MINUTE)
    first = replay(
        found.header.policy,
        found.header,
        parts.watched,
        every=every,
        ends_at=found.header.ends_at,
    )
    return Explanation(
        file=file,
        header=found.header,
        torn=found.torn,
        entries=len(found.entries),
        parts=parts,
        every=every,
        replay=first,
        second=second_look(parts, found.header, first, every=every),
        outcome=_outcome(file),
        other=None if policy is None else compare(policy, found.header, parts, every=every),
    )


def _outcome(file: Path) -> dict[str, Any] | None:
    """Return the document that the watch left beside its record, None where there is none."""
    try:
        found = json.loads((file.parent / "outcome.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found.get("version") == 1 else None
