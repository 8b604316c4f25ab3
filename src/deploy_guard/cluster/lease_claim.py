"""One try to take the Lease of a target.

Decides when a lease is free, how long to wait for one that is not, and what a lost answer means.
Does not renew it (`lease`). The clock of the other guard is never believed alone: a lease has
expired by the API server's clock, with which its holder wrote it, or by ours while we watched it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from deploy_guard.cluster.client import MERGE_PATCH, Cluster
from deploy_guard.cluster.errors import (
    Conflict,
    NotFound,
    ServerError,
    TooManyRequests,
    Unreachable,
)
from deploy_guard.cluster.lease_record import (
    Holding,
    Json,
    acquisition,
    holding_of,
    lease_path,
    leases_path,
    micro_time,
    note_of,
)
from deploy_guard.errors import GuardError
from deploy_guard.model import Target

ATTEMPTS = 5  # writes that are refused or lost before it is given up
POLL = 1.0  # seconds between two looks at a lease that is held


class Held(GuardError):
    """Another guard works on the target. `holding` says who."""

    def __init__(self, target: Target, holding: Holding, now: float | None) -> None:
        ends = f"if that guard has died, the target is free at {_stamp(holding.free_at)}"
        super().__init__(
            f"{target}: another guard works on it: {holding.holder}, since "
            f"{_stamp(holding.since)}, last heard of at {_stamp(holding.renewed_at)}",
            help="wait until it ends, or take over from it; "
            + (ends if holding.credible(now) else "the time in its lease cannot be believed"),
        )
        self.holding = holding


@dataclass(frozen=True, slots=True)
class Previous:
    """What a guard left behind that did not release its lease.

    `holder` is empty if somebody freed the lease by hand, `renewed_at` is in Unix seconds,
    `note` its last state, empty if it had none. `taken_over`: it may be still alive.
    """

    holder: str
    renewed_at: float
    note: Mapping[str, Any]
    taken_over: bool = False


@dataclass(frozen=True, slots=True)
class Won:
    """A Lease that is ours: as it is, when (in ticks) that was asked for, and what was found."""

    lease: Json
    sent: float
    previous: Previous | None


def ticks() -> float:
    """Return seconds that only count on, also while the machine sleeps, where that is known."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class Claim:
    """Reads, waits, writes, and reads again when a write was refused or its answer lost.

    `clock` gives the time to be written if the API server does not tell its own.
    """

    def __init__(
        self,
        cluster: Cluster,
        target: Target,
        owner: Json,
        *,
        holder: str,
        identity: str,
        duration: float,
        note: str | None,
        clock: Callable[[], float],
    ) -> None:
        self.note = note
        self._cluster = cluster
        self._target = target
        self._owner = owner
        self._holder = holder
        self._identity = identity
        self._duration = duration
        self._clock = clock
        self._path = lease_path(target)
        self._began = ticks()
        self._seen: tuple[str, float] = ("", 0.0)
        self._unchanged_since = self._began
        self._previous: Previous | None = None
        self._sent = self._began

    def win(self, *, take_over: bool, wait: float) -> Won:
        """Take the lease; wait for it at most `wait` seconds. Raises Held or ApiError."""
        refused = 0
        while True:
            before = self._read()
            holding = holding_of(before) if before else None
            if before and holding and holding.identity == self._identity:
                return self._won(before)  # our write was done; its answer was lost
            free = holding is None or self._is_free(holding)
            if not free and not take_over:
                assert holding is not None  # noqa: S101 - else it were free
                self._be_patient(holding, wait)
                continue
            try:
                return self._won(self._write(before, holding, taken_over=not free))
            except (Conflict, NotFound, Unreachable, ServerError, TooManyRequests) as error:
                refused += 1
                if refused == ATTEMPTS or (before is None and isinstance(error, NotFound)):
                    raise
                time.sleep(min(error.retry_after or 0.1 * refused, 5.0))

    def _read(self) -> Json | None:
        try:
            return self._cluster.get(self._path)
        except NotFound:
            return None

    def _is_free(self, holding: Holding) -> bool:
        if (seen := (holding.identity, holding.renewed_at)) != self._seen:
            self._seen, self._unchanged_since = seen, ticks()
        now = self._cluster.server_time.now()
        return (
            (now is not None and holding.expired(now))
            or ticks() - self._unchanged_since > holding.duration
            or holding.died_here(self._holder)
        )

    def _be_patient(self, holding: Holding, wait: float) -> None:
        """Pause, or raise Held when the wait is over.

        A time from the future says nothing, so that lease is watched for its duration at least.
        """
        now = self._cluster.server_time.now()
        if not holding.credible(now):
            wait = max(wait, holding.duration + 2 * POLL)
        left = wait - (ticks() - self._began)
        if left <= 0:
            raise Held(self._target, holding, now)
        time.sleep(min(POLL, holding.duration / 10, left))

    def _write(self, before: Json | None, holding: Holding | None, *, taken_over: bool) -> Json:
        self._previous = _previous(before, holding, taken_over=taken_over)
        now = self._cluster.server_time.now()
        body = acquisition(
            self._target,
            self._owner,
            before,
            identity=self._identity,
            duration=self._duration,
            now=self._clock() if now is None else now,
            note=self.note,
        )
        self._sent = ticks()
        if before is None:
            return self._cluster.create(leases_path(self._target), body)
        return self._cluster.patch(self._path, body, content_type=MERGE_PATCH)

    def _won(self, lease: Json) -> Won:
        return Won(lease, self._sent, self._previous)


def _previous(before: Json | None, holding: Holding | None, *, taken_over: bool) -> Previous | None:
    if holding is not None:
        return Previous(holding.holder, holding.renewed_at, holding.note, taken_over)
    note = note_of(before) if before else {}
    return Previous("", 0.0, note) if note else None  # freed by hand: a release takes the note away


def _stamp(at: float) -> str:
    return f"{micro_time(at)[:19]}Z" if at else "an unknown time"
