"""Ask the cluster many questions at once, and wait for all answers together.

Decides how long and how many at a time. What is asked, and what an answer means, is the caller's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass
from threading import Semaphore, Thread
from typing import Generic, TypeVar

from deploy_guard.cluster.errors import ApiError, Call, Timeout

T = TypeVar("T")

AT_ONCE = 8  # requests under way
SECONDS = 5.0  # for all questions together


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What will be known of one question."""

    _future: Future[T]
    _deadline: float
    _seconds: float

    def wait(self) -> T:
        """Return the answer. Raises its ApiError, or Timeout when the time for all is over."""
        try:
            return self._future.result(max(0.0, self._deadline - time.monotonic()))
        except Late:
            call = Call("ask", "the API server")
            raise Timeout(call, f"no answer within {self._seconds:g} s") from None


class Asker:
    """Puts questions in daemon threads, so that no silent server holds anybody up.

    All answers are waited for together, at most `seconds` from the start. A question that is
    still under way then goes on in its thread, and nobody hears its answer; none is begun.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._room = Semaphore(AT_ONCE)

    def ask(self, question: Callable[[], T]) -> Answer[T]:
        """Begin to ask; the question may raise ApiError."""
        future: Future[T] = Future()
        Thread(target=self._work, args=(question, future), daemon=True).start()
        return Answer(future, self._deadline, self._seconds)

    def _work(self, question: Callable[[], T], future: Future[T]) -> None:
        if not self._room.acquire(timeout=max(0.0, self._deadline - time.monotonic())):
            return
        try:
            future.set_result(question())
        except ApiError as error:
            future.set_exception(error)
        except Exception as error:  # a bug must not become an endless wait
            name = type(error).__name__
            future.set_exception(ApiError(Call("ask", "the API server"), f"a bug: {name}"))
        finally:
            self._room.release()
