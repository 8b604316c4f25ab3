"""Which record is meant: a file, a directory with one, or the newest of several.

Decides nothing about what is in it; `record.read` says when a file is no record.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

from deploy_guard.errors import GuardError
from deploy_guard.record import FILE


@dataclass(frozen=True, slots=True)
class Chosen:
    """The record's file, and the files of the older records that were found beside it."""

    file: Path
    older: tuple[Path, ...] = ()


def choose(path: Path) -> Chosen:
    """Return the record that a path names; of a directory with several the newest one.

    `guard watch --report DIR` writes into DIR, and later watches into directories below it. Raises
    GuardError where there is none.
    """
    if not path.is_dir():
        return Chosen(path)
    found = [file for file in (path / FILE, *sorted(path.glob(f"*/{FILE}"))) if file.is_file()]
    if not found:
        raise GuardError(
            f"the directory {path} has no record: expected {FILE} in it, or in one below it",
            help="name the directory that guard watch --report wrote",
        )
    newest, *older = sorted(found, key=_began, reverse=True)
    return Chosen(newest, tuple(older))


def _began(file: Path) -> float:
    """Return when the watch of a record began, in Unix seconds; minus infinity if it is none."""
    try:
        with file.open("rb") as lines:
            at = json.loads(lines.readline())["started_at"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return -math.inf
    known = isinstance(at, int | float) and math.isfinite(at)
    return float(at) if known else -math.inf
