"""Calls in parallel with one deadline for all of them.

Decides how many run at once and when to stop waiting. Sockets time out per read, and name
resolution not at all, so only a thread of its own keeps a slow peer from holding up guard.
Threads that are left behind are daemons and end with their own timeouts.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


def gather(
    jobs: Mapping[K, Callable[[], T]], *, workers: int, seconds: float
) -> dict[K, T | Exception]:
    """Run all jobs with at most `workers` at once; return each one's result or exception.

    A job that is not done after `seconds` has a TimeoutError as its result; jobs that had not
    begun by then never begin.
    """
    deadline = time.monotonic() + seconds
    done: queue.SimpleQueue[tuple[K, T | Exception]] = queue.SimpleQueue()
    todo = _Shared(iter(jobs.items()))
    stopped = threading.Event()

    def work() -> None:
        while not stopped.is_set():
            item = todo.next()
            if item is None:
                return
            key, job = item
            try:
                done.put((key, job()))
            except Exception as error:  # handed to the caller, who knows what it means
                done.put((key, error))

    for _ in range(min(workers, len(jobs))):
        threading.Thread(target=work, name="guard-read", daemon=True).start()
    results: dict[K, T | Exception] = {}
    try:
        while len(results) < len(jobs):
            key, result = done.get(timeout=max(0.0, deadline - time.monotonic()))
            results[key] = result
    except queue.Empty:
        pass
    finally:
        stopped.set()
    late = TimeoutError(f"no answer within {seconds:g} s")
    return {key: results.get(key, late) for key in jobs}


def within(seconds: float, job: Callable[[], T]) -> T:
    """Run one job; raise TimeoutError when it is not done after `seconds`."""
    result = gather({"": job}, workers=1, seconds=seconds)[""]
    if isinstance(result, Exception):
        raise result
    return result


class _Shared(Generic[T]):
    """An iterator that several threads draw from."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._lock = threading.Lock()

    def next(self) -> T | None:
        with self._lock:
            return next(self._items, None)
