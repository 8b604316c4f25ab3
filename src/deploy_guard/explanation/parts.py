"""Take a record apart: what the verdict was made from, and what came after it.

After the verdict a record goes on: with the rollback, and with readings of the pods that serve
again. These are never folded into the verdict.
"""

from __future__ import annotations

import math

from deploy_guard.explanation.model import Entries, Parts
from deploy_guard.model import Decision, Event, NoData, Sample, Tick, Workload
from deploy_guard.record import Entry, Record

ACTS = ("verdict", "rollback")  # events after which nothing is read for the verdict any more


def parts_of(record: Record) -> Parts:
    """Return the parts of a record."""
    cut = _end_of_watch(record.entries)
    last = record.entries[cut] if cut < len(record.entries) else None
    watched, after = _observations(record.entries[:cut]), _observations(record.entries[cut:])
    events = tuple(e for e in record.entries if isinstance(e, Event))
    times = [time_of(e) for e in record.entries[: cut + 1]]
    return Parts(
        watched=watched,
        after=after,
        events=events,
        recorded=last if isinstance(last, Decision) else None,
        acted=isinstance(last, Event),
        until=max((at for at in times if math.isfinite(at)), default=record.header.started_at),
    )


def time_of(entry: Entry) -> float:
    """Return when something was seen, read, decided or told."""
    return entry.seen_at if isinstance(entry, Workload) else entry.at


def _end_of_watch(entries: tuple[Entry, ...]) -> int:
    """Return the place of the decision; without one, of the first act on another guard's."""
    places = range(len(entries))
    decided = (i for i in places if isinstance(entries[i], Decision))
    acted = (i for i in places if isinstance(e := entries[i], Event) and e.kind in ACTS)
    return next(decided, next(acted, len(entries)))


def _observations(entries: tuple[Entry, ...]) -> Entries:
    return tuple(e for e in entries if isinstance(e, Sample | NoData | Workload | Tick))
