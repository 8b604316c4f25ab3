"""Read every signal in a thread of its own, so that a slow provider delays nobody else.

Decides when a signal is read and that nothing it does stops the others. Does not judge.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from deploy_guard.model import Reading, Workload
from deploy_guard.signals.base import Signal


@dataclass(frozen=True, slots=True)
class Read:
    """What one reading of a signal brought, and in which round of the watch it began."""

    signal: str
    round: int
    readings: tuple[Reading, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Broken:
    """A signal's code raised, which it must never do: a bug, told as such."""

    signal: str
    error: BaseException


class Poller:
    """Polls all signals until stopped; puts `Read` and `Broken` items into the queue.

    `look` gives the newest look at the workload. A round is what readings are for: watching, or
    verifying after a rollback; `next_round` begins another, and readings that began in an earlier
    one can be told by their number.
    """

    def __init__(
        self,
        signals: Iterable[Signal],
        look: Callable[[], Workload],
        items: queue.SimpleQueue[object],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._signals = tuple(signals)
        self._locks = {signal.name: threading.Lock() for signal in self._signals}
        self._look = look
        self._items = items
        self._clock = clock
        self._stopping = threading.Event()
        self.round = 1

    def start(self) -> None:
        """Begin to poll; the threads are daemons and never hold up the end of the process."""
        for signal in self._signals:
            thread = threading.Thread(
                target=self._poll, args=(signal,), name=f"signal {signal.name}", daemon=True
            )
            thread.start()

    def stop(self) -> None:
        """Begin no further reading; one that is under way is left to its own timeout."""
        self._stopping.set()

    def next_round(self) -> None:
        """Mark all readings that begin from now on as belonging to another round."""
        self.round += 1

    def read_now(self, name: str, workload: Workload) -> tuple[Reading, ...]:
        """Read one signal at once, in the caller's thread, on this look at the workload."""
        signal = next(signal for signal in self._signals if signal.name == name)
        with self._locks[name]:
            return tuple(signal.read(workload, self._clock()))

    def _poll(self, signal: Signal) -> None:
        due = time.monotonic()
        while not self._stopping.is_set():
            number = self.round
            try:
                with self._locks[signal.name]:
                    readings = signal.read(self._look(), self._clock())
            except Exception as error:  # reported by the watch, which ends then
                self._items.put(Broken(signal.name, error))
                return
            self._items.put(Read(signal.name, number, tuple(readings), signal.warnings))
            # Keep to the grid, so that polls do not drift; skip what a slow reading missed.
            due = max(due + signal.interval, time.monotonic())
            self._stopping.wait(due - time.monotonic())
