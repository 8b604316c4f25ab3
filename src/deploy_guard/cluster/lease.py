"""One guard per target: a Lease that its holder renews, and that expires when the holder dies.

Decides how it is kept and when it is lost; who may take it is decided by `lease_claim`. Does not
decide what a guard does then. What keeps two guards apart is the resourceVersion in every write
(the server looks at nothing else); all times are the API server's, so a runner whose clock is
wrong neither loses a lease nor steals one. The lease saves two guards from working against each
other; what each writes to the workload has its own preconditions and does not rely on it.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from deploy_guard.cluster.client import MERGE_PATCH, Cluster
from deploy_guard.cluster.errors import (
    ApiError,
    Conflict,
    Forbidden,
    NotFound,
    ServerError,
    TooManyRequests,
    Unauthorized,
    Unreachable,
)
from deploy_guard.cluster.lease_claim import Claim, Held, Previous, ticks
from deploy_guard.cluster.lease_record import (
    Holding,
    Json,
    holding_of,
    lease_path,
    new_identity,
    note_text,
    renewal,
    resignation,
)
from deploy_guard.errors import GuardError
from deploy_guard.model import Target

__all__ = ["Held", "Holding", "Lease", "Lost", "NoLock", "Previous", "read"]

NOTE_PATIENCE = 5.0  # seconds that a write waits for a note
LONGEST_CALL = 10.0  # seconds for one renewal or the release
VERBS = "get, create and patch on leases in coordination.k8s.io"


class Lost(GuardError):
    """The lease is not held any more, or cannot be renewed: another guard may be at work."""


@dataclass(frozen=True, slots=True)
class NoLock:
    """Why no lease was taken although one was wanted, and what to do; a warning, no error."""

    text: str
    help: str


def read(cluster: Cluster, target: Target) -> Holding | None:
    """Return who holds the target's lease, expired or not; None if nobody. Raises ApiError."""
    try:
        return holding_of(cluster.get(lease_path(target)))
    except NotFound:
        return None


class Lease:
    """The lease on a target; `acquire` makes it. Safe to use from several threads.

    Without a lease (dry run, missing right) every method works and does nothing; `warning` says
    why. `previous` is what a dead guard left; None after a clean release. `on_lost` is called once
    with the reason, from the thread that finds out.
    """

    def __init__(
        self,
        cluster: Cluster,
        target: Target,
        *,
        identity: str,
        duration: float,
        clock: Callable[[], float],
        on_lost: Callable[[str], None] | None = None,
    ) -> None:
        self.identity = identity
        self.warning: NoLock | None = None
        self.previous: Previous | None = None
        self._cluster = cluster
        self._target = target
        self._path = lease_path(target)
        self._duration = float(max(1, math.ceil(duration)))
        self._clock = clock
        self._on_lost = on_lost
        self._lease: Json = {}
        self._renewed = 0.0  # in ticks: when the last renewal that succeeded was sent
        self._note: str | None = None  # what is still to be written
        self._noted: str | None = None  # what was written
        self._lost = ""
        self._told = False
        self._lock = threading.RLock()
        self._noting: threading.Thread | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    @classmethod
    def acquire(
        cls,
        cluster: Cluster,
        target: Target,
        owner: Json,
        *,
        holder: str,
        note: Mapping[str, Any] | None = None,
        duration: float = 60.0,
        take_over: bool = False,
        wait: float = 0.0,
        clock: Callable[[], float] = time.time,
        on_lost: Callable[[str], None] | None = None,
    ) -> Lease:
        """Take the lease on the workload `owner`, and renew it from now on.

        Free is a lease that nobody holds; that was not renewed for `duration` seconds (whole ones,
        rounded up) and a margin by the server's clock; that did not change for so long while this
        waited; or that a dead process of the same `holder` on this machine had. The same `holder`
        alone proves nothing: two jobs of one CI run have one URL. `wait` is how many seconds to
        wait for a living holder. Without a `note` the one of a dead guard stays until the first
        `note`, so that it survives the death of this guard, too.

        Raises Held, or ApiError if the cluster cannot be reached. Where the server refuses Leases,
        such as for a missing right, the lease locks nothing and has a `warning`: the job matters
        more. A dry run takes none.
        """
        lease = cls(
            cluster,
            target,
            identity=new_identity(holder),
            duration=duration,
            clock=clock,
            on_lost=on_lost,
        )
        if cluster.dry:
            return lease
        claim = Claim(
            cluster,
            target,
            owner,
            holder=holder,
            identity=lease.identity,
            duration=lease._duration,
            note=note_text(note) if note is not None else None,
            clock=clock,
        )
        try:
            won = claim.win(take_over=take_over, wait=wait)
        except (Unreachable, Unauthorized, Conflict):  # Conflict: others write it at this moment
            raise
        except ApiError as error:
            lease.warning = _no_lock(target, error)
            return lease
        lease._lease, lease._renewed, lease._noted = won.lease, won.sent, claim.note
        lease.previous = won.previous
        lease._thread.start()
        return lease

    @property
    def held(self) -> bool:
        """Whether the lease was taken and neither lost nor released."""
        return bool(self._lease) and not self._lost and not self._stopping.is_set()

    @property
    def lost(self) -> str:
        """Why the lease is lost; empty while it is not."""
        return self._lost

    def check(self) -> None:
        """Make sure, before a write, that no other guard can have the lease. Raises Lost.

        Waits some seconds for the answer to `note_soon`: what it says is known before what follows
        is written, unless the server is silent.
        """
        if not self._lease:
            return
        if self._noting is not None:
            self._noting.join(NOTE_PATIENCE)  # a rollback matters more than the note about it
        if self.held and self._age() > self._duration * 2 / 3:
            self._renew()
        if self._lost:
            raise Lost(
                f"{self._target}: this guard no longer holds the lease: {self._lost}",
                help="nothing more is written; see who works on it now, then start again",
            )
        if self._age() > self._duration:
            raise Lost(
                f"{self._target}: the lease could not be renewed for {self._age():.0f} s",
                help="another guard may have it by now; check the connection to the cluster",
            )

    def note(self, state: Mapping[str, Any]) -> bool:
        """Write guard's state with a renewal; return whether the server has it now.

        If not, it goes with the next renewal. Raises ValueError above 32 KiB.
        """
        return self._write_note(note_text(state))

    def note_soon(self, state: Mapping[str, Any]) -> None:
        """Begin to write guard's state; the next `check` waits until it is there, or refused.

        So that other questions can be asked meanwhile. Raises ValueError as `note` does.
        """
        text = note_text(state)
        if self.held:
            self._noting = threading.Thread(
                target=self._write_note, args=(text,), name="lease note", daemon=True
            )
            self._noting.start()

    def _write_note(self, text: str) -> bool:
        with self._lock:
            if not self.held:
                return False
            if text == self._noted and self._note is None:
                return True
            self._note = text
        return self._renew()

    def release(self, *, keep_note: bool = False) -> None:
        """Free the lease and take the note away; best effort, never raises.

        With `keep_note` the next guard finds it, as if this one had died.
        """
        first = self.held
        self._stopping.set()
        if not first:
            return
        with contextlib.suppress(Exception):  # it expires by itself
            self._resign(keep_note=keep_note)
        if threading.current_thread() is not self._thread:
            self._thread.join(LONGEST_CALL)

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _age(self) -> float:
        return ticks() - self._renewed

    def _now(self) -> float:
        now = self._cluster.server_time.now()
        return self._clock() if now is None else now

    def _keep(self) -> None:
        """Renew every third of the duration, sooner after a failure, until released or lost."""
        pause = self._duration / 3
        while not self._stopping.wait(pause) and not self._lost:
            pause = self._duration / (3 if self._renew() else 12)

    def _renew(self) -> bool:
        """Renew once; return whether that succeeded. Tells of a loss outside of the lock."""
        with self._lock:
            renewed = self.held and self._try_to_renew()
            tell, self._told = bool(self._lost) and not self._told, bool(self._lost)
        if tell and self._on_lost is not None:
            self._on_lost(self._lost)
        return renewed

    def _try_to_renew(self) -> bool:
        for _ in range(3):
            sent, now, note = ticks(), self._now(), self._note
            try:
                self._write(renewal(self._lease, now=now, note=note))
            except (Conflict, NotFound):
                if not self._still_ours():
                    return False
                continue
            except ApiError:
                return False
            self._renewed = sent
            if note is not None:
                self._note, self._noted = None, note
            if self._now() - now < 1.5:  # else the time was stale, such as after a sleep
                return True
        return self._renewed == sent

    def _write(self, patch: Json) -> None:
        self._lease = self._cluster.patch(
            self._path, patch, content_type=MERGE_PATCH, timeout=self._timeout
        )

    @property
    def _timeout(self) -> float:
        return min(LONGEST_CALL, max(1.0, self._duration / 3))

    def _still_ours(self) -> bool:
        """Read after a refusal: somebody else took the lease, or only touched it."""
        try:
            lease = self._cluster.get(self._path, timeout=self._timeout, patient=False)
        except NotFound:
            self._lost = "it was deleted"
            return False
        except ApiError:
            return False
        holding = holding_of(lease)
        if holding is None or holding.identity != self.identity:
            self._lost = f"{holding.holder} took it over" if holding else "somebody else freed it"
            return False
        self._lease = lease
        return True

    def _resign(self, *, keep_note: bool) -> None:
        if not self._lock.acquire(timeout=LONGEST_CALL):
            return
        try:
            for _ in range(3):
                try:
                    patch = resignation(self._lease, now=self._now(), keep_note=keep_note)
                    self._write(patch)
                    return
                except (Conflict, Unreachable, ServerError, TooManyRequests):
                    if not self._still_ours():
                        return
        finally:
            self._lock.release()


def _no_lock(target: Target, error: ApiError) -> NoLock:
    missing = isinstance(error, NotFound) or (isinstance(error, Forbidden) and error.missing_right)
    return NoLock(
        f"{target} is not locked against a second guard: {error.message}",
        f"the account needs {VERBS}" if missing else error.help or "see that no other guard runs",
    )
